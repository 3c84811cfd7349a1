//! The bus as a node sees it: whether it can be used, and what is remembered of the messages on it.
//!
//! Owns the state of the links and the tables that belong to messages between nodes. It never publishes; that is a
//! move.

use crate::{
    cluster::{
        canary::Canary,
        legacy::{Legacy, Waiting, write_rest},
        sequences::Sequences,
    },
    words::{
        cause::DropCause,
        ids::{NodeTag, SocketId},
        numbers::Ticket,
        target::{Outgoing, Target},
    },
};
use alloc::{collections::BTreeSet, collections::VecDeque, string::String, vec::Vec};

#[derive(Debug, Default)]
pub(crate) struct Bus {
    /// The channel that only this node receives; `None` without a cluster.
    own_channel: Option<String>,
    is_up: bool,
    has_been_up: bool,
    pub(crate) sequences: Sequences,
    /// Messages that go to the old cluster if no node of this one has their target.
    pub(crate) legacy: Legacy,
    pub(crate) canary: Canary,
}

impl Bus {
    /// The bus before it is up. `own_channel` is the channel that only this node receives, if it has a cluster.
    pub(crate) fn new(own_channel: Option<String>) -> Bus {
        Bus { own_channel, ..Bus::default() }
    }

    pub(crate) fn is_own_channel(&self, channel: &str) -> bool {
        self.own_channel.as_deref() == Some(channel)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.is_up
    }

    pub(crate) fn has_been_up(&self) -> bool {
        self.has_been_up
    }

    pub(crate) fn mark_up(&mut self) {
        self.is_up = true;
        self.has_been_up = true;
        self.canary.reset();
    }

    pub(crate) fn mark_down(&mut self) {
        self.is_up = false;
    }

    /// Keeps a message if ids among its targets may belong to the old cluster: they name nodes that this node does not
    /// know. Returns whether it was kept, until Redis says who listens on the channels of those nodes.
    ///
    /// # Errors
    /// The cause under which it is dropped when too much waits already.
    pub(crate) fn note_legacy(
        &mut self,
        ticket: Ticket,
        outgoing: &Outgoing<'_>,
        channels: &RemoteChannels<'_>,
        bytes_max: usize,
    ) -> Result<bool, DropCause> {
        let (Some(source), Some(sender)) = (&outgoing.source, outgoing.sender) else { return Ok(false) };
        let strangers = |channel: &RemoteChannel<'_>| match channel {
            RemoteChannel::Node(tag) if !self.sequences.knows(*tag) => {
                let is_there = |target: &Target<'_>| match *target {
                    Target::Socket(id) if id.tag() == *tag => Some(id),
                    _ => None,
                };
                outgoing.targets.iter().filter_map(is_there).collect()
            }
            _ => Vec::new(),
        };
        let channels: VecDeque<Vec<SocketId>> = channels.iter().map(strangers).collect();
        if channels.iter().all(Vec::is_empty) {
            return Ok(false);
        }
        let rest = outgoing.message.attachments().is_empty().then(|| write_rest(source));
        let waiting = Waiting::new(sender, rest, channels, bytes_max);
        if self.legacy.insert(ticket, waiting) { Ok(true) } else { Err(DropCause::LegacyBusy) }
    }
}

/// A channel on which other nodes may receive a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RemoteChannel<'a> {
    Node(NodeTag),
    Room(&'a str),
}

/// The channels of one message, each once, in the order they are published to.
pub(crate) type RemoteChannels<'a> = BTreeSet<RemoteChannel<'a>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{numbers::Sequence, target::Source, time::Time};
    use moorline_protocol::Frame;

    #[test]
    fn a_bus_that_went_down_has_been_up() {
        let mut bus = Bus::default();
        assert!(!bus.is_up() && !bus.has_been_up());
        bus.mark_up();
        bus.mark_down();
        assert!(!bus.is_up() && bus.has_been_up());
    }

    #[test]
    fn a_message_is_kept_for_old_servers_only_while_nobody_knows_the_node_its_target_names() {
        let id = SocketId::parse("abcdefghijABCDEF-_09").unwrap();
        let (targets, from) = ([Target::Socket(id), Target::Room("room")], "{}");
        let message = Frame::text(0, |_| {}).into();
        let source = Some(Source { name: "\"e\"", from, args: &[] });
        let outgoing = Outgoing { sender: Some(id), targets: &targets, message, source, receipt: None };
        let channels = RemoteChannels::from([RemoteChannel::Node(id.tag()), RemoteChannel::Room("room")]);
        let mut bus = Bus::new(None);
        assert_eq!(bus.note_legacy(Ticket::new(1), &outgoing, &channels, 100), Ok(true));
        let mut waiting = bus.legacy.remove(Ticket::new(1)).unwrap();
        assert_eq!([waiting.next_channel(), waiting.next_channel()], [Vec::from([id]), Vec::new()]);
        bus.sequences.receive(id.tag(), Sequence::NONE, Time::ZERO);
        assert_eq!(bus.note_legacy(Ticket::new(2), &outgoing, &channels, 100), Ok(false), "a node is there");
        assert!(bus.legacy.remove(Ticket::new(2)).is_none());
    }
}
