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
    deadlines::timers::Timer,
    words::{ids::SocketId, numbers::Ticket, pending_ack::PendingAck},
};
use alloc::{boxed::Box, collections::BTreeMap, collections::BTreeSet, vec::Vec};

/// A count in the making.
#[derive(Debug)]
pub(crate) struct Count {
    /// The acknowledgement that waits for it.
    ack: PendingAck,
    /// Recipients known so far.
    expected: u64,
    /// Publications whose receivers Redis has not named yet.
    unconfirmed: usize,
    receivers: u64,
    node_counts: u64,
    /// Whether it was published to channels of single nodes only: no receiver then means that nobody has the id.
    is_unicast: bool,
    /// Whether other nodes should have received the message and could not.
    is_cut: bool,
    /// Whether recipients on other nodes are behind with reading.
    is_busy: bool,
    /// The recipients' acknowledgements, if they are wanted.
    collector: Option<Box<Collector>>,
    pub(crate) timer: Timer,
}

/// How far a message went beyond this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Publications, each to one channel.
    pub(crate) publications: usize,
    /// Whether it was published to channels of single nodes only.
    pub(crate) is_unicast: bool,
    /// Whether other nodes should have received it and could not.
    pub(crate) is_cut: bool,
}

impl Count {
    /// A count that starts with the recipients on this node. With a collector it gathers acknowledgements, too.
    pub(crate) fn new(ack: PendingAck, expected: u64, reach: Reach, collector: Option<Collector>) -> Count {
        Count {
            ack,
            expected,
            unconfirmed: reach.publications,
            receivers: 0,
            node_counts: 0,
            is_unicast: reach.is_unicast,
            is_cut: reach.is_cut,
            is_busy: false,
            collector: collector.map(Box::new),
            timer: Timer::default(),
        }
    }

    /// The acknowledgement that waits for it.
    pub(crate) fn ack(&self) -> PendingAck {
        self.ack
    }

    /// Recipients known so far.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// Whether other nodes should have received the message and could not.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether recipients on other nodes are behind with reading.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Notes that recipients on another node are behind with reading.
    pub(crate) fn mark_busy(&mut self) {
        self.is_busy = true;
    }

    /// The acknowledgements gathered so far, if they are wanted.
    pub(crate) fn collector(&self) -> Option<&Collector> {
        self.collector.as_deref()
    }

    /// The same, to add to.
    pub(crate) fn collector_mut(&mut self) -> Option<&mut Collector> {
        self.collector.as_deref_mut()
    }

    /// The acknowledgements that were gathered, if they are wanted.
    pub(crate) fn into_collector(self) -> Option<Collector> {
        self.collector.map(|collector| *collector)
    }

    /// Whether every node concerned has counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.unconfirmed == 0 && self.node_counts >= self.receivers
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
    pub(crate) fn add_node_count(&mut self, ticket: Ticket, recipients: u64) {
        if let Some(count) = self.open.get_mut(&ticket) {
            count.node_counts += 1;
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

    fn count(expected: u64, reach: Reach) -> Count {
        let socket = SocketId::parse("abcdefghijABCDEF-_09").unwrap();
        Count::new(PendingAck { socket, id: AckId::new(1) }, expected, reach, None)
    }

    #[test]
    fn a_count_is_complete_when_as_many_answers_came_as_there_were_receivers() {
        let (mut counts, ticket) = counts(count(1, Reach { publications: 2, ..Reach::default() }));
        assert_eq!(counts.spanning_nodes(), [ticket]);
        counts.add_node_count(ticket, 4);
        assert!(!counts.add_receivers(ticket, 1) && !counts.is_complete(ticket));
        counts.add_receivers(ticket, 1);
        assert!(!counts.is_complete(ticket));
        counts.add_node_count(ticket, 0);
        assert!(counts.is_complete(ticket));
        assert_eq!(counts.get(ticket).unwrap().expected(), 5);
    }

    #[test]
    fn no_receiver_of_a_message_to_single_nodes_means_an_unknown_id() {
        let (mut counts, ticket) =
            counts(count(0, Reach { publications: 1, is_unicast: true, ..Reach::default() }));
        assert!(counts.add_receivers(ticket, 0) && counts.is_complete(ticket));
        assert!(!counts.add_receivers(Ticket::new(8), 0), "nobody counts that");
    }

    #[test]
    fn a_count_that_gathers_waits_for_the_acknowledgements_too() {
        let collector = Some(Box::new(Collector::new(None)));
        let (mut counts, ticket) = counts(Count { collector, ..count(1, Reach::default()) });
        assert!(counts.get(ticket).unwrap().is_counted() && !counts.is_complete(ticket));
        let collector = counts.get_mut(ticket).unwrap().collector_mut().unwrap();
        collector.take("1", &[], &mut 0, &Limits::default());
        assert!(counts.is_complete(ticket));
    }

    #[test]
    fn a_count_is_found_by_its_socket_until_it_is_removed() {
        let (mut counts, ticket) = counts(count(0, Reach::default()));
        let socket = counts.get(ticket).unwrap().ack().socket;
        counts.check_invariants();
        assert_eq!((counts.of_socket(socket), counts.spanning_nodes()), (Vec::from([ticket]), Vec::new()));
        assert!(counts.remove(ticket).is_some() && counts.remove(ticket).is_none());
        assert_eq!(counts.of_socket(socket), []);
    }
}
