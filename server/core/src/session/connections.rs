//! The table of connections: which session each of them carries.
//!
//! Owns the way from a connection, which belongs to the shell, to a session or to the last frames of one that has
//! ended. It never owns a session.
//!
//! Invariant: a [`ConnId`] of an earlier generation finds nothing.

use crate::{
    session::outbox::Outbox,
    words::{conn::ConnId, keys::SessionKey},
};
use alloc::vec::Vec;

/// The use of one connection.
#[derive(Debug)]
pub(crate) enum Carried {
    /// A live session, on a WebSocket.
    Session(SessionKey),
    /// A session's GET that is held.
    Poll(SessionKey),
    /// A session's POST whose packets are coming in.
    Post(SessionKey),
    /// A session's POST that was answered before its packets were all taken.
    Rest(SessionKey),
    /// A WebSocket that a session may move to.
    Probe(SessionKey),
    /// The last frames of a session that has ended.
    Closing(Outbox),
}

impl Carried {
    /// The live session it belongs to.
    pub(crate) fn session(&self) -> Option<SessionKey> {
        match self {
            Carried::Session(key)
            | Carried::Poll(key)
            | Carried::Post(key)
            | Carried::Rest(key)
            | Carried::Probe(key) => Some(*key),
            Carried::Closing(_) => None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Option<(u32, Carried)>>,
}

impl Connections {
    pub(crate) fn insert(&mut self, conn: ConnId, carried: Carried) {
        let slot = conn.slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some((conn.generation, carried));
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Carried> {
        match self.slots.get(conn.slot as usize) {
            Some(Some((generation, carried))) if *generation == conn.generation => Some(carried),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Carried> {
        match self.slots.get_mut(conn.slot as usize) {
            Some(Some((generation, carried))) if *generation == conn.generation => Some(carried),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Carried> {
        self.get(conn)?;
        self.slots[conn.slot as usize].take().map(|(_, carried)| carried)
    }

    /// Every connection that carries something.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Carried)> {
        (0..).zip(&self.slots).filter_map(|(slot, entry)| {
            let (generation, carried) = entry.as_ref()?;
            Some((ConnId { slot, generation: *generation }, carried))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::keys::Table;

    #[test]
    fn a_connection_of_an_earlier_generation_leads_nowhere() {
        let session = Table::<SessionKey, ()>::default().insert(());
        let mut connections = Connections::default();
        let [old, new] = [0, 1].map(|generation| ConnId { slot: 3, generation });
        connections.insert(old, Carried::Poll(session));
        assert_eq!(connections.get(old).and_then(Carried::session), Some(session));
        assert!(connections.get(new).is_none() && connections.remove(new).is_none());
        connections.insert(new, Carried::Closing(Outbox::default()));
        assert!(connections.get_mut(old).is_none());
        assert_eq!(connections.iter().map(|(conn, _)| conn).collect::<Vec<_>>(), [new]);
        assert!(matches!(connections.remove(new), Some(Carried::Closing(_))));
        assert_eq!(connections.iter().count(), 0);
    }
}
