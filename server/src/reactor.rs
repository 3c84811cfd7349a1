//! The event loop: bytes to inputs, outputs to system calls.
//!
//! Owns every file descriptor of the process but the bus's. It holds no truth that the core would miss: a connection
//! that is closed here is closed there within the same turn.
//!
//! Invariants: one clock read per turn; each connection is served within a budget per turn, so a busy one cannot starve
//! its neighbours; whatever a budget cut short is remembered and the next poll does not sleep.

use crate::{
    admin::Readiness,
    assets::Assets,
    bus::{BusEvent, RedisBus},
    causes::Violation,
    clock::Clock,
    connection::{Connection, Phase},
    connections::{Connections, conn_id, token},
    listener::{Accepted, Audience, Listener},
    metrics::{ShellStats, Snapshot},
    page::NodeFacts,
    route,
    settings::Settings,
    signal::{Request, Signals},
    wire::{http::Response, origin::OriginRule, tls::Stream},
};
use mio::{Events, Interest, Poll, Token, event::Event};
use moorline_core::{App, ConnId, Input, Node, Output, Publication, Time, close_code};
use moorline_protocol::{Frame, Reason};
use rustls::ServerConfig;
use std::{io, io::Write, mem, net::IpAddr, sync::Arc, time::Duration};

pub(crate) const PUBLIC: Token = Token(0);
pub(crate) const ADMIN: Token = Token(1);
pub(crate) const WAKER: Token = Token(2);
pub(crate) const SIGNALS: Token = Token(3);

/// Connections accepted per listener and turn.
const ACCEPTS_PER_TURN: usize = 256;
/// Bytes of one read, and of one write; flushing starts once this much came in.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// Bus events taken per turn.
const BUS_EVENTS_PER_TURN: usize = 4096;
/// Deadlines handled per turn.
const TIMEOUTS_PER_TURN: usize = 1024;
/// Publications are handed over early once they hold this much.
const PUBLISH_BYTES: usize = 1 << 20;
/// How long accepting pauses when the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The loop and everything it serves.
pub(crate) struct Reactor<A> {
    pub(crate) poll: Poll,
    pub(crate) clock: Clock,
    pub(crate) now: Time,
    pub(crate) node: Node<A>,
    pub(crate) bus: Option<RedisBus>,
    pub(crate) settings: Settings,
    pub(crate) origins: OriginRule,
    pub(crate) assets: Option<Assets>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) signals: Signals,
    pub(crate) connections: Connections,
    pub(crate) connections_max: usize,
    pub(crate) shell: ShellStats,
    /// Until when accepting pauses.
    pub(crate) accept_again: Option<Time>,
    /// Connections whose reading a budget cut short.
    pub(crate) readable: Vec<ConnId>,
    /// Connections whose body a budget cut short.
    pub(crate) unfinished_bodies: Vec<ConnId>,
    /// Connections to flush this turn.
    pub(crate) dirty: Vec<ConnId>,
    pub(crate) has_bus_events: bool,
    pub(crate) has_timeouts: bool,
    /// Bytes that came in since the last flush.
    pub(crate) unflushed_bytes: usize,
    pub(crate) publications: Vec<Publication>,
    pub(crate) publication_bytes: usize,
    /// Room for one read, shared by all connections.
    pub(crate) buffer: Box<[u8]>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) bus_events: Vec<BusEvent>,
}

impl<A: App> Reactor<A> {
    /// Runs until a signal ends it; returns the process's exit code.
    pub(crate) fn run(&mut self) -> io::Result<u8> {
        let mut events = Events::with_capacity(1024);
        self.apply_outputs();
        loop {
            match self.poll.poll(&mut events, self.poll_timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.now = self.clock.time(),
            }
            for event in &events {
                if let Some(code) = self.event(event) {
                    return Ok(code);
                }
            }
            self.turn();
            if self.node.is_drained() && !self.connections.iter().any(Connection::is_busy) {
                return Ok(0);
            }
        }
    }

