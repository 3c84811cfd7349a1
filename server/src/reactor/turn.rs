//! One turn of the event loop: events first, then everything that no single event stands for.
//!
//! Owns the poll, the clock and the signals. It never looks at a byte, and speaks to the core only about time and
//! draining.
//!
//! Invariant: one clock read per turn, besides those by which a node in a cluster notices that it stood still; and a
//! poll that sleeps no longer than to the next deadline, nor than a second.

use crate::{
    clock::Clock,
    connection::Connection,
    connections::conn_id,
    log::REACTOR,
    reactor::{accept::Acceptor, dispatch::Dispatcher, io::STALL},
    signal::{Request, Signals},
};
use mio::{Events, Poll, Token, event::Event};
use moorline_core::{App, Input, Time};
use moorline_protocol::Reason;
use std::{
    io,
    time::{Duration, Instant},
};

pub(crate) const PUBLIC: Token = Token(0);
pub(crate) const ADMIN: Token = Token(1);
pub(crate) const WAKER: Token = Token(2);
pub(crate) const SIGNALS: Token = Token(3);

/// Events taken from the poll at a time.
const EVENTS_MAX: usize = 1024;
/// A poll that slept without end would not know that it was not its turn for long.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Deadlines handled per turn.
const TIMEOUTS_PER_TURN: usize = 1024;

/// The loop and everything it serves.
pub(crate) struct Reactor<A> {
    poll: Poll,
    clock: Clock,
    signals: Signals,
    /// Time over which SIGTERM spreads the closing of connections.
    drain: Duration,
    acceptor: Acceptor,
    dispatcher: Dispatcher<A>,
    /// Deadlines are due that the budget of the last turn left over.
    has_timeouts: bool,
}

impl<A: App> Reactor<A> {
    pub(crate) fn new(
        poll: Poll,
        clock: Clock,
        signals: Signals,
        drain: Duration,
        acceptor: Acceptor,
        dispatcher: Dispatcher<A>,
    ) -> Reactor<A> {
        Reactor { poll, clock, signals, drain, acceptor, dispatcher, has_timeouts: false }
    }

    pub(crate) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    pub(crate) fn dispatcher(&self) -> &Dispatcher<A> {
        &self.dispatcher
    }

    /// Waits until `deadline` for the queue to Redis to empty, and ends the bus.
    pub(crate) fn shutdown_bus(&mut self, deadline: Instant) {
        self.dispatcher.bus.shutdown(deadline);
    }

    /// Runs until a signal ends it; returns the process's exit code.
    pub(crate) fn run(&mut self) -> io::Result<u8> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.dispatcher.apply_outputs();
        loop {
            let due = self.due();
            let has_stalled = match self.poll.poll(&mut events, Some(due - self.dispatcher.http.io.now())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.begin_turn(due),
            };
            for event in &events {
                if let Some(code) = self.event(event) {
                    return Ok(code);
                }
            }
            // These events may be from before the stall, and more may wait: they say which peers are gone.
            if has_stalled || self.dispatcher.http.io.is_gone() && events.iter().count() == EVENTS_MAX {
                continue;
            }
            self.turn();
            let Dispatcher { node, http, .. } = &self.dispatcher;
            if node.is_drained() && !http.io.connections.iter().any(Connection::is_busy) {
                return Ok(0);
            }
        }
    }

    /// The time until which the poll may sleep.
    fn due(&self) -> Time {
        let Dispatcher { node, http, bus, .. } = &self.dispatcher;
        let has_work =
            self.acceptor.has_work() || bus.has_events() || self.has_timeouts || http.io.has_work();
        if has_work {
            return http.io.now();
        }
        let node = node.poll_timeout().map(|(at, _)| at);
        let connections = http.io.connections.next_deadline();
        let due = [node, connections, self.acceptor.paused_until()].into_iter().flatten();
        due.fold(http.io.now() + SLEEP_MAX, Time::min)
    }

    /// Reads the clock. A poll that ended long after it was due shows that the process itself stood still.
    /// Returns whether it did.
    fn begin_turn(&mut self, due: Time) -> bool {
        let io = &mut self.dispatcher.http.io;
        io.set_time(self.clock.time());
        io.budget.start_turn();
        let has_stalled = io.now() - due > STALL;
        if has_stalled {
            io.note_stall();
        }
        has_stalled
    }

    /// One event; the exit code if it ends the process.
    fn event(&mut self, event: &Event) -> Option<u8> {
        match event.token() {
            WAKER => self.dispatcher.bus.note_events(),
            SIGNALS => return self.signal(),
            listener @ (PUBLIC | ADMIN) => self.acceptor.note_waiting(listener),
            token => {
                let (id, Dispatcher { node, http, .. }) = (conn_id(token)?, &mut self.dispatcher);
                let has_ended = event.is_read_closed();
                if event.is_write_closed() || has_ended && http.io.is_gone() {
                    http.io.drop_connection(node, id, Reason::TransportClose);
                    return None;
                }
                if event.is_writable() {
                    http.io.writable(id);
                }
                if event.is_readable() || has_ended {
                    http.io.note_end(id, has_ended);
                    http.io.readable(id);
                }
            }
        }
        None
    }

    /// Everything of a turn that no single event stands for.
    fn turn(&mut self) {
        let dispatcher = &mut self.dispatcher;
        dispatcher.serve(&self.clock);
        self.acceptor.accept(self.poll.registry(), &mut dispatcher.http);
        dispatcher.take_bus_events();
        self.has_timeouts = dispatcher.node.handle_timeout(dispatcher.http.io.now(), TIMEOUTS_PER_TURN);
        dispatcher.expire();
        dispatcher.apply_outputs();
        dispatcher.flush_dirty();
        dispatcher.bus.hand_over();
    }

    fn signal(&mut self) -> Option<u8> {
        match self.signals.take()? {
            Request::End(code) => {
                tracing::info!(target: REACTOR, "ending at once");
                Some(code)
            }
            Request::Drain => {
                let over = self.drain;
                let Dispatcher { node, http, .. } = &mut self.dispatcher;
                let sessions = node.gauges().sessions;
                tracing::info!(target: REACTOR, sessions, over = %humantime::format_duration(over), "draining");
                node.handle(http.io.now(), Input::Drain { over });
                None
            }
        }
    }
}
