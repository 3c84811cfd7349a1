//! Rooms: who is in them, and whether messages that other nodes send to them arrive here.
//!
//! Owns the rooms, their names and the joins that wait for a channel. A room exists while it has members, and a little
//! longer while its channel lingers. It never subscribes and never answers a join; moves do.
//!
//! Invariant: a room is not due to go while its SUBSCRIBE is unanswered on a live bus, so UNSUBSCRIBE is never sent
//! then, and a confirmation always belongs to the latest SUBSCRIBE.

use crate::{
    cluster::subscriptions::Subscription,
    deadlines::timers::Timer,
    words::{
        ids::NodeTag,
        keys::{KeyMap, KeySet, NamespaceKey, RoomKey, SocketKey, Table},
        numbers::ChannelSequence,
        pending_ack::PendingAck,
        time::Time,
    },
};
use alloc::{collections::BTreeMap, collections::VecDeque, rc::Rc};
use core::{mem, ops::Index, time::Duration};

/// One room.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) namespace: NamespaceKey,
    pub(crate) name: Rc<str>,
    members: KeySet<SocketKey>,
    subscription: Subscription,
    /// Joins to answer once the channel is confirmed, and by when each must be.
    waiting: VecDeque<(PendingAck, Time)>,
    /// The last number this node gave a message on the room's channel.
    sent: ChannelSequence,
    /// The last number each other node gave a message on the room's channel.
    received: BTreeMap<NodeTag, ChannelSequence>,
    /// The time since which nobody is in it.
    empty_since: Option<Time>,
    pub(crate) timer: Timer,
}

impl Room {
    pub(crate) fn members(&self) -> &KeySet<SocketKey> {
        &self.members
    }

    pub(crate) fn subscription(&self) -> Subscription {
        self.subscription
    }

