//! When something is due: one ordered table for every deadline of a node.
//!
//! Each owner keeps the time it is registered at, so moving a deadline is a removal and an insertion and nothing stale
//! is ever left behind. Equal times fire in the order of their kinds, which keeps a node deterministic.

use crate::time::Time;
use alloc::collections::BTreeSet;

/// What a deadline is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// A session's heartbeat or its time to connect; the slot of the session.
    Session(usize),
    /// A room whose channel is awaited or lingers; the slot of the room.
    Room(usize),
    /// A count that other nodes were asked for; its ticket.
    Count(u64),
    /// An answer that a backend owes a client; its ticket.
    Ask(u64),
    /// An answer that a client owes a backend; the id it was asked under.
    Answer(u32),
    /// The next batch of sessions to close while draining.
    Drain,
    /// The next message to ourselves through the bus.
    Beat,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Time, TimerKind)>,
}

impl Timers {
    /// Moves a deadline: `registered` is where its owner remembers it.
    pub(crate) fn set(&mut self, kind: TimerKind, registered: &mut Option<Time>, at: Option<Time>) {
        if *registered == at {
            return;
        }
        if let Some(old) = registered.take() {
            self.due.remove(&(old, kind));
        }
        if let Some(new) = at {
            self.due.insert((new, kind));
        }
        *registered = at;
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<(Time, TimerKind)> {
        self.due.first().copied()
    }

    /// Takes the earliest deadline out if it is due.
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
}
