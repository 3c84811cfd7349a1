//! Engine.IO sessions: what each holds, and the table of them.
//!
//! Owns the sessions, their deadlines and which of them are to be closed. A session is not a TCP connection: it holds a
//! transport, and everything else in the core speaks to the session. It never closes one by itself; that is a move.
//!
//! Invariants: a live session always has exactly one deadline registered, so a silent client is always noticed. Those
//! that poll and hold no poll are listed, so that a newcomer at a full node costs no look at all sessions.

use crate::{
    deadlines::timers::Timer,
    session::{assembly::Assembly, heartbeat::Heartbeat, outbox::Outbox, transport::Transport},
    words::{
        config::Limits,
        conn::ConnId,
        ids::{Secret, SessionId},
        input::Dialect,
        keys::{NamespaceKey, SessionKey, SocketKey, Table},
        time::Time,
    },
};
use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};
use core::{ops::Index, ops::IndexMut, time::Duration};
use moorline_protocol::Reason;

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

    /// The time at which this session next needs attention.
    pub(crate) fn deadline(&self) -> Time {
        let assembled_by = self.assembly.as_ref().map(|assembly| assembly.due());
        let others = [self.connect_by, assembled_by, self.transport.deadline()];
        others.into_iter().flatten().fold(self.heartbeat.due(), Time::min)
    }

    /// Whether the time of this session is over at `now`, even before its deadline was handled.
    fn is_over(&self, now: Time) -> bool {
        self.end_due(now).is_some()
    }

    /// Whether a binary packet waits too long for its attachments.
    pub(crate) fn is_assembly_late(&self, now: Time) -> bool {
        self.assembly.as_ref().is_some_and(|assembly| assembly.due() <= now)
    }

    fn end_due(&self, now: Time) -> Option<Reason> {
        if self.connect_by.is_some_and(|by| by <= now) {
            return Some(Reason::ConnectTimeout);
        }
        if self.is_assembly_late(now) {
            return Some(Reason::ParseError);
        }
        self.heartbeat.is_over(now).then_some(Reason::PingTimeout)
    }

    /// Takes what is due at `now`. A ping that it returns counts as sent.
    pub(crate) fn take_due(&mut self, now: Time, ping_timeout: Duration) -> SessionDue {
        if let Some(reason) = self.end_due(now) {
            return SessionDue::End(reason);
        }
        if self.heartbeat.take_ping(now, ping_timeout) {
            return SessionDue::Ping;
        }
        match self.transport.deadline() {
            Some(at) if at <= now => SessionDue::Upgrade,
            _ => SessionDue::Nothing,
        }
    }
}

/// The sessions of a node.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Table<SessionKey, Session>,
    /// Sessions to close at the end of this input.
    closing: Vec<SessionKey>,
    /// Sessions that poll and hold no poll, by the time since when.
    away: BTreeSet<(Time, SessionKey)>,
}

impl Sessions {
    pub(crate) fn insert(&mut self, session: Session) -> SessionKey {
        self.table.insert(session)
    }

    pub(crate) fn remove(&mut self, key: SessionKey) -> Session {
        self.list_away(key, None);
        self.table.remove(key)
    }

    /// A session came to hold a poll, or holds none any more.
    pub(crate) fn poll_changed(&mut self, key: SessionKey) {
        self.list_away(key, self.table[key].transport.away_since());
    }

    /// A session leaves polling behind.
    pub(crate) fn move_to(&mut self, key: SessionKey, conn: ConnId) {
        self.list_away(key, None);
        self.table[key].transport.move_to(conn);
    }