    /// How long the poll may sleep; for ever when nothing is due.
    fn poll_timeout(&self) -> Option<Duration> {
        let is_waiting =
            self.accept_again.is_none() && self.listeners.iter().any(|listener| listener.is_waiting);
        let is_eager = is_waiting || self.has_bus_events || self.has_timeouts;
        let lists = [&self.readable, &self.unfinished_bodies, &self.dirty];
        if is_eager || lists.into_iter().any(|list| !list.is_empty()) {
            return Some(Duration::ZERO);
        }
        let node = self.node.poll_timeout().map(|(at, _)| at);
        let due = [node, self.connections.next_deadline(), self.accept_again].into_iter().flatten().min()?;
        Some(due - self.now)
    }

    /// One event; the exit code if it ends the process.
    fn event(&mut self, event: &Event) -> Option<u8> {
        match event.token() {
            WAKER => self.has_bus_events = true,
            SIGNALS => return self.signal(),
            PUBLIC | ADMIN => self.listeners[event.token().0].is_waiting = true,
            token => {
                let id = conn_id(token)?;
                if event.is_writable() {
                    self.writable(id);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.note_end(id, event.is_read_closed());
                    self.read(id);
                }
            }
        }
        None
    }

    /// Everything of a turn that no single event stands for.
    fn turn(&mut self) {
        for id in mem::take(&mut self.readable) {
            self.read(id);
        }
        for id in mem::take(&mut self.unfinished_bodies) {
            self.hand_over_packets(id);
            self.finish_input();
        }
        self.accept();
        self.take_bus_events();
        self.has_timeouts = self.node.handle_timeout(self.now, TIMEOUTS_PER_TURN);
        self.expire();
        self.apply_outputs();
        self.flush_dirty();
        self.hand_over_publications();
        if let Some(bus) = &self.bus {
            bus.flush_interest();
        }
    }

    fn signal(&mut self) -> Option<u8> {
        match self.signals.take()? {
            Request::End(code) => {
                tracing::info!("ending at once");
                Some(code)
            }
            Request::Drain => {
                let over = self.settings.drain;
                let sessions = self.node.gauges().sessions;
                tracing::info!(sessions, over = %humantime::format_duration(over), "draining");
                self.node.handle(self.now, Input::Drain { over });
                None
            }
        }
    }

