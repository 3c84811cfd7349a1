//! Numbers of messages between nodes: those this node gives, and the last ones received from others.
//!
//! Owns both. A message received on two channels is recognised by its number, and a number that was skipped shows a
//! message that did not arrive. It never delivers anything.
//!
//! Invariant: bounded, however many node tags clients make up.

use crate::words::{
    ids::NodeTag,
    numbers::{ChannelSequence, Sequence},
    time::Time,
};
use alloc::collections::BTreeMap;

/// The most other nodes that are remembered; far more than a cluster has.
const NODES_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Sequences {
    /// The number of the last message this node sent.
    last: Sequence,
    /// The last number of the messages sent to each node alone.
    sent: BTreeMap<NodeTag, ChannelSequence>,
    received: BTreeMap<NodeTag, Received>,
}

/// The last numbers received from another node.
#[derive(Debug)]
struct Received {
    sequence: Sequence,
    /// The same on this node's own channel.
    direct: ChannelSequence,
    at: Time,
}

impl Default for Sequences {
    fn default() -> Sequences {
        Sequences { last: Sequence::NONE, sent: BTreeMap::new(), received: BTreeMap::new() }
    }
}

impl Sequences {
    /// Numbers a message of this node.
    pub(crate) fn next(&mut self) -> Sequence {
        self.last = self.last.next();
        self.last
    }

    /// Numbers a message to one node.
    pub(crate) fn next_to(&mut self, tag: NodeTag) -> ChannelSequence {
        if self.sent.len() >= NODES_MAX && !self.sent.contains_key(&tag) {
            // Made-up node tags could fill the map; clear it. Receivers treat a smaller number as a restart.
            self.sent.clear();
        }
        let number = self.sent.entry(tag).or_insert(ChannelSequence::NONE);
        *number = number.next();
        *number
    }

    /// Notes the number of a message; returns whether it was not received before.
    pub(crate) fn receive(&mut self, origin: NodeTag, sequence: Sequence, now: Time) -> bool {
        let received = &mut self.received;
        if received.len() >= NODES_MAX && !received.contains_key(&origin) {
            let oldest = received.iter().min_by_key(|(_, received)| received.at).map(|(tag, _)| *tag);
            oldest.and_then(|tag| received.remove(&tag));
        }
        let new = Received { sequence: Sequence::NONE, direct: ChannelSequence::NONE, at: now };
        let last = received.entry(origin).or_insert(new);
        let is_new = sequence > last.sequence;
        last.sequence = last.sequence.max(sequence);
        last.at = now;
        is_new
    }

    /// Whether this node has received anything from the node `tag`, or learned that it is there.
    pub(crate) fn knows(&self, tag: NodeTag) -> bool {
        self.received.contains_key(&tag)
    }

    /// The last number received from `origin` on this node's own channel.
    pub(crate) fn direct_mut(&mut self, origin: NodeTag) -> Option<&mut ChannelSequence> {
        self.received.get_mut(&origin).map(|received| &mut received.direct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: usize) -> NodeTag {
        NodeTag::parse(&alloc::format!("{number:08x}")).unwrap()
    }

    #[test]
    fn a_message_is_new_once_and_an_earlier_number_is_not() {
        let mut sequences = Sequences::default();
        let numbers = [1, 1, 5, 4, 6].map(Sequence::new);
        let is_new = numbers.map(|number| sequences.receive(tag(1), number, Time::ZERO));
        assert_eq!(is_new, [true, false, true, false, true]);
        assert!(sequences.knows(tag(1)) && !sequences.knows(tag(2)));
        assert!(sequences.direct_mut(tag(2)).is_none());
    }

    #[test]
    fn made_up_tags_fill_neither_map() {
        let mut sequences = Sequences::default();
        for number in 0..3 * NODES_MAX {
            sequences.next_to(tag(number));
            sequences.receive(tag(number), Sequence::new(1), Time::from_micros(number as u64));
        }
        assert!(sequences.sent.len() <= NODES_MAX && sequences.received.len() <= NODES_MAX);
        assert!(sequences.knows(tag(3 * NODES_MAX - 1)) && !sequences.knows(tag(0)), "the oldest went");
    }

    #[test]
    fn messages_are_numbered_each_after_the_last() {
        let mut sequences = Sequences::default();
        assert_eq!([(); 2].map(|()| sequences.next().number()), [1, 2]);
        assert_eq!([1, 1, 2].map(|node| sequences.next_to(tag(node)).number()), [1, 2, 1]);
    }
}
