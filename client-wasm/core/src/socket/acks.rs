//! The acknowledgements that a socket awaits.
//!
//! Owns their ids on the wire and their deadlines; it never tells anybody of an end. Invariant: ids only grow, so the
//! table is sorted; an entry leaves it once. `due_at` is a lower bound; a stale one costs one empty scan.

use crate::Time;
use alloc::{collections::VecDeque, vec::Vec};

/// An acknowledgement that the owner of a socket awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwaitedAck(u32);

impl AwaitedAck {
    /// The number, never zero, for a log or for a language that has only numbers.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// The numbers given out so far, for all sockets of a client.
#[derive(Debug, Default)]
pub(crate) struct AwaitedAckCount {
    last: u32,
}

impl AwaitedAckCount {
    #[must_use]
    pub(crate) fn next(&mut self) -> AwaitedAck {
        self.last = self.last.checked_add(1).unwrap_or(1);
        AwaitedAck(self.last)
    }
}

/// The id of an acknowledgement on the wire, counted by each socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AckId(u64);

impl AckId {
    /// The id as a packet from the server names it.
    pub(crate) fn from_wire(id: u64) -> AckId {
        AckId(id)
    }

    pub(crate) fn to_wire(self) -> u64 {
        self.0
    }
}

/// The one who waits for an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// The caller of `emit`.
    Caller(AwaitedAck),
    /// The queue, which goes on with its next event.
    Queue,
}

#[derive(Debug)]
struct Entry {
    id: AckId,
    waiter: Waiter,
    deadline: Time,
    /// Whether its event waits to be sent.
    is_held: bool,
}

#[derive(Debug)]
pub(crate) struct AwaitedAcks {
    entries: VecDeque<Entry>,
    next_id: AckId,
    due_at: Time,
}

impl AwaitedAcks {
    pub(crate) fn new() -> AwaitedAcks {
        AwaitedAcks { entries: VecDeque::new(), next_id: AckId(0), due_at: Time::NEVER }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The id that `begin` will return.
    pub(crate) fn next_id(&self) -> AckId {
        self.next_id
    }

    /// A lower bound of the next deadline.
    pub(crate) fn due_at(&self) -> Time {
        self.due_at
    }

    /// Awaits one more.
    pub(crate) fn begin(&mut self, waiter: Waiter, deadline: Time, is_held: bool) -> AckId {
        let id = self.next_id;
        self.next_id = AckId(id.0 + 1);
        self.due_at = self.due_at.min(deadline);
        self.entries.push_back(Entry { id, waiter, deadline, is_held });
        id
    }

    /// Its event was sent.
    pub(crate) fn sent(&mut self, id: AckId) {
        if let Some(entry) = self.find(id).and_then(|at| self.entries.get_mut(at)) {
            entry.is_held = false;
        }
    }

    /// Ends one; `None` if it has ended before.
    #[must_use]
    pub(crate) fn end(&mut self, id: AckId) -> Option<Waiter> {
        let entry = self.entries.remove(self.find(id)?)?;
        if self.entries.is_empty() {
            self.due_at = Time::NEVER;
        }
        Some(entry.waiter)
    }

    /// Ends those whose deadline has passed.
    #[must_use]
    pub(crate) fn end_due(&mut self, now: Time) -> Vec<(AckId, Waiter)> {
        if now < self.due_at {
            return Vec::new();
        }
        self.end_where(|entry| entry.deadline <= now)
    }

    /// Ends those whose events were sent on a connection that has ended.
    #[must_use]
    pub(crate) fn end_sent(&mut self) -> Vec<(AckId, Waiter)> {
        self.end_where(|entry| !entry.is_held)
    }

    fn end_where(&mut self, is_over: impl Fn(&Entry) -> bool) -> Vec<(AckId, Waiter)> {
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

    fn find(&self, id: AckId) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Time = Time::from_ms(10);

    #[test]
    fn an_ack_ends_once() {
        let mut acks = AwaitedAcks::new();
        let first = acks.begin(Waiter::Queue, SOON, false);
        let second = acks.begin(Waiter::Caller(AwaitedAck(1)), Time::NEVER, false);
        assert_eq!(acks.end(second), Some(Waiter::Caller(AwaitedAck(1))));
        assert_eq!(acks.end(second), None);
        assert_eq!(acks.due_at(), SOON);
        assert_eq!(acks.end(first), Some(Waiter::Queue));
        assert_eq!((acks.due_at(), acks.len()), (Time::NEVER, 0));
    }

    #[test]
    fn a_stale_deadline_costs_one_empty_scan() {
        let mut acks = AwaitedAcks::new();
        let first = acks.begin(Waiter::Queue, SOON, false);
        let _ = acks.begin(Waiter::Queue, Time::NEVER, false);
        assert_eq!(acks.end(first), Some(Waiter::Queue));
        assert_eq!(acks.due_at(), SOON, "a lower bound");
        assert_eq!(acks.end_due(SOON), []);
        assert_eq!(acks.due_at(), Time::NEVER);
    }

    #[test]
    fn acks_of_held_events_outlive_the_connection() {
        let mut acks = AwaitedAcks::new();
        let (sent, held) = (acks.begin(Waiter::Queue, SOON, true), acks.begin(Waiter::Queue, SOON, true));
        acks.sent(sent);
        assert_eq!(acks.end_sent(), [(sent, Waiter::Queue)]);
        assert_eq!(acks.end_due(SOON), [(held, Waiter::Queue)]);
    }

    #[test]
    fn numbers_are_never_zero() {
        let mut count = AwaitedAckCount { last: u32::MAX };
        assert_eq!(count.next().number(), 1);
    }
}
