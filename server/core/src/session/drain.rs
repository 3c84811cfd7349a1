//! Draining without a stampede: how many sessions to close now, and when to go on.
//!
//! Owns the pace: every session is closed, spread evenly over the time given. It never closes one itself.

use crate::{deadlines::timers::Timer, words::time::Time};
use core::time::Duration;

/// The shortest time between two batches.
const STEP: Duration = Duration::from_millis(100);

/// How long a drain goes on after its end for clients between two polls, so that they can come back and be told.
const GRACE: Duration = Duration::from_secs(2);

/// A drain under way.
#[derive(Debug)]
pub(crate) struct Drain {
    ends: Time,
    pub(crate) timer: Timer,
}

/// The next step of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Sessions to close.
    pub(crate) sessions: usize,
    /// The time at which the batch after it is due.
    pub(crate) next: Time,
    /// Whether this is the last batch, which also closes sessions between two polls.
    pub(crate) is_last: bool,
}

impl Drain {
    pub(crate) fn new(now: Time, over: Duration) -> Drain {
        Drain { ends: now + over, timer: Timer::default() }
    }

    /// The batch that is due at `now` on a node with so many sessions. Few sessions are closed one by one, many in
    /// steps.
    pub(crate) fn batch(&self, now: Time, sessions: usize) -> Batch {
        let left = self.ends - now;
        let pause = (left / u32::try_from(sessions).unwrap_or(u32::MAX).max(1)).max(STEP);
        let steps = left.as_micros().div_ceil(pause.as_micros()).max(1);
        let latest = self.ends + GRACE;
        Batch {
            sessions: sessions.div_ceil(usize::try_from(steps).unwrap_or(usize::MAX)),
            next: (now + pause).min(latest),
            is_last: now >= latest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn few_sessions_are_closed_one_by_one_and_many_in_steps() {
        let drain = Drain::new(at(0), Duration::from_secs(10));
        assert_eq!(drain.batch(at(0), 4), Batch { sessions: 1, next: at(2_500), is_last: false });
        assert_eq!(drain.batch(at(0), 1000), Batch { sessions: 10, next: at(100), is_last: false });
        assert_eq!(drain.batch(at(9_900), 1000), Batch { sessions: 1000, next: at(10_000), is_last: false });
    }

    #[test]
    fn clients_between_two_polls_are_waited_for_a_little_longer() {
        let drain = Drain::new(at(0), Duration::from_secs(10));
        assert_eq!(drain.batch(at(10_000), 3), Batch { sessions: 3, next: at(10_100), is_last: false });
        assert_eq!(drain.batch(at(11_950), 3), Batch { sessions: 3, next: at(12_000), is_last: false });
        assert!(drain.batch(at(12_000), 3).is_last);
    }
}
