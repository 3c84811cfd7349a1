//! Acknowledgements that backends owe, for events that clients sent to them.
//!
//! Owns who waits for one. A client waits here until a backend acknowledges on the public channel. It never
//! acknowledges to a client; moves do.
//!
//! Invariant: each acknowledgement is taken once: when it comes, its time is up, the bus goes away, or its
//! socket ends.

use crate::{
    deadlines::timers::Timer,
    words::{ids::SocketId, numbers::AckId, numbers::Ticket, pending_ack::PendingAck},
};
use alloc::{collections::BTreeMap, vec::Vec};

/// An acknowledgement that a backend owes.
#[derive(Debug)]
pub(crate) struct BackendAck {
    pub(crate) ack: PendingAck,
    pub(crate) timer: Timer,
}

impl BackendAck {
    pub(crate) fn new(ack: PendingAck) -> BackendAck {
        BackendAck { ack, timer: Timer::default() }
    }
}

#[derive(Debug, Default)]
pub(crate) struct BackendAcks {
    owed: BTreeMap<Ticket, BackendAck>,
    /// The same as a backend names them: by the socket that waits, and the client's number.
    tickets: BTreeMap<(SocketId, AckId), Ticket>,
}

impl BackendAcks {
    pub(crate) fn insert(&mut self, ticket: Ticket, owed: BackendAck) {
        self.tickets.insert((owed.ack.socket, owed.ack.id), ticket);
        self.owed.insert(ticket, owed);
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<BackendAck> {
        let owed = self.owed.remove(&ticket)?;
        self.tickets.remove(&(owed.ack.socket, owed.ack.id));
        Some(owed)
    }

    /// The ticket of an acknowledgement, if it waits.
    pub(crate) fn find(&self, ack: PendingAck) -> Option<Ticket> {
        self.tickets.get(&(ack.socket, ack.id)).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ticket, &BackendAck)> {
        self.owed.iter().map(|(ticket, owed)| (*ticket, owed))
    }

    /// Every ticket that waits.
    pub(crate) fn tickets(&self) -> Vec<Ticket> {
        self.owed.keys().copied().collect()
    }

    /// The tickets that a socket waits for.
    pub(crate) fn of_socket(&self, socket: SocketId) -> Vec<Ticket> {
        let ids = (socket, AckId::new(0))..=(socket, AckId::new(u64::MAX));
        self.tickets.range(ids).map(|(_, ticket)| *ticket).collect()
    }

    /// Panics when the index and the table disagree.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let named = self.iter().map(|(ticket, owed)| ((owed.ack.socket, owed.ack.id), ticket));
        assert_eq!(self.tickets, named.collect(), "each owed acknowledgement is found by its name");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_waits_under_its_ticket_and_its_name_until_it_is_taken() {
        let socket = SocketId::parse("abcdefghijABCDEF-_09").unwrap();
        let [first, second] = [1, 2].map(|id| PendingAck { socket, id: AckId::new(id) });
        let mut acks = BackendAcks::default();
        acks.insert(Ticket::new(8), BackendAck::new(first));
        acks.insert(Ticket::new(9), BackendAck::new(second));
        acks.check_invariants();
        assert_eq!((acks.find(first), acks.of_socket(socket)), (Some(Ticket::new(8)), acks.tickets()));
        assert_eq!(acks.remove(Ticket::new(8)).map(|owed| owed.ack), Some(first));
        assert_eq!((acks.find(first), acks.remove(Ticket::new(8)).is_none()), (None, true));
        assert_eq!(acks.tickets(), [Ticket::new(9)]);
        acks.check_invariants();
    }
}
