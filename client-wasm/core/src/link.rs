//! The state of the connection: none, an attempt, an open session, or waiting for the next attempt.
//!
//! Owns the session. It never changes state by itself: `client/connection.rs` does.
//!
//! ```text
//! Idle ──connect──► Opening ──handshake──► Open
//!   ▲                 ▲  │                  │
//!   │                 │  ▼ failed           ▼ ended
//!   └─nobody wants─── Waiting ◄─────────────┘
//! ```

use crate::{Time, engine::Engine};
use alloc::vec::Vec;
use moorline_protocol::TransportKind;

#[derive(Debug)]
pub(crate) enum Link {
    Idle,
    Opening(Attempt),
    Open { engine: Engine, stable_at: Time },
    Waiting { until: Time, is_retry: bool },
}

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) engine: Engine,
    /// The transports that were not tried yet, the next one first.
    pub(crate) untried: Vec<TransportKind>,
    pub(crate) give_up_at: Time,
    pub(crate) is_retry: bool,
}

impl Link {
    /// The session, once it is open.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        match self {
            Link::Open { engine, .. } => Some(engine),
            Link::Idle | Link::Opening(_) | Link::Waiting { .. } => None,
        }
    }

    /// The session that takes inputs: it is open, or to be opened.
    pub(crate) fn receiver(&mut self) -> Option<&mut Engine> {
        match self {
            Link::Opening(attempt) => Some(&mut attempt.engine),
            Link::Open { engine, .. } => Some(engine),
            Link::Idle | Link::Waiting { .. } => None,
        }
    }

    /// When `handle_timeout` is due for it.
    pub(crate) fn deadline(&self, is_online: bool) -> Time {
        match self {
            Link::Opening(attempt) => attempt.engine.deadline(),
            Link::Open { engine, .. } => engine.deadline(),
            Link::Waiting { until, .. } if is_online => *until,
            Link::Idle | Link::Waiting { .. } => Time::NEVER,
        }
    }
}
