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
    clock::Clock,
    connection::{Connection, Phase},
    listener::Audience,
    log::REACTOR,
    metrics::Snapshot,
    page::NodeFacts,
    reactor::{
        budget::{self, Class, REQUEST_UNITS},
        bus_port::BusPort,
        exchange::HttpExchange,
        io::{Chunk, Next, STALL},
        polling, websocket,
    },
    route::{self, Action, EngineKind, EngineRequest, Site},
    wire::http::{RequestHead, Response},
};
use moorline_core::{App, BusEvent, ConnId, Input, Intake, Node, Output};
use moorline_protocol::{Reason, TransportKind};
use std::net::IpAddr;

/// Reads of one connection per turn.
const READS_PER_TURN: usize = 4;
/// Bytes of bus events per turn: recipients have to come to read them.
const BUS_BYTES_PER_TURN: usize = 1 << 20;
/// Batches of bus events per turn.
const BUS_BATCHES_PER_TURN: usize = 512;

pub(crate) struct Dispatcher<A> {
    pub(super) node: Node<A>,
    pub(super) http: HttpExchange,
    pub(super) bus: BusPort,
}

/// The reason why reading from a connection stopped.
enum ReadEnd {
    /// Nothing is left to read for now.
    Drained,
    /// The peer sends no more.
    PeerEnded,
    /// Its share of this turn is used up.
    Share,
    /// The core wants no more of its messages for now, and will say when it does.
    Paused,
}

impl<A: App> Dispatcher<A> {
    pub(crate) fn new(node: Node<A>, http: HttpExchange, bus: BusPort) -> Dispatcher<A> {
        Dispatcher { node, http, bus }
    }

    pub(crate) fn bus(&self) -> &BusPort {
        &self.bus
    }

    /// The name of the node.
    pub(crate) fn name(&self) -> &str {
        &self.node.config().name
    }

    /// Serves the connections that wait, each once, within the budgets of this turn.
    pub(super) fn serve(&mut self, clock: &Clock) {
        for class in Class::ALL {
            for _ in 0..self.http.io.budget.len(class) {
                if self.has_stalled(clock) {
                    return;
                }
                match self.http.io.start_serving(class, self.node.stats().work) {
                    Next::Connection(id) => {
                        self.serve_one(id);
                        self.http.io.end_serving(class, id, self.node.stats().work);
                    }
                    Next::Skip => {}
                    Next::None => break,
                }
            }
        }
    }

    /// Whether this process stood still since the turn began. What its connections hold may be old then, and their
    /// clients on another node: the next poll says which are gone. A node that is alone need not know.
    fn has_stalled(&self, clock: &Clock) -> bool {
        self.bus.is_clustered() && clock.time() - self.http.io.now() > STALL
    }

    fn serve_one(&mut self, id: ConnId) {
        let Dispatcher { node, http, .. } = self;
        let Some(connection) = http.io.get_mut(id) else { return };
        let is_over = match &connection.phase {
            Phase::Packets(_) => {
                polling::hand_over_packets(node, http, id);
                return self.finish_input();
            }
            // The session may have been paused by other means than messages on this connection.
            Phase::WebSocket(_) if node.intake(id) == Intake::Paused => true,
            // The rest of the last read goes first.
            Phase::WebSocket(websocket) if websocket.is_paused() => !websocket::resume(node, http, id),
            Phase::Head(_) if connection.has_pipelined() => {
                let pipelined = connection.take_pipelined();
                self.receive(id, &pipelined)
            }
            _ => false,
        };
        let end = if is_over { self.pause_or_share(id) } else { self.read_chunks(id) };
        match end {
            ReadEnd::Drained => self.http.io.note_drained(id),
            ReadEnd::PeerEnded => return self.peer_ended(id),
            ReadEnd::Share => self.http.io.serve_again(id),
            ReadEnd::Paused => self.http.io.pause(id),
        }
        self.after_read(id);
    }

    fn read_chunks(&mut self, id: ConnId) -> ReadEnd {
        let mut buffer = self.http.io.take_buffer();
        let end = self.read_into(id, &mut buffer);
        self.http.io.give_back(buffer);
        end
    }

