//! Long polling on a connection: held GETs, bodies of POSTs, and the answers to both.
//!
//! Owns no state: a connection holds its own. The core decides whether a request is welcome and how a poll is answered.
//!
//! Invariants: a body is handed over packet by packet within its connection's share of a turn, so a long one cannot
//! starve others; its client gets the answer within [`ANSWER_WITHIN`], though packets may be left.

use crate::{
    causes::Violation,
    connection::{Connection, Phase},
    cors,
    reactor::{exchange::HttpExchange, io::ConnectionIo},
    route::{self, EngineRefusal},
    wire::http::{Body, RequestHead, Response},
};
use moorline_core::{App, ConnId, Dialect, Input, Intake, Node, RequestAnswer, RequestError};
use moorline_protocol::{
    Frame, Reason, TransportKind,
    engine::{self, Part, Payload},
};
use std::{mem, time::Duration};

/// Packets of one body handed over per turn.
const PACKETS_PER_TURN: usize = 256;
/// A body whose packets take longer is answered before they are all taken: clients in Python give a POST up after 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Starts a POST whose body is about to come; `rest` is the start of it.
pub(super) fn start_post<A: App>(
    node: &mut Node<A>,
    http: &mut HttpExchange,
    id: ConnId,
    head: &RequestHead,
    sid: &str,
    rest: &[u8],
) {
    let io = &mut http.io;
    node.handle(io.now(), Input::Post { conn: id, sid });
    let body = match Body::new(head.body, io.limits.payload_bytes_max) {
        Ok(body) => body,
        Err(refusal) => return refuse_body(node, http, id, refusal.violation, refusal.response()),
    };
    io.set_deadline_in(id, io.limits.body_timeout);
    let Some(connection) = io.get_mut(id) else { return };
    connection.phase = Phase::Body(body);
    if rest.is_empty() && head.expects_continue() {
        connection.out.push_bytes(CONTINUE.to_vec());
        io.mark_dirty(id);
    }
    receive_body(node, http, id, rest);
}

/// Takes bytes of a body.
pub(super) fn receive_body<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId, bytes: &[u8]) {
    let Some(connection) = http.io.get_mut(id) else { return };
    let Phase::Body(body) = &mut connection.phase else { return };
    match body.feed(bytes) {
        Err(refusal) => refuse_body(node, http, id, refusal.violation, refusal.response()),
        Ok((_, false)) => {}
        Ok((taken, true)) => {
            connection.exchange_mut().pipelined.extend_from_slice(&bytes[taken..]);
            end_body(node, http, id);
        }
    }
}

fn end_body<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId) {
    http.io.clear_deadline(id);
    let Some(connection) = http.io.get_mut(id) else { return };
    let Phase::Body(body) = mem::replace(&mut connection.phase, Phase::Poll) else { return };
    match String::from_utf8(body.into_bytes()) {
        Ok(text) => {
            connection.phase = Phase::Packets(Payload::new(text));
            hand_over_packets(node, http, id);
        }
        Err(_) => {
            let response = Response::text(400, "The body is not UTF-8.");
            refuse_body(node, http, id, Violation::BodyNotUtf8, response);
        }
    }
}

/// Hands the next packets of a body to the core, and tells it when they were all.
pub(super) fn hand_over_packets<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId) {
    let (now, share_end) = (http.io.now(), http.io.share_end());
    let ConnectionIo { connections, unflushed, .. } = &mut http.io;
    let Some(connection) = connections.get_mut(id) else { return };
    let Phase::Packets(payload) = &mut connection.phase else { return };
    for _ in 0..PACKETS_PER_TURN {
        match node.intake(id) {
            Intake::Open if node.stats().work < share_end => {}
            Intake::Open => break,
            Intake::Paused => {
                http.io.pause(id);
                return answer_in_time(http, id);
            }
            Intake::Closed => return end_packets(http, id),
        }
        match payload.next_part() {
            None => {
                node.handle(now, Input::Posted { conn: id });
                http.io.clear_deadline(id);
                return end_packets(http, id);
            }
            Some(Ok(Part::Text(text))) => {
                unflushed.note_received(text.len());
                node.handle(now, Input::Text { conn: id, text });
            }
            Some(Ok(Part::Binary(bytes))) => {
                unflushed.note_received(bytes.len());
                node.handle(now, Input::Binary { conn: id, bytes: &bytes });
            }
            // Bad base64 is the only error here; the core judges the packets themselves.
            Some(Err(_)) => {
                let refused = Response::text(400, "A binary packet of the body is not base64.");
                return refuse_body(node, http, id, Violation::BadBase64, refused);
            }
        }
    }
    http.io.serve_again(id);
    answer_in_time(http, id);
}

/// Packets are left: the client gets its answer in time all the same.
fn answer_in_time(http: &mut HttpExchange, id: ConnId) {
    let is_due = |connection: &Connection| connection.deadline.is_some() || connection.is_answered_early();
    if http.io.get_mut(id).is_some_and(|connection| !is_due(connection)) {
        http.io.set_deadline_in(id, ANSWER_WITHIN);
    }
}

