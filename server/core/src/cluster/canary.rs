//! The canary: a message that a node sends itself every second, to see that the bus carries anything, and how fast.
//!
//! Owns when it is due and how long nothing was received. It never sends it and never gives the links up; moves do.

use crate::deadlines::timers::Timer;
use core::time::Duration;

/// The time between two messages that a node sends itself.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// The most messages to ourselves that may be unanswered. When one more is due, after 4 to 5 s in which nothing was
/// received, the links are given up. It counts messages and not time, since a suspended machine does not listen either.
const UNANSWERED_MAX: u32 = 4;

#[derive(Debug, Default)]
pub(crate) struct Canary {
    pub(crate) timer: Timer,
    /// Those sent since anything was received.
    unanswered: u32,
}

impl Canary {
    /// Something was received on the bus, or it has just come up.
    pub(crate) fn reset(&mut self) {
        self.unanswered = 0;
    }

    /// Takes the next one, which is due. Returns whether to send it: false means that the bus is silent.
    pub(crate) fn take(&mut self) -> bool {
        let is_silent = self.unanswered >= UNANSWERED_MAX;
        self.unanswered += u32::from(!is_silent);
        !is_silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_is_silent_after_four_unanswered_ones() {
        let mut canary = Canary::default();
        assert!([(); 4].iter().all(|()| canary.take()));
        assert!(!canary.take() && !canary.take());
        canary.reset();
        assert!(canary.take());
    }
}
