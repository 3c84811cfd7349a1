//! The budget of one turn, in units of work and bytes, and the connections that wait for their turn.
//!
//! Owns the queues: the operators' connections, those that carry sessions, newcomers with their requests, and sessions
//! that used up their last share. It never reads from one.
//!
//! Invariants: a connection stands in a queue at most once and is served at most once a turn. What exceeds a budget is
//! a debt of the next turn, since a fan-out that has begun is finished. Newcomers have a budget of their own, so that
//! many of them never keep those waiting who are here. Whoever caused much comes after those who caused little, so that
//! these wait for one fan-out at most, however many others are about to begin one.

use moorline_core::ConnId;
use std::collections::VecDeque;

/// Units of work of one turn: some 10 ms of one core where each recipient costs a system call.
const TURN_UNITS: i64 = 2048;
/// The same for those who caused much.
const HEAVY_UNITS: i64 = 2048;
/// Bytes read in one turn.
const TURN_BYTES: i64 = 2 << 20;
/// Units for newcomers in one turn: requests, and handshakes of TLS.
const NEWCOMER_UNITS: i64 = 1024;
/// Units for messages of the bus in one turn.
const BUS_UNITS: u64 = 2048;
/// Units for writing in one turn: one for a connection, and one for each [`BYTES_PER_UNIT`].
const FLUSH_UNITS: i64 = 1024;
const BYTES_PER_UNIT: i64 = 16 << 10;
/// Units that one connection may cause in one turn before others have theirs.
const SHARE_UNITS: i32 = 512;

/// The units of a request besides what the core counts: it is parsed, routed and answered.
pub(super) const REQUEST_UNITS: i64 = 4;
/// The units of one read in a handshake of TLS. Of its two, one signs, which takes close to a millisecond with RSA.
pub(super) const HANDSHAKE_UNITS: i64 = 128;

/// The kind of a connection that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Admin,
    Session,
    Newcomer,
    /// A session that used up its last share.
    Heavy,
}

impl Class {
    /// In the order in which they are served.
    pub(super) const ALL: [Class; 4] = [Class::Admin, Class::Session, Class::Newcomer, Class::Heavy];
}

#[derive(Default)]
pub(super) struct Budget {
    admin: VecDeque<ConnId>,
    sessions: VecDeque<ConnId>,
    newcomers: VecDeque<ConnId>,
    heavy: VecDeque<ConnId>,
    units: i64,
    heavy_units: i64,
    bytes: i64,
    newcomer_units: i64,
    flush_units: i64,
}

impl Budget {
    /// A turn begins: every budget is whole again, less the debts of the turns before.
    pub(super) fn start_turn(&mut self) {
        self.units = (self.units + TURN_UNITS).min(TURN_UNITS);
        self.heavy_units = (self.heavy_units + HEAVY_UNITS).min(HEAVY_UNITS);
        self.bytes = (self.bytes + TURN_BYTES).min(TURN_BYTES);
        self.newcomer_units = (self.newcomer_units + NEWCOMER_UNITS).min(NEWCOMER_UNITS);
        self.flush_units = (self.flush_units + FLUSH_UNITS).min(FLUSH_UNITS);
    }

    /// Puts a connection at the end of its queue. The caller knows that it stands in none.
    pub(super) fn push(&mut self, class: Class, id: ConnId) {
        match class {
            Class::Admin => self.admin.push_back(id),
            Class::Session => self.sessions.push_back(id),
            Class::Newcomer => self.newcomers.push_back(id),
            Class::Heavy => self.heavy.push_back(id),
        }
    }

    /// How many stand in a queue.
    pub(super) fn len(&self, class: Class) -> usize {
        match class {
            Class::Admin => self.admin.len(),
            Class::Session => self.sessions.len(),
            Class::Newcomer => self.newcomers.len(),
            Class::Heavy => self.heavy.len(),
        }
    }

    /// The next of a queue, while its budget lasts. Operators are never kept waiting: they look when much is amiss.
    pub(super) fn pop(&mut self, class: Class) -> Option<ConnId> {
        match class {
            Class::Admin => self.admin.pop_front(),
            Class::Session if self.units > 0 && self.bytes > 0 => self.sessions.pop_front(),
            Class::Newcomer if self.newcomer_units > 0 => self.newcomers.pop_front(),
            Class::Heavy if self.heavy_units > 0 && self.bytes > 0 => self.heavy.pop_front(),
            Class::Session | Class::Newcomer | Class::Heavy => None,
        }
    }

    /// Whether anybody waits.
    pub(super) fn has_work(&self) -> bool {
        let queues = [&self.admin, &self.sessions, &self.newcomers, &self.heavy];
        queues.into_iter().any(|queue| !queue.is_empty())
    }

