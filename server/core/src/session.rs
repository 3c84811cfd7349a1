//! One Engine.IO session: its transport, its heartbeat and what it still has to send.
//!
//! A session is not a TCP connection: it holds a transport, and everything else in the core speaks to the session.
//!
//! Invariant: a live session always has exactly one deadline registered, so a silent client is always noticed.

use crate::{config::Limits, conn::ConnId, ids::Secret, message::Assembly, outbox::Outbox, time::Time};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use moorline_protocol::Reason;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) secret: Secret,
    pub(crate) transport: Transport,
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
    /// Set once the session will be closed at the end of this input.
    pub(crate) doom: Option<Reason>,
}

/// How a session's packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Over this WebSocket connection.
    WebSocket(ConnId),
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
    End(Reason),
}

impl Session {
    pub(crate) fn new(
        secret: Secret,
        transport: Transport,
        now: Time,
        limits: &Limits,
        random: u8,
    ) -> Session {
        Session {
            secret,
            transport,
            outbox: Outbox::default(),
            sockets: Vec::new(),
            assembly: None,
            connect_by: Some(now + limits.connect_timeout),
            heartbeat: Heartbeat::PingAt(now + first_ping_after(limits, random)),
            timer: None,
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
        [self.connect_by, assembled_by].into_iter().flatten().fold(beat, Time::min)
    }

    /// What is due at `now`; a due ping is taken to be sent.
    pub(crate) fn take_due(&mut self, now: Time, ping_timeout: Duration) -> Due {
        if self.connect_by.is_some_and(|by| by <= now) {
            return Due::End(Reason::ConnectTimeout);
        }
        if self.assembly.as_ref().is_some_and(|assembly| assembly.due <= now) {
            return Due::End(Reason::ParseError);
        }
        match self.heartbeat {
            Heartbeat::PongBy(by) if by <= now => Due::End(Reason::PingTimeout),
            Heartbeat::PingAt(at) if at <= now => {
                self.heartbeat = Heartbeat::PongBy(now + ping_timeout);
                Due::Ping
            }
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
    fn the_first_ping_lies_in_the_second_half_of_the_interval() {
        let limits = Limits::default();
        assert_eq!(first_ping_after(&limits, 0), Duration::from_millis(12_500));
        assert!(first_ping_after(&limits, 255) < limits.ping_interval);
        assert!(first_ping_after(&limits, 255) > Duration::from_millis(24_900));
        let steady = Limits { ping_jitter: false, ..limits };
        assert_eq!(first_ping_after(&steady, 0), Duration::from_secs(25));
    }
}
