//! The bindings: what happens in a page becomes inputs of the state machine, and its outputs become calls to the browser
//! and to the owner of the sockets, which is `js/manager.js`.
//!
//! Owns handles of the browser: sockets, requests, one timer, listeners. It decides nothing: every rule is in
//! `moorline-client-core`. It never calls into JavaScript while the state machine is borrowed, so handlers may call back.
//!
//! Invariant: when nothing is under way, nothing of JavaScript is held: no closure, no listener, no owner.
#![cfg_attr(all(feature = "npm", target_arch = "wasm32"), no_std)]

extern crate alloc;

mod clock;
mod options;
mod owner;
mod page;
mod panic;
mod requests;
mod shell;
mod timer;
mod websockets;

use alloc::{rc::Rc, string::String, vec::Vec};
use js_sys::Uint8Array;
use moorline_client_core::{Emission, OwedAck, SendError, SocketIndex, Ticket};
use wasm_bindgen::prelude::*;

pub use options::ClientOptions;
pub use owner::Owner;
use shell::Shell;

/// One connection to one server, and the sockets that share it.
#[wasm_bindgen]
pub struct Client(Rc<Shell>);

#[wasm_bindgen]
impl Client {
    /// A client that does nothing until a socket is to connect.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &ClientOptions) -> Client {
        panic::report_panics();
        Client(Shell::new(options))
    }

    /// A new socket of a namespace; returns its number. Sends queue with `retries`; acknowledgements may take
    /// `ack_timeout_ms`.
    #[wasm_bindgen(js_name = addSocket)]
    pub fn add_socket(&self, namespace: String, retries: Option<f64>, ack_timeout_ms: Option<f64>) -> usize {
        let retries = retries.map(|retries| u32::try_from(ms(retries)).unwrap_or(u32::MAX));
        self.0.tell(|core, _| core.add_socket(namespace, retries, ack_timeout_ms.map(ms)).0)
    }

    /// Everything that happens from now on is told to `owner`, until it was told `idle`: then it is to own this again
    /// before anything is begun.
    pub fn own(&self, owner: Owner) {
        self.0.own(owner);
    }

    /// The socket is to be connected, and to stay so.
    pub fn connect(&self, socket: usize) {
        self.0.watch_page();
        self.0.tell(|core, now| core.connect(now, SocketIndex(socket)));
    }

    /// The socket is to be connected no more.
    pub fn disconnect(&self, socket: usize) {
        self.0.tell(|core, now| core.disconnect(now, SocketIndex(socket)));
    }

    /// What to join a namespace with, as the owner was asked: the JSON of an object, or nothing.
    pub fn authorize(&self, socket: usize, ticket: u32, auth: &str) {
        self.0.tell(|core, now| core.authorize(now, SocketIndex(socket), Ticket(ticket), auth));
    }

    /// What to join a namespace with could not be had. Returns whether anybody still wanted it.
    #[wasm_bindgen(js_name = authFailed)]
    pub fn auth_failed(&self, socket: usize, ticket: u32) -> bool {
        self.0.tell(|core, now| core.auth_failed(now, SocketIndex(socket), Ticket(ticket)))
    }

    /// Sends an event: the JSON of its name and arguments without the array's brackets, and its binary data. Returns
    /// the number of the call that the owner will hear of, or 0 if none was asked for.
    ///
    /// # Errors
    /// Throws the code of a [`SendError`] as a string.
    pub fn emit(
        &self,
        socket: usize,
        json: String,
        attachments: Vec<Uint8Array>,
        wants_ack: bool,
        timeout_ms: Option<f64>,
        is_volatile: bool,
    ) -> Result<u32, JsValue> {
        #[cfg(feature = "panic-drill")]
        assert!(!json.starts_with("\"panic drill\""), "a drill");
        let emission = Emission {
            json,
            attachments: bytes_of(attachments),
            wants_ack,
            timeout_ms: timeout_ms.map(ms),
            is_volatile,
            unsent_bytes: self.0.unsent_bytes(),
        };
        let ack = self.0.tell(|core, now| core.emit(now, SocketIndex(socket), emission)).map_err(code)?;
        Ok(ack.map_or(0, |ack| ack.0))
    }

    /// Answers an event, by the two numbers that came with it.
    ///
    /// # Errors
    /// Throws the code of a [`SendError`] as a string.
    pub fn ack(
        &self,
        socket: usize,
        id: f64,
        epoch: u32,
        json: &str,
        attachments: Vec<Uint8Array>,
    ) -> Result<(), JsValue> {
        let owed = OwedAck { id: ms(id), epoch };
        let (attachments, unsent) = (bytes_of(attachments), self.0.unsent_bytes());
        self.0.tell(|core, _| core.ack(SocketIndex(socket), owed, json, &attachments, unsent)).map_err(code)
    }

    /// What the owner was given last is not JSON, or names attachments it does not have.
    pub fn unreadable(&self) {
        self.0.told(moorline_client_core::Input::Unreadable);
    }

    /// Whether the socket is connected, or will be without being told.
    #[wasm_bindgen(js_name = isActive)]
    pub fn is_active(&self, socket: usize) -> bool {
        self.0.ask(|core| core.is_active(SocketIndex(socket)))
    }

    /// The node this connection is on, if the server says so.
    #[wasm_bindgen(getter)]
    pub fn node(&self) -> Option<String> {
        self.0.ask(|core| core.node().map(String::from))
    }

    /// The name of the transport; nothing while there is no connection.
    #[wasm_bindgen(getter)]
    pub fn transport(&self) -> Option<String> {
        self.0.ask(|core| core.transport().map(|kind| kind.as_str().into()))
    }

    /// Lets go of everything at once, without a word to anybody: after a panic.
    pub fn abandon(&self) {
        self.0.abandon();
    }
}

/// Has a panic told to this function, as a sentence and while the module stops: it must not call back.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen(js_name = onPanic)]
pub fn on_panic(listener: &js_sys::Function) {
    panic::set_listener(listener);
}

fn code(error: SendError) -> JsValue {
    JsValue::from_str(error.code())
}

fn bytes_of(attachments: Vec<Uint8Array>) -> Vec<Vec<u8>> {
    attachments.into_iter().map(|bytes| bytes.to_vec()).collect()
}

/// A number of JavaScript as a whole one: milliseconds, or an id below 2^53. What is none counts as zero.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
fn ms(number: f64) -> u64 {
    number as u64
}