    /// Lists a session as away since then, or not at all.
    fn list_away(&mut self, key: SessionKey, since: Option<Time>) {
        let Some(listed) = self.table[key].transport.listed_mut() else { return };
        if let Some(before) = core::mem::replace(listed, since) {
            self.away.remove(&(before, key));
        }
        self.away.extend(since.map(|since| (since, key)));
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
        let (since, key) = self.away.iter().find(|(_, key)| !self.table[*key].is_closing())?;
        (now - *since >= AWAY_MAX).then_some(*key)
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

    /// Panics when a session is marked or away and not listed, or the other way round.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let marked = self.iter().filter(|(_, session)| session.is_closing()).count();
        assert_eq!(marked, self.closing.len(), "each session that is marked is listed once");
        let away = self.iter().filter_map(|(key, session)| Some((session.transport.away_since()?, key)));
        assert_eq!(self.away, away.collect(), "each session without a poll is listed as away");
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
    use crate::words::ids::tests::Counter;
    use moorline_protocol::TransportKind;

    const CONN: ConnId = ConnId { slot: 0, generation: 0 };

    fn session(kind: TransportKind, dialect: Dialect, entropy: &mut Counter) -> Session {
        let limits = Limits { ping_jitter: false, ..Limits::default() };
        let transport = Transport::new(kind, CONN);
        Session::new(Secret::random(entropy), transport, dialect, Time::ZERO, &limits, 0)
    }

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn take_poll(sessions: &mut Sessions, key: SessionKey, now: Time) {
        sessions[key].transport.take_poll(now);
        sessions.poll_changed(key);
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
        assert_eq!(session.deadline(), at(10), "CONNECT");
        session.mark_connected();
        assert_eq!(session.deadline(), at(25), "heartbeat");
        session.start_assembly(Box::new(Assembly::new("51-[]", 1, at(7))));
        assert_eq!(session.deadline(), at(7), "attachments");
        let timeout = Duration::from_secs(20);
        assert_eq!(session.take_due(at(7), timeout), SessionDue::End(Reason::ParseError));
        session.take_assembly();
        assert_eq!(session.take_due(at(7), timeout), SessionDue::Nothing);
        assert_eq!(session.take_due(at(25), timeout), SessionDue::Ping);
        assert_eq!(session.take_due(at(45), timeout), SessionDue::End(Reason::PingTimeout));
    }

    #[test]
    fn the_client_longest_without_a_poll_makes_room_after_two_seconds() {
        let (mut sessions, mut entropy) = (Sessions::default(), Counter(0));
        let keys = [(); 3]
            .map(|()| sessions.insert(session(TransportKind::Polling, Dialect::EngineIo, &mut entropy)));
        assert_eq!(sessions.longest_away(at(100)), None, "each holds a poll");
        take_poll(&mut sessions, keys[1], at(5));
        take_poll(&mut sessions, keys[2], at(4));
        assert_eq!((sessions.longest_away(at(5)), sessions.longest_away(at(6))), (None, Some(keys[2])));
        sessions.mark_closing(keys[2], Reason::TransportClose);
        assert_eq!(sessions.longest_away(at(7)), Some(keys[1]));
    }

    #[test]
    fn who_polls_again_moves_or_ends_is_away_no_more() {
        let (mut sessions, mut entropy) = (Sessions::default(), Counter(0));
        let keys = [(); 3]
            .map(|()| sessions.insert(session(TransportKind::Polling, Dialect::EngineIo, &mut entropy)));
        keys.iter().for_each(|key| take_poll(&mut sessions, *key, at(1)));
        sessions.check_invariants();
        assert_eq!(sessions.longest_away(at(9)), Some(keys[0]));
        sessions[keys[0]].transport.hold_poll(CONN, 1, at(2)).unwrap();
        sessions.poll_changed(keys[0]);
        sessions.check_invariants();
        assert_eq!(sessions.longest_away(at(9)), Some(keys[1]));
        sessions.move_to(keys[1], CONN);
        sessions.check_invariants();
        assert_eq!(sessions.longest_away(at(9)), Some(keys[2]));
        sessions.remove(keys[2]);
        sessions.check_invariants();
        assert_eq!(sessions.longest_away(at(9)), None);
        take_poll(&mut sessions, keys[0], at(3));
        take_poll(&mut sessions, keys[0], at(4));
        sessions.check_invariants();
        assert_eq!((sessions.longest_away(at(5)), sessions.longest_away(at(6))), (None, Some(keys[0])));
    }
}
