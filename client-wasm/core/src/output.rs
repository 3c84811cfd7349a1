//! Outputs of the client: everything that a shell is to do, for the transports and for the owner of the sockets.
//!
//! Owns the types only; it never says when.

use crate::{AwaitedAck, Channel, OwedAck, SocketKey, Ticket};
use alloc::{string::String, vec::Vec};
use moorline_protocol::{Frame, TransportKind};

/// One thing to do, in the order in which `poll_output` returns them.
///
/// Exhaustive on purpose: a shell that ignores an output breaks the contract, so a new one must not compile unnoticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a WebSocket to this address.
    Open(Channel, String),
    /// Send one packet on a WebSocket.
    Send(Channel, Frame),
    /// Close a WebSocket once it has sent everything it was given.
    Close(Channel),
    /// Make a GET request to this address.
    Get(Channel, String),
    /// Make a POST request to this address, with this body.
    Post(Channel, String, String),
    /// Abort a request.
    Abort(Channel),

    /// Call `authorize` (or `auth_failed`) with the auth payload for this namespace.
    WantAuth(SocketKey, Ticket),
    /// The socket is connected to its namespace and has this id.
    Connected(SocketKey, String),
    /// The socket could not connect.
    ConnectError {
        /// The socket.
        socket: SocketKey,
        /// The cause.
        failure: Failure,
        /// The server's refusal as JSON: an object with `message` and perhaps `data`, or a string.
        refusal: Option<String>,
        /// Details about the transport's failure, if it was that.
        details: Option<Details>,
    },
    /// The socket is not connected any more.
    Disconnected(SocketKey, DisconnectReason, Option<Details>),
    /// An event from the server.
    Event {
        /// The socket.
        socket: SocketKey,
        /// The array of its name and arguments.
        json: String,
        /// Its binary data.
        attachments: Vec<Vec<u8>>,
        /// The handle for `ack`, if the server awaits an acknowledgement.
        owed_ack: Option<OwedAck>,
    },
    /// An event was acknowledged.
    Acked {
        /// The acknowledgement, as `emit` returned it.
        ack: AwaitedAck,
        /// The array of its arguments.
        json: String,
        /// Its binary data.
        attachments: Vec<Vec<u8>>,
    },
    /// An acknowledgement will not come.
    AckFailed(AwaitedAck, AckError),
    /// An event that was kept for later cannot be sent to this server, and nobody awaits its acknowledgement.
    Dropped(SocketKey, SendError),

    /// The connection is open, on this transport.
    LinkOpened(TransportKind),
    /// The connection was upgraded to this transport.
    LinkUpgraded(TransportKind),
    /// The connection ended.
    LinkClosed(DisconnectReason, Option<Details>),
    /// The n-th attempt in a row begins.
    ReconnectAttempt(u32),
    /// The n-th attempt succeeded.
    Reconnect(u32),
    /// An attempt to reconnect failed; every socket that is to be connected gets a `ConnectError` as well.
    ReconnectError(Details),
    /// There will be no more attempts.
    ReconnectFailed,
}

/// Why an acknowledgement will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// It did not come in time.
    Timeout,
    /// The socket was disconnected first.
    Disconnected,
    /// The event could not be sent.
    NotSent(SendError),
}

impl AckError {
    /// The code a program compares: `timeout`, `disconnected`, or the code of a [`SendError`].
    pub fn code(self) -> &'static str {
        match self {
            AckError::Timeout => "timeout",
            AckError::Disconnected => "disconnected",
            AckError::NotSent(error) => error.code(),
        }
    }
}

/// Why an event is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The send buffer is full.
    BufferFull,
    /// The event is larger than the server takes.
    TooBig,
    /// The event holds more binary data than the server takes.
    TooManyAttachments,
    /// As many acknowledgements as allowed are awaited.
    TooManyAcks,
}

impl SendError {
    /// The code a program compares.
    pub fn code(self) -> &'static str {
        match self {
            SendError::BufferFull => "send_buffer_full",
            SendError::TooBig => "too_big",
            SendError::TooManyAttachments => "too_many_attachments",
            SendError::TooManyAcks => "too_many_acks",
        }
    }
}

/// Why a socket or a connection ended.
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

/// Why a connection failed, or an attempt at one. Constants, not an enum: without a table of their texts the bundle is
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

/// Details about the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The cause.
    pub failure: Failure,
    /// Its numbers.
    pub context: Context,
}

/// The numbers of an end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// The close code of a WebSocket.
    pub code: Option<u16>,
    /// The reason that came with the code.
    pub reason: String,
    /// The status of a response.
    pub status: Option<u16>,
}
