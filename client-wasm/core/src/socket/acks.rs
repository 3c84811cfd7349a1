//! The acknowledgements a socket awaits.
//!
//! Invariant: ids only grow, so the table is sorted; a call leaves it once. `due_at` is never later than the earliest
//! deadline. It may be earlier, when that call was answered and another is awaited: then somebody looks, finds nothing,
//! and it is right again.

use crate::{AwaitedAck, Time};
use alloc::{collections::VecDeque, vec::Vec};

/// An answer that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// Its owner awaits it.
    Caller(AwaitedAck),
    /// The first of the queue goes on with it.
    Queue,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    waiter: Waiter,
    deadline: Time,
    /// Whether what it belongs to waits to be sent.
    is_held: bool,
}

#[derive(Debug)]
pub(crate) struct AwaitedAcks {
    entries: VecDeque<Entry>,
    next_id: u64,
    due_at: Time,
}

impl AwaitedAcks {
    pub(crate) fn new() -> AwaitedAcks {
        AwaitedAcks { entries: VecDeque::new(), next_id: 0, due_at: Time::NEVER }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The id the next call will have on the wire.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// When a call is due, at the earliest.
    pub(crate) fn due_at(&self) -> Time {
        self.due_at
    }

    /// A new one; returns its id.
    pub(crate) fn begin(&mut self, waiter: Waiter, deadline: Time, is_held: bool) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.due_at = self.due_at.min(deadline);
        self.entries.push_back(Entry { id, waiter, deadline, is_held });
        id
    }

    /// What it belongs to was sent.
    pub(crate) fn sent(&mut self, id: u64) {
        if let Some(entry) = self.find(id).and_then(|at| self.entries.get_mut(at)) {
            entry.is_held = false;
        }
    }

    /// It is over.
    pub(crate) fn end(&mut self, id: u64) -> Option<Waiter> {
        let entry = self.entries.remove(self.find(id)?)?;
        if self.entries.is_empty() {
            self.due_at = Time::NEVER;
        }
        Some(entry.waiter)
    }

    /// Those whose time is over, with their ids.
    pub(crate) fn end_due(&mut self, now: Time) -> Vec<(u64, Waiter)> {
        if now < self.due_at {
            return Vec::new();
        }
        self.end_where(|entry| entry.deadline <= now)
    }

    /// Those whose answers will not come, since what they belong to was sent on a connection that has ended.
    pub(crate) fn end_sent(&mut self) -> Vec<(u64, Waiter)> {
        self.end_where(|entry| !entry.is_held)
    }

    fn end_where(&mut self, is_over: impl Fn(&Entry) -> bool) -> Vec<(u64, Waiter)> {
        let mut over = Vec::new();
        self.entries.retain(|entry| {
            if is_over(entry) {
                over.push((entry.id, entry.waiter));
            }
            !is_over(entry)
        });
        self.due_at = self.entries.iter().map(|entry| entry.deadline).fold(Time::NEVER, Time::min);
        over
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok()
    }
}