    /// Pays for what a connection of this class caused.
    pub(super) fn spend(&mut self, class: Class, units: i64) {
        match class {
            Class::Admin => {}
            Class::Session => self.units -= units,
            Class::Heavy => self.heavy_units -= units,
            Class::Newcomer => self.newcomer_units -= units,
        }
    }

    /// Pays for bytes that were read.
    pub(super) fn spend_bytes(&mut self, bytes: usize) {
        self.bytes -= i64::try_from(bytes).unwrap_or(i64::MAX);
    }

    /// Pays for writing so many bytes to one connection. Returns whether more may be written in this turn.
    pub(super) fn spend_flush(&mut self, bytes: usize) -> bool {
        self.flush_units -= 1 + i64::try_from(bytes).unwrap_or(i64::MAX) / BYTES_PER_UNIT;
        self.flush_units > 0
    }

    /// Whether anything may still be written in this turn.
    pub(super) fn may_flush(&self) -> bool {
        self.flush_units > 0
    }
}

/// The credit of a connection that is served: a new share and what it owes, never more than one share.
pub(super) fn with_share(credit: i32) -> i32 {
    credit.saturating_add(SHARE_UNITS).min(SHARE_UNITS)
}

/// The work that messages of the bus may cause in one turn; less while the last turn's writing is not done.
pub(super) fn bus_units(has_flush_debt: bool) -> u64 {
    if has_flush_debt { BUS_UNITS / 8 } else { BUS_UNITS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    #[test]
    fn what_exceeds_a_turn_is_a_debt_of_the_next_ones() {
        let mut budget = Budget::default();
        (1..=3).for_each(|slot| budget.push(Class::Session, id(slot)));
        budget.start_turn();
        assert_eq!(budget.pop(Class::Session), Some(id(1)));
        budget.spend(Class::Session, 3 * TURN_UNITS - 1);
        for _ in 0..2 {
            assert_eq!(budget.pop(Class::Session), None);
            budget.start_turn();
        }
        assert_eq!(budget.pop(Class::Session), Some(id(2)));
        budget.spend_bytes(3 << 20);
        assert_eq!(budget.pop(Class::Session), None);
        budget.start_turn();
        assert_eq!((budget.pop(Class::Session), budget.has_work()), (Some(id(3)), false));
    }

    #[test]
    fn newcomers_and_operators_do_not_wait_for_sessions_nor_sessions_for_newcomers() {
        let mut budget = Budget::default();
        for (class, slot) in
            [(Class::Newcomer, 1), (Class::Newcomer, 2), (Class::Session, 3), (Class::Admin, 4)]
        {
            budget.push(class, id(slot));
        }
        budget.start_turn();
        assert_eq!(budget.pop(Class::Newcomer), Some(id(1)));
        budget.spend(Class::Newcomer, NEWCOMER_UNITS);
        assert_eq!((budget.pop(Class::Newcomer), budget.len(Class::Newcomer)), (None, 1));
        assert_eq!(budget.pop(Class::Session), Some(id(3)));
        budget.spend(Class::Session, 10 * TURN_UNITS);
        assert_eq!(budget.pop(Class::Admin), Some(id(4)));
    }

    #[test]
    fn who_caused_much_comes_last_and_comes_in_any_case() {
        let mut budget = Budget::default();
        budget.push(Class::Heavy, id(1));
        budget.push(Class::Heavy, id(2));
        budget.start_turn();
        budget.spend(Class::Session, TURN_UNITS);
        assert_eq!(budget.pop(Class::Heavy), Some(id(1)), "others used the whole turn");
        budget.spend(Class::Heavy, HEAVY_UNITS);
        assert_eq!(budget.pop(Class::Heavy), None);
        budget.start_turn();
        assert_eq!(budget.pop(Class::Heavy), Some(id(2)));
        budget.spend(Class::Heavy, 100 * HEAVY_UNITS);
        budget.push(Class::Session, id(3));
        assert_eq!(budget.pop(Class::Session), Some(id(3)), "the debts of others are theirs");
    }

    #[test]
    fn a_connection_pays_its_debt_before_it_is_served_again() {
        assert_eq!((with_share(0), with_share(SHARE_UNITS)), (SHARE_UNITS, SHARE_UNITS));
        assert_eq!(with_share(-SHARE_UNITS), 0);
        assert_eq!(with_share(i32::MIN), i32::MIN + SHARE_UNITS);
    }

    #[test]
    fn writing_has_a_budget_of_its_own() {
        let mut budget = Budget::default();
        budget.start_turn();
        assert!(budget.spend_flush(0) && budget.may_flush());
        assert!(!budget.spend_flush(38 << 20) && !budget.may_flush());
        budget.start_turn();
        assert!(!budget.may_flush(), "the rest is owed");
        budget.start_turn();
        assert!(budget.may_flush());
    }
}
