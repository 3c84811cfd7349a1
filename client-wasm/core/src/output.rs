//! Outputs of the client: everything that a shell is to do, for the transports and for the owner of the sockets.
//!
//! Owns the types only; it never says when.

use crate::{AwaitedAck, Channel, DisconnectReason, Failure, OwedAck, SocketKey, Ticket};
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

/// The reason why an acknowledgement will not come.
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

/// The reason why an event is not taken.
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
