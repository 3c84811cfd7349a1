//! One Engine.IO session: its heartbeat and what it still has to send.
//!
//! A session is not a TCP connection: it holds a transport, and everything else in the core speaks to the session.
//!
//! Invariant: a live session always has exactly one deadline registered, so a silent client is always noticed.

use crate::{
    config::Limits, ids::Secret, input::Dialect, message::Assembly, outbox::Outbox, time::Time,
    transport::Transport,
};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use moorline_protocol::Reason;

/// A loop wakes up to a millisecond late, and clients count from when the ping was due: that much is not given to them.
const CLOCK_TICK: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) secret: Secret,
    pub(crate) transport: Transport,
    pub(crate) dialect: Dialect,
    pub(crate) outbox: Outbox,
    /// The session's sockets: namespace index and slot in the socket table.
    pub(crate) sockets: Vec<(usize, usize)>,
    /// A binary packet whose attachments are still coming in.
    pub(crate) assembly: Option<Box<Assembly>>,
    /// Until when the first CONNECT is due.
    pub(crate) connect_by: Option<Time>,
    pub(crate) heartbeat: Heartbeat,
    /// Where this session stands in the timer table.
    pub(crate) timer: Option<Time>,
    /// Set when the node drains while no request is there to be told: the next one will be.
    pub(crate) is_leaving: bool,
    /// Set once the session will be closed at the end of this input.
    pub(crate) doom: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    /// The next ping goes out then.
    PingAt(Time),
    /// The pong is due by then.
    PongBy(Time),
}

/// What a session's deadline turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    /// The upgrade under way wants attention.
    Probe,
    End(Reason),
}

impl Session {
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
            heartbeat: Heartbeat::PingAt(now + first_ping_after(limits, random)),
            timer: None,
            is_leaving: false,
            doom: None,
        }
    }

    /// The socket of this session in the namespace with this index.
    pub(crate) fn socket_in(&self, space: usize) -> Option<usize> {
        self.sockets.iter().find(|(at, _)| *at == space).map(|(_, socket)| *socket)
    }

    /// When this session next needs attention.
    pub(crate) fn deadline(&self) -> Time {
        let (Heartbeat::PingAt(beat) | Heartbeat::PongBy(beat)) = self.heartbeat;
        let assembled_by = self.assembly.as_ref().map(|assembly| assembly.due);
        let others = [self.connect_by, assembled_by, self.transport.deadline()];
        others.into_iter().flatten().fold(beat, Time::min)
    }

    /// Whether this session has ended at `now`, whoever has noticed.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        self.end_due(now).is_some()
    }

    /// Whether a binary packet waits too long for its attachments.
    pub(crate) fn is_assembly_late(&self, now: Time) -> bool {
        self.assembly.as_ref().is_some_and(|assembly| assembly.due <= now)
    }

    fn end_due(&self, now: Time) -> Option<Reason> {
        if self.connect_by.is_some_and(|by| by <= now) {
            return Some(Reason::ConnectTimeout);
        }
        if self.is_assembly_late(now) {
            return Some(Reason::ParseError);
        }
        match self.heartbeat {
            Heartbeat::PongBy(by) if by <= now => Some(Reason::PingTimeout),
            _ => None,
        }
    }

    /// What is due at `now`; a due ping is taken to be sent.
    pub(crate) fn take_due(&mut self, now: Time, ping_timeout: Duration) -> Due {
        if let Some(reason) = self.end_due(now) {
            return Due::End(reason);
        }
        match self.heartbeat {
            Heartbeat::PingAt(at) if at <= now => {
                let from = if now - at <= CLOCK_TICK { at } else { now };
                self.heartbeat = Heartbeat::PongBy(from + ping_timeout);
                Due::Ping
            }
            _ if self.transport.deadline().is_some_and(|at| at <= now) => Due::Probe,
            _ => Due::Nothing,
        }
    }

    /// The client answered: the interval starts again. A pong nobody asked for changes nothing.
    pub(crate) fn take_pong(&mut self, now: Time, ping_interval: Duration) {
        if matches!(self.heartbeat, Heartbeat::PongBy(_)) {
            self.heartbeat = Heartbeat::PingAt(now + ping_interval);
        }
    }
}

/// A random point in the second half of the interval, so that clients which connected together do not beat together.
fn first_ping_after(limits: &Limits, random: u8) -> Duration {
    if !limits.ping_jitter {
        return limits.ping_interval;
    }
    let half = limits.ping_interval / 2;
    half + (limits.ping_interval - half) / 256 * u32::from(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_answered_from_when_it_was_due_unless_the_node_itself_stood_still() {
        let secret = Secret::random(&mut Zero);
        let limits = Limits { ping_jitter: false, ..Limits::default() };
        let (interval, timeout) = (limits.ping_interval, limits.ping_timeout);
        let conn = crate::ConnId { slot: 0, generation: 0 };
        for (late_ms, expected) in [(0, timeout), (2, timeout), (3, timeout + Duration::from_millis(3))] {
            let transport = Transport::WebSocket { conn, post: None };
            let mut session = Session::new(secret, transport, Dialect::EngineIo, Time::ZERO, &limits, 0);
            let due = Time::ZERO + interval;
            assert_eq!(session.take_due(due + Duration::from_millis(late_ms), timeout), Due::Ping);
            assert_eq!(session.heartbeat, Heartbeat::PongBy(due + expected), "{late_ms} ms late");
        }
    }

    struct Zero;

    impl crate::Entropy for Zero {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn the_first_ping_lies_in_the_second_half_of_the_interval() {
        let limits = Limits::default();
        assert_eq!(first_ping_after(&limits, 0), Duration::from_millis(12_500));
        assert!(first_ping_after(&limits, 255) < limits.ping_interval);
        assert!(first_ping_after(&limits, 255) > Duration::from_millis(24_900));
        let steady = Limits { ping_jitter: false, ..limits };
        assert_eq!(first_ping_after(&steady, 0), Duration::from_secs(25));
    }
}
