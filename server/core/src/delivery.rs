//! Who a message is for, and handing it to them: on this node at once, on others through the bus.
//!
//! Invariants: a socket receives a message once however many targets name it, and a sender never its own. Local
//! delivery never waits for the bus.

use crate::{
    app::Reply,
    code::Code,
    ids::{SocketId, Tag},
    legacy::Source,
    message::Message,
    parcel::{self, Head},
    state::State,
};
use alloc::{collections::BTreeSet, vec::Vec};

/// One name a message is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// One socket, anywhere.
    Socket(SocketId),
    /// Everyone in a room of the sender's namespace.
    Room(&'a str),
}

impl<'a> Target<'a> {
    /// Reads a target that some node accepted: what is not a socket id is a room.
    pub(crate) fn parse(text: &'a str) -> Target<'a> {
        SocketId::parse(text).map_or(Target::Room(text), Target::Socket)
    }
}

/// A message of a socket on this node.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Who sends it.
    pub sender: SocketId,
    /// Whom it is for.
    pub targets: &'a [Target<'a>],
    /// The encoded event with its attachments.
    pub message: Message,
    /// What it was encoded from, for servers that read another form.
    pub source: Source<'a>,
    /// The acknowledgement that wants to know the number of recipients.
    pub reply: Option<Reply>,
}

/// What became of an [`Outgoing`] message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All recipients are known.
    Now {
        /// How many there are.
        expected: u64,
    },
    /// Other nodes are counting; the number comes as a completion.
    Counting,
    /// Other nodes cannot be reached; the recipients on this node were.
    BusDown {
        /// How many those are.
        expected: u64,
    },
}

impl State {
    /// Sends a message of one socket to others.
    pub(crate) fn send(&mut self, sender: usize, outgoing: &Outgoing<'_>) -> Result<Sent, Code> {
        let socket = &self.sockets[sender];
        if outgoing.reply.is_some() && socket.pending >= self.config.limits.pending_acks_max {
            return Err(Code::TooMany);
        }
        let space = socket.space;
        let elsewhere = self.elsewhere(outgoing.targets);
        if outgoing.message.len_bytes() * elsewhere.len() > self.config.limits.fanout_bytes_max {
            return Err(Code::TooMany);
        }
        let recipients = self.resolve(Some(space), outgoing.targets, Some(outgoing.sender));
        let expected = self.deliver(&recipients, &outgoing.message);
        self.stats.deliveries_local += expected;
        self.count_unknown(space, outgoing.targets);
        Ok(self.send_remote(space, outgoing, &elsewhere, expected))
    }

    fn send_remote(
        &mut self,
        space: usize,
        outgoing: &Outgoing<'_>,
        elsewhere: &BTreeSet<Elsewhere<'_>>,
        expected: u64,
    ) -> Sent {
        if elsewhere.is_empty() {
            return Sent::Now { expected };
        }
        if !self.bus.is_up {
            self.stats.drop("bus_down");
            return Sent::BusDown { expected };
        }
        let sequence = self.next_sequence();
        self.publish_message(space, outgoing, sequence, elsewhere);
        let Some(reply) = outgoing.reply else { return Sent::Now { expected } };
        let is_unicast = elsewhere.iter().all(|channel| matches!(channel, Elsewhere::Node(_)));
        self.await_count(sequence, reply, expected, elsewhere.len(), is_unicast);
        Sent::Counting
    }

    fn publish_message(
        &mut self,
        space: usize,
        outgoing: &Outgoing<'_>,
        sequence: u64,
        elsewhere: &BTreeSet<Elsewhere<'_>>,
    ) {
        let is_awaited = self.note_legacy(sequence, outgoing, elsewhere);
        let ticket = (is_awaited || outgoing.reply.is_some()).then_some(sequence);
        for elsewhere in elsewhere {
            let (channel, number) = match *elsewhere {
                Elsewhere::Node(tag) => (self.node_channel(tag), self.next_node_number(tag)),
                Elsewhere::Room(name) => (self.room_channel(space, name), self.next_room_number(space, name)),
            };
            let head = Head {
                origin: self.tag,
                sequence,
                number,
                is_counted: outgoing.reply.is_some(),
                namespace: &self.spaces[space].name,
                targets: outgoing.targets,
            };
            let payload = parcel::write_message(&head, &outgoing.message);
            if let Some(channel) = channel {
                self.publish(channel, payload, ticket);
            }
        }
    }

    /// Counts ids of this node that no socket in the namespace has.
    pub(crate) fn count_unknown(&mut self, space: usize, targets: &[Target<'_>]) {
        let is_alone = self.config.cluster.is_none();
        for target in targets {
            let Target::Socket(id) = *target else { continue };
            let is_here = self.find_socket(id).is_some_and(|key| self.sockets[key].space == space);
            if !is_here && (is_alone || id.tag() == self.tag) {
                self.stats.drop("unknown_target");
            }
        }
    }

    /// The channels on which other nodes may hear of these targets, each once.
    fn elsewhere<'a>(&self, targets: &[Target<'a>]) -> BTreeSet<Elsewhere<'a>> {
        if self.config.cluster.is_none() {
            return BTreeSet::new();
        }
        let channel = |target: &Target<'a>| match *target {
            Target::Socket(id) => (id.tag() != self.tag).then_some(Elsewhere::Node(id.tag())),
            Target::Room(name) => Some(Elsewhere::Room(name)),
        };
        targets.iter().filter_map(channel).collect()
    }

    /// The sockets on this node that `targets` name, each once. Without a namespace, rooms are those of the first
    /// one and a socket counts in whichever it is.
    pub(crate) fn resolve(
        &mut self,
        space: Option<usize>,
        targets: &[Target<'_>],
        except: Option<SocketId>,
    ) -> Vec<usize> {
        self.delivery += 1;
        let mut recipients = Vec::new();
        if let Some(sender) = except.and_then(|id| self.find_socket(id)) {
            self.sockets[sender].delivery = self.delivery;
        }
        for target in targets {
            match *target {
                Target::Socket(id) => {
                    let found = self.find_socket(id);
                    let is_inside = |key: &usize| space.is_none_or(|space| self.sockets[*key].space == space);
                    recipients.extend(found.filter(is_inside));
                }
                Target::Room(name) => {
                    let rooms = &self.spaces[space.unwrap_or(0)].rooms;
                    let members = rooms.get(name).map(|room| &self.rooms[*room].members);
                    recipients.extend(members.into_iter().flatten());
                }
            }
        }
        let (sockets, delivery) = (&mut self.sockets, self.delivery);
        recipients.retain(|key| core::mem::replace(&mut sockets[*key].delivery, delivery) != delivery);
        recipients
    }

    /// Puts one message into the outbox of each recipient; returns how many could take it.
    pub(crate) fn deliver(&mut self, recipients: &[usize], message: &Message) -> u64 {
        let mut count = 0;
        for &key in recipients {
            let session = self.sockets[key].session;
            if self.enqueue(session, message) {
                count += 1;
            }
        }
        self.stats.events_out += count;
        count
    }
}

/// A channel that other nodes listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Elsewhere<'a> {
    Node(Tag),
    Room(&'a str),
}
