//! Events for an application: clients that come and go, and the events they send.
//!
//! Owns the plain types. The dispatch of packets and the end of an input decide when each is told.

use crate::words::{ids::SocketId, json::parse_string, keys::NamespaceKey, pending_ack::PendingAck};
use alloc::{borrow::Cow, rc::Rc, string::String};
use moorline_protocol::{Frame, Reason};
use serde_json::value::RawValue;

/// A client that asks to join a namespace.
#[derive(Debug)]
pub struct Connect<'a> {
    /// The id its socket will have.
    pub socket: SocketId,
    /// The namespace.
    pub namespace: &'a str,
    /// The auth payload, a JSON object, if it sent one.
    pub auth: Option<&'a RawValue>,
}

/// A reason why a client may not join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The client's `err.message`.
    pub message: String,
    /// JSON for the client's `err.data`, or empty.
    pub data: String,
}

impl Refusal {
    /// A refusal with nothing but its message.
    pub fn new(message: &str) -> Refusal {
        Refusal { message: message.into(), data: String::new() }
    }
}

/// An event from a client.
#[derive(Debug)]
pub struct Event<'a> {
    /// The socket that sent it.
    pub socket: SocketId,
    /// The namespace it was sent in.
    pub namespace: &'a str,
    /// Its name; a number as its digits. Never a reserved name.
    pub name: Cow<'a, str>,
    /// Its arguments, each valid JSON of bounded depth.
    pub args: &'a [&'a RawValue],
    /// The binary attachments that placeholders in the arguments point at.
    pub attachments: &'a [Frame],
    /// The acknowledgement the client wants, if any.
    pub ack: Option<PendingAck>,
}

impl<'a> Event<'a> {
    /// The argument at this position, if it is a string; borrowed when nothing in it is escaped.
    pub fn text(&self, at: usize) -> Option<Cow<'a, str>> {
        self.args.get(at).and_then(|arg| parse_string(arg.get()))
    }
}

/// A socket that has ended.
#[derive(Debug)]
pub struct Disconnect {
    /// The id it had.
    pub socket: SocketId,
    /// The namespace it was in.
    pub namespace: Rc<str>,
    /// The reason of its end.
    pub reason: Reason,
    pub(crate) namespace_key: NamespaceKey,
}

/// A message of a session that speaks Engine.IO alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}
