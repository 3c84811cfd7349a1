//! Between the node, its connections and its bus: bytes and events to inputs, outputs to the part that carries them
//! out.
//!
//! Owns the node and the parts a turn works on. It holds no rule of HTTP or WebSocket: the parts below know those, and
//! the router judges requests.
//!
//! Invariant: the core's outputs are carried out after every read, batch of packets and event of the bus, and at the
//! end of a turn. Connections are written to once enough came in.

use crate::{
    admin::{self, Readiness},
    causes::Violation,
    connection::{Connection, Phase},
    listener::Audience,
    log::REACTOR,
    metrics::Snapshot,
    page::NodeFacts,
    reactor::{
        bus_port::BusPort,
        exchange::HttpExchange,
        io::Chunk,
        polling::{self, Polling},
        websocket,
    },
    route::{self, Action, EngineKind, EngineRequest, Site},
    wire::http::{RequestHead, Response},
};
use moorline_core::{App, BusEvent, ConnId, Input, Node, Output};
use moorline_protocol::{Reason, TransportKind};
use std::net::IpAddr;

/// Reads of one connection per turn.
const READS_PER_TURN: usize = 4;

pub(crate) struct Dispatcher<A> {
    pub(super) node: Node<A>,
    pub(super) http: HttpExchange,
    pub(super) polling: Polling,
    pub(super) bus: BusPort,
}

/// The reason why reading from a connection stopped.
enum ReadEnd {
    /// Nothing is left to read for now.
    Drained,
    /// The peer sends no more.
    PeerEnded,
    /// The budget of this turn is used up.
    Budget,
}

impl<A: App> Dispatcher<A> {
    pub(crate) fn new(node: Node<A>, http: HttpExchange, bus: BusPort) -> Dispatcher<A> {
        Dispatcher { node, http, polling: Polling::default(), bus }
    }

    pub(crate) fn bus(&self) -> &BusPort {
        &self.bus
    }

    /// The name of the node.
    pub(crate) fn name(&self) -> &str {
        &self.node.config().name
    }

    /// Reads from the connections whose reading a budget cut short.
    pub(super) fn read_on(&mut self) {
        for id in self.http.io.take_readable() {
            self.read(id);
        }
    }

    /// Reads from a connection, up to its budget.
    pub(super) fn read(&mut self, id: ConnId) {
        let mut buffer = self.http.io.take_buffer();
        let end = self.read_chunks(id, &mut buffer);
        self.http.io.give_back(buffer);
        match end {
            ReadEnd::Drained => {}
            ReadEnd::PeerEnded => return self.peer_ended(id),
            ReadEnd::Budget => self.http.io.read_again(id),
        }
        self.after_read(id);
    }

    fn read_chunks(&mut self, id: ConnId, buffer: &mut [u8]) -> ReadEnd {
        if let Some(pipelined) = self.http.take_pipelined(id) {
            self.receive(id, &pipelined);
        }
        for _ in 0..READS_PER_TURN {
            match self.http.io.read(id, buffer) {
                Chunk::Bytes { len, is_last } => {
                    self.receive(id, &buffer[..len]);
                    if is_last {
                        return ReadEnd::Drained;
                    }
                }
                Chunk::Interrupted => {}
                Chunk::Ended => return ReadEnd::PeerEnded,
                Chunk::Blocked | Chunk::Gone => return ReadEnd::Drained,
                Chunk::Failed => self.http.io.drop_connection(&mut self.node, id, Reason::TransportError),
            }
        }
        if self.http.io.get_mut(id).is_some() { ReadEnd::Budget } else { ReadEnd::Drained }
    }

    /// The peer sends no more. It may still read the answers to its requests; a poll without messages is dropped, since
    /// nobody waits for its answer.
    fn peer_ended(&mut self, id: ConnId) {
        self.http.io.note_end(id, true);
        self.apply_outputs();
        let Dispatcher { node, http, .. } = self;
        let Some(connection) = http.io.get_mut(id) else { return };
        match &connection.phase {
            Phase::Head(_) if connection.has_pipelined() => http.io.read_again(id),
            Phase::Head(_) if !connection.out.is_empty() => http.io.close(id),
            Phase::Closing { is_shut: false } if !connection.out.is_empty() => {}
            Phase::Poll if connection.has_frames => polling::answer_poll(node, http, id),
            Phase::Packets(_) => {}
            _ => http.io.drop_connection(node, id, Reason::TransportClose),
        }
    }

