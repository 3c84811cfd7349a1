//! Engine.IO sessions: what each holds, and the table of them.
//!
//! Owns the sessions, their deadlines and which of them are to be closed. A session is not a TCP connection: it holds a
//! transport, and everything else in the core speaks to the session. It never closes one by itself; that is a move.
//!
//! Invariant: a live session always has exactly one deadline registered, so a silent client is always noticed.

use crate::{
    deadlines::timers::Timer,
    session::{
        assembly::Assembly, heartbeat::Heartbeat, meter::Meter, outbox::Outbox, pause::Pause,
        transport::Transport,
    },
    words::{
        config::Limits,
        ids::{Secret, SessionId},
        input::Dialect,
        keys::{NamespaceKey, SessionKey, SocketKey, Table},
        time::Time,
    },
};
use alloc::{boxed::Box, vec::Vec};
use core::{ops::Index, ops::IndexMut, time::Duration};
use moorline_protocol::{Reason, TransportKind};

/// One that polls may have this many times as much unsent as one on a WebSocket: between two polls it cannot read.
const POLLING_BYTES_FACTOR: usize = 2;
/// One that polls may be this many times as long without taking any of it.
const POLLING_TIME_FACTOR: u32 = 3;

/// A client that is longer without a poll makes room for a newcomer on a full node. A live client is without one for a
/// round trip only.
const AWAY_MAX: Duration = Duration::from_secs(2);

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    secret: Secret,
    pub(crate) transport: Transport,
    dialect: Dialect,
    pub(crate) outbox: Outbox,
    /// The session's sockets, each in its namespace.
    sockets: Vec<(NamespaceKey, SocketKey)>,
    /// A binary packet whose attachments are still coming in.
    assembly: Option<Box<Assembly>>,
    /// The first CONNECT must come by then; `None` once it has.
    connect_by: Option<Time>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) timer: Timer,
    pub(crate) meter: Meter,
    pub(crate) pause: Pause,
    /// The time since which its WebSocket has taken no byte, though frames wait.
    stalled_since: Option<Time>,
    /// Whether more is unsent than a client that reads well ever has. Kept by the table.
    is_crowded: bool,
    /// Set once a drain has chosen this session: if it cannot be closed now, it is closed at its next poll or upgrade.
    is_draining: bool,
    /// Set once the session will be closed at the end of this input.
    closing: Option<Reason>,
}

/// The attention that a session needs at its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionDue {
    Nothing,
    /// Its ping goes out.
    Ping,
    /// The upgrade under way needs attention.
    Upgrade,
    /// It is no longer over its rate.
    Resume,
    /// It ends.
    End(Reason),
}

impl Session {
    /// A session that opens at `now`. `random` spreads its first ping.
    pub(crate) fn new(
        secret: Secret,
        transport: Transport,
        dialect: Dialect,
        now: Time,
        limits: &Limits,
        random: u8,
    ) -> Session {
        Session {
            secret,
            transport,
            dialect,
            outbox: Outbox::default(),
            sockets: Vec::new(),
            assembly: None,
            connect_by: (dialect == Dialect::SocketIo).then_some(now + limits.connect_timeout),
            heartbeat: Heartbeat::new(now, limits, random),
            timer: Timer::default(),
            meter: Meter::default(),
            pause: Pause::default(),
            stalled_since: None,
            is_crowded: false,
            is_draining: false,
            closing: None,
        }
    }

