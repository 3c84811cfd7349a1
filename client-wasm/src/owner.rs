//! The owner of the sockets, which is told their outputs: an object of JavaScript with these methods, none of which
//! throws. It never holds state here.

use alloc::string::String;
use js_sys::Array;
use moorline_client_core::Details;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The owner of a client's sockets. Sockets, tickets and acknowledgements are named by their numbers.
    pub type Owner;

    /// Calls for `authorize` or `authFailed`, with the auth payload for this namespace.
    #[wasm_bindgen(method, js_name = wantAuth)]
    pub(crate) fn want_auth(this: &Owner, socket: u32, ticket: u32);
    #[wasm_bindgen(method)]
    pub(crate) fn connected(this: &Owner, socket: u32, id: &str);
    /// `refusal` is JSON; `details` are there if the transport failed.
    #[wasm_bindgen(method, js_name = connectError)]
    pub(crate) fn connect_error(
        this: &Owner,
        socket: u32,
        message: &str,
        refusal: Option<String>,
        details: Option<EndDetails>,
    );
    #[wasm_bindgen(method)]
    pub(crate) fn disconnected(this: &Owner, socket: u32, reason: &str, details: Option<EndDetails>);
    /// `attachments` are `ArrayBuffer`s. `ack` takes `id` and `epoch`; `id` is missing when the server awaits no ack.
    #[wasm_bindgen(method)]
    pub(crate) fn event(
        this: &Owner,
        socket: u32,
        json: &str,
        attachments: Array,
        id: Option<f64>,
        epoch: u32,
    );
    #[wasm_bindgen(method)]
    pub(crate) fn acked(this: &Owner, ack: u32, json: &str, attachments: Array);
    /// `error` is `timeout`, `disconnected`, or the code of a `SendError`.
    #[wasm_bindgen(method, js_name = ackFailed)]
    pub(crate) fn ack_failed(this: &Owner, ack: u32, error: &str);
    /// An event that was kept for later could not be sent.
    #[wasm_bindgen(method)]
    pub(crate) fn dropped(this: &Owner, socket: u32, code: &str);

    #[wasm_bindgen(method, js_name = linkOpened)]
    pub(crate) fn link_opened(this: &Owner, transport: &str);
    #[wasm_bindgen(method, js_name = linkUpgraded)]
    pub(crate) fn link_upgraded(this: &Owner, transport: &str);
    #[wasm_bindgen(method, js_name = linkClosed)]
    pub(crate) fn link_closed(this: &Owner, reason: &str, details: Option<EndDetails>);
    #[wasm_bindgen(method, js_name = reconnectAttempt)]
    pub(crate) fn reconnect_attempt(this: &Owner, attempt: u32);
    #[wasm_bindgen(method)]
    pub(crate) fn reconnected(this: &Owner, attempt: u32);
    #[wasm_bindgen(method, js_name = reconnectError)]
    pub(crate) fn reconnect_error(this: &Owner, message: &str, details: Option<EndDetails>);
    #[wasm_bindgen(method, js_name = reconnectFailed)]
    pub(crate) fn reconnect_failed(this: &Owner);
    /// Nothing is under way any more, and the client let go of this object.
    #[wasm_bindgen(method)]
    pub(crate) fn idle(this: &Owner);

    /// `{ description, context: { code, reason, status } }`.
    pub type EndDetails;
}

#[wasm_bindgen(module = "/js/platform.js")]
extern "C" {
    #[wasm_bindgen(js_name = endDetails)]
    fn end_details(description: &str, code: Option<u16>, reason: &str, status: Option<u16>) -> EndDetails;
}

pub(crate) fn details(details: &Details) -> EndDetails {
    let context = &details.context;
    end_details(details.failure.as_str(), context.code, &context.reason, context.status)
}