    /// Writes what TLS wants to write after a read, and carries out the core's outputs before more pile up.
    fn after_read(&mut self, id: ConnId) {
        let io = &mut self.http.io;
        if io.get_mut(id).is_some_and(|connection| connection.stream.wants_write()) {
            io.mark_dirty(id);
        }
        self.finish_input();
    }

    /// Gives received bytes to the part that the connection's phase names.
    fn receive(&mut self, id: ConnId, bytes: &[u8]) {
        let Dispatcher { node, http, polling, .. } = self;
        let Some(connection) = http.io.get_mut(id) else { return };
        match &connection.phase {
            // Bytes that came before have their turn first.
            Phase::Head(_) if connection.has_pipelined() => http.keep_pipelined(node, id, bytes),
            Phase::Head(_) => {
                if let Some((head, rest)) = http.receive_head(id, bytes) {
                    self.request(id, &head, &rest);
                }
            }
            Phase::Body(_) => polling.receive_body(node, http, id, bytes),
            Phase::WebSocket(_) => websocket::receive(node, http, id, bytes),
            Phase::Poll | Phase::Packets(_) => http.keep_pipelined(node, id, bytes),
            Phase::Closing { .. } => {}
        }
    }

    /// Routes a request; `rest` came after its head.
    fn request(&mut self, id: ConnId, head: &RequestHead, rest: &[u8]) {
        let Some(Connection { peer, audience, .. }) = self.http.io.get_mut(id) else { return };
        let (peer, audience) = (*peer, *audience);
        if audience == Audience::Admin {
            let response = admin::route(head, &self.facts(), self.readiness(), || self.snapshot());
            return self.http.respond(id, &response);
        }
        match self.route(head, peer) {
            Action::Respond(response) => self.http.respond(id, &response),
            Action::Answer(response) => {
                self.http.keep_pipelined(&mut self.node, id, rest);
                self.http.answer(&mut self.node, id, &response);
            }
            Action::Refuse(refusal) => self.http.refuse(id, &refusal),
            Action::RefuseEngine(refusal, response) => {
                self.http.refuse_with(id, refusal.violation(), &response);
            }
            Action::Engine(request) => self.engine_request(id, head, request, rest),
        }
    }

    fn route(&self, head: &RequestHead, peer: IpAddr) -> Action {
        let HttpExchange { io, site, .. } = &self.http;
        let client = route::client_address(head, peer, |peer| site.is_trusted(peer));
        tracing::debug!(target: REACTOR, method = ?head.method, path = ?head.path, ?client, %peer, "request");
        let site = Site {
            path: &site.path,
            engine_path: site.engine_path.as_deref(),
            origins: &site.origins,
            assets: site.assets.as_ref(),
            node: self.facts(),
            is_draining: self.node.is_draining(),
            transport_of: &|sid| self.node.transport(sid, io.now()),
        };
        route::route(head, &site, client)
    }

    fn engine_request(&mut self, id: ConnId, head: &RequestHead, request: EngineRequest, rest: &[u8]) {
        let Dispatcher { node, http, polling, .. } = self;
        if let Some(connection) = http.io.get_mut(id) {
            connection.exchange_mut().origin = request.origin;
        }
        match request.kind {
            EngineKind::Open(dialect) => {
                polling::open_by_poll(node, http, id, dialect);
                http.keep_pipelined(node, id, rest);
            }
            EngineKind::Poll { sid, packets_max } => {
                polling::poll_session(node, http, id, &sid, packets_max);
                http.keep_pipelined(node, id, rest);
            }
            EngineKind::Post { sid, is_binary: false } => {
                polling.start_post(node, http, id, head, &sid, rest);
            }
            EngineKind::Post { sid, is_binary: true } => {
                node.handle(http.io.now(), Input::Post { conn: id, sid: &sid });
                let response = Response::text(400, "The body must be text.");
                polling::refuse_body(node, http, id, Violation::BinaryBody, response);
            }
            EngineKind::WebSocket { .. } | EngineKind::Upgrade { .. } if !rest.is_empty() => {
                let sentence = "Nothing may follow the handshake before it is answered.";
                http.refuse_with(id, Violation::EarlyBytes, &Response::text(400, sentence));
            }
            EngineKind::WebSocket { accept, dialect } => {
                let transport = TransportKind::WebSocket;
                websocket::upgrade(node, http, id, &accept, Input::Open { conn: id, transport, dialect });
            }
            EngineKind::Upgrade { accept, sid } => {
                websocket::upgrade(node, http, id, &accept, Input::Upgrade { conn: id, sid: &sid });
            }
        }
    }

