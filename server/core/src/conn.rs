//! Which session a connection carries.
//!
//! A connection belongs to the shell, which names it by slot and generation. The core keeps only the way from that name
//! to a session, or to the last frames of a session that has ended.

use crate::outbox::Outbox;
use alloc::vec::Vec;

/// The shell's name for a connection. A slot is used again, but never with the same generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId {
    /// Index in the shell's connection table.
    pub slot: u32,
    /// How often that index had been used before.
    pub generation: u32,
}

/// What a connection carries. Sessions are named by their slots.
#[derive(Debug)]
pub(crate) enum Carried {
    /// A live session, on a WebSocket.
    Session(usize),
    /// A session's GET that is held.
    Poll(usize),
    /// A session's POST whose packets are coming in.
    Post(usize),
    /// A WebSocket that a session may move to.
    Probe(usize),
    /// What an ended session still has to say.
    Farewell(Outbox),
}

#[derive(Debug, Default)]
pub(crate) struct Conns {
    slots: Vec<Option<(u32, Carried)>>,
}

impl Conns {
    pub(crate) fn insert(&mut self, conn: ConnId, carried: Carried) {
        let slot = conn.slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some((conn.generation, carried));
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Carried> {
        match self.slots.get_mut(conn.slot as usize) {
            Some(Some((generation, carried))) if *generation == conn.generation => Some(carried),
            _ => None,
        }
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Carried> {
        match self.slots.get(conn.slot as usize) {
            Some(Some((generation, carried))) if *generation == conn.generation => Some(carried),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Carried> {
        self.get(conn)?;
        self.slots[conn.slot as usize].take().map(|(_, carried)| carried)
    }
}
