//! WebSockets on a connection: the upgrade, messages in, and the end of a session that travels on one.
//!
//! Owns no state: a connection holds its own. It never judges a message; framing is the wire's and meaning the core's.

use crate::{
    connection::Phase,
    reactor::{exchange::HttpExchange, io::ConnectionIo},
    wire::{
        http::switching_protocols,
        websocket::{Flow, Message, MessageLimits, ProtocolError, Status, WebSocket},
    },
};
use moorline_core::{App, ConnId, Input, Intake, Node, Time};
use moorline_protocol::Reason;

/// Turns the connection into a WebSocket, and tells the core which session it is for.
pub(super) fn upgrade<A: App>(
    node: &mut Node<A>,
    http: &mut HttpExchange,
    id: ConnId,
    accept: &str,
    input: Input<'_>,
) {
    let io = &mut http.io;
    io.clear_deadline(id);
    let websocket = WebSocket::new(MessageLimits {
        message_bytes_max: io.limits.payload_bytes_max,
        fragments_max: io.limits.fragments_max,
    });
    let Some(connection) = io.get_mut(id) else { return };
    connection.exchange = None;
    connection.phase = Phase::WebSocket(websocket);
    connection.out.push_bytes(switching_protocols(accept));
    node.handle(io.now(), input);
    io.mark_dirty(id);
}

/// Takes bytes of frames. Returns whether messages are left that may not be handed over now.
pub(super) fn receive<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId, bytes: &[u8]) -> bool {
    let (now, share_end) = (http.io.now(), http.io.share_end());
    let Some(connection) = http.io.get_mut(id) else { return false };
    let Phase::WebSocket(websocket) = &mut connection.phase else { return false };
    let mut reply = Vec::new();
    let outcome =
        websocket.feed(bytes, &mut reply, &mut |message| hand_over(node, now, share_end, id, message));
    let overhead = websocket.take_overhead();
    http.io.add_work(overhead);
    finish(node, http, id, reply, outcome);
    outcome == Ok(Status::Paused)
}

/// Goes on with messages that a pause left behind. Returns whether all of them were handed over.
pub(super) fn resume<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId) -> bool {
    let (now, share_end) = (http.io.now(), http.io.share_end());
    let Some(connection) = http.io.get_mut(id) else { return true };
    let Phase::WebSocket(websocket) = &mut connection.phase else { return true };
    let mut reply = Vec::new();
    let outcome = websocket.resume(&mut reply, &mut |message| hand_over(node, now, share_end, id, message));
    finish(node, http, id, reply, outcome);
    outcome != Ok(Status::Paused)
}

/// Hands one message to the core, and says whether the next one may follow in this turn.
fn hand_over<A: App>(
    node: &mut Node<A>,
    now: Time,
    share_end: u64,
    conn: ConnId,
    message: Message<'_>,
) -> Flow {
    let input = match message {
        Message::Text(text) => Input::Text { conn, text },
        Message::Binary(bytes) => Input::Binary { conn, bytes },
    };
    node.handle(now, input);
    match node.intake(conn) {
        Intake::Closed => Flow::Stop,
        Intake::Open if node.stats().work < share_end => Flow::Continue,
        Intake::Open | Intake::Paused => Flow::Pause,
    }
}

fn finish<A: App>(
    node: &mut Node<A>,
    http: &mut HttpExchange,
    id: ConnId,
    reply: Vec<u8>,
    outcome: Result<Status, ProtocolError>,
) {
    if !reply.is_empty() {
        http.io.queue(id, reply);
    }
    match outcome {
        Ok(Status::Open | Status::Paused | Status::Stopped) => http.io.check_send_queue(node, id),
        Ok(Status::Closed) => {
            node.handle(http.io.now(), Input::Closed { conn: id, reason: Reason::TransportClose });
            http.io.close(id);
        }
        Err(error) => {
            http.stats.violations.add(error.violation);
            node.handle(http.io.now(), Input::Closed { conn: id, reason: Reason::TransportError });
            http.io.close_with_code(id, error.code, error.violation.as_str());
        }
    }
}

/// Sends the frames left in the outbox of a session that has ended, then the reason.
pub(super) fn end<A: App>(node: &mut Node<A>, http: &mut HttpExchange, id: ConnId, reason: Reason) {
    let ConnectionIo { connections, frames, .. } = &mut http.io;
    let Some(connection) = connections.get_mut(id) else { return };
    _ = node.pull(id, usize::MAX, frames);
    frames.drain(..).for_each(|frame| connection.out.push_frame(frame));
    http.io.close_with_code(id, reason.close_code(), reason.as_str());
}
