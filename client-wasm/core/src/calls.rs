//! The acknowledgements a socket awaits.
//!
//! Invariant: ids only grow, so the table is sorted; a call leaves it once. `due_at` is never later than the earliest
//! deadline. It may be earlier, when that call was answered and another is awaited: then somebody looks, finds nothing,
//! and it is right again.

use crate::{CallId, Time};
use alloc::{collections::VecDeque, vec::Vec};

/// An answer that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its owner awaits it.
    Owner(CallId),
    /// The first of the queue goes on with it.
    Queue,
}

#[derive(Debug)]
struct Call {
    id: u64,
    purpose: Purpose,
    deadline: Time,
    /// Whether what it belongs to waits to be sent.
    is_held: bool,
}

#[derive(Debug)]
pub(crate) struct Calls {
    calls: VecDeque<Call>,
    next_id: u64,
    due_at: Time,
}

impl Calls {
    pub(crate) fn new() -> Calls {
        Calls { calls: VecDeque::new(), next_id: 0, due_at: Time::NEVER }
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
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
    pub(crate) fn begin(&mut self, purpose: Purpose, deadline: Time, is_held: bool) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.due_at = self.due_at.min(deadline);
        self.calls.push_back(Call { id, purpose, deadline, is_held });
        id
    }

    /// What it belongs to was sent.
    pub(crate) fn sent(&mut self, id: u64) {
        if let Some(call) = self.find(id).and_then(|at| self.calls.get_mut(at)) {
            call.is_held = false;
        }
    }

    /// It is over.
    pub(crate) fn end(&mut self, id: u64) -> Option<Purpose> {
        let call = self.calls.remove(self.find(id)?)?;
        if self.calls.is_empty() {
            self.due_at = Time::NEVER;
        }
        Some(call.purpose)
    }

    /// Those whose time is over, with their ids.
    pub(crate) fn end_due(&mut self, now: Time) -> Vec<(u64, Purpose)> {
        if now < self.due_at {
            return Vec::new();
        }
        self.end_where(|call| call.deadline <= now)
    }

    /// Those whose answers will not come, since what they belong to was sent on a connection that has ended.
    pub(crate) fn end_sent(&mut self) -> Vec<(u64, Purpose)> {
        self.end_where(|call| !call.is_held)
    }

    fn end_where(&mut self, is_over: impl Fn(&Call) -> bool) -> Vec<(u64, Purpose)> {
        let mut over = Vec::new();
        self.calls.retain(|call| {
            if is_over(call) {
                over.push((call.id, call.purpose));
            }
            !is_over(call)
        });
        self.due_at = self.calls.iter().map(|call| call.deadline).fold(Time::NEVER, Time::min);
        over
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.calls.binary_search_by_key(&id, |call| call.id).ok()
    }
}
