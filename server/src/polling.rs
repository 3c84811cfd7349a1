//! Long polling on a connection: held GETs, bodies of POSTs, and the answers to both.
//!
//! Part of the event loop, kept apart from the bytes of WebSockets. Whether a request is welcome and what a poll is
//! answered with is the core's to say; this file knows HTTP.
//!
//! Invariants: a body is handed over packet by packet within a budget per turn, so a long one cannot starve others; a
//! connection takes its next request only after the last one was answered.

use crate::{
    causes::Violation,
    connection::{PartialHead, Phase},
    cors,
    reactor::Reactor,
    route::{self, EngineRefusal},
    wire::http::{Body, RequestHead, Response},
};
use moorline_core::{App, ConnId, Dialect, Input, RequestAnswer, RequestError, TransportKind};
use moorline_protocol::{
    Frame, Reason,
    engine::{self, Part, Payload, payload},
};
use std::mem;

/// Packets of one body handed over per turn.
const PACKETS_PER_TURN: usize = 256;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<A: App> Reactor<A> {
    /// A GET that asks for a new session; its handshake is the answer.
    pub(crate) fn open_by_poll(&mut self, id: ConnId, dialect: Dialect) {
        self.hold(id);
        let transport = TransportKind::Polling;
        self.node.handle(self.now, Input::Open { conn: id, transport, dialect });
    }

    /// A GET that waits for something to say.
    pub(crate) fn poll_session(&mut self, id: ConnId, sid: &str, packets_max: usize) {
        self.hold(id);
        self.node.handle(self.now, Input::Poll { conn: id, sid, packets_max });
    }

    fn hold(&mut self, id: ConnId) {
        self.connections.set_deadline(id, None);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.phase = Phase::Poll;
        }
    }

    /// A POST whose body is about to come; `rest` is the start of it.
    pub(crate) fn start_post(&mut self, id: ConnId, head: &RequestHead, sid: &str, rest: &[u8]) {
        self.node.handle(self.now, Input::Post { conn: id, sid });
        let limits = &self.settings.limits;
        let body = match Body::new(head.body, limits.payload_bytes_max) {
            Ok(body) => body,
            Err(refusal) => return self.refuse_body(id, refusal.violation, refusal.response()),
        };
        let by = self.now + limits.body_timeout;
        self.connections.set_deadline(id, Some(by));
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.phase = Phase::Body(body);
        if rest.is_empty() && head.expects_continue() {
            connection.out.push_bytes(CONTINUE.to_vec());
            self.mark_dirty(id);
        }
        self.receive_body(id, rest);
    }

    pub(crate) fn receive_body(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Phase::Body(body) = &mut connection.phase else { return };
        match body.feed(bytes) {
            Err(refusal) => self.refuse_body(id, refusal.violation, refusal.response()),
            Ok((_, false)) => {}
            Ok((taken, true)) => {
                connection.exchange_mut().pipelined.extend_from_slice(&bytes[taken..]);
                self.end_body(id);
            }
        }
    }

    fn end_body(&mut self, id: ConnId) {
        self.connections.set_deadline(id, None);
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Phase::Body(body) = mem::replace(&mut connection.phase, Phase::Poll) else { return };
        match String::from_utf8(body.into_bytes()) {
            Ok(text) => {
                connection.phase = Phase::Packets(Payload::new(text));
                self.hand_over_packets(id);
            }
            Err(_) => {
                self.refuse_body(id, Violation::BodyNotUtf8, Response::text(400, "The body is not UTF-8."))
            }
        }
    }

    /// Hands the next packets of a body to the core, and says when they were all.
    pub(crate) fn hand_over_packets(&mut self, id: ConnId) {
        let Reactor { connections, node, now, unflushed_bytes, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        let Phase::Packets(payload) = &mut connection.phase else { return };
        for _ in 0..PACKETS_PER_TURN {
            // An answer is on its way when the session has ended meanwhile; the rest is for nobody.
            if !node.carries(id) {
                return;
            }
            match payload.next_part() {
                None => return node.handle(*now, Input::Posted { conn: id }),
                Some(Ok(Part::Text(text))) => {
                    *unflushed_bytes += text.len();
                    node.handle(*now, Input::Text { conn: id, text });
                }
                Some(Ok(Part::Binary(bytes))) => {
                    *unflushed_bytes += bytes.len();
                    node.handle(*now, Input::Binary { conn: id, bytes: &bytes });
                }
                // The one way a packet of a body cannot be read; the rest is for the core to judge.
                Some(Err(_)) => {
                    let refused = Response::text(400, "A binary packet of the body is not base64.");
                    return self.refuse_body(id, Violation::BadBase64, refused);
                }
            }
        }
        self.unfinished_bodies.push(id);
    }

    /// A body that broke a rule ends its session: what it held is lost, and the client must not think otherwise.
    pub(crate) fn refuse_body(&mut self, id: ConnId, violation: Violation, response: Response) {
        self.shell.violations.add(violation);
        self.node.handle(self.now, Input::Closed { conn: id, reason: Reason::ParseError });
        let response = cors::grant(response, self.origin_of(id).as_deref());
        self.respond(id, &response);
    }

    /// The page that may read the answer to the request under way.
    fn origin_of(&mut self, id: ConnId) -> Option<String> {
        self.connections.get_mut(id)?.exchange.as_mut()?.origin.take()
    }

    /// The core answered a request, or a test of a WebSocket. A request that was answered here already gets no more.
    pub(crate) fn answer(&mut self, id: ConnId, answer: RequestAnswer) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let is_websocket = matches!(connection.phase, Phase::WebSocket(_));
        let is_request = matches!(connection.phase, Phase::Poll | Phase::Body(_) | Phase::Packets(_));
        match answer {
            RequestAnswer::Probed if is_websocket => {
                connection.out.push_frame(engine::probe_answer());
                self.mark_dirty(id);
            }
            RequestAnswer::Taken if is_request => {
                self.finish(id, Response::new(200).body("text/html", &b"ok"[..]))
            }
            RequestAnswer::Noop if is_request => self.finish_poll(id, &[engine::noop()]),
            RequestAnswer::Refused(error) if is_request => self.refuse_request(id, error),
            _ => {}
        }
    }

    fn refuse_request(&mut self, id: ConnId, error: RequestError) {
        let origin = self.origin_of(id);
        let refusal = match error {
            RequestError::SessionUnknown => EngineRefusal::SessionUnknown,
            RequestError::BadRequest => EngineRefusal::BadRequest,
            RequestError::Overloaded => {
                self.shell.overloaded += 1;
                return self.respond(id, &cors::grant(route::overloaded(), origin.as_deref()));
            }
        };
        self.shell.violations.add(refusal.violation());
        self.respond(id, &refusal.response(false, origin.as_deref()));
    }

    /// Answers a held GET with what there is for it.
    pub(crate) fn answer_poll(&mut self, id: ConnId) {
        self.node.pull(id, usize::MAX, &mut self.frames);
        if !self.frames.is_empty() {
            let frames = mem::take(&mut self.frames);
            self.finish_poll(id, &frames);
        }
    }

    /// The session of a held GET has ended: what was left for it, and the end.
    pub(crate) fn end_poll(&mut self, id: ConnId) {
        self.node.pull(id, usize::MAX, &mut self.frames);
        let mut frames = mem::take(&mut self.frames);
        frames.push(engine::close());
        self.finish_poll(id, &frames);
    }

    fn finish_poll(&mut self, id: ConnId, frames: &[Frame]) {
        self.finish(id, Response::new(200).body("text/plain; charset=UTF-8", payload::encode(frames)));
    }

    /// Sends the answer to a request of a session.
    fn finish(&mut self, id: ConnId, response: Response) {
        let response = cors::grant(response, self.origin_of(id).as_deref());
        self.answer_request(id, &response);
    }

    /// Sends an answer after which the connection takes its next request, unless the client or a drain wants it closed, or
    /// the body of this one was not read to its end.
    pub(crate) fn answer_request(&mut self, id: ConnId, response: &Response) {
        let by = self.now + self.settings.limits.keep_alive_timeout;
        let is_draining = self.node.is_draining();
        let Some(connection) = self.connections.get_mut(id) else { return };
        let is_half_read = matches!(connection.phase, Phase::Body(_));
        let is_last = is_draining || is_half_read || connection.has_peer_ended && !connection.has_pipelined();
        if is_last || !connection.exchange_mut().is_kept {
            return self.respond(id, response);
        }
        *self.shell.responses.entry(response.status()).or_default() += 1;
        connection.out.push_bytes(response.to_bytes(true));
        connection.has_frames = false;
        connection.phase = Phase::Head(PartialHead::default());
        if connection.has_pipelined() {
            self.readable.push(id);
        }
        self.connections.set_deadline(id, Some(by));
        self.mark_dirty(id);
        self.check_send_queue(id);
    }
}
