//! The connection table: slots, generations and deadlines.
//!
//! Owns the connections. It never reads or writes one.
//!
//! Invariants: a token or id of a connection that is gone never finds the slot's next tenant, since the generation
//! differs; a connection has at most one deadline in the table.

use crate::{connection::Connection, listener::Audience};
use mio::Token;
use moorline_core::{ConnId, Time};
use slab::Slab;
use std::collections::BTreeSet;

/// Tokens below this belong to listeners, the waker and signals.
const FIRST_TOKEN: usize = 16;

#[derive(Default)]
pub(crate) struct Connections {
    slots: Slab<Connection>,
    /// For each slot, the number of connections that used it before.
    generations: Vec<u32>,
    deadlines: BTreeSet<(Time, ConnId)>,
    /// The number of connections on the public port.
    clients: usize,
}

impl Connections {
    /// The id the next inserted connection will have.
    pub(crate) fn next_id(&mut self) -> ConnId {
        let slot = self.slots.vacant_key();
        if slot >= self.generations.len() {
            self.generations.resize(slot + 1, 0);
        }
        let slot32 = u32::try_from(slot).unwrap_or(u32::MAX);
        ConnId { slot: slot32, generation: self.generations[slot] }
    }

    pub(crate) fn insert(&mut self, connection: Connection) {
        self.clients += usize::from(connection.audience == Audience::Public);
        self.slots.insert(connection);
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        let slot = id.slot as usize;
        if self.generations.get(slot) != Some(&id.generation) {
            return None;
        }
        self.slots.get_mut(slot)
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Connection> {
        self.get_mut(id)?;
        self.set_deadline(id, None);
        let slot = id.slot as usize;
        self.generations[slot] = self.generations[slot].wrapping_add(1);
        let removed = self.slots.try_remove(slot)?;
        self.clients -= usize::from(removed.audience == Audience::Public);
        Some(removed)
    }

    /// The connections on the public port.
    pub(crate) fn clients(&self) -> usize {
        self.clients
    }

    pub(crate) fn set_deadline(&mut self, id: ConnId, at: Option<Time>) {
        let Some(connection) = self.get_mut(id) else { return };
        let old = std::mem::replace(&mut connection.deadline, at);
        if let Some(old) = old {
            self.deadlines.remove(&(old, id));
        }
        if let Some(at) = at {
            self.deadlines.insert((at, id));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A connection whose deadline has come; it has none afterwards.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<ConnId> {
        let &(at, id) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.set_deadline(id, None);
        Some(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().map(|(_, connection)| connection)
    }
}

/// A connection's mio token.
pub(crate) fn token(id: ConnId) -> Token {
    Token(((id.generation as usize) << 32) | (id.slot as usize + FIRST_TOKEN))
}

/// The connection a mio token belongs to.
pub(crate) fn conn_id(token: Token) -> Option<ConnId> {
    let slot = (token.0 & 0xffff_ffff).checked_sub(FIRST_TOKEN)?;
    Some(ConnId { slot: u32::try_from(slot).ok()?, generation: u32::try_from(token.0 >> 32).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back() {
        for id in [ConnId { slot: 0, generation: 0 }, ConnId { slot: 70_000, generation: u32::MAX }] {
            assert_eq!(conn_id(token(id)), Some(id));
        }
        assert_eq!(conn_id(Token(3)), None);
    }
}
