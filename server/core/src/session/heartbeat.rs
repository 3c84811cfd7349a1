//! The heartbeat of one session: a ping goes out, a pong is due.
//!
//! Owns when each is due. It never sends anything and never ends a session.

use crate::words::{config::Limits, time::Time};
use core::time::Duration;

/// The most that a ping may be late without moving its pong's deadline: a loop wakes a little late, and clients count
/// from when the ping was due.
const CLOCK_TICK: Duration = Duration::from_millis(2);

/// The next step of a session's heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    /// The next ping goes out then.
    PingAt(Time),
    /// The pong is due by then.
    PongBy(Time),
}

impl Heartbeat {
    /// The heartbeat of a session that opens at `now`. With `ping_jitter` the first ping comes at a random point in the
    /// second half of the interval, so that clients which connected together do not beat together.
    pub(crate) fn new(now: Time, limits: &Limits, random: u8) -> Heartbeat {
        Heartbeat::PingAt(now + first_ping_after(limits, random))
    }

    /// The time at which the next step is due.
    pub(crate) fn due(self) -> Time {
        let (Heartbeat::PingAt(at) | Heartbeat::PongBy(at)) = self;
        at
    }

    /// Whether the pong stayed away too long.
    pub(crate) fn is_over(self, now: Time) -> bool {
        matches!(self, Heartbeat::PongBy(by) if by <= now)
    }

    /// Takes the ping if it is due; from then on its pong is awaited. Returns whether it was.
    pub(crate) fn take_ping(&mut self, now: Time, ping_timeout: Duration) -> bool {
        match *self {
            Heartbeat::PingAt(at) if at <= now => {
                let from = if now - at <= CLOCK_TICK { at } else { now };
                *self = Heartbeat::PongBy(from + ping_timeout);
                true
            }
            _ => false,
        }
    }

    /// The client answered: the interval starts again. A pong that nobody asked for changes nothing.
    pub(crate) fn take_pong(&mut self, now: Time, ping_interval: Duration) {
        if matches!(self, Heartbeat::PongBy(_)) {
            *self = Heartbeat::PingAt(now + ping_interval);
        }
    }
}

fn first_ping_after(limits: &Limits, random: u8) -> Duration {
    if !limits.ping_jitter {
        return limits.ping_interval;
    }
    let half = limits.ping_interval / 2;
    half + (limits.ping_interval - half) / 256 * u32::from(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_answered_from_when_it_was_due_unless_the_node_itself_stood_still() {
        let limits = Limits { ping_jitter: false, ..Limits::default() };
        let (interval, timeout) = (limits.ping_interval, limits.ping_timeout);
        for (late_ms, expected) in [(0, timeout), (2, timeout), (3, timeout + Duration::from_millis(3))] {
            let mut heartbeat = Heartbeat::new(Time::ZERO, &limits, 0);
            let due = Time::ZERO + interval;
            assert!(heartbeat.take_ping(due + Duration::from_millis(late_ms), timeout));
            assert_eq!(heartbeat, Heartbeat::PongBy(due + expected), "{late_ms} ms late");
        }
    }

    #[test]
    fn a_pong_starts_the_interval_again_and_one_that_nobody_asked_for_does_not() {
        let limits = Limits { ping_jitter: false, ..Limits::default() };
        let mut heartbeat = Heartbeat::new(Time::ZERO, &limits, 0);
        let first = heartbeat;
        heartbeat.take_pong(Time::from_micros(1), limits.ping_interval);
        assert_eq!(heartbeat, first);
        let due = first.due();
        assert!(heartbeat.take_ping(due, limits.ping_timeout) && !heartbeat.is_over(due));
        assert!(heartbeat.is_over(due + limits.ping_timeout));
        heartbeat.take_pong(due, limits.ping_interval);
        assert_eq!(heartbeat, Heartbeat::PingAt(due + limits.ping_interval));
    }

    #[test]
    fn the_first_ping_lies_in_the_second_half_of_the_interval() {
        let limits = Limits::default();
        assert_eq!(first_ping_after(&limits, 0), Duration::from_millis(12_500));
        assert!(first_ping_after(&limits, 255) < limits.ping_interval);
        assert!(first_ping_after(&limits, 255) > Duration::from_millis(24_900));
        let steady = Limits { ping_jitter: false, ..limits };
        assert_eq!(first_ping_after(&steady, 0), Duration::from_secs(25));
    }
}
