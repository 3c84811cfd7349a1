//! Rooms: who is in them, and whether this node hears what other nodes send to them.
//!
//! A room exists while it has members, and a little longer while its channel lingers. A node is subscribed to a room's
//! channel only in that time.
//!
//! Invariant: UNSUBSCRIBE is never sent while a SUBSCRIBE of the same channel is unanswered on a live bus, so a
//! confirmation always belongs to the latest SUBSCRIBE.

use crate::{
    app::{Completion, JoinOutcome, PendingAck},
    code::Code,
    ids::NodeTag,
    output::Output,
    state::State,
    time::Time,
    timer::TimerKind,
};
use alloc::{
    collections::BTreeMap, collections::BTreeSet, collections::VecDeque, format, rc::Rc, string::String,
    vec::Vec,
};

#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) space: usize,
    pub(crate) name: Rc<str>,
    pub(crate) members: BTreeSet<usize>,
    interest: Interest,
    /// Joins to answer once the channel is confirmed, and by when each must be.
    waiting: VecDeque<(PendingAck, Time)>,
    /// Messages this node published to the room's channel.
    sent: u64,
    /// The last number each other node gave a message on the room's channel.
    heard: BTreeMap<NodeTag, u64>,
    /// Since when nobody is in it.
    empty_since: Option<Time>,
    timer: Option<Time>,
}

/// How far this node's subscription to the room's channel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    /// This node is alone: there is no channel.
    None,
    /// Asked for, not yet confirmed.
    Pending,
    /// What is published from here on is heard.
    Confirmed,
}

/// What became of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// The socket is in the room.
    Now(JoinOutcome),
    /// The socket is in the room here; the answer comes as a completion once other nodes' messages are heard, too.
    Waiting,
}

impl State {
    /// Puts a socket into a room. Being in it already is no error.
    pub(crate) fn join(
        &mut self,
        socket: usize,
        name: &str,
        ack: Option<PendingAck>,
    ) -> Result<Joined, Code> {
        let limits = &self.config.limits;
        let member = &self.sockets[socket];
        let (rooms, pending) = (member.rooms.len(), member.pending);
        let space = member.space;
        let found = self.spaces[space].rooms.get(name).copied();
        let is_member = found.is_some_and(|room| self.rooms[room].members.contains(&socket));
        if !is_member && rooms >= limits.rooms_max || ack.is_some() && pending >= limits.pending_acks_max {
            return Err(Code::TooMany);
        }
        let room = found.unwrap_or_else(|| self.insert_room(space, name));
        if !is_member {
            self.rooms[room].members.insert(socket);
            self.rooms[room].empty_since = None;
            self.sockets[socket].rooms.push(room);
        }
        let joined = self.answer_join(socket, room, ack);
        self.schedule_room(room);
        Ok(joined)
    }

    fn answer_join(&mut self, socket: usize, room: usize, ack: Option<PendingAck>) -> Joined {
        match self.rooms[room].interest {
            Interest::None | Interest::Confirmed => Joined::Now(JoinOutcome::Everywhere),
            Interest::Pending if !self.bus.is_up => Joined::Now(JoinOutcome::HereOnly),
            Interest::Pending => {
                if let Some(ack) = ack {
                    let by = self.now + self.config.limits.ack_timeout;
                    self.sockets[socket].pending += 1;
                    self.rooms[room].waiting.push_back((ack, by));
                }
                Joined::Waiting
            }
        }
    }

    fn insert_room(&mut self, space: usize, name: &str) -> usize {
        let name: Rc<str> = Rc::from(name);
        let channel = self.room_channel(space, &name);
        let interest = if channel.is_some() { Interest::Pending } else { Interest::None };
        let key = self.rooms.insert(Room {
            space,
            name: name.clone(),
            members: BTreeSet::new(),
            interest,
            waiting: VecDeque::new(),
            sent: 0,
            heard: BTreeMap::new(),
            empty_since: None,
            timer: None,
        });
        self.spaces[space].rooms.insert(name, key);
        self.outputs.extend(channel.map(Output::Subscribe));
        key
    }

    /// Whether the socket is in the room of this name.
    pub(crate) fn is_member(&self, socket: usize, name: &str) -> bool {
        let space = &self.spaces[self.sockets[socket].space];
        space.rooms.get(name).is_some_and(|room| self.rooms[*room].members.contains(&socket))
    }

    /// Takes a socket out of a room. Not being in it is no error.
    pub(crate) fn leave(&mut self, socket: usize, name: &str) {
        let space = self.sockets[socket].space;
        let Some(&room) = self.spaces[space].rooms.get(name) else { return };
        self.sockets[socket].rooms.retain(|at| *at != room);
        self.remove_member(room, socket);
    }

