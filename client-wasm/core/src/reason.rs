//! The reasons why sockets and connections end, in the words of the reference's client, and the causes of failures.
//!
//! Owns the reasons, the failures and their texts. It never ends anything.

/// The reason why a socket or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The page disconnected the socket, or the last one of the connection.
    ClientDisconnect,
    /// The server disconnected the socket.
    ServerDisconnect,
    /// The connection was closed.
    TransportClose,
    /// The connection broke.
    TransportError,
    /// The server was silent for too long.
    PingTimeout,
    /// The server sent something that breaks the protocol.
    ParseError,
}

impl DisconnectReason {
    /// The reason as the reference's client spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            DisconnectReason::ClientDisconnect => "io client disconnect",
            DisconnectReason::ServerDisconnect => "io server disconnect",
            DisconnectReason::TransportClose => "transport close",
            DisconnectReason::TransportError => "transport error",
            DisconnectReason::PingTimeout => "ping timeout",
            DisconnectReason::ParseError => "parse error",
        }
    }
}

/// The cause of a failed connection or attempt. Constants, not an enum: without a table of their texts the bundle is
/// about 200 bytes smaller after gzip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure(&'static str);

impl Failure {
    /// No connection, or no reply to CONNECT, came in time.
    pub const TIMEOUT: Failure = Failure("timeout");
    /// The server was silent for longer than its heartbeats may be apart.
    pub const NO_HEARTBEAT: Failure = Failure("no heartbeat from the server");
    /// The browser has no network any more.
    pub const NETWORK_LOST: Failure = Failure("network connection lost");
    /// The server sent a close packet.
    pub const CLOSED_BY_SERVER: Failure = Failure("closed by the server");
    /// A request failed or was refused.
    pub const POLLING_ERROR: Failure = Failure("polling error");
    /// The WebSocket of a session was closed.
    pub const WEBSOCKET_CLOSED: Failure = Failure("websocket connection closed");
    /// A WebSocket did not open, or was closed before the handshake.
    pub const WEBSOCKET_ERROR: Failure = Failure("websocket error");
    /// The server refused the CONNECT of a namespace.
    pub const REFUSED_BY_SERVER: Failure = Failure("refused by the server");
    /// A message is larger than `message_bytes_max`.
    pub const MESSAGE_TOO_BIG: Failure = Failure("a message is too big");
    /// A message nests deeper than `depth_max`.
    pub const MESSAGE_TOO_DEEP: Failure = Failure("a message nests too deep");
    /// A message announces more attachments than `attachments_max`.
    pub const TOO_MANY_ATTACHMENTS: Failure = Failure("a message has too many attachments");
    /// The shell could not read a message.
    pub const UNREADABLE_MESSAGE: Failure = Failure("a message is not readable");
    /// A message is no packet of the protocol, or of another step of it.
    pub const NO_PACKET: Failure = Failure("not a packet of the protocol");
    /// A binary packet of a body is not base64.
    pub const NOT_BASE64: Failure = Failure("a packet is not base64");
    /// The handshake is not as the protocol has it.
    pub const BAD_HANDSHAKE: Failure = Failure("a malformed handshake");
    /// Binary data came before the handshake.
    pub const EARLY_BINARY: Failure = Failure("binary data before the handshake");
    /// More came before the reply to CONNECT than is kept.
    pub const EARLY_EVENTS: Failure = Failure("too much came before the answer to CONNECT");
    /// A packet came where an attachment was due.
    pub const MISSING_ATTACHMENT: Failure = Failure("a packet where an attachment was due");
    /// An attachment came that no packet announced.
    pub const STRAY_ATTACHMENT: Failure = Failure("an attachment to nothing");
    /// An acknowledgement has no id.
    pub const STRAY_ACK: Failure = Failure("an answer to nothing");

    /// The failure in a few words, as a page is told.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}
