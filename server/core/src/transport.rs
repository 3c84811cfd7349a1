//! How a session's packets travel: by held polls and posts, or by one WebSocket, and the way from the first to the second.
//!
//! Owns the whole state machine of the transport. The rest of the core puts messages into an outbox and dooms sessions;
//! it never asks how they travel.
//!
//! | state | GET | POST | WebSocket with its sid | `2probe` on it | `5` on it |
//! |---|---|---|---|---|---|
//! | polling | held, or answered from the outbox | taken packet by packet | becomes its probe | | |
//! | polling, probed | the same; after a moment with nothing to say, a noop | the same | closed | `3probe`; a held poll gets a noop | websocket; a held poll gets a noop |
//! | websocket | refused | refused; one that had begun is taken to its end | closed | | |
//!
//! A second GET or POST beside a first ends the session, and so does a GET whose connection goes away.
//!
//! Invariants: a poll is held by one connection at most and answered exactly once; a message stays in the outbox until
//! one transport takes it, so moving to a WebSocket loses, doubles and reorders nothing.

use crate::{
    DropCause,
    conn::{Carried, ConnId},
    ids,
    input::Dialect,
    outbox::Outbox,
    output::{Output, RequestAnswer, RequestError},
    session::Session,
    state::{State, slot},
    time::Time,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use core::time::Duration;
use moorline_protocol::{
    Frame, Reason,
    engine::{self, Handshake, Packet},
};

/// How long a poll waits during an upgrade before a noop ends it. The client must have no poll open when it moves.
const NOOP_AFTER: Duration = Duration::from_millis(100);

/// How long a client may be without a poll before its session makes room for a newcomer's on a node that is full. A live
/// one is without for a round trip.
const AWAY_MAX: Duration = Duration::from_secs(2);

/// The kinds of transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// HTTP long polling.
    Polling,
    /// A WebSocket.
    WebSocket,
}

/// What carries a session.
#[derive(Debug)]
pub(crate) enum Transport {
    WebSocket {
        conn: ConnId,
        /// A POST that had begun when the client moved here.
        post: Option<ConnId>,
    },
    /// Boxed: most sessions are on a WebSocket and should not pay for it.
    Polling(Box<Polling>),
}

#[derive(Debug, Default)]
pub(crate) struct Polling {
    /// The GET that is held until there is something to say.
    poll: Option<ConnId>,
    /// How many packets it may be answered with.
    packets_max: usize,
    /// Since when there has been none, once there was.
    away_since: Time,
    /// The POST whose packets are coming in.
    post: Option<ConnId>,
    probe: Option<Probe>,
}

/// The WebSocket that a session may move to.
#[derive(Debug)]
struct Probe {
    conn: ConnId,
    /// By when the client must have moved.
    by: Time,
    has_been_tested: bool,
    /// When a poll that is held meanwhile ends.
    noop_at: Option<Time>,
}

impl Polling {
    /// The held poll is about to be answered; from now on there is none.
    fn take_poll(&mut self, now: Time) -> Option<ConnId> {
        self.away_since = now;
        self.poll.take()
    }
}

impl Transport {
    fn new(kind: TransportKind, conn: ConnId) -> Transport {
        match kind {
            TransportKind::WebSocket => Transport::WebSocket { conn, post: None },
            TransportKind::Polling => {
                let poll = Some(conn);
                Transport::Polling(Box::new(Polling { poll, packets_max: 1, ..Polling::default() }))
            }
        }
    }

    pub(crate) fn kind(&self) -> TransportKind {
        match self {
            Transport::WebSocket { .. } => TransportKind::WebSocket,
            Transport::Polling(_) => TransportKind::Polling,
        }
    }

    /// The connection that takes what the outbox holds, if one is there now.
    pub(crate) fn outlet(&self) -> Option<ConnId> {
        match self {
            Transport::WebSocket { conn, .. } => Some(*conn),
            Transport::Polling(polling) => polling.poll,
        }
    }

    /// Whether someone is there to be told that the session ends, behind all that its outbox holds. A poll must not be
    /// answered with more packets than its client takes.
    pub(crate) fn can_take_leave(&self, outbox: &Outbox) -> bool {
        match self {
            Transport::WebSocket { .. } => true,
            Transport::Polling(polling) => polling.poll.is_some() && outbox.len() < polling.packets_max,
        }
    }

