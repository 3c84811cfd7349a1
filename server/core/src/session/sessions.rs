//! Engine.IO sessions: the table of them.
//!
//! Owns the sessions and which of them are to be closed. A session is not a TCP connection: it holds a
//! transport, and everything else in the core speaks to the session. It never closes one by itself; that is a move.
//!
//! Invariants: a live session always has exactly one deadline registered, so a silent client is always noticed. Those
//! that poll and hold no poll are listed, so that a newcomer at a full node costs no look at all sessions.

use crate::{
    session::entry::Session,
    words::{
        config::Limits,
        conn::ConnId,
        ids::SessionId,
        keys::{SessionKey, Table},
        time::Time,
    },
};
use alloc::{collections::BTreeSet, vec::Vec};
use core::{ops::Index, ops::IndexMut, time::Duration};
use moorline_protocol::Reason;

/// A client that is longer without a poll makes room for a newcomer on a full node. A live client is without one for a
/// round trip only.
const AWAY_MAX: Duration = Duration::from_secs(2);

/// The sessions of a node.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Table<SessionKey, Session>,
    /// Sessions to close at the end of this input.
    closing: Vec<SessionKey>,
    /// The number of sessions that are crowded.
    crowded: usize,
    /// Sessions that poll and hold no poll, by the time since when.
    away: BTreeSet<(Time, SessionKey)>,
}

impl Sessions {
    pub(crate) fn insert(&mut self, session: Session) -> SessionKey {
        self.table.insert(session)
    }

    pub(crate) fn remove(&mut self, key: SessionKey) -> Session {
        self.list_away(key, None);
        let session = self.table.remove(key);
        self.crowded -= usize::from(session.is_crowded());
        session
    }

    /// Notes whether a session has more unsent than a quarter of its bound. Returns whether that changed.
    #[inline]
    pub(crate) fn update_crowded(&mut self, key: SessionKey, limits: &Limits) -> bool {
        let session = &mut self.table[key];
        let is_crowded = session.outbox.len_bytes() > limits.outbox_bytes_max / 4;
        if is_crowded == session.is_crowded() {
            return false;
        }
        session.mark_crowded(is_crowded);
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
        SessionId { slot: self.table.slot(key), secret: self.table[key].secret() }
    }

    /// The session that an application names.
    pub(crate) fn find(&self, id: SessionId) -> Option<SessionKey> {
        let (key, session) = self.table.at_slot(id.slot)?;
        (session.secret() == id.secret).then_some(key)
    }

    /// The session of this id, if it is live at `now`. The comparison takes the same time however much of the secret is
    /// right.
    pub(crate) fn find_live(&self, id: SessionId, now: Time) -> Option<SessionKey> {
        let (key, session) = self.table.at_slot(id.slot)?;
        let is_live = session.secret().equals(id.secret) && !session.is_closing() && !session.is_over(now);
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
        if session.start_closing(reason) {
            self.closing.push(key);
        }
    }

    /// A session that is marked, and why; it is still in the table.
    pub(crate) fn take_closing(&mut self) -> Option<(SessionKey, Reason)> {
        let key = self.closing.pop()?;
        self.table[key].closing().map(|reason| (key, reason))
    }

    /// Panics when a session is marked or away and not listed, or the other way round.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let marked = self.iter().filter(|(_, session)| session.is_closing()).count();
        assert_eq!(marked, self.closing.len(), "each session that is marked is listed once");
        let crowded = self.iter().filter(|(_, session)| session.is_crowded()).count();
        assert_eq!(crowded, self.crowded, "the sessions that are crowded are counted");
        let away = self.iter().filter_map(|(key, session)| Some((session.transport.away_since()?, key)));
        assert_eq!(self.away, away.collect(), "each session without a poll is listed as away");
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
    use crate::{
        session::transport::Transport,
        words::{ids::Secret, ids::tests::Counter, input::Dialect},
    };
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