    pub(crate) fn secret(&self) -> Secret {
        self.secret
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// The sockets of this session, each in its namespace.
    pub(crate) fn sockets(&self) -> &[(NamespaceKey, SocketKey)] {
        &self.sockets
    }

    /// The socket of this session in a namespace.
    pub(crate) fn socket_in(&self, namespace: NamespaceKey) -> Option<SocketKey> {
        self.sockets.iter().find(|(at, _)| *at == namespace).map(|(_, socket)| *socket)
    }

    pub(crate) fn insert_socket(&mut self, namespace: NamespaceKey, socket: SocketKey) {
        self.sockets.push((namespace, socket));
    }

    pub(crate) fn remove_socket(&mut self, socket: SocketKey) {
        self.sockets.retain(|(_, at)| *at != socket);
    }

    /// Keeps a binary packet until its attachments are there.
    pub(crate) fn start_assembly(&mut self, assembly: Box<Assembly>) {
        self.assembly = Some(assembly);
    }

    /// Takes the binary packet whose attachments are still coming in.
    pub(crate) fn take_assembly(&mut self) -> Option<Box<Assembly>> {
        self.assembly.take()
    }

    pub(crate) fn is_assembling(&self) -> bool {
        self.assembly.is_some()
    }

    /// A drain has chosen this session.
    pub(crate) fn mark_draining(&mut self) {
        self.is_draining = true;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Its client joined a namespace: no other CONNECT is due.
    pub(crate) fn mark_connected(&mut self) {
        self.connect_by = None;
    }

    /// The most bytes that may wait in its outbox.
    pub(crate) fn outbox_bytes_max(&self, limits: &Limits) -> usize {
        match self.transport.kind() {
            TransportKind::WebSocket => limits.outbox_bytes_max,
            TransportKind::Polling => POLLING_BYTES_FACTOR * limits.outbox_bytes_max,
        }
    }

    /// The bytes that its outbox still takes.
    pub(crate) fn room_bytes(&self, limits: &Limits) -> usize {
        self.outbox_bytes_max(limits).saturating_sub(self.outbox.len_bytes())
    }

    /// Whether more is unsent than a client that reads well ever has.
    pub(crate) fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// Its WebSocket took what it could and takes no more for now.
    pub(crate) fn mark_stalled(&mut self, now: Time) {
        self.stalled_since = Some(now);
    }

    /// The transport took frames.
    pub(crate) fn mark_taken(&mut self) {
        self.stalled_since = None;
    }

    /// The time since which the client has taken nothing, by its own fault: its WebSocket takes no bytes, or it holds
    /// no poll.
    pub(crate) fn stalled_since(&self) -> Option<Time> {
        self.stalled_since.or_else(|| self.transport.away_since())
    }

    /// The time at which it is too slow, unless it takes something before.
    fn slow_at(&self, limits: &Limits) -> Option<Time> {
        let since = self.stalled_since().filter(|_| self.is_crowded)?;
        Some(match self.transport.kind() {
            TransportKind::WebSocket => since + limits.slow_timeout,
            TransportKind::Polling => since + POLLING_TIME_FACTOR * limits.slow_timeout,
        })
    }

    /// The time at which this session next needs attention.
    pub(crate) fn deadline(&self, limits: &Limits) -> Time {
        let others = [
            self.connect_by,
            self.assembled_by(),
            self.transport.deadline(),
            self.pause.due(),
            self.slow_at(limits),
        ];
        others.into_iter().flatten().fold(self.heartbeat.due(), Time::min)
    }

    /// Whether the time of this session is over at `now`, even before its deadline was handled.
    fn is_over(&self, now: Time) -> bool {
        self.end_due(now).is_some()
    }

    /// The time by which the attachments of its client must be there; none while nothing is read from it.
    fn assembled_by(&self) -> Option<Time> {
        let assembly = self.assembly.as_ref().filter(|_| !self.pause.is_on())?;
        Some(assembly.due())
    }

    fn end_due(&self, now: Time) -> Option<Reason> {
        if self.connect_by.is_some_and(|by| by <= now) {
            return Some(Reason::ConnectTimeout);
        }
        if self.assembled_by().is_some_and(|by| by <= now) {
            return Some(Reason::ParseError);
        }
        self.heartbeat.is_over(now).then_some(Reason::PingTimeout)
    }

    /// Takes what is due at `now`. A ping that it returns is to be put into the outbox.
    pub(crate) fn take_due(&mut self, now: Time, limits: &Limits) -> SessionDue {
        if let Some(reason) = self.end_due(now) {
            return SessionDue::End(reason);
        }
        if self.slow_at(limits).is_some_and(|at| at <= now) {
            return SessionDue::End(Reason::SlowConsumer);
        }
        if self.heartbeat.is_ping_due(now) {
            return SessionDue::Ping;
        }
        if self.pause.due().is_some_and(|until| until <= now) {
            return SessionDue::Resume;
        }
        match self.transport.deadline() {
            Some(at) if at <= now => SessionDue::Upgrade,
            _ => SessionDue::Nothing,
        }
    }

    /// The client could not be heard for a while, and not by its fault: whatever it has to do in time, it has the whole
    /// time again.
    pub(crate) fn restart_deadlines(&mut self, now: Time, limits: &Limits) {
        self.heartbeat.restart(now, limits.ping_timeout);
        self.restart_assembly(now, limits);
        if let Some(by) = &mut self.connect_by {
            *by = now + limits.connect_timeout;
        }
        if let Some(since) = &mut self.stalled_since {
            *since = now;
        }
        self.transport.restart_deadlines(now, limits.upgrade_timeout);
    }

    /// The client is read from again: it has the whole time again for the attachments that are due.
    pub(crate) fn restart_assembly(&mut self, now: Time, limits: &Limits) {
        if let Some(assembly) = &mut self.assembly {
            assembly.restart(now + limits.assembly_timeout);
        }
    }
}

/// The sessions of a node.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Table<SessionKey, Session>,
    /// Sessions to close at the end of this input.
    closing: Vec<SessionKey>,
    /// The number of sessions that are crowded.
    crowded: usize,
}

impl Sessions {
    pub(crate) fn insert(&mut self, session: Session) -> SessionKey {
        self.table.insert(session)
    }

