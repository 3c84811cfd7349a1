//! What the client outputs done: by the transports, and by those who own the sockets.

use crate::{Channel, SocketIndex, Ticket, TransportKind};
use alloc::{string::String, vec::Vec};
use moorline_protocol::Frame;

/// One thing to do. They are to be done in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a WebSocket.
    Open(Channel, String),
    /// Send one packet on a WebSocket.
    Send(Channel, Frame),
    /// Close a WebSocket once it has sent what it was given.
    Close(Channel),
    /// Ask with GET.
    Get(Channel, String),
    /// Ask with POST.
    Post(Channel, String, String),
    /// Give a request up.
    Abort(Channel),

    /// Say with `authorize` (or `auth_failed`) what to join the namespace with.
    WantAuth(SocketIndex, Ticket),
    /// The socket has joined its namespace and has this id.
    Connected(SocketIndex, String),
    /// The socket could not connect.
    ConnectError {
        /// Which socket.
        socket: SocketIndex,
        /// In a few words.
        message: &'static str,
        /// What the server gave as the reason, as JSON: an object with `message` and perhaps `data`, or a string.
        refusal: Option<String>,
        /// What is known of the transport's end, when it was that.
        details: Option<Details>,
    },
    /// The socket is connected no more.
    Disconnected(SocketIndex, &'static str, Option<Details>),
    /// An event from the server.
    Event {
        /// Which socket.
        socket: SocketIndex,
        /// The array of its name and arguments.
        json: String,
        /// Its binary data.
        attachments: Vec<Vec<u8>>,
        /// What to `answer` to, if it is to be acknowledged.
        owed_ack: Option<OwedAck>,
    },
    /// A call was acknowledged.
    Acked {
        /// Which call.
        ack: AwaitedAck,
        /// The array of the answer's arguments.
        json: String,
        /// Its binary data.
        attachments: Vec<Vec<u8>>,
    },
    /// A call will not be acknowledged.
    AckFailed(AwaitedAck, AckError),
    /// A message that was kept for later cannot be sent to this server, and nobody awaits an answer to it.
    Dropped(SocketIndex, SendError),

    /// The connection stands, on this transport.
    LinkOpened(TransportKind),
    /// It moved to this transport.
    LinkUpgraded(TransportKind),
    /// It ended.
    LinkClosed(&'static str, Option<Details>),
    /// The n-th attempt in a row begins.
    ReconnectAttempt(u32),
    /// The n-th attempt succeeded.
    Reconnect(u32),
    /// An attempt failed; the sockets hear of it as well.
    ReconnectError(Details),
    /// There will be no more attempts.
    ReconnectFailed,
}

/// An acknowledgement that somebody awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwaitedAck(pub u32);

/// What an event from the server is to be acknowledged with. An answer that comes when the socket has left or
/// lost its namespace since goes nowhere: the server counts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedAck {
    /// The server's id.
    pub id: u64,
    /// Which of the socket's times in its namespace it came in.
    pub epoch: u32,
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckError {
    /// Its time is over.
    Timeout,
    /// The socket was disconnected first.
    Disconnected,
    /// It could not be sent.
    NotSent(SendError),
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// As much as may wait is waiting.
    BufferFull,
    /// It is larger than the server takes.
    TooBig,
    /// It holds more binary data than the server takes.
    TooManyAttachments,
    /// As many acknowledgements as may be awaited are.
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

/// What is known of the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// In a few words.
    pub description: &'static str,
    /// In numbers.
    pub context: Context,
}

/// The numbers of an end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// The close code of a WebSocket.
    pub code: Option<u16>,
    /// The words that came with it.
    pub reason: String,
    /// The status of an answer.
    pub status: Option<u16>,
}
