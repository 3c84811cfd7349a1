//! Late polls: those that arrive after the end of their session.
//!
//! Owns the sessions whose client ended them while no poll was held. Such a client has a poll under way, as a rule;
//! behind a balancer the two travel apart, and the end may arrive first. The poll that comes after it gets a noop and
//! not an error, since the client did nothing wrong. It never brings a session back.
//!
//! Invariant: at most 256 sessions are remembered, each for one poll within one second.

use crate::words::{ids::Secret, time::Time};
use alloc::collections::VecDeque;
use core::time::Duration;

const WITHIN: Duration = Duration::from_secs(1);
const SESSIONS_MAX: usize = 256;

/// Sessions that ended while a poll of theirs may be under way.
#[derive(Debug, Default)]
pub(crate) struct LatePolls(VecDeque<(Secret, Time)>);

impl LatePolls {
    pub(crate) fn expect(&mut self, secret: Secret, now: Time) {
        while self.0.front().is_some_and(|(_, until)| *until <= now) || self.0.len() >= SESSIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((secret, now + WITHIN));
    }

    /// Whether a poll of this session may still come.
    pub(crate) fn expects(&self, secret: Secret, now: Time) -> bool {
        self.position(secret, now).is_some()
    }

    /// Takes the one late poll of this session; false when none is expected.
    pub(crate) fn take(&mut self, secret: Secret, now: Time) -> bool {
        self.position(secret, now).and_then(|at| self.0.remove(at)).is_some()
    }

    fn position(&self, secret: Secret, now: Time) -> Option<usize> {
        self.0.iter().position(|(known, until)| known.equals(secret) && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::ids::tests::Counter;

    #[test]
    fn one_late_poll_is_taken_within_a_second() {
        let mut entropy = Counter(0);
        let [first, second] = [(); 2].map(|()| Secret::random(&mut entropy));
        let mut late_polls = LatePolls::default();
        late_polls.expect(first, Time::ZERO);
        late_polls.expect(second, Time::ZERO);
        let almost = Time::from_micros(999_999);
        assert!(late_polls.expects(first, almost) && late_polls.take(first, almost));
        assert!(!late_polls.take(first, almost), "one only");
        assert!(!late_polls.expects(second, Time::ZERO + WITHIN));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut entropy = Counter(0);
        let mut late_polls = LatePolls::default();
        let first = Secret::random(&mut entropy);
        late_polls.expect(first, Time::ZERO);
        let others = [(); 256].map(|()| Secret::random(&mut entropy));
        others[..255].iter().for_each(|secret| late_polls.expect(*secret, Time::ZERO));
        assert!(late_polls.expects(first, Time::ZERO));
        late_polls.expect(others[254], Time::ZERO);
        assert!(!late_polls.expects(first, Time::ZERO));
        assert_eq!(late_polls.0.len(), SESSIONS_MAX);
    }
}
