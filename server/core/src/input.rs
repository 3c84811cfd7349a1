//! What a node can be told.

use crate::conn::ConnId;
use core::time::Duration;
use moorline_protocol::Reason;

/// One thing that happened. Handling it never blocks, never fails and does bounded work.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A client completed a WebSocket handshake without naming a session: it gets a new one.
    Open {
        /// The connection.
        conn: ConnId,
    },
    /// A whole text message came in.
    Text {
        /// The connection.
        conn: ConnId,
        /// The message.
        text: &'a str,
    },
    /// A whole binary message came in.
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
