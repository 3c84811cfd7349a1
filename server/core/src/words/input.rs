//! The things that can happen to a node.
//!
//! Owns the plain types. The shell makes them from bytes and from the bus; the node decides what follows.

use crate::words::{conn::ConnId, numbers::Ticket};
use alloc::{string::String, vec::Vec};
use core::time::Duration;
use moorline_protocol::{Reason, TransportKind};

/// One thing that happened. Handling it never blocks, never fails and does bounded work.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A client named no session: it gets a new one. It completed a WebSocket handshake, or its GET is held from now
    /// on.
    Open {
        /// The connection.
        conn: ConnId,
        /// The transport it came by.
        transport: TransportKind,
        /// The kind of its messages.
        dialect: Dialect,
    },
    /// A GET that names a session. It is held until the node has something to say to it.
    Poll {
        /// The connection.
        conn: ConnId,
        /// The session's id.
        sid: &'a str,
        /// The most packets the client takes in one answer.
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
    /// The client of a POST should wait no longer, and packets of it are still to come. Unless too many wait already,
    /// it is answered now, and the answer says on which connection its packets follow, until `Posted`.
    PostLate {
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
    /// A WebSocket whose outbox is not empty took some bytes, and takes no more for now.
    Blocked {
        /// The connection.
        conn: ConnId,
    },
    /// The connection is gone, or the shell gave it up.
    Closed {
        /// The connection.
        conn: ConnId,
        /// `TransportClose` when it just went away; otherwise why the shell gave it up, such as `TransportError`.
        reason: Reason,
    },
    /// Something happened on the bus.
    Bus(&'a BusEvent),
    /// Close every session, spread evenly over this time, and take no new one.
    Drain {
        /// The time until the last session is closed.
        over: Duration,
    },
}

/// Whether messages that a client sent on a connection are to be handed over now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Yes.
    Open,
    /// Not yet: leave them where they are until [`Output::Resume`](crate::Output::Resume) names the connection.
    Paused,
    /// No more: nothing on this connection reaches a session.
    Closed,
}

/// The kind of messages a session carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// Socket.IO packets.
    SocketIo,
    /// Messages that only the application understands: Engine.IO alone.
    EngineIo,
}

/// Something that happened on the bus, in the order it happened. Sent only to a node that was configured with channels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusEvent {
    /// Both links are live, and every channel that was wanted when the subscriber's link came back is confirmed.
    Up,
    /// At least one link was lost. Said once per change; an `Up` that nobody had taken yet is withdrawn instead.
    Down,
    /// The subscriber's link was lost: no channel is confirmed until `Subscribed` says so again.
    /// Also said when the bus was never up.
    SubscriptionsLost,
    /// Redis confirmed this channel, and no later request about it is pending. Said again after each
    /// reconnect and for each repeated request.
    Subscribed {
        /// The channel that was asked for.
        channel: String,
    },
    /// A message arrived. One may still come shortly after its channel was unsubscribed.
    Message {
        /// The channel it was published to.
        channel: String,
        /// The message, as published.
        payload: Vec<u8>,
    },
    /// A publication with a ticket reached Redis.
    Published {
        /// The ticket it was published with.
        ticket: Ticket,
        /// Subscribers of the channel that got it. Somebody watching by pattern does not count.
        receivers: u32,
    },
    /// A publication was refused because the queue was full or the link down, was refused by Redis, or was queued
    /// or in flight when the link died. One in flight may have arrived all the same; it is never sent twice.
    Lost {
        /// The ticket it was published with.
        ticket: Option<Ticket>,
    },
}