    pub(crate) fn remove_member(&mut self, key: usize, socket: usize) {
        let room = &mut self.rooms[key];
        // Leaving a room one is not in must not make its channel linger longer.
        if room.members.remove(&socket) && room.members.is_empty() {
            room.empty_since = Some(self.now);
            if room.interest == Interest::None {
                return self.remove_room(key);
            }
        }
        self.schedule_room(key);
    }

    /// Numbers a message to a room; 0 where this node is not in it.
    pub(crate) fn next_room_number(&mut self, space: usize, name: &str) -> u64 {
        let Some(&key) = self.spaces[space].rooms.get(name) else { return 0 };
        self.rooms[key].sent += 1;
        self.rooms[key].sent
    }

    /// The last number heard from `origin` on a room's channel, if that channel is still wanted.
    pub(crate) fn room_heard(&mut self, channel: &str, origin: NodeTag) -> Option<&mut u64> {
        let key = self.find_room(channel)?;
        Some(self.rooms[key].heard.entry(origin).or_default())
    }

    fn find_room(&self, channel: &str) -> Option<usize> {
        let prefix = &self.config.cluster.as_ref()?.prefix;
        let (space, name) = channel.strip_prefix(prefix.as_str())?.strip_prefix(":room:")?.split_once(',')?;
        self.spaces[self.find_space(space)?].rooms.get(name).copied()
    }

    /// A channel is confirmed: what was sent to the room from now on is heard here.
    pub(crate) fn channel_subscribed(&mut self, channel: &str) {
        let Some(key) = self.find_room(channel) else { return };
        self.rooms[key].interest = Interest::Confirmed;
        self.answer_waiting(key, JoinOutcome::Everywhere);
        self.schedule_room(key);
    }

    /// Nothing is subscribed any more.
    pub(crate) fn rooms_unsubscribed(&mut self) {
        for (_, room) in &mut self.rooms {
            if room.interest == Interest::Confirmed {
                room.interest = Interest::Pending;
            }
        }
    }

    /// The bus is away: who waits for a confirmation is told that the room works on this node only.
    pub(crate) fn bus_left_rooms(&mut self) {
        let keys: Vec<usize> = self.rooms.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.answer_waiting(key, JoinOutcome::HereOnly);
            self.schedule_room(key);
        }
    }

    fn answer_waiting(&mut self, key: usize, outcome: JoinOutcome) {
        for (ack, _) in core::mem::take(&mut self.rooms[key].waiting) {
            self.complete(ack, Completion::Joined { ack, outcome });
        }
    }

    /// A room's deadline: a join waited long enough, or nobody came back.
    pub(crate) fn room_due(&mut self, key: usize) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.timer = None;
        while let Some((ack, _)) = self.rooms[key].waiting.pop_front_if(|(_, by)| *by <= self.now) {
            self.complete(ack, Completion::Joined { ack, outcome: JoinOutcome::Unconfirmed });
        }
        if self.lingers_until(key).is_some_and(|until| until <= self.now) {
            self.remove_room(key);
        } else {
            self.schedule_room(key);
        }
    }

    /// When an empty room goes. Never while its SUBSCRIBE is unanswered on a live bus, which notices by itself when
    /// answers stay away.
    fn lingers_until(&self, key: usize) -> Option<Time> {
        let room = &self.rooms[key];
        let is_unanswered = room.interest == Interest::Pending && self.bus.is_up;
        let since = room.empty_since.filter(|_| !is_unanswered)?;
        Some(since + self.config.limits.room_linger)
    }

    fn schedule_room(&mut self, key: usize) {
        let answer_by = self.rooms[key].waiting.front().map(|(_, by)| *by);
        let at = [answer_by, self.lingers_until(key)].into_iter().flatten().min();
        self.timers.set(TimerKind::Room(key), &mut self.rooms[key].timer, at);
    }

    fn remove_room(&mut self, key: usize) {
        self.answer_waiting(key, JoinOutcome::HereOnly);
        let mut room = self.rooms.remove(key);
        self.timers.set(TimerKind::Room(key), &mut room.timer, None);
        self.spaces[room.space].rooms.remove(&room.name);
        let channel = self.room_channel(room.space, &room.name);
        self.outputs.extend(channel.map(Output::Unsubscribe));
    }

    /// The channel of a room; a namespace holds no comma, so the name is unambiguous.
    pub(crate) fn room_channel(&self, space: usize, room: &str) -> Option<String> {
        let channels = self.config.cluster.as_ref()?;
        Some(format!("{}:room:{},{room}", channels.prefix, self.spaces[space].name))
    }
}
