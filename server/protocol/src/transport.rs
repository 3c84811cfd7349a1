//! The transports of Engine.IO, named once for server and client.
//!
//! Owns their names. It never says when a session uses which one: that is for the state machines on both sides.

/// How the packets of a session travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// Long polling over HTTP.
    Polling,
    /// One WebSocket.
    WebSocket,
}

impl TransportKind {
    /// The name in a query, in a handshake and for a user.
    pub fn as_str(self) -> &'static str {
        match self {
            TransportKind::Polling => "polling",
            TransportKind::WebSocket => "websocket",
        }
    }
}
