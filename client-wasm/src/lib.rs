//! The bindings: events of a page become inputs of the state machine, and its outputs become calls to the browser and
//! to the owner of the sockets, which is `js/manager.js`.
//!
//! Owns handles of the browser: sockets, requests, one timer, listeners. It decides nothing: every rule is in
//! `moorline-client-core`. It never calls into JavaScript while the state machine is borrowed, so handlers may call
//! back.
//!
//! JavaScript has only numbers. They become keys in this file and nowhere else; a number of no socket does nothing.
//!
//! Invariant: when nothing is under way, nothing of JavaScript is held: no closure, no listener, no owner.
#![cfg_attr(all(feature = "npm", target_arch = "wasm32"), no_std)]

extern crate alloc;

mod clock;
mod number;
mod options;
mod owner;
mod page;
mod panic;
mod requests;
mod shell;
mod timer;
mod websockets;

use crate::{number::ms, shell::Shell};
use alloc::{rc::Rc, string::String, vec::Vec};
use js_sys::Uint8Array;
use moorline_client_core::{
    AwaitedAck, Client as Core, Emission, OwedAckNumbers, SendError, SocketKey, SocketOptions, Ticket, Time,
};
use wasm_bindgen::prelude::*;

pub use options::ClientOptions;
pub use owner::{EndDetails, Owner};

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

    /// Adds a socket of a namespace; returns its number. With `retries` its events queue; acknowledgements may take
    /// `ack_timeout_ms`.
    #[wasm_bindgen(js_name = addSocket)]
    pub fn add_socket(&self, namespace: String, retries: Option<f64>, ack_timeout_ms: Option<f64>) -> u32 {
        let retries = retries.map(|retries| u32::try_from(ms(retries)).unwrap_or(u32::MAX));
        let options = SocketOptions { retries, ack_timeout_ms: ack_timeout_ms.map(ms) };
        self.0.command(|core, _| core.add_socket(namespace, options).number())
    }

    /// Tells `owner` every output, until it was told `idle`: then it must own the client again before the next command.
    pub fn own(&self, owner: Owner) {
        self.0.own(owner);
    }

    /// Connects a socket and keeps it connected.
    pub fn connect(&self, socket: u32) {
        self.0.watch_page();
        self.on_socket(socket, Core::connect);
    }

    /// Disconnects a socket.
    pub fn disconnect(&self, socket: u32) {
        self.on_socket(socket, Core::disconnect);
    }

    /// Gives the auth payload for a `wantAuth`: the JSON of an object, or nothing.
    pub fn authorize(&self, socket: u32, ticket: u32, auth: &str) {
        let ticket = Ticket::from_number(ticket);
        self.on_socket(socket, |core, now, socket| core.authorize(now, socket, ticket, auth));
    }

    /// Reports that there is no auth payload for a `wantAuth`. Returns whether anybody still waited for it.
    #[wasm_bindgen(js_name = authFailed)]
    pub fn auth_failed(&self, socket: u32, ticket: u32) -> bool {
        let ticket = Ticket::from_number(ticket);
        self.on_socket(socket, |core, now, socket| core.auth_failed(now, socket, ticket))
    }

    /// Sends an event: the JSON of its name and arguments without the array's brackets, and its binary data. Returns
    /// the number of the acknowledgement that it awaits, or 0 if it awaits none.
    ///
    /// # Errors
    /// Throws the code of a [`SendError`] as a string.
    pub fn emit(
        &self,
        socket: u32,
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
        let outcome = self.on_socket(socket, |core, now, socket| core.emit(now, socket, emission));
        let ack = outcome.map_err(code)?;
        Ok(ack.map_or(0, AwaitedAck::number))
    }

    /// Acknowledges an event, by the two numbers that came with it.
    ///
    /// # Errors
    /// Throws the code of a [`SendError`] as a string.
    pub fn ack(
        &self,
        socket: u32,
        id: f64,
        epoch: u32,
        json: &str,
        attachments: Vec<Uint8Array>,
    ) -> Result<(), JsValue> {
        let owed = OwedAckNumbers { id: ms(id), epoch }.into();
        let (attachments, unsent) = (bytes_of(attachments), self.0.unsent_bytes());
        let outcome =
            self.on_socket(socket, |core, _, socket| core.ack(socket, owed, json, &attachments, unsent));
        outcome.map_err(code)
    }

    /// Reports that the last event or acknowledgement is not JSON, or names attachments it does not have.
    pub fn unreadable(&self) {
        self.0.input(moorline_client_core::Input::Unreadable);
    }

    /// Whether a socket is connected, or will be without another command.
    #[wasm_bindgen(js_name = isActive)]
    pub fn is_active(&self, socket: u32) -> bool {
        self.0.query(|core| core.is_active(SocketKey::from_number(socket)))
    }

    /// The node this connection is on, if the server says so.
    #[wasm_bindgen(getter)]
    pub fn node(&self) -> Option<String> {
        self.0.query(|core| core.node().map(String::from))
    }

    /// The name of the transport; nothing while there is no connection.
    #[wasm_bindgen(getter)]
    pub fn transport(&self) -> Option<String> {
        self.0.query(|core| core.transport().map(|kind| kind.as_str().into()))
    }

    /// Lets go of every handle at once, without a word to server or owner: after a panic.
    pub fn abandon(&self) {
        self.0.abandon();
    }
}

impl Client {
    /// Gives a command about the socket with this number.
    fn on_socket<T>(&self, number: u32, command: impl FnOnce(&mut Core, Time, SocketKey) -> T) -> T {
        self.0.command(|core, now| command(core, now, SocketKey::from_number(number)))
    }
}

/// Calls this function with the sentence of a panic while the module stops: it must not call back.
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
