//! Who a message is for, and handing it to them: on this node at once, on others through the bus.
//!
//! Invariants: a socket receives a message once however many targets name it, and a sender never its own. Local
//! delivery never waits for the bus.

use crate::{
    DropCause,
    answers::Asker,
    app::PendingAck,
    code::Code,
    counts::{Count, Gather},
    ids::{NodeTag, SocketId},
    legacy::Source,
    message::Message,
    parcel::{self, Head, Wanted},
    state::State,
};
use alloc::{boxed::Box, collections::BTreeSet, vec, vec::Vec};

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

/// A message that goes out from this node.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Who sends it and does not hear it; `None` for the application itself.
    pub sender: Option<SocketId>,
    /// Whom it is for.
    pub targets: &'a [Target<'a>],
    /// The encoded event with its attachments.
    pub message: Message,
    /// What it was encoded from, for servers that read another form; `None` if those are not to have it.
    pub source: Option<Source<'a>>,
    /// What is to be told of it, and to whom.
    pub wants: Wants,
}

/// What the sender of a message wants to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Nothing.
    Nothing,
    /// How many recipients there are.
    Count(PendingAck),
    /// That, and what each of them answers. The message must carry no acknowledgement id yet.
    Answers(PendingAck),
}

impl Wants {
    fn ack(self) -> Option<PendingAck> {
        match self {
            Wants::Nothing => None,
            Wants::Count(ack) | Wants::Answers(ack) => Some(ack),
        }
    }

    fn wanted(self) -> Wanted {
        match self {
            Wants::Nothing => Wanted::Nothing,
            Wants::Count(_) => Wanted::Count,
            Wants::Answers(_) => Wanted::Answers,
        }
    }
}

/// What became of an [`Outgoing`] message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All recipients are known.
    Now {
        /// How many there are.
        expected: u64,
    },
    /// Others are counting or answering; the outcome comes as a completion.
    Waiting,
    /// Other nodes cannot be reached; the recipients on this node were.
    BusDown {
        /// How many those are.
        expected: u64,
    },
}

impl State {
    /// Sends a message to others in a namespace.
    pub(crate) fn send(&mut self, space: usize, outgoing: &Outgoing<'_>) -> Result<Sent, Code> {
        if let Some(ack) = outgoing.wants.ack() {
            let waiting = self.find_socket(ack.socket).ok_or(Code::NotMember)?;
            if self.sockets[waiting].pending >= self.config.limits.pending_acks_max {
                return Err(Code::TooMany);
            }
        }
        let elsewhere = self.elsewhere(outgoing.targets);
        if outgoing.message.len_bytes() * elsewhere.len() > self.config.limits.fanout_bytes_max {
            return Err(Code::TooMany);
        }
        let ticket = self.next_sequence();
        let mut recipients = self.resolve(Some(space), outgoing.targets, outgoing.sender);
        let (expected, asked_as) = match outgoing.wants {
            Wants::Answers(_) => {
                let asker = Asker::Node(self.tag, ticket);
                let everyone = vec![(recipients, outgoing.message.clone())];
                self.deliver_asking(asker, everyone).ok_or(Code::TooMany)?
            }
            Wants::Nothing | Wants::Count(_) => (self.deliver(&mut recipients, &outgoing.message), None),
        };
        self.stats.deliveries_local += expected;
        self.count_unknown(space, outgoing.targets);
        Ok(self.send_remote(space, outgoing, &elsewhere, Locally { ticket, expected, asked_as }))
    }

    fn send_remote(
        &mut self,
        space: usize,
        outgoing: &Outgoing<'_>,
        elsewhere: &BTreeSet<Elsewhere<'_>>,
        locally: Locally,
    ) -> Sent {
        let Locally { ticket, expected, asked_as } = locally;
        let is_cut = !elsewhere.is_empty() && !self.bus.is_up;
        if is_cut {
            self.stats.drop(DropCause::BusDown);
        } else if !elsewhere.is_empty() {
            self.publish_message(space, outgoing, ticket, elsewhere);
        }
        let publications = if is_cut { 0 } else { elsewhere.len() };
        let is_gathering = matches!(outgoing.wants, Wants::Answers(_));
        match outgoing.wants.ack() {
            Some(ack) if publications > 0 || is_gathering && expected > 0 => {
                let is_unicast = elsewhere.iter().all(|channel| matches!(channel, Elsewhere::Node(_)));
                let mut count = Count::new(ack, expected);
                (count.unconfirmed, count.is_unicast, count.is_cut) = (publications, is_unicast, is_cut);
                count.gather = is_gathering.then(|| Box::new(Gather::new(asked_as)));
                self.await_count(ticket, count);
                Sent::Waiting
            }
            _ if is_cut => Sent::BusDown { expected },
            _ => Sent::Now { expected },
        }
    }

    fn publish_message(
        &mut self,
        space: usize,
        outgoing: &Outgoing<'_>,
        sequence: u64,
        elsewhere: &BTreeSet<Elsewhere<'_>>,
    ) {
        let is_awaited = self.note_legacy(sequence, outgoing, elsewhere);
        let ticket = (is_awaited || outgoing.wants != Wants::Nothing).then_some(sequence);
        for elsewhere in elsewhere {
            let (channel, number) = match *elsewhere {
                Elsewhere::Node(tag) => (self.node_channel(tag), self.next_node_number(tag)),
                Elsewhere::Room(name) => (self.room_channel(space, name), self.next_room_number(space, name)),
            };
            let head = Head {
                origin: self.tag,
                sequence,
                number,
                wants: outgoing.wants.wanted(),
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
                self.stats.drop(DropCause::UnknownTarget);
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
        recipients.retain(|key| {
            let is_new = core::mem::replace(&mut sockets[*key].delivery, delivery) != delivery;
            is_new && sockets[*key].is_connected
        });
        recipients
    }

    /// Puts one message into the outbox of each recipient, and forgets those who could not take it; returns how many are
    /// left.
    pub(crate) fn deliver(&mut self, recipients: &mut Vec<usize>, message: &Message) -> u64 {
        recipients.retain(|key| self.enqueue(self.sockets[*key].session, message));
        let count = recipients.len() as u64;
        self.stats.events_out += count;
        count
    }
}

/// What became of a message on this node.
#[derive(Clone, Copy)]
struct Locally {
    ticket: u64,
    expected: u64,
    /// The id its recipients were asked under.
    asked_as: Option<u32>,
}

/// A channel that other nodes listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Elsewhere<'a> {
    Node(NodeTag),
    Room(&'a str),
}
