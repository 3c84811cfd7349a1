//! The tables of a node and the few moves every part of it shares: insert, enqueue, doom, close.
//!
//! Invariants: a slot of a table is only ever reached through its own index or through an id that is compared whole;
//! closing happens at the end of an input, never in the middle of a delivery.

use crate::{
    DropCause,
    answers::Answers,
    app::{Completion, PendingAck},
    args::Args,
    backend_asks::Asks,
    bus::Bus,
    config::Config,
    conn::Conns,
    counts::Counts,
    crossing::Crossings,
    ids::{self, Entropy, NodeTag, Secret, SessionId, SocketId},
    input::Dialect,
    message::Message,
    output::Output,
    rooms::Room,
    session::Session,
    stats::Stats,
    time::Time,
    timer::{TimerKind, Timers},
    transport::Transport,
};
use alloc::{boxed::Box, collections::BTreeMap, collections::VecDeque, rc::Rc, vec::Vec};
use moorline_protocol::{
    Reason,
    socket::packet::{self, Envelope},
};
use slab::Slab;

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) entropy: Box<dyn Entropy>,
    pub(crate) tag: NodeTag,
    /// The time of the input being handled.
    pub(crate) now: Time,
    pub(crate) conns: Conns,
    pub(crate) sessions: Slab<Session>,
    pub(crate) crossings: Crossings,
    pub(crate) sockets: Slab<Socket>,
    pub(crate) spaces: Vec<Namespace>,
    pub(crate) rooms: Slab<Room>,
    pub(crate) timers: Timers,
    pub(crate) bus: Bus,
    pub(crate) counts: Counts,
    pub(crate) asks: Asks,
    pub(crate) answers: Answers,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) stats: Stats,
    /// Set while draining: until when the last session is to be closed, and the next batch.
    pub(crate) drain: Option<crate::drain::Drain>,
    /// Sockets to end at the end of this input.
    pub(crate) expelled: Vec<SocketId>,
    /// Sessions to close at the end of this input.
    pub(crate) doomed: Vec<usize>,
    /// Sockets whose end the application has not heard of.
    pub(crate) ended: Vec<Ended>,
    /// Answers the application has not heard of.
    pub(crate) completions: Vec<Completion>,
    /// Numbers deliveries, so that a socket which several targets name is served once.
    pub(crate) delivery: u64,
}

/// One client in one namespace.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) id: SocketId,
    pub(crate) session: usize,
    pub(crate) space: usize,
    pub(crate) rooms: Vec<usize>,
    /// Whether its client was told that it is connected; before that it receives nothing.
    pub(crate) is_connected: bool,
    /// Answers this socket waits for.
    pub(crate) pending: usize,
    /// Bytes of answers to its questions that are still open.
    pub(crate) gathered_bytes: usize,
    /// The last delivery this socket was named in.
    pub(crate) delivery: u64,
}

/// A socket that is no more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) socket: SocketId,
    pub(crate) space: usize,
    pub(crate) reason: Reason,
}

/// A namespace and the index of its rooms.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: Rc<str>,
    pub(crate) rooms: BTreeMap<Rc<str>, usize>,
}