    /// Goes on with the bodies that a budget cut short.
    pub(super) fn continue_bodies(&mut self) {
        for id in self.polling.take_unfinished() {
            self.polling.hand_over_packets(&mut self.node, &mut self.http, id);
            self.finish_input();
        }
    }

    /// Gives the core the events of the bus, up to the budget of one turn.
    pub(super) fn take_bus_events(&mut self) {
        let Some(mut events) = self.bus.take_events() else { return };
        for event in events.drain(..) {
            if let BusEvent::Message { payload, .. } = &event {
                self.http.io.unflushed.note_received(payload.len());
            }
            self.node.handle(self.http.io.now(), Input::Bus(&event));
            self.finish_input();
        }
        self.bus.give_back(events);
    }

    /// Ends connections whose time is up: an unfinished head or body is answered, anything else just ends.
    pub(super) fn expire(&mut self) {
        let Dispatcher { node, http, .. } = self;
        while let Some(id) = http.io.connections.pop_due(http.io.now()) {
            match http.io.get_mut(id).map(|connection| &connection.phase) {
                Some(Phase::Head(head)) if !head.bytes.is_empty() => {
                    let response = Response::text(408, "The request head took too long.");
                    http.refuse_with(id, Violation::HeadTimeout, &response);
                }
                Some(Phase::Body(_)) => {
                    let response = Response::text(408, "The body took too long.");
                    polling::refuse_body(node, http, id, Violation::BodyTimeout, response);
                }
                _ => http.io.remove(id),
            }
        }
    }

    /// Carries out the core's outputs.
    pub(super) fn apply_outputs(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Flush(id) => {
                    if let Some(connection) = self.http.io.get_mut(id) {
                        connection.has_frames = true;
                        self.http.io.mark_dirty(id);
                    }
                }
                Output::Answer { conn, answer } => {
                    polling::answer(&mut self.node, &mut self.http, conn, answer);
                }
                Output::Close { conn, reason } => self.end_session(conn, reason),
                Output::Publish(publication) => self.bus.publish(publication),
                Output::ResetBus => self.bus.reset(),
                Output::Subscribe(channel) => self.bus.subscribe(&channel),
                Output::Unsubscribe(channel) => self.bus.unsubscribe(&channel),
            }
        }
    }

    /// The core ended a session: the frames of its outbox go out first, then the reason.
    fn end_session(&mut self, id: ConnId, reason: Reason) {
        tracing::debug!(target: REACTOR, conn = id.slot, reason = reason.as_str(), "session ended");
        let Dispatcher { node, http, .. } = self;
        match http.io.get_mut(id).map(|connection| &connection.phase) {
            Some(Phase::WebSocket(_)) => websocket::end(node, http, id, reason),
            Some(Phase::Poll) => polling::end_poll(node, http, id),
            Some(_) | None => {}
        }
        node.handle(http.io.now(), Input::Closed { conn: id, reason });
    }

    /// Carries out the outputs, and writes once enough came in. Writing only at the end of a turn would let many
    /// senders fill the outbox of one recipient that is not slow at all.
    fn finish_input(&mut self) {
        self.apply_outputs();
        if self.http.io.is_flush_due() {
            self.flush_dirty();
        }
    }

    /// Writes to every connection that has something to write.
    pub(super) fn flush_dirty(&mut self) {
        for id in self.http.io.take_dirty() {
            self.flush(id);
        }
        // Dropping a connection while flushing may have given the core something to say.
        self.apply_outputs();
    }

    fn flush(&mut self, id: ConnId) {
        let Dispatcher { node, http, .. } = self;
        let Some(connection) = http.io.get_mut(id) else { return };
        if connection.has_frames && matches!(connection.phase, Phase::Poll) {
            polling::answer_poll(node, http, id);
        }
        http.io.flush(node, id);
    }

    fn facts(&self) -> NodeFacts<'_> {
        NodeFacts {
            name: self.name(),
            connections: self.http.io.connections.len(),
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
            node: self.name().to_owned(),
            connections: self.http.io.connections.len(),
            gauges: self.node.gauges(),
            stats: self.node.stats().clone(),
            shell: self.http.stats.clone(),
            bus: self.bus.status(),
        }
    }
}