    pub(crate) fn remove(&mut self, key: SessionKey) -> Session {
        let session = self.table.remove(key);
        self.crowded -= usize::from(session.is_crowded);
        session
    }

    /// Notes whether a session has more unsent than a quarter of its bound. Returns whether that changed.
    #[inline]
    pub(crate) fn update_crowded(&mut self, key: SessionKey, limits: &Limits) -> bool {
        let session = &mut self.table[key];
        let is_crowded = session.outbox.len_bytes() > limits.outbox_bytes_max / 4;
        if is_crowded == session.is_crowded {
            return false;
        }
        session.is_crowded = is_crowded;
        if is_crowded {
            self.crowded += 1;
        } else {
            self.crowded -= 1;
        }
        true
    }

    /// Whether any session has more unsent than a client that reads well.
    pub(crate) fn has_crowded(&self) -> bool {
        self.crowded > 0
    }

    pub(crate) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.table.get_mut(key)
    }

    pub(crate) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.table.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionKey, &Session)> {
        self.table.iter()
    }

    /// The id by which an application names a session.
    pub(crate) fn id(&self, key: SessionKey) -> SessionId {
        SessionId { slot: self.table.slot(key), secret: self.table[key].secret }
    }

    /// The session that an application names.
    pub(crate) fn find(&self, id: SessionId) -> Option<SessionKey> {
        let (key, session) = self.table.at_slot(id.slot)?;
        (session.secret == id.secret).then_some(key)
    }

    /// The session of this id, if it is live at `now`. The comparison takes the same time however much of the secret is
    /// right.
    pub(crate) fn find_live(&self, id: SessionId, now: Time) -> Option<SessionKey> {
        let (key, session) = self.table.at_slot(id.slot)?;
        let is_live = session.secret.equals(id.secret) && !session.is_closing() && !session.is_over(now);
        is_live.then_some(key)
    }

    /// The session whose client has been without a poll the longest, if that is long enough to make room for another.
    pub(crate) fn longest_away(&self, now: Time) -> Option<SessionKey> {
        let live = self.iter().filter(|(_, session)| !session.is_closing());
        let away = live.filter_map(|(key, session)| Some((session.transport.away_since()?, key)));
        away.min().filter(|(since, _)| now - *since >= AWAY_MAX).map(|(_, key)| key)
    }

    /// Marks a session to be closed at the end of this input. The first reason stands.
    pub(crate) fn mark_closing(&mut self, key: SessionKey, reason: Reason) {
        let session = &mut self.table[key];
        if session.closing.is_none() {
            session.closing = Some(reason);
            self.closing.push(key);
        }
    }

    /// A session that is marked, and why; it is still in the table.
    pub(crate) fn take_closing(&mut self) -> Option<(SessionKey, Reason)> {
        let key = self.closing.pop()?;
        self.table[key].closing.map(|reason| (key, reason))
    }

    /// Panics when a session is marked and not listed, or the other way round.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let marked = self.iter().filter(|(_, session)| session.is_closing()).count();
        assert_eq!(marked, self.closing.len(), "each session that is marked is listed once");
        let crowded = self.iter().filter(|(_, session)| session.is_crowded).count();
        assert_eq!(crowded, self.crowded, "the sessions that are crowded are counted");
    }

    /// Every session, to change.
    pub(crate) fn keys(&self) -> Vec<SessionKey> {
        self.table.iter().map(|(key, _)| key).collect()
    }

    /// The number of sessions that are marked.
    pub(crate) fn closing_len(&self) -> usize {
        self.closing.len()
    }
}

