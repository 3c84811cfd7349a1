//! Counts: how many recipients a message has on all nodes, and what they acknowledge.
//!
//! Owns the open counts. Redis says how many subscribers got each publication, and each of them answers for each
//! message it received, the sender's own node included. A count is complete when as many answers came as there were
//! receivers; one that gathers acknowledgements also waits for those, as long as they can come. It never sends an
//! outcome; moves do.
//!
//! Invariant: each count is removed once: when it is complete, its time is up, the bus goes away, or the socket that
//! waits ends.

use crate::{
    acks::collectors::Collector,
    words::{ids::SocketId, numbers::Ticket, pending_ack::PendingAck, time::Time},
};
use alloc::{boxed::Box, collections::BTreeMap, collections::BTreeSet, vec::Vec};

/// A count in the making.
#[derive(Debug)]
pub(crate) struct Count {
    /// The acknowledgement that waits for it.
    pub(crate) ack: PendingAck,
    /// Recipients known so far.
    pub(crate) expected: u64,
    /// Publications whose receivers Redis has not named yet.
    pub(crate) unconfirmed: usize,
    receivers: u64,
    answers: u64,
    /// Whether it was published to channels of single nodes only: no receiver then means that nobody has the id.
    pub(crate) is_unicast: bool,
    /// Whether other nodes should have received the message and could not.
    pub(crate) is_cut: bool,
    /// The recipients' acknowledgements, if they are wanted.
    pub(crate) collector: Option<Box<Collector>>,
    /// The deadline that the table of deadlines holds for this count.
    pub(crate) timer: Option<Time>,
}

impl Count {
    /// A count that starts with the recipients on this node.
    pub(crate) fn new(ack: PendingAck, expected: u64) -> Count {
        Count {
            ack,
            expected,
            unconfirmed: 0,
            receivers: 0,
            answers: 0,
            is_unicast: false,
            is_cut: false,
            collector: None,
            timer: None,
        }
    }

    /// Whether every node concerned has counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.unconfirmed == 0 && self.answers >= self.receivers
    }

    fn is_complete(&self) -> bool {
        self.is_counted()
            && self.collector.as_deref().is_none_or(|collector| collector.is_complete(self.expected))
    }

    /// Whether it reached subscribers of the bus, or may have: Redis has still to say how many got it.
    fn spans_nodes(&self) -> bool {
        self.unconfirmed > 0 || self.receivers > 0
    }
}

/// The open counts of a node.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    open: BTreeMap<Ticket, Count>,
    by_socket: BTreeSet<(SocketId, Ticket)>,
}

impl Counts {
    pub(crate) fn insert(&mut self, ticket: Ticket, count: Count) {
        self.by_socket.insert((count.ack.socket, ticket));
        self.open.insert(ticket, count);
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Count> {
        let count = self.open.remove(&ticket)?;
        self.by_socket.remove(&(count.ack.socket, ticket));
        Some(count)
    }

    pub(crate) fn get(&self, ticket: Ticket) -> Option<&Count> {
        self.open.get(&ticket)
    }

    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Count> {
        self.open.get_mut(&ticket)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ticket, &Count)> {
        self.open.iter().map(|(ticket, count)| (*ticket, count))
    }

    pub(crate) fn is_complete(&self, ticket: Ticket) -> bool {
        self.open.get(&ticket).is_some_and(Count::is_complete)
    }

    /// Notes how many subscribers got one of the publications. Returns whether it went to the channel of a node that is
    /// not there.
    pub(crate) fn add_receivers(&mut self, ticket: Ticket, receivers: u32) -> bool {
        let Some(count) = self.open.get_mut(&ticket) else { return false };
        count.unconfirmed = count.unconfirmed.saturating_sub(1);
        count.receivers += u64::from(receivers);
        receivers == 0 && count.is_unicast
    }

    /// Notes how many recipients one node has.
    pub(crate) fn add_answer(&mut self, ticket: Ticket, recipients: u64) {
        if let Some(count) = self.open.get_mut(&ticket) {
            count.answers += 1;
            count.expected = count.expected.saturating_add(recipients);
        }
    }

    /// The counts of messages that reached subscribers of the bus, or may have.
    pub(crate) fn spanning_nodes(&self) -> Vec<Ticket> {
        self.iter().filter(|(_, count)| count.spans_nodes()).map(|(ticket, _)| ticket).collect()
    }

    /// The counts that a socket waits for.
    pub(crate) fn of_socket(&self, socket: SocketId) -> Vec<Ticket> {
        let tickets = (socket, Ticket::new(0))..=(socket, Ticket::new(u64::MAX));
        self.by_socket.range(tickets).map(|(_, ticket)| *ticket).collect()
    }

    /// Panics when the index by socket and the table disagree.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let expected: BTreeSet<_> = self.iter().map(|(ticket, count)| (count.ack.socket, ticket)).collect();
        assert_eq!(self.by_socket, expected, "each count is found by its socket");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{config::Limits, numbers::AckId};

    fn counts(count: Count) -> (Counts, Ticket) {
        let (mut counts, ticket) = (Counts::default(), Ticket::new(7));
        counts.insert(ticket, count);
        (counts, ticket)
    }

    fn count(expected: u64) -> Count {
        let socket = SocketId::parse("abcdefghijABCDEF-_09").unwrap();
        Count::new(PendingAck { socket, id: AckId::new(1) }, expected)
    }

    #[test]
    fn a_count_is_complete_when_as_many_answers_came_as_there_were_receivers() {
        let (mut counts, ticket) = counts(Count { unconfirmed: 2, ..count(1) });
        assert_eq!(counts.spanning_nodes(), [ticket]);
        counts.add_answer(ticket, 4);
        assert!(!counts.add_receivers(ticket, 1) && !counts.is_complete(ticket));
        counts.add_receivers(ticket, 1);
        assert!(!counts.is_complete(ticket));
        counts.add_answer(ticket, 0);
        assert!(counts.is_complete(ticket));
        assert_eq!(counts.get(ticket).unwrap().expected, 5);
    }

    #[test]
    fn no_receiver_of_a_message_to_single_nodes_means_an_unknown_id() {
        let (mut counts, ticket) = counts(Count { unconfirmed: 1, is_unicast: true, ..count(0) });
        assert!(counts.add_receivers(ticket, 0) && counts.is_complete(ticket));
        assert!(!counts.add_receivers(Ticket::new(8), 0), "nobody counts that");
    }

    #[test]
    fn a_count_that_gathers_waits_for_the_acknowledgements_too() {
        let collector = Some(Box::new(Collector::new(None)));
        let (mut counts, ticket) = counts(Count { collector, ..count(1) });
        assert!(counts.get(ticket).unwrap().is_counted() && !counts.is_complete(ticket));
        let collector = counts.get_mut(ticket).unwrap().collector.as_deref_mut().unwrap();
        collector.take("1", &[], &mut 0, &Limits::default());
        assert!(counts.is_complete(ticket));
    }

    #[test]
    fn a_count_is_found_by_its_socket_until_it_is_removed() {
        let (mut counts, ticket) = counts(count(0));
        let socket = counts.get(ticket).unwrap().ack.socket;
        counts.check_invariants();
        assert_eq!((counts.of_socket(socket), counts.spanning_nodes()), (Vec::from([ticket]), Vec::new()));
        assert!(counts.remove(ticket).is_some() && counts.remove(ticket).is_none());
        assert_eq!(counts.of_socket(socket), []);
    }
}
