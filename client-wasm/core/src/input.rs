//! Inputs of the client: everything that a shell tells it.
//!
//! Owns the types only; it never decides what an input means.

use crate::Channel;
use alloc::{string::String, vec::Vec};

/// One thing that happened outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// A WebSocket is open.
    Opened(Channel),
    /// A WebSocket brought text.
    Text(Channel, String),
    /// A WebSocket brought bytes.
    Binary(Channel, Vec<u8>),
    /// A WebSocket has ended, or never opened.
    Closed {
        /// The WebSocket.
        channel: Channel,
        /// Its close code; 1006 or 0 when nobody sent one.
        code: u16,
        /// The reason that came with it; may be empty.
        reason: String,
    },
    /// A request got its response.
    Response {
        /// The request.
        channel: Channel,
        /// The HTTP status.
        status: u16,
        /// The delay that `Retry-After` asked for.
        retry_after_ms: Option<u64>,
        /// The body.
        body: String,
    },
    /// A request got no response.
    Failed(Channel),
    /// A message was larger than `message_bytes_max`, and was not even copied.
    TooBig(Channel),
    /// The last event or acknowledgement handed out is not JSON, or names attachments it does not have.
    Unreadable,
    /// The machine's network changed.
    Network(NetworkChange),
}

/// A change of the network, or of the page that listens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkChange {
    /// There is a network again.
    Online,
    /// There is none any more.
    Offline,
    /// There was none when the page began to listen. A server on this machine is reached all the same.
    Absent,
    /// It is another one.
    Changed,
    /// The page is seen again, or was thawed: its timers may have stood still.
    Shown,
}

/// One event to send.
#[derive(Debug, Clone, Default)]
pub struct Emission {
    /// The event's name and arguments as JSON, joined by commas, without the array's brackets. Binary data is replaced
    /// by placeholders.
    pub json: String,
    /// The binary data, in the order of its placeholders.
    pub attachments: Vec<Vec<u8>>,
    /// Whether an acknowledgement is awaited.
    pub wants_ack: bool,
    /// How long the acknowledgement may take; `None`: the socket's own timeout.
    pub timeout_ms: Option<u64>,
    /// Whether the event is dropped rather than kept when it cannot be sent at once.
    pub is_volatile: bool,
    /// Bytes that the WebSocket was given and has not sent yet.
    pub unsent_bytes: usize,
}
