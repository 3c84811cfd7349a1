//! The transport of a session: held polls and posts, or one WebSocket, and the way from the first to the second.
//!
//! Owns the state machine of the transport. It never touches another table: the session's moves carry out what it says,
//! and everything else in the core puts messages into an outbox and never asks how they travel.
//!
//! | state | GET | POST | a WebSocket with its sid |
//! |---|---|---|---|
//! | polling | held, or answered from the outbox | taken packet by packet | becomes its probe |
//! | polling, probed | the same; with nothing to say, a noop after a moment | the same | closed |
//! | websocket | refused | refused; one that had begun is taken to its end | closed |
//!
//! On the probe, `2probe` is answered by `3probe` and `5` makes it the transport. Either ends a held poll with a noop,
//! `2probe` only when the outbox is empty.
//!
//! A second GET or POST beside a first ends the session, and so does a GET or POST whose connection goes away. A POST
//! whose packets take long is answered before they are all taken; what is left of it comes before anything else.
//!
//! Invariants: a poll is held by one connection at most and answered exactly once; a message stays in the outbox until
//! one transport takes it, so moving to a WebSocket loses, doubles and reorders nothing.

use crate::words::{conn::ConnId, time::Time};
use alloc::boxed::Box;
use core::time::Duration;
use moorline_protocol::TransportKind;

/// A poll held during an upgrade gets a noop after this time: the client must have no poll open when it moves.
const NOOP_AFTER: Duration = Duration::from_millis(100);

/// The transport of one session.
#[derive(Debug)]
pub(crate) enum Transport {
    WebSocket {
        conn: ConnId,
        /// POSTs that had begun when the client moved here. Boxed: few sessions have any.
        posts: Option<Box<Posts>>,
    },
    /// Boxed: most sessions are on a WebSocket and should not pay for it.
    Polling(Box<Polling>),
}

#[derive(Debug, Default)]
pub(crate) struct Polling {
    /// The GET that is held until there is something to say.
    poll: Option<ConnId>,
    /// The most packets its answer may hold.
    packets_max: usize,
    /// The time of the last answer to a GET. It counts only while none is held.
    away_since: Time,
    /// The time under which the table lists it among those that are away.
    listed: Option<Time>,
    posts: Posts,
    probe: Option<Probe>,
}

/// The POSTs whose packets are coming in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Posts {
    /// The one that waits for its answer.
    open: Option<ConnId>,
    /// The one before it, which was answered, and whose packets are not all taken.
    rest: Option<ConnId>,
    /// How many POSTs it holds by now.
    rest_posts: u8,
}

/// POSTs whose packets may wait together after they were answered. Each is bounded by a message's size.
const REST_POSTS_MAX: u8 = 4;

/// The place for the packets of a POST that is answered early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They go on to come on its own connection.
    Own,
    /// They come behind those on this connection.
    Behind(ConnId),
}

/// The WebSocket that a session may move to.
#[derive(Debug)]
struct Probe {
    conn: ConnId,
    /// The client must have moved by then.
    by: Time,
    has_been_tested: bool,
    /// When a poll that is held during the upgrade gets a noop.
    noop_at: Option<Time>,
}

/// A request does not fit the state of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Another request of its kind is under way.
    Second,
    /// The session is on a WebSocket.
    NotPolling,
}

/// The deadline of an upgrade that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpgradeDue {
    /// The client took too long to move.
    TimedOut,
    /// A poll was held long enough.
    Noop,
}

/// The connections of a session, by what each carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionConns {
    /// The WebSocket, or the held GET.
    pub(crate) writer: Option<ConnId>,
    pub(crate) post: Option<ConnId>,
    /// A POST that was answered before its packets were all taken.
    pub(crate) rest: Option<ConnId>,
    pub(crate) probe: Option<ConnId>,
}

