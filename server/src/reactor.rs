//! The event loop: bytes to inputs, outputs to system calls.
//!
//! Owns every file descriptor of the process but the bus's. It holds no truth that the core would miss: a connection
//! that is closed here is closed there within the same turn.
//!
//! Invariants: one clock read per turn; each connection is served within a budget per turn, so a busy one cannot starve
//! its neighbours; whatever a budget cut short is remembered and the next poll does not sleep.

use crate::{
    admin::{self, Readiness},
    assets::Assets,
    bus::{BusEvent, RedisBus},
    clock::Clock,
    connection::{Connection, PartialHead, Phase},
    connections::{Connections, conn_id, token},
    listener::{Accepted, Audience, Listener},
    metrics::{ShellStats, Snapshot},
    page::NodeFacts,
    route::{self, Action, Site},
    settings::Settings,
    signal::{Request, Signals},
    wire::{
        http::{HeadLimits, Parsed, RequestHead, Response, switching_protocols},
        origin::OriginRule,
        send_queue::Progress,
        tls::Stream,
        websocket::{Message, Status, WebSocket, close_frame},
    },
};
use mio::{Events, Interest, Poll, Token, event::Event};
use moorline_core::{BusInput, ConnId, Input, Node, Output, Publication, Relay, Time, close_code};
use moorline_protocol::{Frame, Reason};
use rustls::ServerConfig;
use std::{io, io::Read, io::Write, mem, net::IpAddr, ops::ControlFlow, sync::Arc, time::Duration};

pub(crate) const PUBLIC: Token = Token(0);
pub(crate) const ADMIN: Token = Token(1);
pub(crate) const WAKER: Token = Token(2);
pub(crate) const SIGNALS: Token = Token(3);

/// Connections accepted per listener and turn.
const ACCEPTS_PER_TURN: usize = 256;
/// Reads of one connection per turn.
const READS_PER_TURN: usize = 4;
/// Bytes of one read, and of one write.
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
pub(crate) struct Reactor {
    pub(crate) poll: Poll,
    pub(crate) clock: Clock,
    pub(crate) now: Time,
    pub(crate) node: Node<Relay>,
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
    /// Connections to flush this turn.
    pub(crate) dirty: Vec<ConnId>,
    pub(crate) has_bus_events: bool,
    pub(crate) has_timeouts: bool,
    pub(crate) publications: Vec<Publication>,
    pub(crate) publication_bytes: usize,
    /// Room for one read, shared by all connections.
    pub(crate) buffer: Box<[u8]>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) bus_events: Vec<BusEvent>,
}

