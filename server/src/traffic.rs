//! The bytes of one connection: what comes in goes to the router or the core, what they want said goes out.
//!
//! Part of the event loop, kept apart from its turns. A connection is in one phase at a time, and every way out of it
//! tells the core within the same call.

use crate::{
    admin,
    causes::Violation,
    connection::{PartialHead, Phase},
    listener::Audience,
    reactor::{CHUNK_BYTES, Reactor},
    route::{self, Action, EngineKind, EngineRequest, Site},
    wire::{
        http::{HeadLimits, Parsed, Refusal, RequestHead, Response, switching_protocols},
        send_queue::Progress,
        websocket::{Message, Status, WebSocket, close_frame},
    },
};
use moorline_core::{App, ConnId, Input, TransportKind};
use moorline_protocol::Reason;
use std::{io, io::Read, mem, net::IpAddr, ops::ControlFlow};

/// Reads of one connection per turn.
const READS_PER_TURN: usize = 4;
/// Writes of one connection per round of flushing.
const WRITES_PER_ROUND: usize = 4;

impl<A: App> Reactor<A> {
    /// The end of a stream that was announced together with its last bytes is not announced again.
    pub(crate) fn note_end(&mut self, id: ConnId, has_ended: bool) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.has_peer_ended |= has_ended;
        }
    }

    pub(crate) fn read(&mut self, id: ConnId) {
        let mut buffer = mem::take(&mut self.buffer);
        self.take_pipelined(id);
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(id) else { break };
            match connection.stream.read(&mut buffer) {
                Ok(0) => {
                    self.buffer = buffer;
                    return self.peer_ended(id);
                }
                Ok(read) => {
                    let is_short = connection.stream.is_drained_by(read, buffer.len());
                    let is_drained = is_short && !connection.has_peer_ended;
                    self.unflushed_bytes += read;
                    self.receive_bytes(id, &buffer[..read]);
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
                Err(_) => self.drop_connection(id, Reason::TransportError),
            }
        }
        self.buffer = buffer;
        if self.connections.get_mut(id).is_some() {
            self.readable.push(id);
        }
        self.after_read(id);
    }

    /// The peer sends no more. It may still read the answers to what it sent, but an open wait has nobody to wait for.
    fn peer_ended(&mut self, id: ConnId) {
        self.note_end(id, true);
        self.apply_outputs();
        let Some(connection) = self.connections.get_mut(id) else { return };
        match &connection.phase {
            Phase::Head(_) if connection.has_pipelined() => self.readable.push(id),
            Phase::Head(_) if !connection.out.is_empty() => self.close(id),
            Phase::Closing { is_shut: false } if !connection.out.is_empty() => {}
            Phase::Poll if connection.has_frames => self.answer_poll(id),
            Phase::Packets(_) => {}
            _ => self.drop_connection(id, Reason::TransportClose),
        }
    }

    /// Reading may have made TLS want to write; and what the core wants after one connection should not pile up.
    fn after_read(&mut self, id: ConnId) {
        if self.connections.get_mut(id).is_some_and(|connection| connection.stream.wants_write()) {
            self.mark_dirty(id);
        }
        self.finish_input();
    }

    fn receive_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        match &connection.phase {
            // What came before has its turn first.
            Phase::Head(_) if connection.has_pipelined() => self.keep_pipelined(id, bytes),
            Phase::Head(_) => self.receive_head(id, bytes),
            Phase::Body(_) => self.receive_body(id, bytes),
            Phase::WebSocket(_) => self.receive_frames(id, bytes),
            Phase::Poll | Phase::Packets(_) => self.keep_pipelined(id, bytes),
            Phase::Closing { .. } => {}
        }
    }

    /// What comes before the request under way was answered waits for its turn, within the bound of one head.
    fn keep_pipelined(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let pipelined = &mut connection.exchange_mut().pipelined;
        pipelined.extend_from_slice(bytes);
        if pipelined.len() > self.settings.limits.head_bytes_max {
            self.shell.violations.add(Violation::Pipelined);
            self.drop_connection(id, Reason::TransportError);
        }
    }

    /// The next request had begun before the last one was answered.
    fn take_pipelined(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if matches!(connection.phase, Phase::Head(_)) {
            let pipelined = connection.take_pipelined();
            self.receive_bytes(id, &pipelined);
        }
    }

    fn receive_head(&mut self, id: ConnId, bytes: &[u8]) {
        let limits = &self.settings.limits;
        let limits = HeadLimits { head_bytes_max: limits.head_bytes_max, headers_max: limits.headers_max };
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Phase::Head(PartialHead { bytes: head, scanner }) = &mut connection.phase else { return };
        let is_first = head.is_empty() && !bytes.is_empty();
        head.extend_from_slice(bytes);
        match scanner.parse(head, limits) {
            Ok(Parsed::Incomplete) if is_first && connection.exchange.is_some() => {
                let by = self.now + self.settings.limits.head_timeout;
                self.connections.set_deadline(id, Some(by));
            }
            Ok(Parsed::Incomplete) => {}
            Ok(Parsed::Head { head: request, consumed }) => {
                let rest = head.split_off(consumed);
                self.request(id, &request, &rest);
            }
            Err(refusal) => self.refuse(id, &refusal),
        }
    }

    /// A whole head; `rest` is what came after it.
    fn request(&mut self, id: ConnId, head: &RequestHead, rest: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (peer, audience) = (connection.peer, connection.audience);
        connection.exchange_mut().is_kept = head.keeps_alive();
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
            engine_path: self.settings.engine_path.as_deref(),
            origins: &self.origins,
            assets: self.assets.as_ref(),
            node: self.facts(),
            is_draining: self.node.is_draining(),
            transport_of: &|sid| self.node.transport(sid, self.now),
        };
        match route::route(head, &site, client) {
            Action::Respond(response) => self.respond(id, &response),
            Action::Answer(response) => {
                self.keep_pipelined(id, rest);
                self.answer_request(id, &response);
            }
            Action::Refuse(refusal) => self.refuse(id, &refusal),
            Action::RefuseEngine(refusal, response) => {
                self.shell.violations.add(refusal.violation());
                self.respond(id, &response);
            }
            Action::Engine(request) => self.engine_request(id, head, request, rest),
        }
    }

    fn engine_request(&mut self, id: ConnId, head: &RequestHead, request: EngineRequest, rest: &[u8]) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.exchange_mut().origin = request.origin;
        }
        match request.kind {
            EngineKind::Open(dialect) => {
                self.open_by_poll(id, dialect);
                self.keep_pipelined(id, rest);
            }
            EngineKind::Poll { sid, packets_max } => {
                self.poll_session(id, &sid, packets_max);
                self.keep_pipelined(id, rest);
            }
            EngineKind::Post { sid, is_binary: false } => self.start_post(id, head, &sid, rest),
            EngineKind::Post { sid, is_binary: true } => {
                self.node.handle(self.now, Input::Post { conn: id, sid: &sid });
                self.refuse_body(id, Violation::BinaryBody, Response::text(400, "The body must be text."));
            }
            EngineKind::WebSocket { .. } | EngineKind::Upgrade { .. } if !rest.is_empty() => {
                self.shell.violations.add(Violation::EarlyBytes);
                let sentence = "Nothing may follow the handshake before it is answered.";
                self.respond(id, &Response::text(400, sentence));
            }
            EngineKind::WebSocket { accept, dialect } => {
                let transport = TransportKind::WebSocket;
                self.upgrade(id, &accept, Input::Open { conn: id, transport, dialect });
            }
            EngineKind::Upgrade { accept, sid } => {
                self.upgrade(id, &accept, Input::Upgrade { conn: id, sid: &sid });
            }
        }
    }

    /// Turns the connection into a WebSocket, and tells the core what for.
    fn upgrade(&mut self, id: ConnId, accept: &str, input: Input<'_>) {
        self.connections.set_deadline(id, None);
        let limits = &self.settings.limits;
        let websocket = WebSocket::new(limits.payload_bytes_max, limits.fragments_max);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.exchange = None;
        connection.phase = Phase::WebSocket(websocket);
        connection.out.push_bytes(switching_protocols(accept));
        self.node.handle(self.now, input);
        self.mark_dirty(id);
    }

    fn refuse(&mut self, id: ConnId, refusal: &Refusal) {
        self.shell.violations.add(refusal.violation);
        self.respond(id, &refusal.response());
    }

    pub(crate) fn respond(&mut self, id: ConnId, response: &Response) {
        *self.shell.responses.entry(response.status()).or_default() += 1;
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.out.push_bytes(response.to_bytes(false));
        self.close(id);
    }

    fn receive_frames(&mut self, id: ConnId, bytes: &[u8]) {
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
            Err(error) => {
                self.shell.violations.add(error.violation);
                self.node.handle(self.now, Input::Closed { conn: id, reason: Reason::TransportError });
                self.close_with_code(id, error.code, error.violation.as_str());
            }
        }
    }

    /// Pongs, and answers to requests sent one behind the other, are what a client can make us queue past the core's
    /// outbox.
    pub(crate) fn check_send_queue(&mut self, id: ConnId) {
        let bytes_max = self.settings.limits.outbox_bytes_max;
        if self.connections.get_mut(id).is_some_and(|connection| connection.out.len_bytes() > 2 * bytes_max) {
            self.drop_connection(id, Reason::SlowConsumer);
        }
    }

    /// The connection can go no further: both sides forget it now.
    fn drop_connection(&mut self, id: ConnId, reason: Reason) {
        self.node.handle(self.now, Input::Closed { conn: id, reason });
        self.remove(id);
    }

    pub(crate) fn remove(&mut self, id: ConnId) {
        // Dropping it closes the descriptor, and that unregisters it.
        self.connections.remove(id);
    }

    /// Queues a close frame behind everything that is queued, then closes.
    pub(crate) fn close_with_code(&mut self, id: ConnId, code: u16, reason: &str) {
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

    pub(crate) fn writable(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.is_blocked = false;
            if !connection.out.is_empty() || connection.has_frames || connection.stream.wants_write() {
                self.mark_dirty(id);
            }
        }
    }

    pub(crate) fn mark_dirty(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Applies what the core wants, and writes once enough came in. Flushing only at the end of a turn would let many
    /// senders fill the outbox of one recipient that is not slow at all.
    pub(crate) fn finish_input(&mut self) {
        self.apply_outputs();
        if self.unflushed_bytes >= CHUNK_BYTES {
            self.flush_dirty();
        }
    }

    pub(crate) fn flush_dirty(&mut self) {
        self.unflushed_bytes = 0;
        for id in mem::take(&mut self.dirty) {
            self.flush(id);
        }
        // Giving up a connection while flushing may have made the core want something.
        self.apply_outputs();
    }

    /// Pulls and writes, a chunk at a time. What a full round leaves waits for the next one, or for the peer.
    fn flush(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.has_frames && matches!(connection.phase, Phase::Poll) {
            self.answer_poll(id);
        }
        let Reactor { connections, node, frames, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        connection.is_dirty = false;
        for _ in 0..WRITES_PER_ROUND {
            if connection.is_blocked {
                return;
            }
            if connection.has_frames && connection.out.has_room() {
                connection.has_frames = node.pull(id, CHUNK_BYTES, frames);
                frames.drain(..).for_each(|frame| connection.out.push_frame(frame));
            }
            match connection.write() {
                Ok(Progress::Done) if connection.has_frames => {}
                Ok(Progress::Done) if connection.is_over() => return self.remove(id),
                Ok(_) => return,
                Err(_) => return self.drop_connection(id, Reason::TransportError),
            }
        }
        self.mark_dirty(id);
    }
}