impl Transport {
    /// The transport of a session that `conn` opened: a WebSocket, or a GET that is held.
    pub(crate) fn new(kind: TransportKind, conn: ConnId) -> Transport {
        match kind {
            TransportKind::WebSocket => Transport::WebSocket { conn, posts: None },
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

    /// The connection that takes frames now, if there is one.
    pub(crate) fn writer(&self) -> Option<ConnId> {
        match self {
            Transport::WebSocket { conn, .. } => Some(*conn),
            Transport::Polling(polling) => polling.poll,
        }
    }

    /// Every connection of the session.
    pub(crate) fn conns(&self) -> SessionConns {
        match self {
            Transport::WebSocket { conn, posts } => {
                let Posts { open: post, rest, .. } = posts.as_deref().copied().unwrap_or_default();
                SessionConns { writer: Some(*conn), post, rest, probe: None }
            }
            Transport::Polling(polling) => SessionConns {
                writer: polling.poll,
                post: polling.posts.open,
                rest: polling.posts.rest,
                probe: polling.probe.as_ref().map(|probe| probe.conn),
            },
        }
    }

    /// Whether a connection is there to take the end of the session behind so many packets. A poll must not be answered
    /// with more packets than its client takes.
    pub(crate) fn can_close_after(&self, packets: usize) -> bool {
        match self {
            Transport::WebSocket { .. } => true,
            Transport::Polling(polling) => polling.poll.is_some() && packets < polling.packets_max,
        }
    }

    /// The time since which a client that polls has had no poll here.
    pub(crate) fn away_since(&self) -> Option<Time> {
        match self {
            Transport::Polling(polling) if polling.poll.is_none() => Some(polling.away_since),
            _ => None,
        }
    }

    /// The time under which the table of sessions lists a client that polls as away, for the table to keep; `None` on a
    /// WebSocket, which is never listed.
    pub(crate) fn listed_mut(&mut self) -> Option<&mut Option<Time>> {
        self.polling_mut().map(|polling| &mut polling.listed)
    }

    /// Holds a GET.
    ///
    /// # Errors
    /// The misfit when the session takes no GET now.
    pub(crate) fn hold_poll(&mut self, conn: ConnId, packets_max: usize, now: Time) -> Result<(), Misfit> {
        let polling = self.polling_mut().ok_or(Misfit::NotPolling)?;
        if polling.poll.is_some() {
            return Err(Misfit::Second);
        }
        (polling.poll, polling.packets_max) = (Some(conn), packets_max);
        if let Some(probe) = &mut polling.probe {
            probe.noop_at = probe.has_been_tested.then_some(now + NOOP_AFTER);
        }
        Ok(())
    }

    /// The most packets that may answer the held GET; `None` on a WebSocket.
    pub(crate) fn packets_max(&self) -> Option<usize> {
        match self {
            Transport::Polling(polling) => Some(polling.packets_max),
            Transport::WebSocket { .. } => None,
        }
    }

    /// The held GET is answered with packets; from now on there is none.
    pub(crate) fn take_poll(&mut self, now: Time) -> Option<ConnId> {
        let polling = self.polling_mut()?;
        polling.away_since = now;
        polling.poll.take()
    }

    /// The held GET is answered with a noop; from now on there is none, and an upgrade waits for none.
    pub(crate) fn end_poll(&mut self, now: Time) -> Option<ConnId> {
        if let Some(probe) = &mut self.polling_mut()?.probe {
            probe.noop_at = None;
        }
        self.take_poll(now)
    }

    /// The connection of the held GET went away.
    pub(crate) fn remove_poll(&mut self) {
        if let Some(polling) = self.polling_mut() {
            polling.poll = None;
        }
    }

    /// Starts a POST.
    ///
    /// # Errors
    /// The misfit when the session takes no POST now.
    pub(crate) fn start_post(&mut self, conn: ConnId) -> Result<(), Misfit> {
        let polling = self.polling_mut().ok_or(Misfit::NotPolling)?;
        match polling.posts.open {
            Some(_) => Err(Misfit::Second),
            None => {
                polling.posts.open = Some(conn);
                Ok(())
            }
        }
    }

    /// The POST is over, whatever became of it.
    pub(crate) fn take_post(&mut self) -> Option<ConnId> {
        self.posts_mut()?.open.take()
    }

    /// The POST is answered before its packets are all taken. `None` when too many wait already.
    pub(crate) fn start_rest(&mut self) -> Option<Rest> {
        let posts = self.posts_mut().filter(|posts| posts.rest_posts < REST_POSTS_MAX)?;
        let conn = posts.open.take()?;
        posts.rest_posts += 1;
        match posts.rest {
            Some(rest) => Some(Rest::Behind(rest)),
            None => {
                posts.rest = Some(conn);
                Some(Rest::Own)
            }
        }
    }

    /// The rest of POSTs was taken, or is lost.
    pub(crate) fn take_rest(&mut self) -> Option<ConnId> {
        let posts = self.posts_mut()?;
        posts.rest_posts = 0;
        posts.rest.take()
    }

    /// Whether what comes on this connection has to wait for the rest of a POST.
    pub(crate) fn waits_for_rest(&self, conn: ConnId) -> bool {
        let rest = match self {
            Transport::WebSocket { posts, .. } => posts.as_deref().and_then(|posts| posts.rest),
            Transport::Polling(polling) => polling.posts.rest,
        };
        rest.is_some_and(|rest| rest != conn)
    }

    fn posts_mut(&mut self) -> Option<&mut Posts> {
        match self {
            Transport::WebSocket { posts, .. } => posts.as_deref_mut(),
            Transport::Polling(polling) => Some(&mut polling.posts),
        }
    }

    /// Makes a WebSocket the probe of this session; false when there is one, or nothing to upgrade.
    pub(crate) fn start_probe(&mut self, conn: ConnId, by: Time) -> bool {
        match self.polling_mut() {
            Some(polling) if polling.probe.is_none() => {
                polling.probe = Some(Probe { conn, by, has_been_tested: false, noop_at: None });
                true
            }
            _ => false,
        }
    }

    /// The client tested the probe: polls that follow end with a noop after a moment.
    pub(crate) fn mark_probe_tested(&mut self) {
        if let Some(probe) = self.polling_mut().and_then(|polling| polling.probe.as_mut()) {
            probe.has_been_tested = true;
        }
    }

    /// The session stays on polling; the probe it gives up, if there is one.
    pub(crate) fn take_probe(&mut self) -> Option<ConnId> {
        self.polling_mut()?.probe.take().map(|probe| probe.conn)
    }

    /// The session leaves polling behind. A POST that had begun is taken to its end.
    pub(crate) fn move_to(&mut self, conn: ConnId) {
        let posts = self.posts_mut().copied().unwrap_or_default();
        let has_posts = posts.open.is_some() || posts.rest.is_some();
        *self = Transport::WebSocket { conn, posts: has_posts.then(|| Box::new(posts)) };
    }

    /// The client could not be heard for a while: its upgrade and its next poll have the whole time again.
    pub(crate) fn restart_deadlines(&mut self, now: Time, upgrade_timeout: Duration) {
        let Some(polling) = self.polling_mut() else { return };
        polling.away_since = now;
        if let Some(probe) = &mut polling.probe {
            probe.by = now + upgrade_timeout;
        }
    }

    /// The time at which an upgrade under way needs attention.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let Transport::Polling(polling) = self else { return None };
        let probe = polling.probe.as_ref()?;
        Some(probe.noop_at.map_or(probe.by, |noop_at| noop_at.min(probe.by)))
    }

    /// The deadline of an upgrade that has come at `now`. Call it only once [`Transport::deadline`] has come.
    pub(crate) fn upgrade_due(&self, now: Time) -> Option<UpgradeDue> {
        let Transport::Polling(polling) = self else { return None };
        let probe = polling.probe.as_ref()?;
        Some(if probe.by <= now { UpgradeDue::TimedOut } else { UpgradeDue::Noop })
    }

    fn polling_mut(&mut self) -> Option<&mut Polling> {
        match self {
            Transport::Polling(polling) => Some(polling),
            Transport::WebSocket { .. } => None,
        }
    }
}

impl SessionConns {
    /// The connections that there are.
    pub(crate) fn iter(self) -> impl Iterator<Item = ConnId> {
        let SessionConns { writer, post, rest, probe } = self;
        [writer, post, rest, probe].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn one_poll_is_held_at_a_time_and_answered_once() {
        let mut transport = Transport::new(TransportKind::Polling, conn(1));
        assert_eq!(transport.hold_poll(conn(2), 9, at(1)), Err(Misfit::Second));
        assert_eq!(transport.take_poll(at(2)), Some(conn(1)));
        assert_eq!((transport.take_poll(at(2)), transport.away_since()), (None, Some(at(2))));
        assert_eq!(transport.hold_poll(conn(2), 9, at(3)), Ok(()));
        assert_eq!((transport.writer(), transport.away_since()), (Some(conn(2)), None));
        assert!(transport.can_close_after(8) && !transport.can_close_after(9));
    }

    #[test]
    fn one_post_is_taken_at_a_time() {
        let mut transport = Transport::new(TransportKind::Polling, conn(1));
        assert_eq!(transport.start_post(conn(2)), Ok(()));
        assert_eq!(transport.start_post(conn(3)), Err(Misfit::Second));
        assert_eq!(transport.take_post(), Some(conn(2)));
        assert_eq!(transport.start_post(conn(3)), Ok(()));
    }

    #[test]
    fn the_rest_of_a_post_that_was_answered_comes_before_anything_else() {
        let mut transport = Transport::new(TransportKind::Polling, conn(1));
        assert_eq!(transport.start_rest(), None, "there is no POST");
        transport.start_post(conn(2)).unwrap();
        assert_eq!(transport.start_rest(), Some(Rest::Own));
        for _ in 1..4 {
            assert_eq!(transport.start_post(conn(3)), Ok(()), "it was answered");
            assert_eq!(transport.start_rest(), Some(Rest::Behind(conn(2))));
        }
        transport.start_post(conn(3)).unwrap();
        assert_eq!(transport.start_rest(), None, "four wait together at most");
        transport.move_to(conn(4));
        assert!(transport.waits_for_rest(conn(3)) && transport.waits_for_rest(conn(4)));
        assert!(!transport.waits_for_rest(conn(2)));
        assert_eq!((transport.take_rest(), transport.take_post()), (Some(conn(2)), Some(conn(3))));
        assert!(!transport.waits_for_rest(conn(4)));
    }

    #[test]
    fn a_tested_probe_ends_the_polls_that_follow_and_then_takes_over_with_the_post() {
        let mut transport = Transport::new(TransportKind::Polling, conn(1));
        transport.take_poll(at(0));
        assert!(transport.start_probe(conn(2), at(10_000)) && !transport.start_probe(conn(3), at(10_000)));
        assert_eq!(
            (transport.deadline(), transport.upgrade_due(at(9_999))),
            (Some(at(10_000)), Some(UpgradeDue::Noop))
        );
        transport.mark_probe_tested();
        transport.hold_poll(conn(4), 1, at(50)).unwrap();
        assert_eq!(transport.deadline(), Some(at(150)));
        assert_eq!(transport.end_poll(at(150)), Some(conn(4)));
        assert_eq!(transport.deadline(), Some(at(10_000)));
        assert_eq!(transport.upgrade_due(at(10_000)), Some(UpgradeDue::TimedOut));
        transport.start_post(conn(5)).unwrap();
        transport.move_to(conn(2));
        assert_eq!(transport.kind(), TransportKind::WebSocket);
        assert_eq!(
            transport.conns(),
            SessionConns { writer: Some(conn(2)), post: Some(conn(5)), rest: None, probe: None }
        );
        assert_eq!((transport.deadline(), transport.upgrade_due(at(99_999))), (None, None));
    }

    #[test]
    fn a_websocket_takes_no_polls_posts_or_probes() {
        let mut transport = Transport::new(TransportKind::WebSocket, conn(1));
        assert_eq!(transport.hold_poll(conn(2), 1, at(0)), Err(Misfit::NotPolling));
        assert_eq!(transport.start_post(conn(2)), Err(Misfit::NotPolling));
        assert!(!transport.start_probe(conn(2), at(1)));
        assert_eq!((transport.take_poll(at(1)), transport.take_probe()), (None, None));
        assert!(transport.can_close_after(usize::MAX));
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_polling_as_it_was() {
        let mut transport = Transport::new(TransportKind::Polling, conn(1));
        assert!(transport.start_probe(conn(2), at(10)));
        assert_eq!(transport.take_probe(), Some(conn(2)));
        assert_eq!((transport.writer(), transport.deadline()), (Some(conn(1)), None));
        assert!(transport.start_probe(conn(3), at(10)));
    }
}
