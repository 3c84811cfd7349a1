//! Who hears what happens to the sockets: an object of JavaScript with these methods, none of which throws.

use alloc::string::String;
use js_sys::Array;
use moorline_client_core::{AckError, Details};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The owner of a client's sockets. Sockets and calls are named by their numbers.
    pub type Owner;

    /// Say with `authorize` or `authFailed` what to join the namespace with.
    #[wasm_bindgen(method, js_name = wantAuth)]
    pub(crate) fn want_auth(this: &Owner, socket: usize, ticket: u32);
    #[wasm_bindgen(method)]
    pub(crate) fn connected(this: &Owner, socket: usize, id: &str);
    /// `refusal` is JSON; `details` are for when it was the transport.
    #[wasm_bindgen(method, js_name = connectError)]
    pub(crate) fn connect_error(
        this: &Owner,
        socket: usize,
        message: &str,
        refusal: Option<String>,
        details: Option<EndDetails>,
    );
    #[wasm_bindgen(method)]
    pub(crate) fn disconnected(this: &Owner, socket: usize, reason: &str, details: Option<EndDetails>);
    /// `attachments` are `ArrayBuffer`s. To acknowledge, `answer` takes the two numbers; `id` is missing when nobody
    /// asked.
    #[wasm_bindgen(method)]
    pub(crate) fn event(
        this: &Owner,
        socket: usize,
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
    /// A message that was kept for later could not be sent.
    #[wasm_bindgen(method)]
    pub(crate) fn dropped(this: &Owner, socket: usize, code: &str);

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
    /// Nothing is under way any more, and this object is let go of.
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
    end_details(details.description, context.code, &context.reason, context.status)
}

pub(crate) fn ack_error(error: AckError) -> &'static str {
    match error {
        AckError::Timeout => "timeout",
        AckError::Disconnected => "disconnected",
        AckError::NotSent(error) => error.code(),
    }
}
