//! One Engine.IO session: what it holds, and when it next needs attention.
//!
//! Owns the deadlines of one session and which of them ends it. It never closes itself and never sends anything; moves
//! do.
//!
//! Invariant: everything that ends a session by the time is asked for in one place, so that a session is over at the
//! same moment whoever looks.

use crate::{
    deadlines::timers::Timer,
    session::{
        assembly::Assembly, heartbeat::Heartbeat, meter::Meter, outbox::Outbox, pause::Pause,
        transport::Transport,
    },
    words::{
        config::Limits,
        ids::Secret,
        input::Dialect,
        keys::{NamespaceKey, SocketKey},
        time::Time,
    },
};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use moorline_protocol::{Reason, TransportKind};

/// One that polls may have this many times as much unsent as one on a WebSocket: between two polls it cannot read.
const POLLING_BYTES_FACTOR: usize = 2;
/// One that polls may be this many times as long without taking any of it.
const POLLING_TIME_FACTOR: u32 = 3;

/// Senders elsewhere may put this many times its bound on top of it, as long as it reads.
const ELSEWHERE_FACTOR: usize = 3;
/// One that took something within this time reads.
const READS_WITHIN: Duration = Duration::from_secs(1);

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

    /// Set once it will be closed at the end of this input.
    pub(crate) fn closing(&self) -> Option<Reason> {
        self.closing
    }

    /// It is to be closed; the first reason stands. Returns whether this was the first. Only the table says so.
    pub(crate) fn start_closing(&mut self, reason: Reason) -> bool {
        let is_first = self.closing.is_none();
        self.closing = self.closing.or(Some(reason));
        is_first
    }

    /// It has more unsent than a client that reads well, or no longer. Only the table says so, which counts them.
    pub(crate) fn mark_crowded(&mut self, is_crowded: bool) {
        self.is_crowded = is_crowded;
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

    /// The bytes above its bound that it may have unsent of senders who cannot be made to wait, since they are
    /// elsewhere: none for one that has taken nothing for a second.
    pub(crate) fn reserve_bytes(&self, now: Time, limits: &Limits) -> usize {
        let takes = self.stalled_since().is_none_or(|since| now - since < READS_WITHIN);
        if takes { ELSEWHERE_FACTOR * self.outbox_bytes_max(limits) } else { 0 }
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
    pub(crate) fn is_over(&self, now: Time) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{conn::ConnId, ids::tests::Counter};

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn session(kind: TransportKind, limits: &Limits) -> Session {
        let transport = Transport::new(kind, ConnId { slot: 0, generation: 0 });
        let secret = Secret::random(&mut Counter(0));
        Session::new(secret, transport, Dialect::SocketIo, Time::ZERO, limits, 0)
    }

    #[test]
    fn the_deadline_is_the_earliest_of_heartbeat_connect_and_assembly() {
        let limits = Limits { ping_jitter: false, ..Limits::default() };
        let mut session = session(TransportKind::WebSocket, &limits);
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
    fn one_that_is_crowded_and_takes_nothing_is_too_slow_after_its_time() {
        let limits = Limits { ping_jitter: false, ..Limits::default() };
        for (kind, seconds) in [(TransportKind::WebSocket, 5), (TransportKind::Polling, 15)] {
            let mut session = session(kind, &limits);
            session.mark_connected();
            session.is_crowded = true;
            assert_eq!(session.deadline(&limits), at(25), "it takes what it gets");
            match kind {
                TransportKind::WebSocket => session.mark_stalled(at(1)),
                TransportKind::Polling => _ = session.transport.take_poll(at(1)),
            }
            assert_eq!(session.deadline(&limits), at(1 + seconds));
            let due = |session: &mut Session, seconds| session.take_due(at(seconds), &limits);
            assert_eq!(due(&mut session, seconds), SessionDue::Nothing);
            assert_eq!(due(&mut session, 1 + seconds), SessionDue::End(Reason::SlowConsumer));
            session.is_crowded = false;
            assert_eq!(due(&mut session, 1 + seconds), SessionDue::Nothing, "little may wait for long");
        }
    }
}