    fn accept(&mut self) {
        if self.accept_again.is_some_and(|at| at > self.now) {
            return;
        }
        self.accept_again = None;
        for at in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.listeners[at].is_waiting {
                    break;
                }
                match self.listeners[at].accept() {
                    Accepted::Connection(stream, peer) => {
                        self.add_connection(stream, peer.ip(), self.listeners[at].audience);
                    }
                    Accepted::None => break,
                    Accepted::Exhausted(error) => return self.pause_accepting(&error),
                }
            }
        }
    }

    /// The edge is spent but connections still wait: a timer has to look again.
    fn pause_accepting(&mut self, error: &io::Error) {
        self.shell.exhausted += 1;
        self.accept_again = Some(self.now + ACCEPT_PAUSE);
        tracing::warn!(%error, "cannot accept connections for now");
    }

    /// Best effort: a fresh socket takes this much at once, and we owe it nothing more. Where the answer would need a TLS
    /// handshake first, closing has to say it.
    fn refuse_overloaded(&mut self, mut stream: mio::net::TcpStream) {
        self.shell.overloaded += 1;
        if self.tls.is_none() {
            let _ = stream.write(&route::overloaded().to_bytes(false));
        }
    }

    fn add_connection(&mut self, mut stream: mio::net::TcpStream, peer: IpAddr, audience: Audience) {
        self.shell.accepted += 1;
        if audience == Audience::Public && self.connections.clients() >= self.connections_max {
            return self.refuse_overloaded(stream);
        }
        let id = self.connections.next_id();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, token(id), interest) {
            return tracing::warn!(%error, "cannot watch a connection");
        }
        let stream = match &self.tls {
            Some(config) if audience == Audience::Public => Stream::tls(stream, config),
            _ => Ok(Stream::Plain(stream)),
        };
        match stream {
            Ok(stream) => {
                self.connections.insert(Connection::new(stream, peer, audience));
                let by = self.now + self.settings.limits.head_timeout;
                self.connections.set_deadline(id, Some(by));
            }
            Err(error) => tracing::warn!(%error, "cannot start TLS"),
        }
    }

    fn take_bus_events(&mut self) {
        let Some(bus) = &self.bus else { return };
        if !mem::take(&mut self.has_bus_events) {
            return;
        }
        let mut events = mem::take(&mut self.bus_events);
        self.has_bus_events = bus.take_events(&mut events, BUS_EVENTS_PER_TURN);
        for event in events.drain(..) {
            if let BusEvent::Message { payload, .. } = &event {
                self.unflushed_bytes += payload.len();
            }
            self.node.handle(self.now, Input::Bus(&event));
            self.finish_input();
        }
        self.bus_events = events;
    }

    /// Connections that took too long: a head that never ended, a goodbye that nobody read.
    fn expire(&mut self) {
        while let Some(id) = self.connections.pop_due(self.now) {
            match self.connections.get_mut(id).map(|connection| &connection.phase) {
                Some(Phase::Head(head)) if !head.bytes.is_empty() => {
                    self.shell.violations.add(Violation::HeadTimeout);
                    self.respond(id, &Response::text(408, "The request head took too long."));
                }
                Some(Phase::Body(_)) => {
                    let response = Response::text(408, "The body took too long.");
                    self.refuse_body(id, Violation::BodyTimeout, response);
                }
                _ => self.remove(id),
            }
        }
    }

    pub(crate) fn apply_outputs(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Flush(id) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.has_frames = true;
                        self.mark_dirty(id);
                    }
                }
                Output::Answer { conn, answer } => self.answer(conn, answer),
                Output::Close { conn, reason } => self.end_session(conn, reason),
                Output::Publish(publication) => self.publish(publication),
                Output::ResetBus => self.reset_bus(),
                Output::Subscribe(channel) => _ = self.bus.as_ref().map(|bus| bus.subscribe(&channel)),
                Output::Unsubscribe(channel) => _ = self.bus.as_ref().map(|bus| bus.unsubscribe(&channel)),
            }
        }
    }

    /// The core ended a session: what its outbox holds goes out first, then the reason.
    fn end_session(&mut self, id: ConnId, reason: Reason) {
        tracing::debug!(conn = id.slot, reason = reason.as_str(), "session ended");
        match self.connections.get_mut(id) {
            Some(connection) if matches!(connection.phase, Phase::WebSocket(_)) => {
                self.node.pull(id, usize::MAX, &mut self.frames);
                self.frames.drain(..).for_each(|frame| connection.out.push_frame(frame));
                self.close_with_code(id, close_code(reason), reason.as_str());
            }
            Some(connection) if matches!(connection.phase, Phase::Poll) => self.end_poll(id),
            Some(_) | None => {}
        }
        self.node.handle(self.now, Input::Closed { conn: id, reason });
    }

    fn reset_bus(&self) {
        tracing::warn!("nothing comes back through Redis, not even our own messages: making new links");
        if let Some(bus) = &self.bus {
            bus.reset();
        }
    }

    fn publish(&mut self, publication: Publication) {
        self.publication_bytes += publication.payload.len();
        self.publications.push(publication);
        if self.publication_bytes > PUBLISH_BYTES {
            self.hand_over_publications();
        }
    }

    fn hand_over_publications(&mut self) {
        if let Some(bus) = &self.bus
            && !self.publications.is_empty()
        {
            bus.publish(&mut self.publications);
        }
        self.publication_bytes = 0;
    }

    pub(crate) fn facts(&self) -> NodeFacts<'_> {
        NodeFacts {
            name: &self.node.config().name,
            connections: self.connections.len(),
            bus_is_up: self.node.bus_is_up(),
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        if self.node.is_draining() {
            Readiness::Draining
        } else if self.node.is_ready() {
            Readiness::Ready
        } else {
            Readiness::Starting
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            node: self.node.config().name.clone(),
            connections: self.connections.len(),
            gauges: self.node.gauges(),
            stats: self.node.stats().clone(),
            shell: self.shell.clone(),
            bus: self.bus.as_ref().map(RedisBus::status),
        }
    }
}
