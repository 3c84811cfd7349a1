//! The one clock of the server.
//!
//! Owns every reading of the time; everything else gets it as a parameter. It never sleeps.

use moorline_core::Time;
use std::time::Instant;

/// Reads the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this is the one home of the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Turns instants into the core's time, counted from the moment it was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock { start: now() }
    }

    /// The time since the start.
    pub fn time(&self) -> Time {
        Time::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}