    /// When an upgrade wants attention.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let Transport::Polling(polling) = self else { return None };
        let probe = polling.probe.as_ref()?;
        Some(probe.noop_at.map_or(probe.by, |noop_at| noop_at.min(probe.by)))
    }

    fn post_mut(&mut self) -> &mut Option<ConnId> {
        match self {
            Transport::WebSocket { post, .. } => post,
            Transport::Polling(polling) => &mut polling.post,
        }
    }
}

impl State {
    /// By which transport this node takes requests for `sid` at `now`, if it knows it.
    pub(crate) fn transport_of(&self, sid: &str, now: Time) -> Option<TransportKind> {
        if let Some(key) = self.find_session_at(sid, now) {
            return Some(self.sessions[key].transport.kind());
        }
        let (_, secret) = ids::parse_session_id(&self.config.name, sid)?;
        self.crossings.expects(secret, now).then_some(TransportKind::Polling)
    }

    /// Gives a new session to a WebSocket, or to the GET that asked for one.
    pub(crate) fn open(&mut self, conn: ConnId, kind: TransportKind, dialect: Dialect) {
        if kind == TransportKind::Polling && !self.has_room() {
            return self.refuse(conn, RequestError::Overloaded);
        }
        let key = self.insert_session(Transport::new(kind, conn), dialect);
        let carried = match kind {
            TransportKind::WebSocket => Carried::Session(key),
            TransportKind::Polling => Carried::Poll(key),
        };
        self.conns.insert(conn, carried);
        let sid = self.session_id(key);
        let limits = &self.config.limits;
        let upgrades: &[&str] = if kind == TransportKind::Polling { &["websocket"] } else { &[] };
        let handshake = Handshake {
            sid: &sid,
            upgrades,
            ping_interval_ms: millis(limits.ping_interval),
            ping_timeout_ms: millis(limits.ping_timeout),
            payload_bytes_max: limits.payload_bytes_max as u64,
        };
        self.enqueue(key, &handshake.encode().into());
        self.schedule(key);
        if self.drain.is_some() {
            self.doom(key, Reason::ServerShuttingDown);
        }
    }

    /// Whether one more session may come. On a full node, the one whose client has been away longest makes room: otherwise
    /// whoever opens sessions and leaves them alone would keep everyone else out.
    fn has_room(&mut self) -> bool {
        if self.sessions.len() < self.config.sessions_max {
            return true;
        }
        let away_since = |session: &Session| match &session.transport {
            Transport::Polling(polling) if polling.poll.is_none() => Some(polling.away_since),
            _ => None,
        };
        let away = self.sessions.iter().filter(|(_, session)| session.doom.is_none());
        let away = away.filter_map(|(key, session)| Some((away_since(session)?, key)));
        match away.min() {
            Some((since, key)) if self.now - since >= AWAY_MAX => {
                self.stats.drop(DropCause::SessionEvicted);
                self.doom(key, Reason::TransportClose);
                true
            }
            _ => false,
        }
    }

    fn session_id(&self, key: usize) -> String {
        ids::session_id(&self.config.name, slot(key), self.sessions[key].secret)
    }

    /// A GET of a session that polls.
    pub(crate) fn poll(&mut self, conn: ConnId, sid: &str, packets_max: usize) {
        let Some(key) = self.find_session(sid) else {
            let ended = ids::parse_session_id(&self.config.name, sid);
            if ended.is_some_and(|(_, secret)| self.crossings.take(secret, self.now)) {
                return self.answer(conn, RequestAnswer::Noop);
            }
            return self.refuse(conn, RequestError::SessionUnknown);
        };
        let (now, session) = (self.now, &mut self.sessions[key]);
        let polling = match &mut session.transport {
            Transport::Polling(polling) if polling.poll.is_none() => polling,
            Transport::Polling(_) => return self.refuse_second(key, conn, DropCause::SecondPoll),
            Transport::WebSocket { .. } => return self.refuse(conn, RequestError::BadRequest),
        };
        (polling.poll, polling.packets_max) = (Some(conn), packets_max);
        if let Some(probe) = &mut polling.probe {
            probe.noop_at = probe.has_been_tested.then_some(now + NOOP_AFTER);
        }
        self.conns.insert(conn, Carried::Poll(key));
        if session.is_leaving && session.transport.can_take_leave(&session.outbox) {
            return self.doom(key, Reason::ServerShuttingDown);
        }
        self.flush(key);
        self.schedule(key);
    }

