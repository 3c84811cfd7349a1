//! What a node can be told.

use crate::{conn::ConnId, transport::TransportKind};
use core::time::Duration;
use moorline_protocol::Reason;

/// One thing that happened. Handling it never blocks, never fails and does bounded work.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A client named no session: it gets a new one. It completed a WebSocket handshake, or its GET is held from now on.
    Open {
        /// The connection.
        conn: ConnId,
        /// What it came by.
        transport: TransportKind,
        /// What its messages are.
        dialect: Dialect,
    },
    /// A GET that names a session. It is held until the node has something to say to it.
    Poll {
        /// The connection.
        conn: ConnId,
        /// The session's id.
        sid: &'a str,
        /// How many packets the client takes of one answer.
        packets_max: usize,
    },
    /// The head of a POST that names a session. Its packets follow as `Text` and `Binary`, then `Posted`.
    Post {
        /// The connection.
        conn: ConnId,
        /// The session's id.
        sid: &'a str,
    },
    /// The last packet of a POST was handed over.
    Posted {
        /// The connection.
        conn: ConnId,
    },
    /// A client completed a WebSocket handshake that names a session.
    Upgrade {
        /// The connection.
        conn: ConnId,
        /// The session's id.
        sid: &'a str,
    },
    /// A whole text message came in, or a text packet of a POST.
    Text {
        /// The connection.
        conn: ConnId,
        /// The message.
        text: &'a str,
    },
    /// A whole binary message came in, or a binary packet of a POST.
    Binary {
        /// The connection.
        conn: ConnId,
        /// The message.
        bytes: &'a [u8],
    },
    /// The connection is gone, or the shell gave it up.
    Closed {
        /// The connection.
        conn: ConnId,
        /// `TransportClose` when it just went away, `TransportError` when it broke its protocol.
        reason: Reason,
    },
    /// The bus has news.
    Bus(BusInput<'a>),
    /// Close every session, spread evenly over this time, and take no new one.
    Drain {
        /// The time until the last session is closed.
        over: Duration,
    },
}

/// What a session's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Socket.IO packets.
    SocketIo,
    /// Whatever the application makes of them: Engine.IO alone.
    EngineIo,
}

/// News from the bus. Sent only to a node that was configured with channels.
#[derive(Debug, Clone, Copy)]
pub enum BusInput<'a> {
    /// Publishing and receiving work, and everything subscribed before is subscribed again.
    Up,
    /// The bus cannot be used.
    Down,
    /// No channel is subscribed until `Subscribed` says so again.
    SubscriptionsLost,
    /// A channel is subscribed from here on.
    Subscribed {
        /// The channel's name.
        channel: &'a str,
    },
    /// A message came in.
    Message {
        /// The channel's name.
        channel: &'a str,
        /// The message, unchecked.
        payload: &'a [u8],
    },
    /// A publication with a ticket reached this many subscribers.
    Published {
        /// The ticket it was published with.
        ticket: u64,
        /// How many subscribers got it, ourselves included.
        receivers: u32,
    },
    /// A publication was lost and will not be sent again.
    Lost {
        /// The ticket it was published with.
        ticket: Option<u64>,
    },
}