impl Reactor {
    /// Runs until a signal ends it; returns the process's exit code.
    pub(crate) fn run(&mut self) -> io::Result<u8> {
        let mut events = Events::with_capacity(1024);
        self.apply_outputs();
        loop {
            match self.poll.poll(&mut events, self.patience()) {
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
    fn patience(&self) -> Option<Duration> {
        let is_waiting =
            self.accept_again.is_none() && self.listeners.iter().any(|listener| listener.is_waiting);
        let is_eager = is_waiting || self.has_bus_events || self.has_timeouts;
        if is_eager || !self.readable.is_empty() || !self.dirty.is_empty() {
            return Some(Duration::ZERO);
        }
        let node = self.node.poll_timeout().map(|(at, _)| at);
        let due = [node, self.connections.next_deadline(), self.accept_again].into_iter().flatten().min()?;
        Some(due - self.clock.time())
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
                if event.is_readable() || event.is_error() {
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
        self.accept();
        self.take_bus_events();
        self.has_timeouts = self.node.handle_timeout(self.now, TIMEOUTS_PER_TURN);
        self.expire();
        self.apply_outputs();
        for id in mem::take(&mut self.dirty) {
            self.flush(id);
        }
        // Giving up a connection while flushing may have made the core want something.
        self.apply_outputs();
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
                let sessions = self.node.population().sessions;
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
                        self.admit(stream, peer.ip(), self.listeners[at].audience);
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

    fn admit(&mut self, mut stream: mio::net::TcpStream, peer: IpAddr, audience: Audience) {
        self.shell.accepted += 1;
        if audience == Audience::Public && self.connections.len() >= self.connections_max {
            self.shell.overloaded += 1;
            // Best effort: a fresh socket takes this much at once, and we owe it nothing more.
            let _ = stream.write(&route::overloaded().to_bytes());
            return;
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

    fn read(&mut self, id: ConnId) {
        let mut buffer = mem::take(&mut self.buffer);
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(id) else { break };
            match connection.stream.read(&mut buffer) {
                Ok(0) => self.lose(id, Reason::TransportClose),
                Ok(read) => {
                    let is_drained = connection.stream.is_drained_by(read, buffer.len());
                    self.take_bytes(id, &buffer[..read]);
                    if is_drained {
                        self.buffer = buffer;
                        return self.after_read(id);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.buffer = buffer;
                    return self.after_read(id);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.lose(id, Reason::TransportError),
            }
        }
        self.buffer = buffer;
        if self.connections.get_mut(id).is_some() {
            self.readable.push(id);
        }
        self.after_read(id);
    }

    /// Reading may have made TLS want to write; and what the core wants after one connection should not pile up.
    fn after_read(&mut self, id: ConnId) {
        if self.connections.get_mut(id).is_some_and(|connection| connection.stream.wants_write()) {
            self.mark_dirty(id);
        }
        self.apply_outputs();
    }

    fn take_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        match &mut connection.phase {
            Phase::Head(_) => self.take_head(id, bytes),
            Phase::WebSocket(_) => self.take_frames(id, bytes),
            Phase::Closing { .. } => {}
        }
    }

    fn take_head(&mut self, id: ConnId, bytes: &[u8]) {
        let limits = &self.settings.limits;
        let limits = HeadLimits { head_bytes_max: limits.head_bytes_max, headers_max: limits.headers_max };
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Phase::Head(PartialHead { bytes: head, scanner }) = &mut connection.phase else { return };
        head.extend_from_slice(bytes);
        match scanner.parse(head, limits) {
            Ok(Parsed::Incomplete) => {}
            Ok(Parsed::Head { head: request, consumed }) => {
                let has_more = consumed < head.len();
                self.request(id, &request, has_more);
            }
            Err(refusal) => {
                *self.shell.violations.entry(refusal.kind).or_default() += 1;
                self.respond(id, &refusal.response());
            }
        }
    }

    fn request(&mut self, id: ConnId, head: &RequestHead, has_more: bool) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (peer, audience) = (connection.peer, connection.audience);
        if audience == Audience::Admin {
            let response = admin::route(head, &self.facts(), self.readiness(), || self.snapshot());
            return self.respond(id, &response);
        }
        let trusted = &self.settings.trusted_proxies;
        let is_trusted = |peer: IpAddr| trusted.iter().any(|network| network.contains(&peer));
        let client = route::client_address(head, peer, is_trusted);
        tracing::debug!(method = ?head.method, path = ?head.path, ?client, %peer, "request");
        let site = Site {
            path: &self.settings.path,
            origins: &self.origins,
            assets: self.assets.as_ref(),
            node: self.facts(),
            is_draining: self.node.is_draining(),
            is_session_known: &|sid| self.node.has_session(sid),
        };
        match route::route(head, &site, client) {
            Action::Respond(response) => self.respond(id, &response),
            Action::Upgrade(_) if has_more => {
                *self.shell.violations.entry("early_bytes").or_default() += 1;
                self.respond(
                    id,
                    &Response::text(400, "Nothing may follow the handshake before it is answered."),
                );
            }
            Action::Upgrade(accept) => self.upgrade(id, &accept),
        }
    }

    fn upgrade(&mut self, id: ConnId, accept: &str) {
        self.connections.set_deadline(id, None);
        let limits = &self.settings.limits;
        let websocket = WebSocket::new(limits.payload_bytes_max, limits.fragments_max);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.phase = Phase::WebSocket(websocket);
        connection.out.push_bytes(switching_protocols(accept));
        self.node.handle(self.now, Input::Open { conn: id });
        self.mark_dirty(id);
    }

    fn respond(&mut self, id: ConnId, response: &Response) {
        *self.shell.responses.entry(response.status()).or_default() += 1;
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.out.push_bytes(response.to_bytes());
        self.close(id);
    }

    fn take_frames(&mut self, id: ConnId, bytes: &[u8]) {
        let Reactor { connections, node, now, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        let Phase::WebSocket(websocket) = &mut connection.phase else { return };
        let mut reply = Vec::new();
        let outcome = websocket.feed(bytes, &mut reply, &mut |message| {
            let input = match message {
                Message::Text(text) => Input::Text { conn: id, text },
                Message::Binary(bytes) => Input::Binary { conn: id, bytes },
            };
            node.handle(*now, input);
            if node.carries(id) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if !reply.is_empty() {
            connection.out.push_bytes(reply);
            self.mark_dirty(id);
        }
        match outcome {
            Ok(Status::Open | Status::Stopped) => self.check_send_queue(id),
            Ok(Status::Closed) => {
                self.node.handle(self.now, Input::Closed { conn: id, reason: Reason::TransportClose });
                self.close(id);
            }
            Err(violation) => {
                *self.shell.violations.entry(violation.kind).or_default() += 1;
                self.node.handle(self.now, Input::Closed { conn: id, reason: Reason::TransportError });
                self.say_goodbye(id, violation.code, violation.kind);
            }
        }
    }

    /// Pongs are the one thing a client can make us queue past the core's outbox.
    fn check_send_queue(&mut self, id: ConnId) {
        let bytes_max = self.settings.limits.outbox_bytes_max;
        if self.connections.get_mut(id).is_some_and(|connection| connection.out.len_bytes() > 2 * bytes_max) {
            self.lose(id, Reason::SlowConsumer);
        }
    }

    /// The connection can go no further: both sides forget it now.
    fn lose(&mut self, id: ConnId, reason: Reason) {
        self.node.handle(self.now, Input::Closed { conn: id, reason });
        self.forget(id);
    }

    fn forget(&mut self, id: ConnId) {
        // Dropping it closes the descriptor, and that unregisters it.
        self.connections.remove(id);
    }

    /// Queues a close frame behind everything that is queued, then closes.
    fn say_goodbye(&mut self, id: ConnId, code: u16, reason: &str) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.out.push_bytes(close_frame(code, reason));
        }
        self.close(id);
    }

    /// From here on the connection only sends what is queued, and not for long.
    fn close(&mut self, id: ConnId) {
        let by = self.now + self.settings.limits.close_timeout;
        if let Some(connection) = self.connections.get_mut(id) {
            connection.phase = Phase::Closing { is_shut: false };
            connection.has_frames = false;
        }
        self.connections.set_deadline(id, Some(by));
        self.mark_dirty(id);
    }

    fn writable(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.is_blocked = false;
            if !connection.out.is_empty() || connection.has_frames || connection.stream.wants_write() {
                self.mark_dirty(id);
            }
        }
    }

    fn mark_dirty(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Pulls at most one chunk and writes it. What remains waits for the next turn, or for the peer.
    fn flush(&mut self, id: ConnId) {
        let Reactor { connections, node, frames, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        connection.is_dirty = false;
        if connection.is_blocked {
            return;
        }
        if connection.has_frames && connection.out.len_bytes() < CHUNK_BYTES {
            connection.has_frames = node.pull(id, CHUNK_BYTES, frames);
            frames.drain(..).for_each(|frame| connection.out.push_frame(frame));
        }
        match connection.write() {
            Ok(Progress::Done) if connection.has_frames => self.mark_dirty(id),
            Ok(_) => {}
            Err(_) => self.lose(id, Reason::TransportError),
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
            self.node.handle(self.now, Input::Bus(bus_input(&event)));
            self.apply_outputs();
        }
        self.bus_events = events;
    }

    /// Connections that took too long: a head that never ended, a goodbye that nobody read.
    fn expire(&mut self) {
        while let Some(id) = self.connections.pop_due(self.now) {
            let is_head = self.connections.get_mut(id).is_some_and(|connection| match &connection.phase {
                Phase::Head(head) => !head.bytes.is_empty(),
                _ => false,
            });
            if is_head {
                *self.shell.violations.entry("head_timeout").or_default() += 1;
                self.respond(id, &Response::text(408, "The request head took too long."));
            } else {
                self.forget(id);
            }
        }
    }

    fn apply_outputs(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Flush(id) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.has_frames = true;
                        self.mark_dirty(id);
                    }
                }
                Output::Close { conn, reason } => self.end_session(conn, reason),
                Output::Publish(publication) => self.publish(publication),
                Output::Subscribe(channel) => _ = self.bus.as_ref().map(|bus| bus.subscribe(&channel)),
                Output::Unsubscribe(channel) => _ = self.bus.as_ref().map(|bus| bus.unsubscribe(&channel)),
            }
        }
    }

    /// The core ended a session: what its outbox holds goes out first, then the reason.
    fn end_session(&mut self, id: ConnId, reason: Reason) {
        tracing::debug!(conn = id.slot, reason = reason.as_str(), "session ended");
        if let Some(connection) = self.connections.get_mut(id) {
            self.node.pull(id, usize::MAX, &mut self.frames);
            self.frames.drain(..).for_each(|frame| connection.out.push_frame(frame));
        }
        self.node.handle(self.now, Input::Closed { conn: id, reason });
        self.say_goodbye(id, close_code(reason), reason.as_str());
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

    fn facts(&self) -> NodeFacts<'_> {
        NodeFacts {
            name: &self.node.config().name,
            connections: self.connections.len(),
            bus_is_up: self.node.bus_is_up(),
        }
    }

    fn readiness(&self) -> Readiness {
        if self.node.is_draining() {
            Readiness::Draining
        } else if self.node.is_ready() {
            Readiness::Ready
        } else {
            Readiness::Starting
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            node: self.node.config().name.clone(),
            connections: self.connections.len(),
            population: self.node.population(),
            stats: self.node.stats().clone(),
            shell: self.shell.clone(),
            bus: self.bus.as_ref().map(RedisBus::status),
        }
    }
}

fn bus_input(event: &BusEvent) -> BusInput<'_> {
    match event {
        BusEvent::Up => BusInput::Up,
        BusEvent::Down => BusInput::Down,
        BusEvent::SubscriptionsLost => BusInput::SubscriptionsLost,
        BusEvent::Subscribed { channel } => BusInput::Subscribed { channel },
        BusEvent::Message { channel, payload } => BusInput::Message { channel, payload },
        BusEvent::Published { ticket, receivers } => {
            BusInput::Published { ticket: *ticket, receivers: *receivers }
        }
        BusEvent::Lost { ticket } => BusInput::Lost { ticket: *ticket },
    }
}
