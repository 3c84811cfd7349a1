//! The heartbeat of one session: a ping goes out, a pong is due.
//!
//! Owns when each is due. It never sends anything and never ends a session.
//!
//! Invariant: a client has its whole timeout from when its transport took the ping, and again after this node itself
//! stood still or did not read.

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
    /// The ping waits in the outbox behind others: so many frames, itself included, are to be taken by then. Taking any
    /// gives it more time.
    Queued { by: Time, frames: u32 },
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
        let (Heartbeat::PingAt(at) | Heartbeat::Queued { by: at, .. } | Heartbeat::PongBy(at)) = self;
        at
    }

    /// Whether the pong stayed away too long.
    pub(crate) fn is_over(self, now: Time) -> bool {
        matches!(self, Heartbeat::PongBy(by) | Heartbeat::Queued { by, .. } if by <= now)
    }

    /// Whether the ping is due.
    pub(crate) fn is_ping_due(self, now: Time) -> bool {
        matches!(self, Heartbeat::PingAt(at) if at <= now)
    }

    /// The ping stands in the outbox, as the last of so many frames. A client that is not read from has no time to
    /// keep: its pong may lie unread, and the next ping follows all the same.
    pub(crate) fn queue_ping(&mut self, now: Time, frames: usize, is_paused: bool, limits: &Limits) {
        let Heartbeat::PingAt(at) = *self else { return };
        if is_paused {
            *self = Heartbeat::PingAt(now + limits.ping_interval);
            return;
        }
        let from = if now - at <= CLOCK_TICK { at } else { now };
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        *self = Heartbeat::Queued { by: from + limits.ping_timeout, frames };
    }

    /// The transport took frames, or bytes of one.
    pub(crate) fn note_taken(&mut self, now: Time, taken: usize, ping_timeout: Duration) {
        let Heartbeat::Queued { by, frames } = *self else { return };
        // A ping that leaves at once counts from when it was due.
        let is_prompt = by - now + CLOCK_TICK >= ping_timeout;
        let by = if is_prompt { by } else { now + ping_timeout };
        let taken = u32::try_from(taken).unwrap_or(u32::MAX);
        *self = match frames.checked_sub(taken) {
            Some(frames @ 1..) => Heartbeat::Queued { by, frames },
            _ => Heartbeat::PongBy(by),
        };
    }

    /// The client is no longer read from: a pong is not awaited, and pings go on.
    pub(crate) fn pause(&mut self, now: Time, ping_interval: Duration) {
        if !matches!(self, Heartbeat::PingAt(_)) {
            *self = Heartbeat::PingAt(now + ping_interval);
        }
    }

    /// This node stood still: the client has its whole timeout again.
    pub(crate) fn restart(&mut self, now: Time, ping_timeout: Duration) {
        match self {
            Heartbeat::PingAt(_) => {}
            Heartbeat::Queued { by, .. } | Heartbeat::PongBy(by) => *by = now + ping_timeout,
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

    fn steady() -> Limits {
        Limits { ping_jitter: false, ..Limits::default() }
    }

    #[test]
    fn a_ping_is_answered_from_when_it_was_due_unless_the_node_itself_was_late() {
        let limits = steady();
        let (interval, timeout) = (limits.ping_interval, limits.ping_timeout);
        for (late_ms, expected) in [(0, timeout), (2, timeout), (3, timeout + Duration::from_millis(3))] {
            let mut heartbeat = Heartbeat::new(Time::ZERO, &limits, 0);
            let due = Time::ZERO + interval;
            let now = due + Duration::from_millis(late_ms);
            assert!(heartbeat.is_ping_due(now));
            heartbeat.queue_ping(now, 1, false, &limits);
            heartbeat.note_taken(now, 1, timeout);
            assert_eq!(heartbeat, Heartbeat::PongBy(due + expected), "{late_ms} ms late");
        }
    }

    #[test]
    fn a_ping_behind_other_frames_counts_from_when_it_was_taken() {
        let limits = steady();
        let (interval, timeout) = (limits.ping_interval, limits.ping_timeout);
        let mut heartbeat = Heartbeat::new(Time::ZERO, &limits, 0);
        let due = Time::ZERO + interval;
        heartbeat.queue_ping(due, 5, false, &limits);
        assert!(!heartbeat.is_over(due) && heartbeat.is_over(due + timeout), "nothing is taken at all");
        let second = Duration::from_secs(1);
        heartbeat.note_taken(due + second, 3, timeout);
        assert_eq!(heartbeat, Heartbeat::Queued { by: due + second + timeout, frames: 2 });
        heartbeat.note_taken(due + 2 * second, 0, timeout);
        assert_eq!(heartbeat, Heartbeat::Queued { by: due + 2 * second + timeout, frames: 2 });
        heartbeat.note_taken(due + 3 * second, 9, timeout);
        assert_eq!(heartbeat, Heartbeat::PongBy(due + 3 * second + timeout));
        heartbeat.note_taken(due + 4 * second, 9, timeout);
        assert_eq!(heartbeat, Heartbeat::PongBy(due + 3 * second + timeout), "what follows it is no reason");
    }

    #[test]
    fn a_client_that_is_not_read_from_is_pinged_and_owes_nothing() {
        let limits = steady();
        let mut heartbeat = Heartbeat::PongBy(Time::from_micros(9));
        let now = Time::from_micros(5);
        heartbeat.pause(now, limits.ping_interval);
        assert_eq!(heartbeat, Heartbeat::PingAt(now + limits.ping_interval));
        heartbeat.queue_ping(now + limits.ping_interval, 1, true, &limits);
        assert_eq!(heartbeat, Heartbeat::PingAt(now + limits.ping_interval + limits.ping_interval));
        assert!(!heartbeat.is_over(now + 9 * limits.ping_interval));
    }

    #[test]
    fn after_a_stall_the_whole_timeout_runs_again() {
        let timeout = Duration::from_secs(4);
        let now = Time::from_micros(100);
        let mut heartbeat = Heartbeat::PongBy(Time::from_micros(9));
        heartbeat.restart(now, timeout);
        assert_eq!(heartbeat, Heartbeat::PongBy(now + timeout));
    }

    #[test]
    fn a_pong_starts_the_interval_again_and_one_that_nobody_asked_for_does_not() {
        let limits = steady();
        let mut heartbeat = Heartbeat::new(Time::ZERO, &limits, 0);
        let first = heartbeat;
        heartbeat.take_pong(Time::from_micros(1), limits.ping_interval);
        assert_eq!(heartbeat, first);
        let due = first.due();
        heartbeat.queue_ping(due, 1, false, &limits);
        heartbeat.note_taken(due, 1, limits.ping_timeout);
        assert!(!heartbeat.is_over(due) && heartbeat.is_over(due + limits.ping_timeout));
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
