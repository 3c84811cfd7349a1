//! The session that a handshake opened: its settings, and when silence counts as its end.
//!
//! Owns the deadline of the heartbeat. It never sends a packet.

use crate::Time;
use moorline_protocol::engine::Opened;

/// A timer this late was held up: the page was throttled or frozen, or the machine slept.
const LATE_MS: u64 = 1_000;
/// The time after a late timer in which messages that came meanwhile are received before silence counts.
const GRACE_MS: u64 = 2_000;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) opened: Opened,
    pub(crate) received_at: Time,
    /// When silence counts as the end.
    pub(crate) dead_at: Time,
    is_on_grace: bool,
}

impl Session {
    pub(crate) fn new(opened: Opened, now: Time) -> Session {
        let mut session = Session { opened, received_at: now, dead_at: now, is_on_grace: false };
        session.received(now);
        session
    }

    /// The server sent something.
    pub(crate) fn received(&mut self, now: Time) {
        let silence_ms = self.opened.ping_interval_ms.saturating_add(self.opened.ping_timeout_ms);
        self.received_at = now;
        self.dead_at = now.plus_ms(silence_ms);
        self.is_on_grace = false;
    }

    /// Whether the server has been silent for longer than two heartbeats should be apart.
    pub(crate) fn is_suspect(&self, now: Time) -> bool {
        self.is_on_grace || now >= self.dead_at
    }

    /// Whether silence counts as the end now. A timer that comes late starts a grace period instead, once.
    pub(crate) fn has_timed_out(&mut self, now: Time) -> bool {
        if now < self.dead_at {
            return false;
        }
        if !self.is_on_grace && now.ms_since(self.dead_at) > LATE_MS {
            self.is_on_grace = true;
            self.dead_at = now.plus_ms(GRACE_MS);
            return false;
        }
        true
    }

    pub(crate) fn payload_bytes_max(&self) -> usize {
        // Some servers announce zero and mean that there is no bound.
        let announced = self.opened.payload_bytes_max.filter(|&bytes| bytes > 0);
        announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX)
    }
}