    /// Says that the outbox has something, to whoever can take it now.
    fn flush(&mut self, key: usize) {
        let session = &self.sessions[key];
        if !session.outbox.is_empty() {
            self.outputs.extend(session.transport.outlet().map(Output::Flush));
        }
    }

    /// Answers a held poll with what there is; with nothing to say it stays held.
    pub(crate) fn pull_poll(&mut self, key: usize, frames: &mut Vec<Frame>) {
        let Session { transport: Transport::Polling(polling), outbox, .. } = &mut self.sessions[key] else {
            return;
        };
        if outbox.is_empty() {
            return;
        }
        outbox.pull_packets(polling.packets_max, frames);
        if let Some(conn) = polling.take_poll(self.now) {
            self.conns.remove(conn);
        }
    }

    /// The head of a POST of a session that polls.
    pub(crate) fn post(&mut self, conn: ConnId, sid: &str) {
        let Some(key) = self.find_session(sid) else {
            return self.refuse(conn, RequestError::SessionUnknown);
        };
        match &mut self.sessions[key].transport {
            Transport::Polling(polling) if polling.post.is_none() => polling.post = Some(conn),
            Transport::Polling(_) => return self.refuse_second(key, conn, DropCause::SecondPost),
            Transport::WebSocket { .. } => return self.refuse(conn, RequestError::BadRequest),
        }
        self.conns.insert(conn, Carried::Post(key));
    }

    /// A request beside another of its kind ends the session.
    fn refuse_second(&mut self, key: usize, conn: ConnId, cause: DropCause) {
        self.stats.drop(cause);
        self.doom(key, Reason::TransportError);
        self.refuse(conn, RequestError::BadRequest);
    }

    /// All packets of a POST were taken.
    pub(crate) fn posted(&mut self, conn: ConnId) {
        let Some(Carried::Post(key)) = self.conns.get_mut(conn) else { return };
        let key = *key;
        *self.sessions[key].transport.post_mut() = None;
        self.conns.remove(conn);
        self.answer(conn, RequestAnswer::Taken);
    }

    /// A WebSocket that names a session. Only the first one of a session that polls may become its transport.
    pub(crate) fn upgrade(&mut self, conn: ConnId, sid: &str) {
        let by = self.now + self.config.limits.upgrade_timeout;
        let found = self.find_session(sid);
        let transport =
            found.and_then(|key| self.sessions.get_mut(key)).map(|session| &mut session.transport);
        let (Some(key), Some(Transport::Polling(polling))) = (found, transport) else {
            return self.close_extra(conn);
        };
        if polling.probe.is_some() {
            return self.close_extra(conn);
        }
        polling.probe = Some(Probe { conn, by, has_been_tested: false, noop_at: None });
        self.conns.insert(conn, Carried::Probe(key));
        self.schedule(key);
    }

    fn close_extra(&mut self, conn: ConnId) {
        self.stats.drop(DropCause::SecondWebsocket);
        self.outputs.push_back(Output::Close { conn, reason: Reason::TransportClose });
    }

    /// A text message on the WebSocket that a session may move to.
    pub(crate) fn probe_text(&mut self, key: usize, conn: ConnId, text: &str) {
        match engine::decode(text) {
            Ok(Packet::Ping("probe")) => self.test_probe(key, conn),
            Ok(Packet::Upgrade) => self.move_to(key, conn),
            _ => self.refuse_probe(key),
        }
    }

    /// What the client sent is neither a test nor a move.
    pub(crate) fn refuse_probe(&mut self, key: usize) {
        self.stats.drop(DropCause::BadProbe);
        self.give_probe_up(key, Reason::ParseError);
    }

    fn test_probe(&mut self, key: usize, conn: ConnId) {
        self.answer(conn, RequestAnswer::Probed);
        let Session { transport: Transport::Polling(polling), outbox, .. } = &mut self.sessions[key] else {
            return;
        };
        if let Some(probe) = &mut polling.probe {
            probe.has_been_tested = true;
        }
        if outbox.is_empty() {
            self.end_poll(key);
        }
    }

    /// Ends a held poll with nothing to say.
    fn end_poll(&mut self, key: usize) {
        let Transport::Polling(polling) = &mut self.sessions[key].transport else { return };
        if let Some(probe) = &mut polling.probe {
            probe.noop_at = None;
        }
        if let Some(conn) = polling.take_poll(self.now) {
            self.conns.remove(conn);
            self.answer(conn, RequestAnswer::Noop);
        }
    }