impl Index<SessionKey> for Sessions {
    type Output = Session;

    fn index(&self, key: SessionKey) -> &Session {
        &self.table[key]
    }
}

impl IndexMut<SessionKey> for Sessions {
    fn index_mut(&mut self, key: SessionKey) -> &mut Session {
        &mut self.table[key]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{conn::ConnId, ids::tests::Counter};

    fn session(kind: TransportKind, dialect: Dialect, entropy: &mut Counter) -> Session {
        let limits = Limits { ping_jitter: false, ..Limits::default() };
        let transport = Transport::new(kind, ConnId { slot: 0, generation: 0 });
        Session::new(Secret::random(entropy), transport, dialect, Time::ZERO, &limits, 0)
    }

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_first_reason_for_closing_stands_and_a_marked_session_is_not_live() {
        let mut sessions = Sessions::default();
        let key = sessions.insert(session(TransportKind::WebSocket, Dialect::SocketIo, &mut Counter(0)));
        let id = sessions.id(key);
        assert_eq!((sessions.find(id), sessions.find_live(id, at(0))), (Some(key), Some(key)));
        sessions.mark_closing(key, Reason::SlowConsumer);
        sessions.mark_closing(key, Reason::ParseError);
        assert_eq!((sessions.find(id), sessions.find_live(id, at(0))), (Some(key), None));
        assert_eq!(sessions.take_closing(), Some((key, Reason::SlowConsumer)));
        sessions.remove(key);
        assert_eq!((sessions.take_closing(), sessions.find(id), sessions.len()), (None, None, 0));
    }

    #[test]
    fn a_session_whose_time_is_over_is_not_live_before_its_deadline_was_handled() {
        let mut sessions = Sessions::default();
        let key = sessions.insert(session(TransportKind::WebSocket, Dialect::SocketIo, &mut Counter(0)));
        let id = sessions.id(key);
        assert_eq!((sessions.find_live(id, at(9)), sessions.find_live(id, at(10))), (Some(key), None));
        sessions[key].mark_connected();
        assert_eq!(sessions.find_live(id, at(10)), Some(key));
    }

    #[test]
    fn the_deadline_is_the_earliest_of_heartbeat_connect_and_assembly() {
        let mut session = session(TransportKind::WebSocket, Dialect::SocketIo, &mut Counter(0));
        let limits = Limits { ping_jitter: false, ..Limits::default() };
        assert_eq!(session.deadline(&limits), at(10), "CONNECT");
        session.mark_connected();
        assert_eq!(session.deadline(&limits), at(25), "heartbeat");
        session.start_assembly(Box::new(Assembly::new("51-[]", 1, at(7))));
        assert_eq!(session.deadline(&limits), at(7), "attachments");
        assert_eq!(session.take_due(at(7), &limits), SessionDue::End(Reason::ParseError));
        session.pause.start_rate(at(9));
        let due = (session.deadline(&limits), session.take_due(at(7), &limits));
        assert_eq!(due, (at(9), SessionDue::Nothing), "nothing is read from it");
        assert_eq!(session.take_due(at(9), &limits), SessionDue::Resume);
        session.take_assembly();
        assert_eq!(session.take_due(at(25), &limits), SessionDue::Ping);
        session.heartbeat.queue_ping(at(25), 1, false, &limits);
        assert_eq!(session.take_due(at(45), &limits), SessionDue::End(Reason::PingTimeout));
    }

    #[test]
    fn the_client_longest_without_a_poll_makes_room_after_two_seconds() {
        let (mut sessions, mut entropy) = (Sessions::default(), Counter(0));
        let keys = [(); 3]
            .map(|()| sessions.insert(session(TransportKind::Polling, Dialect::EngineIo, &mut entropy)));
        assert_eq!(sessions.longest_away(at(100)), None, "each holds a poll");
        sessions[keys[1]].transport.take_poll(at(5));
        sessions[keys[2]].transport.take_poll(at(4));
        assert_eq!((sessions.longest_away(at(5)), sessions.longest_away(at(6))), (None, Some(keys[2])));
        sessions.mark_closing(keys[2], Reason::TransportClose);
        assert_eq!(sessions.longest_away(at(7)), Some(keys[1]));
    }
}
