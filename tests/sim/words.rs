//! The words of the simulated world: the numbers of its clients and connections, and one message.

/// A client in the world, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(pub(super) usize);

/// A request or a WebSocket, by its number; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conn(pub(super) usize);

/// One message that a client was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A packet.
    Text(String),
    /// An attachment of the packet before it.
    Binary(Vec<u8>),
}

impl Received {
    /// The packet; an attachment is a failure.
    pub fn into_text(self) -> String {
        match self {
            Received::Text(text) => text,
            Received::Binary(bytes) => panic!("{} bytes where a packet was due", bytes.len()),
        }
    }
}

impl std::fmt::Display for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Received::Text(text) => f.write_str(text),
            Received::Binary(bytes) => write!(f, "b{bytes:?}"),
        }
    }
}
