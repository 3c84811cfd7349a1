//! One namespace over the connection: where it stands, what waits to be sent, and which answers it awaits.
//!
//! Owns the tables and their order. It never sends: the client does, with the connection it has.
//!
//! ```text
//! Apart ──► Asking (for auth) ──► Joining (CONNECT sent) ──► Joined
//!   ▲           │                      │ left                   │
//!   │           │                  Withdrawn (the answer is on its way)
//!   └───────────┴──────────────────────┴────────────────────────┘  the connection ended, or a refusal
//! ```
//!
//! Invariant: what is held goes out in the order it came.

pub(crate) mod acks;
pub(crate) mod reassembly;

use crate::{
    AwaitedAck, Ticket, Time,
    backoff::Backoff,
    socket::{acks::AwaitedAcks, reassembly::Incoming},
};
use alloc::{collections::VecDeque, string::String, vec::Vec};
use moorline_protocol::Frame;

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) namespace: String,
    /// How often an event is sent again; with it, events queue and go one at a time.
    pub(crate) retries: Option<u32>,
    pub(crate) ack_timeout_ms: Option<u64>,
    /// Whether its owner wants it connected.
    pub(crate) is_wanted: bool,
    pub(crate) state: State,
    /// Counts how often it joined.
    pub(crate) epoch: u32,
    /// When to ask for auth again, after it could not be had.
    pub(crate) auth_retry_at: Option<Time>,
    /// How long to wait before that.
    pub(crate) backoff: Backoff,
    /// Events that came before the answer to CONNECT.
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
    /// It left before the answer to CONNECT. Nothing can be said of the namespace until that has come: a server closes the
    /// whole connection over a DISCONNECT where nobody joined, and over a CONNECT where somebody did.
    Abandoned {
        give_up_at: Time,
    },
    Connected,
}

/// A packet that is ready to go.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) frames: Vec<Frame>,
    /// The acknowledgement it asks for.
    pub(crate) id: Option<u64>,
}

impl Ready {
    pub(crate) fn len_bytes(&self) -> usize {
        len_bytes(&self.frames)
    }
}

pub(crate) fn len_bytes(frames: &[Frame]) -> usize {
    frames.iter().map(Frame::len_bytes).sum()
}

/// Packets that wait for the connection.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    packets: VecDeque<Ready>,
    pub(crate) len_bytes: usize,
}

impl SendBuffer {
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn push(&mut self, packet: Ready) {
        self.len_bytes += packet.len_bytes();
        self.packets.push_back(packet);
    }

    pub(crate) fn pop(&mut self) -> Option<Ready> {
        let packet = self.packets.pop_front()?;
        self.len_bytes -= packet.len_bytes();
        Some(packet)
    }

    /// Takes away the one that asks for this acknowledgement.
    pub(crate) fn remove(&mut self, id: u64) {
        let place = self.packets.iter().position(|packet| packet.id == Some(id));
        if let Some(packet) = place.and_then(|at| self.packets.remove(at)) {
            self.len_bytes -= packet.len_bytes();
        }
    }
}

/// Events that are sent until they are acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) events: VecDeque<Queued>,
    pub(crate) len_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) json: String,
    pub(crate) attachments: Vec<Vec<u8>>,
    pub(crate) timeout_ms: Option<u64>,
    /// Who awaits the answer, if anybody does.
    pub(crate) ack: Option<AwaitedAck>,
    pub(crate) tries: u32,
    pub(crate) is_pending: bool,
}

impl Queued {
    fn len_bytes(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Vec::len).sum::<usize>()
    }
}

impl Queue {
    pub(crate) fn push(&mut self, queued: Queued) {
        self.len_bytes += queued.len_bytes();
        self.events.push_back(queued);
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let queued = self.events.pop_front()?;
        self.len_bytes -= queued.len_bytes();
        Some(queued)
    }
}

impl Socket {
    pub(crate) fn new(namespace: String, retries: Option<u32>, ack_timeout_ms: Option<u64>) -> Socket {
        Socket {
            namespace,
            retries: retries.filter(|&retries| retries > 0),
            ack_timeout_ms,
            is_wanted: false,
            state: State::Idle,
            epoch: 0,
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

    /// Back to the start: what came early is of the connection that has ended.
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

    /// When an answer is due: in the time given with the event, or else the socket's own, if there is one. Never at once:
    /// what is due now has been done when `handle_timeout` returns.
    pub(crate) fn ack_due(&self, now: Time, timeout_ms: Option<u64>) -> Time {
        timeout_ms.or(self.ack_timeout_ms).map_or(Time::NEVER, |ms| now.plus_ms(ms.max(1)))
    }

    /// When it needs to be looked after.
    pub(crate) fn deadline(&self) -> Time {
        let join = match self.state {
            State::Connecting { give_up_at } | State::Abandoned { give_up_at } => give_up_at,
            State::Idle | State::AwaitingAuth(_) | State::Connected => Time::NEVER,
        };
        join.min(self.acks.due_at()).min(self.auth_retry_at.unwrap_or(Time::NEVER))
    }
}
