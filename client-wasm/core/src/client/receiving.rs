//! Receiving: packets that are whole become outputs and changes of a socket.
//!
//! Owns the meaning of a packet in each state of its socket. It never reads the JSON of an event.

use super::Client;
use crate::{
    DisconnectReason, Failure, Output, SocketKey, Time,
    engine::End,
    socket::{AckId, Incoming, IncomingKind, State, Waiter},
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use moorline_protocol::json;

/// The refusal for a CONNECT reply without an id, as servers of the older protocol send it.
const NO_SID: &str = r#"{"message":"the server speaks an older Socket.IO (v2)"}"#;

impl Client {
    /// Takes a packet that is whole.
    pub(super) fn packet(&mut self, now: Time, incoming: Incoming) -> Result<(), End> {
        let Some(key) = self.sockets.find(&incoming.namespace) else { return Ok(()) };
        let Some(socket) = self.sockets.get_mut(key) else { return Ok(()) };
        match (incoming.kind, socket.state) {
            (IncomingKind::Connected, State::Abandoned { .. }) => {
                self.send_disconnect(key);
                self.connect_abandoned(key);
            }
            // The CONNECT timed out before this reply came.
            (IncomingKind::Connected, State::Idle | State::AwaitingAuth(_)) => self.send_disconnect(key),
            (IncomingKind::Refused, State::Abandoned { .. }) => self.connect_abandoned(key),
            (IncomingKind::Connected, State::Connecting { .. }) => self.connected(now, key, &incoming.json),
            (IncomingKind::Refused, State::Connecting { .. }) => self.refused(now, key, incoming.json),
            (IncomingKind::Disconnected, State::Connected) => {
                socket.is_wanted = false;
                self.disconnected(now, key, DisconnectReason::ServerDisconnect, None);
                self.close_if_unwanted(now);
            }
            (IncomingKind::Event { ack, attachments }, State::Connected) => {
                self.event(key, incoming.json, ack, attachments);
            }
            (kind @ IncomingKind::Event { .. }, State::Connecting { .. }) => {
                let incoming = Incoming { kind, ..incoming };
                socket.receive_buffer_bytes =
                    socket.receive_buffer_bytes.saturating_add(incoming.held_bytes());
                if socket.receive_buffer_bytes > self.options.message_bytes_max {
                    return Err(End::parse_error(Failure::EARLY_EVENTS));
                }
                socket.receive_buffer.push(incoming);
            }
            (IncomingKind::Ack { id, attachments }, State::Connected) => {
                self.acked(now, key, id, incoming.json, attachments);
            }
            // The packet crossed with one of ours: it is out of date.
            _ => {}
        }
        Ok(())
    }

    /// The reply to an abandoned CONNECT has come: the socket may connect now, if it wants to.
    fn connect_abandoned(&mut self, key: SocketKey) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        socket.state = State::Idle;
        if socket.is_wanted {
            self.request_auth(key);
        }
    }

    fn event(&mut self, key: SocketKey, json: String, ack: Option<u64>, attachments: Vec<Vec<u8>>) {
        let Some(socket) = self.sockets.get(key) else { return };
        let owed_ack = ack.map(|id| socket.epoch.owed(id));
        self.outputs.push(Output::Event { socket: key, json, attachments, owed_ack });
    }

    fn acked(&mut self, now: Time, key: SocketKey, id: AckId, json: String, attachments: Vec<Vec<u8>>) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        // An ack that comes too late, or twice, is ignored.
        let Some(waiter) = socket.acks.end(id) else { return };
        let owner = match waiter {
            Waiter::Caller(ack) => Some(ack),
            Waiter::Queue => socket.queue.pop().and_then(|queued| queued.ack),
        };
        if let Some(ack) = owner {
            self.outputs.push(Output::Acked { ack, json, attachments });
        }
        if waiter == Waiter::Queue {
            self.work_off_queue(now, key);
        }
    }

    fn connected(&mut self, now: Time, key: SocketKey, data: &str) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let Some(id) = json::member(data, "sid").and_then(json::read_string).filter(|id| !id.is_empty())
        else {
            return self.refused(now, key, NO_SID.to_string());
        };
        socket.state = State::Connected;
        socket.backoff.reset();
        socket.epoch.advance();
        socket.receive_buffer_bytes = 0;
        for incoming in core::mem::take(&mut socket.receive_buffer) {
            if let IncomingKind::Event { ack, attachments } = incoming.kind {
                self.event(key, incoming.json, ack, attachments);
            }
        }
        self.release(now, key);
        self.work_off_queue(now, key);
        self.outputs.push(Output::Connected(key, id));
    }

    fn refused(&mut self, now: Time, key: SocketKey, refusal: String) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        socket.is_wanted = false;
        socket.state = State::Idle;
        socket.reset();
        self.outputs.push(Output::ConnectError {
            socket: key,
            failure: Failure::REFUSED_BY_SERVER,
            refusal: Some(refusal),
            details: None,
        });
        self.close_if_unwanted(now);
    }
}
