//! The books of the chaos over several nodes: who is there, what was sent to whom, and what must therefore arrive.
//!
//! Owns no world. It judges what clients received: every number of a sender once and in order, every ack once, and
//! nothing missing that no cut could have taken.

use moorline_tests::sim::{Client, Received, World};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const NODES: usize = 3;

/// A room, by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room(pub(crate) usize);

/// A client, what it asked for and what it received.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) node: usize,
    pub(crate) id: String,
    rooms: BTreeMap<usize, Membership>,
    /// The last message that was sent before it last left a room.
    left: BTreeMap<usize, u64>,
    /// The acks it asked for, and those it got.
    asked: BTreeSet<u64>,
    acked: BTreeSet<u64>,
    /// The acks it owes to others.
    pub(crate) owed: Vec<u64>,
    /// The last number it received of each sender.
    last: BTreeMap<String, u64>,
    /// Sender and number of what it received since the last check.
    received: BTreeSet<(String, u64)>,
}

/// How far a room has got with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    /// Not yet: the node has not read that it wants to join.
    Asked(u64),
    /// On its own node only, or not confirmed: other nodes may miss it.
    Near(u64),
    /// Everywhere.
    Whole,
}

impl Person {
    pub(crate) fn new(client: Client, node: usize, id: String) -> Person {
        Person {
            client,
            node,
            id,
            rooms: BTreeMap::new(),
            left: BTreeMap::new(),
            asked: BTreeSet::new(),
            acked: BTreeSet::new(),
            owed: Vec::new(),
            last: BTreeMap::new(),
            received: BTreeSet::new(),
        }
    }

    pub(crate) fn asks(&mut self, ack: u64) {
        assert!(self.asked.insert(ack), "a number for each ack");
    }

    pub(crate) fn joins(&mut self, Room(room): Room, ack: u64) {
        self.asks(ack);
        if self.rooms.get(&room) != Some(&Membership::Whole) {
            self.rooms.insert(room, Membership::Near(ack));
        }
    }

    /// The same, but the node does not read from it now.
    pub(crate) fn will_join(&mut self, Room(room): Room, ack: u64) {
        self.asks(ack);
        self.rooms.entry(room).or_insert(Membership::Asked(ack));
    }

    /// It leaves a room, after the message with this number was sent.
    fn leaves(&mut self, Room(room): Room, number: u64) {
        self.rooms.remove(&room);
        self.left.insert(room, number);
    }

    /// Whether it was a member of one of these rooms all the time since this message was sent.
    fn has_stayed(&self, rooms: &[usize], number: u64) -> bool {
        rooms.iter().any(|room| self.rooms.contains_key(room) && self.left.get(room) < Some(&number))
    }

    /// Whether what is sent to a room reaches it; from its own node it does so at once.
    fn is_member(&self, room: usize, is_near: bool) -> bool {
        match self.rooms.get(&room) {
            Some(Membership::Whole) => true,
            Some(Membership::Near(_)) => is_near,
            Some(Membership::Asked(_)) | None => false,
        }
    }

    /// Takes in what came for it.
    fn collect(&mut self, world: &mut World) {
        for packet in world.received_all(self.client) {
            if let Received::Text(text) = packet {
                match text.strip_prefix("43") {
                    Some(ack) => self.take_ack(ack),
                    None => self.take_event(&text),
                }
            }
        }
    }

    fn take_ack(&mut self, ack: &str) {
        let (id, args) = ack.split_once('[').expect("an ack has arguments");
        let id = id.parse().expect("an ack has a number");
        assert!(self.asked.contains(&id), "ack {id} was not asked for");
        assert!(self.acked.insert(id), "ack {id} came twice");
        if args == r#"{"ok":true}]"# {
            let is_it = |membership: &Membership| matches!(membership, Membership::Near(ack) | Membership::Asked(ack) if *ack == id);
            let joined = self.rooms.values_mut().find(|membership| is_it(membership));
            joined.into_iter().for_each(|membership| *membership = Membership::Whole);
        }
    }

    /// An event from a client; its first argument is the sender's next number.
    fn take_event(&mut self, text: &str) {
        let (head, items) = text.split_once('[').expect("an event");
        let items: serde_json::Value = serde_json::from_str(&format!("[{items}")).expect("JSON");
        let sender = items[1]["from"].as_str().expect("a sender").to_owned();
        let number = items[2].as_u64().expect("a number");
        let last = self.last.insert(sender.clone(), number);
        assert!(last < Some(number), "{number} of {sender} comes after {last:?} to {}", self.id);
        self.received.insert((sender, number));
        if items[0] == "q" && head.len() > 2 {
            self.owed.push(head[2..].parse().expect("a question has a number"));
        }
    }
}

