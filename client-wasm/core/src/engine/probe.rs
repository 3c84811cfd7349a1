//! The test of a WebSocket while a session polls: `2probe`, `3probe`, the polls come to rest, `5`.

use crate::{Channel, Time};

/// How long a WebSocket may take to prove itself. Some networks let none through and say nothing.
pub(crate) const PROBE_MS: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) channel: Channel,
    pub(crate) step: Step,
    pub(crate) give_up_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is not open yet.
    Opening,
    /// The server was asked whether it hears us.
    Asked,
    /// It does. No new request is made, and when those under way have ended, the session moves.
    Pausing,
}