/// All packets were handed over, or nobody takes them any more: the session has ended, and its answer is on its way. A
/// connection that had its answer before has served.
fn end_packets(http: &mut HttpExchange, id: ConnId) {
    if http.io.get_mut(id).is_some_and(|connection| connection.is_answered_early()) {
        http.io.close(id);
    }
}

/// The client of a POST has waited long enough. When too many bodies of its session wait already, it waits on: nothing
/// would be gained by holding more of them.
pub(super) fn answer_early<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId) {
    node.handle(http.io.now(), Input::PostLate { conn: id });
    http.io.set_deadline_in(id, ANSWER_WITHIN);
}

/// A GET that asks for a new session; its handshake is the answer.
pub(super) fn open_by_poll<A: App>(
    node: &mut Node<A>,
    http: &mut HttpExchange,
    id: ConnId,
    dialect: Dialect,
) {
    hold(http, id);
    let transport = TransportKind::Polling;
    node.handle(http.io.now(), Input::Open { conn: id, transport, dialect });
}

/// A GET that waits for the next messages of a session.
pub(super) fn poll_session<A: App>(
    node: &mut Node<A>,
    http: &mut HttpExchange,
    id: ConnId,
    sid: &str,
    packets_max: usize,
) {
    hold(http, id);
    node.handle(http.io.now(), Input::Poll { conn: id, sid, packets_max });
}

fn hold(http: &mut HttpExchange, id: ConnId) {
    http.io.clear_deadline(id);
    if let Some(connection) = http.io.get_mut(id) {
        connection.phase = Phase::Poll;
    }
}

/// A body that broke a rule ends its session: its content is lost, and the client must not think otherwise.
pub(super) fn refuse_body<A: App>(
    node: &mut Node<A>,
    http: &mut HttpExchange,
    id: ConnId,
    violation: Violation,
    response: Response,
) {
    node.handle(http.io.now(), Input::Closed { conn: id, reason: Reason::ParseError });
    let response = cors::grant(response, http.take_origin(id).as_deref());
    http.refuse_with(id, violation, &response);
}

/// The core answered a request, or a test of a WebSocket. A request that was answered here already gets no more.
pub(super) fn answer<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId, answer: RequestAnswer) {
    let Some(connection) = http.io.get_mut(id) else { return };
    let is_websocket = matches!(connection.phase, Phase::WebSocket(_));
    let is_request = matches!(connection.phase, Phase::Poll | Phase::Body(_) | Phase::Packets(_));
    match answer {
        RequestAnswer::Probed if is_websocket => {
            connection.out.push_frame(engine::probe_answer());
            http.io.mark_dirty(id);
        }
        RequestAnswer::TakenEarly if is_request => {
            connection.exchange_mut().is_answered_early = true;
            let response = Response::new(200).body("text/html", &b"ok"[..]);
            let response = cors::grant(response, http.take_origin(id).as_deref());
            http.io.clear_deadline(id);
            http.io.queue(id, response.to_bytes(false));
        }
        RequestAnswer::TakenBehind(rest) if is_request => {
            if let Phase::Packets(later) = mem::replace(&mut connection.phase, Phase::Poll)
                && let Some(Phase::Packets(packets)) = http.io.get_mut(rest).map(|rest| &mut rest.phase)
            {
                packets.append(&later);
            }
            http.answer_granted(node, id, Response::new(200).body("text/html", &b"ok"[..]));
        }
        RequestAnswer::Taken if is_request => {
            http.answer_granted(node, id, Response::new(200).body("text/html", &b"ok"[..]));
        }
        RequestAnswer::Noop if is_request => answer_with(node, http, id, &[engine::noop()]),
        RequestAnswer::Refused(error) if is_request => refuse_request(http, id, error),
        _ => {}
    }
}

fn refuse_request(http: &mut HttpExchange, id: ConnId, error: RequestError) {
    let origin = http.take_origin(id);
    let refusal = match error {
        RequestError::SessionUnknown => EngineRefusal::SessionUnknown,
        RequestError::BadRequest => EngineRefusal::BadRequest,
        RequestError::Overloaded => {
            http.stats.overloaded += 1;
            return http.respond(id, &cors::grant(route::overloaded(), origin.as_deref()));
        }
    };
    http.refuse_with(id, refusal.violation(), &refusal.response(false, origin.as_deref()));
}

/// Answers a held GET with the messages of its session, if there are any.
pub(super) fn answer_poll<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId) {
    _ = node.pull(id, usize::MAX, &mut http.io.frames);
    if !http.io.frames.is_empty() {
        let frames = mem::take(&mut http.io.frames);
        answer_with(node, http, id, &frames);
    }
}

/// Answers a held GET whose session has ended: the messages left for it, and the end.
pub(super) fn end_poll<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId) {
    _ = node.pull(id, usize::MAX, &mut http.io.frames);
    let mut frames = mem::take(&mut http.io.frames);
    frames.push(engine::close());
    answer_with(node, http, id, &frames);
}

fn answer_with<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId, frames: &[Frame]) {
    let response = Response::new(200).body("text/plain; charset=UTF-8", engine::encode_payload(frames));
    http.answer_granted(node, id, response);
}