    fn read_into(&mut self, id: ConnId, buffer: &mut [u8]) -> ReadEnd {
        for _ in 0..READS_PER_TURN {
            match self.http.io.read(id, buffer) {
                Chunk::Bytes { len, is_last } => {
                    if self.receive(id, &buffer[..len]) {
                        return self.pause_or_share(id);
                    }
                    if is_last {
                        return ReadEnd::Drained;
                    }
                    if self.node.stats().work >= self.http.io.share_end() {
                        break;
                    }
                }
                Chunk::Interrupted => {}
                Chunk::Ended => return ReadEnd::PeerEnded,
                Chunk::Blocked | Chunk::Gone => return ReadEnd::Drained,
                Chunk::Failed => self.http.io.drop_connection(&mut self.node, id, Reason::TransportError),
            }
        }
        if self.http.io.get_mut(id).is_some() { ReadEnd::Share } else { ReadEnd::Drained }
    }

    /// The reason why messages of a connection were not all handed over.
    fn pause_or_share(&self, id: ConnId) -> ReadEnd {
        if self.node.intake(id) == Intake::Paused { ReadEnd::Paused } else { ReadEnd::Share }
    }

    /// The peer sends no more. It may still read the answers to its requests; a poll without messages is dropped, since
    /// nobody waits for its answer.
    fn peer_ended(&mut self, id: ConnId) {
        self.http.io.note_end(id, true);
        self.apply_outputs();
        let Dispatcher { node, http, .. } = self;
        let Some(connection) = http.io.get_mut(id) else { return };
        match &connection.phase {
            Phase::Head(_) if connection.has_pipelined() => http.io.serve_again(id),
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

    /// Gives received bytes to the part that the connection's phase names. Returns whether messages are left that may
    /// not be handed over now.
    fn receive(&mut self, id: ConnId, bytes: &[u8]) -> bool {
        let Dispatcher { node, http, .. } = self;
        let Some(connection) = http.io.get_mut(id) else { return false };
        match &connection.phase {
            Phase::WebSocket(_) => return websocket::receive(node, http, id, bytes),
            // Bytes that came before have their turn first.
            Phase::Head(_) if connection.has_pipelined() => http.keep_pipelined(node, id, bytes),
            Phase::Head(_) => {
                if let Some((head, rest)) = http.receive_head(id, bytes) {
                    self.request(id, &head, &rest);
                }
            }
            Phase::Body(_) => polling::receive_body(node, http, id, bytes),
            Phase::Poll | Phase::Packets(_) => http.keep_pipelined(node, id, bytes),
            Phase::Closing { .. } => {}
        }
        false
    }

    /// Routes a request; `rest` came after its head.
    fn request(&mut self, id: ConnId, head: &RequestHead, rest: &[u8]) {
        self.http.io.add_units(REQUEST_UNITS);
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
        let Dispatcher { node, http, .. } = self;
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
                polling::start_post(node, http, id, head, &sid, rest);
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

    /// Gives the core the events of the bus, up to the budget of one turn. It is small while many connections have
    /// still to be written to, and never nothing: the links would count as silent.
    pub(super) fn take_bus_events(&mut self) {
        let units_max = budget::bus_units(self.http.io.has_flush_debt());
        let (before, mut bytes) = (self.node.stats().work, 0);
        for _ in 0..BUS_BATCHES_PER_TURN {
            let Some(mut events) = self.bus.take_events() else { return };
            for event in events.drain(..) {
                if let BusEvent::Message { payload, .. } = &event {
                    self.http.io.unflushed.note_received(payload.len());
                    bytes += payload.len();
                }
                self.node.handle(self.http.io.now(), Input::Bus(&event));
                self.finish_input();
            }
            self.bus.give_back(events);
            if self.node.stats().work - before >= units_max || bytes >= BUS_BYTES_PER_TURN {
                return;
            }
        }
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
                Some(Phase::Packets(_)) => polling::answer_early(node, http, id),
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
                Output::Resume(id) => self.http.io.resume(id),
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

    /// Writes to every connection that has something to write, within the budget of this turn.
    pub(super) fn flush_dirty(&mut self) {
        for _ in 0..self.http.io.start_flush() {
            let Some(id) = self.http.io.next_dirty() else { break };
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
