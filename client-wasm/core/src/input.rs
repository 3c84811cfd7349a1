//! What the client is told.

use alloc::{string::String, vec::Vec};

/// One WebSocket or one HTTP request. The client makes them up and never uses one again, so what a transport still says
/// after it was given up concerns nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(pub u32);

/// A socket, by its place in the client: the n-th that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketIndex(pub usize);

/// One time of asking for an auth payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub u32);

/// What happened outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A WebSocket is open.
    Opened(Channel),
    /// A WebSocket brought text.
    Text(Channel, String),
    /// A WebSocket brought bytes.
    Binary(Channel, Vec<u8>),
    /// A WebSocket has ended, or never opened.
    Closed {
        /// Which one.
        channel: Channel,
        /// Its close code; 1006 or 0 when nobody sent one.
        code: u16,
        /// The words that came with it.
        reason: String,
    },
    /// A request was answered.
    Response {
        /// Which one.
        channel: Channel,
        /// The HTTP status.
        status: u16,
        /// What `Retry-After` asked for.
        retry_after_ms: Option<u64>,
        /// The body.
        body: String,
    },
    /// A request was not answered.
    Failed(Channel),
    /// A message was larger than `message_bytes_max`, and was not even copied.
    TooBig(Channel),
    /// The last message handed out is not JSON, or names attachments it does not have.
    Unreadable,
    /// The machine's network.
    Network(NetworkChange),
}

/// What a page learns about the network and about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// How long that may take; otherwise the socket's own time.
    pub timeout_ms: Option<u64>,
    /// Whether it is dropped rather than kept when it cannot be sent at once.
    pub is_volatile: bool,
    /// What the transport was given and has not sent yet, in bytes.
    pub unsent_bytes: usize,
}
