//! One namespace over the connection: its state, its buffers, and the acknowledgements it awaits.
//!
//! Owns the tables and their order. It never sends: the client does, on the connection it has.
//!
//! ```text
//! Idle ──► AwaitingAuth ──► Connecting (CONNECT sent) ──► Connected
//!   ▲           │                 │ disconnect                │
//!   │           │             Abandoned (the reply is on its way)
//!   └───────────┴─────────────────┴───────────────────────────┘  the connection ended, or a refusal
//! ```
//!
//! Invariant: the send buffer goes out in the order in which it was filled.

mod acks;
mod buffers;
mod owed_ack;
mod reassembly;
mod ticket;

use crate::{SocketOptions, Time, backoff::Backoff};
use alloc::{string::String, vec::Vec};

pub use acks::AwaitedAck;
pub(crate) use acks::{AckId, AwaitedAckCount, AwaitedAcks, Waiter};
pub(crate) use buffers::{Queue, Queued, Ready, SendBuffer, len_bytes};
pub(crate) use owed_ack::Epoch;
pub use owed_ack::{OwedAck, OwedAckNumbers};
pub(crate) use reassembly::{Incoming, IncomingKind, Reassembly};
pub use ticket::Ticket;
pub(crate) use ticket::Tickets;

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) namespace: String,
    /// How often an event is sent again; with it, events queue and go one at a time.
    pub(crate) retries: Option<u32>,
    pub(crate) ack_timeout_ms: Option<u64>,
    /// Whether its owner wants it connected.
    pub(crate) is_wanted: bool,
    pub(crate) state: State,
    pub(crate) epoch: Epoch,
    /// When to request auth again, after it failed.
    pub(crate) auth_retry_at: Option<Time>,
    /// The delay before that.
    pub(crate) backoff: Backoff,
    /// Events that came before the reply to CONNECT.
    pub(crate) receive_buffer: Vec<Incoming>,
    pub(crate) receive_buffer_bytes: usize,
    pub(crate) send_buffer: SendBuffer,
    pub(crate) queue: Queue,
    pub(crate) acks: AwaitedAcks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Idle,
    AwaitingAuth(Ticket),
    Connecting {
        give_up_at: Time,
    },
    /// Disconnected before the reply to CONNECT. No packet of the namespace may be sent until it comes: a server
    /// closes the whole connection over a DISCONNECT where nobody is connected, and over a CONNECT where somebody is.
    Abandoned {
        give_up_at: Time,
    },
    Connected,
}

impl Socket {
    pub(crate) fn new(namespace: String, options: SocketOptions) -> Socket {
        Socket {
            namespace,
            retries: options.retries.filter(|&retries| retries > 0),
            ack_timeout_ms: options.ack_timeout_ms,
            is_wanted: false,
            state: State::Idle,
            epoch: Epoch::default(),
            auth_retry_at: None,
            backoff: Backoff::default(),
            receive_buffer: Vec::new(),
            receive_buffer_bytes: 0,
            send_buffer: SendBuffer::default(),
            queue: Queue::default(),
            acks: AwaitedAcks::new(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Leaves the namespace, and drops the receive buffer of the connection that ended.
    pub(crate) fn reset(&mut self) {
        self.state = match self.state {
            State::Connecting { .. } | State::Abandoned { .. } => {
                State::Abandoned { give_up_at: Time::NEVER }
            }
            State::Idle | State::AwaitingAuth(_) | State::Connected => State::Idle,
        };
        self.receive_buffer.clear();
        self.receive_buffer_bytes = 0;
        self.auth_retry_at = None;
    }

    /// The deadline of an acknowledgement: from the event's own timeout, or else the socket's, if there is one. It is
    /// never now, since `handle_timeout` must leave nothing due.
    pub(crate) fn ack_deadline(&self, now: Time, timeout_ms: Option<u64>) -> Time {
        timeout_ms.or(self.ack_timeout_ms).map_or(Time::NEVER, |ms| now.plus_ms(ms.max(1)))
    }

    /// When it needs `handle_timeout`.
    pub(crate) fn deadline(&self) -> Time {
        let connect = match self.state {
            State::Connecting { give_up_at } | State::Abandoned { give_up_at } => give_up_at,
            State::Idle | State::AwaitingAuth(_) | State::Connected => Time::NEVER,
        };
        connect.min(self.acks.due_at()).min(self.auth_retry_at.unwrap_or(Time::NEVER))
    }
}