impl State {
    pub(crate) fn new(config: Config, mut entropy: Box<dyn Entropy>, now: Time) -> State {
        let tag = NodeTag::random(&mut *entropy);
        let spaces = config
            .namespaces
            .iter()
            .map(|name| Namespace { name: Rc::from(name.as_str()), rooms: BTreeMap::new() })
            .collect();
        let mut state = State {
            config,
            entropy,
            tag,
            now,
            conns: Conns::default(),
            sessions: Slab::new(),
            crossings: Crossings::default(),
            sockets: Slab::new(),
            spaces,
            rooms: Slab::new(),
            timers: Timers::default(),
            bus: Bus::default(),
            counts: Counts::default(),
            asks: Asks::default(),
            answers: Answers::default(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
            drain: None,
            expelled: Vec::new(),
            doomed: Vec::new(),
            ended: Vec::new(),
            completions: Vec::new(),
            delivery: 0,
        };
        state.subscribe_own_channels();
        state
    }

    pub(crate) fn insert_session(&mut self, transport: Transport, dialect: Dialect) -> usize {
        let secret = Secret::random(&mut *self.entropy);
        let mut random = [0];
        self.entropy.fill(&mut random);
        self.stats.sessions_opened += 1;
        self.sessions.insert(Session::new(
            secret,
            transport,
            dialect,
            self.now,
            &self.config.limits,
            random[0],
        ))
    }

    /// The live session that `sid` names. One whose time is over is none, even before its deadline was handled.
    pub(crate) fn find_session(&self, sid: &str) -> Option<usize> {
        self.find_session_at(sid, self.now)
    }

    /// The same at another time than that of the input being handled.
    pub(crate) fn find_session_at(&self, sid: &str, now: Time) -> Option<usize> {
        let (slot, secret) = ids::parse_session_id(&self.config.name, sid)?;
        let session = self.sessions.get(slot as usize)?;
        let is_alive = session.secret.equals(secret) && session.doom.is_none() && !session.is_over(now);
        is_alive.then_some(slot as usize)
    }

    /// The live session that an application names.
    pub(crate) fn find_session_id(&self, id: SessionId) -> Option<usize> {
        let key = id.slot as usize;
        self.sessions.get(key).filter(|session| session.secret == id.secret).map(|_| key)
    }

    /// The index of the namespace with this name.
    pub(crate) fn find_space(&self, name: &str) -> Option<usize> {
        self.spaces.iter().position(|space| *space.name == *name)
    }

    /// The socket that `id` addresses, if it lives and lives here.
    pub(crate) fn find_socket(&self, id: SocketId) -> Option<usize> {
        let key = id.slot() as usize;
        self.sockets.get(key).filter(|socket| socket.id == id).map(|_| key)
    }

    /// Puts a message into a session's outbox. A session that cannot take it is doomed; returns whether it could.
    pub(crate) fn enqueue(&mut self, key: usize, message: &Message) -> bool {
        let session = &mut self.sessions[key];
        if session.doom.is_some() {
            return false;
        }
        let was_empty = session.outbox.is_empty();
        if session.outbox.push(message, self.config.limits.outbox_bytes_max).is_err() {
            self.stats.drop(DropCause::SlowConsumer);
            self.doom(key, Reason::SlowConsumer);
            return false;
        }
        if was_empty {
            self.outputs.extend(session.transport.outlet().map(Output::Flush));
        }
        true
    }

    /// Answers an acknowledgement, unless the socket that waits for it is gone.
    pub(crate) fn acknowledge(&mut self, ack: PendingAck, args: &Args) {
        let Some(key) = self.find_socket(ack.socket) else { return };
        let (session, space) = (self.sockets[key].session, self.sockets[key].space);
        let (namespace, number) = (&*self.spaces[space].name, Some(ack.id.number()));
        let attachments = args.attachments();
        let frame =
            packet::ack(Envelope { namespace, ack: number, attachments: attachments.len() }, args.as_json());
        if self.enqueue(session, &Message::new(frame, attachments.to_vec())) {
            self.stats.events_out += 1;
        }
    }

    /// Ends a session when the current input has been handled. The first reason stands.
    pub(crate) fn doom(&mut self, key: usize, reason: Reason) {
        let session = &mut self.sessions[key];
        if session.doom.is_none() {
            session.doom = Some(reason);
            self.doomed.push(key);
        }
    }

    pub(crate) fn close_doomed(&mut self) {
        while let Some(key) = self.doomed.pop() {
            // It may have gone with its connection meanwhile.
            let doom = self.sessions.get(key).and_then(|session| session.doom);
            if let Some(reason) = doom {
                self.remove_session(key, reason);
            }
        }
    }

    pub(crate) fn remove_session(&mut self, key: usize, reason: Reason) {
        let mut session = self.sessions.remove(key);
        self.timers.set(TimerKind::Session(key), &mut session.timer, None);
        for &(_, socket) in &session.sockets {
            self.remove_socket(socket, reason);
        }
        self.stats.sessions_closed.add(reason);
        self.release(session.transport, session.outbox, reason);
    }

    pub(crate) fn insert_socket(&mut self, session: usize, space: usize) -> SocketId {
        let entry = self.sockets.vacant_entry();
        let id = SocketId::new(self.tag, slot(entry.key()), &mut *self.entropy);
        let socket = Socket {
            id,
            session,
            space,
            rooms: Vec::new(),
            is_connected: false,
            pending: 0,
            gathered_bytes: 0,
            delivery: 0,
        };
        self.sessions[session].sockets.push((space, entry.key()));
        entry.insert(socket);
        id
    }

    /// Takes a socket out of its rooms and its table. The caller takes it out of its session.
    pub(crate) fn remove_socket(&mut self, key: usize, reason: Reason) {
        let socket = self.sockets.remove(key);
        for &room in &socket.rooms {
            self.remove_member(room, key);
        }
        self.ended.push(Ended { socket: socket.id, space: socket.space, reason });
        self.forget_asks(socket.id);
        self.forget_counts(socket.id);
        self.forget_answers(socket.id);
    }

    /// Registers the session's next deadline.
    pub(crate) fn schedule(&mut self, key: usize) {
        let session = &mut self.sessions[key];
        let deadline = session.deadline();
        self.timers.set(TimerKind::Session(key), &mut session.timer, Some(deadline));
    }
}

/// A table index as the 32 bits an id holds. The shell bounds the sessions, far below that, and each has few sockets.
pub(crate) fn slot(key: usize) -> u32 {
    debug_assert!(u32::try_from(key).is_ok(), "a table outgrew its ids");
    u32::try_from(key).unwrap_or(u32::MAX)
}
