//! The table of deadlines: when something is due, for a whole node.
//!
//! Owns the order of deadlines. Each owner keeps a timer that knows its time, so moving a deadline is a removal and an
//! insertion and nothing stale is ever left behind. It never knows what follows from a deadline.
//!
//! Invariant: equal times fire in the order of their kinds, which keeps a node deterministic.

use crate::words::{
    keys::{RoomKey, SessionKey},
    numbers::{RequestId, Ticket},
    time::Time,
};
use alloc::collections::BTreeSet;

/// The subject of a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TimerKind {
    /// A session's heartbeat, its time to connect, its upgrade, or the attachments of a packet.
    Session(SessionKey),
    /// A room whose channel is awaited or lingers.
    Room(RoomKey),
    /// Messages that wait for a recipient, by its session.
    Hold(SessionKey),
    /// A count that other nodes were asked for.
    Count(Ticket),
    /// An acknowledgement that a backend owes a client.
    BackendAck(Ticket),
    /// Acknowledgements that clients owe.
    ClientAcks(RequestId),
    /// The next batch of sessions to close while draining.
    Drain,
    /// The next message to ourselves through the bus.
    Canary,
}

/// The deadline of one owner, in step with the table of all: only the table sets it.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Time>);

impl Timer {
    /// The time it is due; `None` while none is set.
    pub(crate) fn due(&self) -> Option<Time> {
        self.0
    }

    /// Its time has come, and the table has let go of it.
    pub(crate) fn mark_fired(&mut self) {
        self.0 = None;
    }
}

/// All deadlines of a node, in order of time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Time, TimerKind)>,
}

impl Timers {
    /// Sets, moves or removes a deadline, and its owner's timer with it.
    pub(crate) fn set(&mut self, kind: TimerKind, timer: &mut Timer, at: Option<Time>) {
        if timer.0 == at {
            return;
        }
        if let Some(old) = timer.0.take() {
            self.due.remove(&(old, kind));
        }
        if let Some(new) = at {
            self.due.insert((new, kind));
        }
        timer.0 = at;
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<(Time, TimerKind)> {
        self.due.first().copied()
    }

    /// Takes the earliest deadline out if it is due. Its owner must then call [`Timer::mark_fired`], or the same time
    /// could not be set again.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<TimerKind> {
        let (at, kind) = self.next()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some(kind)
    }

    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// Every deadline, the earliest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Time, TimerKind)> {
        self.due.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn a_deadline_that_moves_leaves_nothing_behind() {
        let (mut timers, mut timer) = (Timers::default(), Timer::default());
        for due in [Some(at(5)), Some(at(3)), Some(at(3)), Some(at(9))] {
            timers.set(TimerKind::Drain, &mut timer, due);
            assert_eq!((timers.len(), timers.next().map(|(at, _)| at), timer.due()), (1, due, due));
        }
        timers.set(TimerKind::Drain, &mut timer, None);
        assert_eq!((timers.iter().count(), timer.due()), (0, None));
    }

    #[test]
    fn what_is_due_comes_in_the_order_of_time_and_then_of_kind() {
        let mut timers = Timers::default();
        for (kind, due) in
            [(TimerKind::Canary, 2), (TimerKind::Drain, 2), (TimerKind::Count(Ticket::new(1)), 1)]
        {
            timers.set(kind, &mut Timer::default(), Some(at(due)));
        }
        assert_eq!(timers.pop_due(at(0)), None);
        let due = [(); 4].map(|()| timers.pop_due(at(2)));
        let count = TimerKind::Count(Ticket::new(1));
        assert_eq!(due, [Some(count), Some(TimerKind::Drain), Some(TimerKind::Canary), None]);
    }
}
