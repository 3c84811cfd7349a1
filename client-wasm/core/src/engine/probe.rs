//! The probe of a WebSocket while a session polls: `2probe`, `3probe`, polls come to rest, `5`.
//!
//! Owns its step and its deadline. It never sends: the engine does.

use crate::{Channel, Time};

/// The time in which a WebSocket must prove itself. Some networks let none through and say nothing.
const PROBE_MS: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) channel: Channel,
    pub(crate) step: Step,
    pub(crate) give_up_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The WebSocket is not open yet.
    Opening,
    /// `2probe` was sent.
    Probing,
    /// `3probe` came. No new request is made, and when those under way have ended, the session is upgraded.
    Pausing,
}

impl Probe {
    pub(crate) fn new(channel: Channel, now: Time) -> Probe {
        Probe { channel, step: Step::Opening, give_up_at: now.plus_ms(PROBE_MS) }
    }
}