    /// The session leaves polling behind. What the outbox holds goes out here, in its order.
    fn move_to(&mut self, key: usize, conn: ConnId) {
        self.end_poll(key);
        let post = *self.sessions[key].transport.post_mut();
        self.sessions[key].transport = Transport::WebSocket { conn, post };
        self.conns.insert(conn, Carried::Session(key));
        self.stats.upgrades += 1;
        self.flush(key);
        self.schedule(key);
        if self.sessions[key].is_leaving {
            self.doom(key, Reason::ServerShuttingDown);
        }
    }

    /// The session stays on polling.
    fn give_probe_up(&mut self, key: usize, reason: Reason) {
        let Transport::Polling(polling) = &mut self.sessions[key].transport else { return };
        if let Some(probe) = polling.probe.take() {
            self.conns.remove(probe.conn);
            self.outputs.push_back(Output::Close { conn: probe.conn, reason });
        }
        self.schedule(key);
    }

    /// An upgrade's deadline: it took too long, or a poll held meanwhile did.
    pub(crate) fn probe_due(&mut self, key: usize) {
        let Transport::Polling(polling) = &self.sessions[key].transport else { return };
        match &polling.probe {
            Some(probe) if probe.by <= self.now => {
                self.stats.drop(DropCause::UpgradeTimeout);
                self.give_probe_up(key, Reason::UpgradeTimeout);
            }
            Some(_) => self.end_poll(key),
            None => {}
        }
    }

    /// The client ended its session on this connection. Its own requests end well.
    pub(crate) fn closed_by_client(&mut self, key: usize) {
        let session = &self.sessions[key];
        if session.transport.kind() == TransportKind::Polling && session.transport.outlet().is_none() {
            self.crossings.expect(session.secret, self.now);
        }
        self.end_poll(key);
        if let Some(conn) = self.sessions[key].transport.post_mut().take() {
            self.conns.remove(conn);
            self.answer(conn, RequestAnswer::Taken);
        }
        self.doom(key, Reason::TransportClose);
    }

    /// A connection is gone: nothing is said to it any more.
    pub(crate) fn connection_closed(&mut self, conn: ConnId, reason: Reason) {
        match self.conns.remove(conn) {
            Some(Carried::Session(key)) => self.remove_session(key, reason),
            Some(Carried::Poll(key)) => {
                if let Transport::Polling(polling) = &mut self.sessions[key].transport {
                    polling.poll = None;
                }
                self.doom(key, reason);
            }
            Some(Carried::Post(key)) => {
                *self.sessions[key].transport.post_mut() = None;
                self.doom(key, reason);
            }
            Some(Carried::Probe(key)) => {
                if let Transport::Polling(polling) = &mut self.sessions[key].transport {
                    polling.probe = None;
                }
                self.schedule(key);
            }
            Some(Carried::Farewell(_)) | None => {}
        }
    }

    /// Takes leave of every connection of a session that has ended. What the outbox holds still goes out where it can.
    pub(crate) fn release(&mut self, transport: Transport, outbox: Outbox, reason: Reason) {
        let (outlet, post, probe) = match transport {
            Transport::WebSocket { conn, post } => (Some(conn), post, None),
            Transport::Polling(polling) => {
                (polling.poll, polling.post, polling.probe.map(|probe| probe.conn))
            }
        };
        if let Some(conn) = post {
            self.conns.remove(conn);
            self.refuse(conn, RequestError::BadRequest);
        }
        if let Some(conn) = outlet {
            // Its connection may be what ended the session; then nobody is there to tell.
            if self.conns.get_mut(conn).is_some() {
                self.conns.insert(conn, Carried::Farewell(outbox));
                self.outputs.push_back(Output::Close { conn, reason });
            }
        }
        if let Some(conn) = probe {
            self.conns.remove(conn);
            self.outputs.push_back(Output::Close { conn, reason });
        }
    }

    fn refuse(&mut self, conn: ConnId, error: RequestError) {
        self.answer(conn, RequestAnswer::Refused(error));
    }

    fn answer(&mut self, conn: ConnId, answer: RequestAnswer) {
        self.outputs.push_back(Output::Answer { conn, answer });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