    /// The joins that wait for the channel.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = PendingAck> {
        self.waiting.iter().map(|(ack, _)| *ack)
    }

    /// When an empty room is to be removed.
    pub(crate) fn lingers_until(&self, is_bus_up: bool, linger: Duration) -> Option<Time> {
        let is_unanswered = self.subscription == Subscription::Pending && is_bus_up;
        self.empty_since.filter(|_| !is_unanswered).map(|since| since + linger)
    }

    /// The time at which this room next needs attention: a join waited long enough, or nobody came back.
    pub(crate) fn deadline(&self, is_bus_up: bool, linger: Duration) -> Option<Time> {
        let answer_by = self.waiting.front().map(|(_, by)| *by);
        [answer_by, self.lingers_until(is_bus_up, linger)].into_iter().flatten().min()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Rooms {
    table: Table<RoomKey, Room>,
    /// The rooms of each namespace, by name.
    by_name: KeyMap<NamespaceKey, BTreeMap<Rc<str>, RoomKey>>,
}

impl Rooms {
    pub(crate) fn find(&self, namespace: NamespaceKey, name: &str) -> Option<RoomKey> {
        self.by_name.get(namespace)?.get(name).copied()
    }

    /// Inserts an empty room.
    pub(crate) fn insert(
        &mut self,
        namespace: NamespaceKey,
        name: &str,
        subscription: Subscription,
    ) -> RoomKey {
        let name: Rc<str> = Rc::from(name);
        let key = self.table.insert(Room {
            namespace,
            name: name.clone(),
            members: KeySet::default(),
            subscription,
            waiting: VecDeque::new(),
            sent: ChannelSequence::NONE,
            received: BTreeMap::new(),
            empty_since: None,
            timer: Timer::default(),
        });
        self.by_name.get_mut(namespace).insert(name, key);
        key
    }

    pub(crate) fn remove(&mut self, key: RoomKey) -> Room {
        let room = self.table.remove(key);
        self.by_name.get_mut(room.namespace).remove(&room.name);
        room
    }

    pub(crate) fn get_mut(&mut self, key: RoomKey) -> Option<&mut Room> {
        self.table.get_mut(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomKey, &Room)> {
        self.table.iter()
    }

    /// Whether the socket is in the room of this name.
    pub(crate) fn has_member(&self, namespace: NamespaceKey, name: &str, socket: SocketKey) -> bool {
        self.find(namespace, name).is_some_and(|key| self.table[key].members.contains(socket))
    }

    /// Puts a socket into a room.
    pub(crate) fn insert_member(&mut self, key: RoomKey, socket: SocketKey) {
        let room = &mut self.table[key];
        room.members.insert(socket);
        room.empty_since = None;
    }

    /// Takes a socket out of a room; true when it was the last one. Leaving a room it is not in changes nothing, so
    /// that it cannot make a channel linger longer.
    pub(crate) fn remove_member(&mut self, key: RoomKey, socket: SocketKey, now: Time) -> bool {
        let room = &mut self.table[key];
        let is_last = room.members.remove(socket) && room.members.is_empty();
        if is_last {
            room.empty_since = Some(now);
        }
        is_last
    }

    /// A join waits for the channel, until `by` at the longest.
    pub(crate) fn push_waiting(&mut self, key: RoomKey, ack: PendingAck, by: Time) {
        self.table[key].waiting.push_back((ack, by));
    }

    /// Takes every join that waits.
    pub(crate) fn take_waiting(&mut self, key: RoomKey) -> impl Iterator<Item = PendingAck> + use<> {
        mem::take(&mut self.table[key].waiting).into_iter().map(|(ack, _)| ack)
    }

    /// Takes a join that waited long enough.
    pub(crate) fn pop_overdue(&mut self, key: RoomKey, now: Time) -> Option<PendingAck> {
        self.table[key].waiting.pop_front_if(|(_, by)| *by <= now).map(|(ack, _)| ack)
    }

    /// The channel of this room is confirmed.
    pub(crate) fn confirm(&mut self, key: RoomKey) {
        self.table[key].subscription = Subscription::Confirmed;
    }

    /// No channel is subscribed any more.
    pub(crate) fn lose_subscriptions(&mut self) {
        for (_, room) in self.table.iter_mut() {
            if room.subscription == Subscription::Confirmed {
                room.subscription = Subscription::Pending;
            }
        }
    }

    /// Numbers a message to a room; no number where this node has no such room.
    pub(crate) fn next_sequence(&mut self, namespace: NamespaceKey, name: &str) -> ChannelSequence {
        let Some(key) = self.find(namespace, name) else { return ChannelSequence::NONE };
        let sent = &mut self.table[key].sent;
        *sent = sent.next();
        *sent
    }

    /// The last number received from `origin` on a room's channel.
    pub(crate) fn received_mut(&mut self, key: RoomKey, origin: NodeTag) -> &mut ChannelSequence {
        self.table[key].received.entry(origin).or_insert(ChannelSequence::NONE)
    }

    /// Panics when the index of names and the table disagree.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let names: usize = self.by_name.values().map(BTreeMap::len).sum();
        assert_eq!(names, self.table.len(), "each room has one name");
        for (key, room) in self.table.iter() {
            room.members.check_invariants();
            assert_eq!(self.find(room.namespace, &room.name), Some(key), "a room is found by its name");
            assert_eq!(room.members.is_empty(), room.empty_since.is_some(), "an empty room lingers");
        }
    }
}

impl Index<RoomKey> for Rooms {
    type Output = Room;

    fn index(&self, key: RoomKey) -> &Room {
        &self.table[key]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{ids::SocketId, numbers::AckId};

    const LINGER: Duration = Duration::from_secs(2);

    fn keys() -> (NamespaceKey, [SocketKey; 2]) {
        let mut sockets = Table::<SocketKey, ()>::default();
        (Table::<_, ()>::default().insert(()), [(); 2].map(|()| sockets.insert(())))
    }

    fn ack(number: u64) -> PendingAck {
        PendingAck { socket: SocketId::parse("abcdefghijABCDEF-_09").unwrap(), id: AckId::new(number) }
    }

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_room_is_found_by_name_until_it_is_removed() {
        let (namespace, [socket, other]) = keys();
        let mut rooms = Rooms::default();
        assert_eq!(rooms.find(namespace, "a"), None);
        let room = rooms.insert(namespace, "a", Subscription::None);
        rooms.insert_member(room, socket);
        assert_eq!(rooms.find(namespace, "a"), Some(room));
        assert!(rooms.has_member(namespace, "a", socket) && !rooms.has_member(namespace, "a", other));
        rooms.check_invariants();
        assert!(!rooms.remove_member(room, other, at(1)) && rooms.remove_member(room, socket, at(1)));
        assert!(!rooms.remove_member(room, socket, at(9)), "leaving twice changes nothing");
        assert_eq!(rooms[room].lingers_until(true, LINGER), Some(at(3)));
        rooms.remove(room);
        assert_eq!((rooms.find(namespace, "a"), rooms.len()), (None, 0));
    }

    #[test]
    fn an_empty_room_stays_while_its_subscribe_is_unanswered_on_a_live_bus() {
        let (namespace, [socket, _]) = keys();
        let mut rooms = Rooms::default();
        let room = rooms.insert(namespace, "a", Subscription::Pending);
        rooms.insert_member(room, socket);
        rooms.remove_member(room, socket, at(1));
        assert_eq!(rooms[room].deadline(true, LINGER), None);
        assert_eq!(rooms[room].deadline(false, LINGER), Some(at(3)), "nothing will answer it");
        rooms.confirm(room);
        assert_eq!(rooms[room].deadline(true, LINGER), Some(at(3)));
        rooms.lose_subscriptions();
        assert_eq!(rooms[room].subscription(), Subscription::Pending);
    }

    #[test]
    fn joins_wait_in_order_each_for_its_own_time() {
        let (namespace, _) = keys();
        let mut rooms = Rooms::default();
        let room = rooms.insert(namespace, "a", Subscription::Pending);
        (1..=3).for_each(|number| rooms.push_waiting(room, ack(number), at(number)));
        assert_eq!(rooms[room].deadline(true, LINGER), Some(at(1)));
        assert_eq!(rooms.pop_overdue(room, at(1)), Some(ack(1)));
        assert_eq!(rooms.pop_overdue(room, at(1)), None);
        assert!(rooms.take_waiting(room).eq([ack(2), ack(3)]));
        assert_eq!(rooms[room].waiting().count(), 0);
    }

    #[test]
    fn messages_to_a_room_are_numbered_while_the_room_is_here() {
        let (namespace, _) = keys();
        let mut rooms = Rooms::default();
        assert_eq!(rooms.next_sequence(namespace, "a"), ChannelSequence::NONE);
        let room = rooms.insert(namespace, "a", Subscription::Confirmed);
        let numbers = [(); 2].map(|()| rooms.next_sequence(namespace, "a").number());
        assert_eq!(numbers, [1, 2]);
        let origin = NodeTag::parse("00c0ffee").unwrap();
        *rooms.received_mut(room, origin) = ChannelSequence::new(7);
        assert_eq!(*rooms.received_mut(room, origin), ChannelSequence::new(7));
    }
}