/// One message and whom it must reach, unless a cut takes it.
struct Sent {
    from: usize,
    number: u64,
    ids: Vec<usize>,
    rooms: Vec<usize>,
    /// The recipients that were there and could be reached.
    to: Vec<usize>,
    cuts: [u64; NODES],
    /// Whether it had to wait before it went out.
    is_delayed: bool,
}

/// Everybody who ever came, and what is under way.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) people: Vec<Person>,
    sent: Vec<Sent>,
    /// How often each node's link was cut.
    cuts: [u64; NODES],
    numbers: u64,
    /// How many messages had to arrive, and did.
    pub(crate) arrived: usize,
}

impl Ledger {
    /// The number of a message that is about to be sent.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A node's link was cut, or the node died.
    pub(crate) fn cut(&mut self, node: usize) {
        self.cuts[node] += 1;
    }

    /// Somebody leaves a room.
    pub(crate) fn leaves(&mut self, who: usize, room: Room) {
        self.people[who].leaves(room, self.numbers);
    }

    /// The last message was sent to these people by their ids and to the members of these rooms.
    pub(crate) fn sent(&mut self, world: &World, from: usize, ids: Vec<usize>, rooms: Vec<usize>) {
        let sender = &self.people[from];
        let is_reached = |(number, person): &(usize, &Person)| {
            let is_near = person.node == sender.node;
            *number != from
                && world.is_open(person.client)
                && (ids.contains(number) || rooms.iter().any(|room| person.is_member(*room, is_near)))
                && (is_near || is_linked(world, sender.node) && is_linked(world, person.node))
        };
        let to = self.people.iter().enumerate().filter(is_reached).map(|(number, _)| number).collect();
        let is_delayed = world.is_waiting(sender.client);
        self.sent.push(Sent { from, number: self.numbers, ids, rooms, to, cuts: self.cuts, is_delayed });
    }

    /// Whether nothing came between this message and this recipient, who is still there.
    fn must_have_arrived(&self, world: &World, sent: &Sent, recipient: usize) -> bool {
        let (sender, person) = (&self.people[sent.from], &self.people[recipient]);
        let is_cut = |node: usize| self.cuts[node] > sent.cuts[node];
        let is_still_meant = sent.ids.contains(&recipient) || person.has_stayed(&sent.rooms, sent.number);
        if sent.is_delayed && !(is_still_meant && world.is_open(sender.client)) {
            return false;
        }
        person.node == sender.node || is_still_meant && !is_cut(sender.node) && !is_cut(person.node)
    }

    pub(crate) fn collect(&mut self, world: &mut World) {
        self.people.iter_mut().for_each(|person| person.collect(world));
    }

    /// Nothing is under way and everybody reads: what was sent since the last check has arrived, or a cut took it.
    pub(crate) fn check_arrivals(&mut self, world: &mut World) {
        self.collect(world);
        for sent in std::mem::take(&mut self.sent) {
            for &recipient in &sent.to {
                let person = &self.people[recipient];
                if world.is_open(person.client) && self.must_have_arrived(world, &sent, recipient) {
                    let message = (self.people[sent.from].id.clone(), sent.number);
                    assert!(person.received.contains(&message), "{message:?} did not reach {}", person.id);
                    self.arrived += 1;
                }
            }
        }
        for person in &mut self.people {
            person.received.clear();
            if world.is_open(person.client) && is_linked(world, person.node) {
                person.rooms.values_mut().for_each(|membership| *membership = Membership::Whole);
            }
        }
    }

    /// Time enough has passed: who is still there has every ack it asked for.
    pub(crate) fn check_acks(&mut self, world: &mut World) {
        self.collect(world);
        for person in self.people.iter().filter(|person| world.is_open(person.client)) {
            assert_eq!(person.acked, person.asked, "acks of {}", person.id);
        }
    }
}

fn is_linked(world: &World, node: usize) -> bool {
    world.node(node).bus_is_up() == Some(true)
}
