//! The shells' part in the simulated world: carries out what nodes want and moves frames and answers to clients.
//!
//! It holds no truth of its own; like a real shell it pulls frames once the node wants nothing else, and says when a
//! connection is gone.

use super::{
    client::{Ending, unframe, unpack},
    conn::{Connection, Outcome, Role, Unread, session_id, split},
    words::{Conn, Received},
    world::World,
};
use moorline_core::{ConnId, Input, Node, Output, RequestAnswer};
use moorline_protocol::{Frame, Reason, engine};

/// Frames are pulled in pieces of this many bytes.
const PULL_BYTES: usize = 64 * 1024;
/// The channels of a node itself: its own and the one for backends.
const OWN_CHANNELS: usize = 2;

impl World {
    pub(super) fn carry_out(&mut self, node: usize) {
        self.do_outputs(node);
        while !self.is_lazy
            && let Some(id) = self.slots[node].dirty.pop_first()
        {
            self.flush(node, id);
            self.do_outputs(node);
        }
        self.check_invariants(node);
    }

    fn do_outputs(&mut self, node: usize) {
        while let Some(output) = self.slots[node].node.as_mut().and_then(Node::poll_output) {
            if let Some(trace) = &mut self.trace {
                trace.push_str(&format!("{:?} {node} {output:?}\n", self.now));
            }
            match output {
                Output::Flush(id) => _ = self.slots[node].dirty.insert(id),
                Output::Resume(id) => self.resumed.extend(self.slots[node].conns.get(&id)),
                Output::Answer { conn, answer } => self.answer(node, conn, answer),
                Output::Close { conn, reason } => self.close(node, conn, reason),
                Output::Subscribe(channel) => self.redis.subscribe(self.now, node, channel),
                Output::Unsubscribe(channel) => self.redis.unsubscribe(self.now, node, channel),
                Output::ResetBus => self.reset_link(node),
                Output::Publish(publication) => self.redis.publish(self.now, node, publication),
            }
        }
    }

    /// Holds what a node says about itself against what the world knows of it.
    fn check_invariants(&mut self, node: usize) {
        self.slots[node].check_invariants(self.now);
        let Some(running) = &self.slots[node].node else { return };
        running.check_invariants();
        if running.config().cluster.is_some() {
            let (wanted, rooms) = (self.redis.wanted(node), running.gauges().rooms);
            assert_eq!(wanted, rooms + OWN_CHANNELS, "a channel for each room, and the node's own");
        }
    }

    /// An answer that comes from no outbox.
    fn answer(&mut self, node: usize, id: ConnId, answer: RequestAnswer) {
        let conn = *self.slots[node].conns.get(&id).expect("an answer on an open connection");
        match answer {
            RequestAnswer::Probed => self.probed(conn),
            RequestAnswer::Taken | RequestAnswer::TakenEarly => self.end(conn, &Outcome::Taken),
            RequestAnswer::TakenBehind(rest) => {
                let rest = self.slots[node].conns[&rest];
                let mut later = std::mem::take(&mut self.connections[conn.0].unread);
                let waiting = &mut self.connections[rest.0].unread;
                waiting.pop_back_if(|end| matches!(end, Unread::Posted));
                waiting.append(&mut later);
                self.end(conn, &Outcome::Taken);
            }
            RequestAnswer::Noop => self.end_poll(conn, b"6"),
            RequestAnswer::Refused(error) => self.end(conn, &Outcome::Refused(error)),
        }
    }

    fn flush(&mut self, node: usize, id: ConnId) {
        let Some(conn) = self.slots[node].conns.get(&id).copied() else { return };
        let connection = &self.connections[conn.0];
        if !connection.is_waiting() {
            return;
        }
        if !connection.role.is_websocket() {
            let role = connection.role;
            let frames = self.pull(node, id, PULL_BYTES);
            assert!(frames.len() <= role.packets_max(), "{} packets for {role:?}", frames.len());
            if !frames.is_empty() {
                self.end_poll(conn, &engine::encode_payload(&frames));
            }
        } else if connection.owner.is_none_or(|owner| self.clients[owner.0].is_reading) {
            self.pull_websocket(node, conn);
        } else if let Some(node) = &mut self.slots[node].node {
            node.handle(self.now, Input::Blocked { conn: id });
        }
    }

    /// Moves all that waits for a WebSocket to who reads it.
    pub(super) fn pull_websocket(&mut self, node: usize, conn: Conn) {
        let id = self.connections[conn.0].id;
        for frame in self.pull(node, id, PULL_BYTES) {
            self.receive(conn, unframe(frame.as_websocket()));
        }
    }

    fn pull(&mut self, node: usize, id: ConnId, bytes: usize) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        let Some(node) = &mut self.slots[node].node else { return frames };
        while node.pull(id, bytes, &mut frames) {}
        if let Some(trace) = &mut self.trace {
            for frame in &frames {
                trace.push_str(&format!("  {}\n", String::from_utf8_lossy(frame.as_packet())));
            }
        }
        frames
    }

    /// As a shell does: the connection is gone once the client has read what was left.
    fn close(&mut self, node: usize, id: ConnId, reason: Reason) {
        let conn = self.slots[node].remove(id).expect("a close for an open connection");
        let Connection { role, owner, .. } = self.connections[conn.0];
        let is_all = owner.is_none_or(|owner| {
            let ending = Ending { reason, code: reason.close_code(), at: self.now };
            self.clients[owner.0].close(conn, role, ending)
        });
        if !role.is_websocket() {
            let mut frames = self.pull(node, id, usize::MAX);
            frames.push(engine::close());
            self.end_poll(conn, &engine::encode_payload(&frames));
        } else if is_all {
            self.pull_websocket(node, conn);
            self.end(conn, &Outcome::Closed(reason.close_code()));
        } else {
            return;
        }
        self.finish_close(node, conn);
    }

    /// The client has read what was left on a connection that the node closed.
    pub(super) fn finish_close(&mut self, node: usize, conn: Conn) {
        let id = self.connections[conn.0].id;
        self.slots[node].release(id);
        if let Some(node) = &mut self.slots[node].node {
            node.handle(self.now, Input::Closed { conn: id, reason: Reason::TransportClose });
        }
    }

    /// A message came on a WebSocket.
    fn receive(&mut self, conn: Conn, packet: Received) {
        let connection = &mut self.connections[conn.0];
        assert!(connection.is_waiting(), "{packet} comes after the end");
        match connection.owner {
            Some(owner) => self.client_receives(owner, packet),
            None => connection.received.push(packet),
        }
    }

    fn probed(&mut self, conn: Conn) {
        match self.connections[conn.0].owner {
            Some(owner) => self.client_was_tested(owner),
            None => self.receive(conn, Received::Text("3probe".into())),
        }
    }

    /// A poll, or the request for a session, is answered with this body.
    fn end_poll(&mut self, conn: Conn, body: &[u8]) {
        let packets = split(body);
        let Connection { node, id, role, owner, .. } = self.connections[conn.0];
        let sid = session_id(&packets[0]);
        if role == Role::Handshake {
            self.slots[node].finish_handshake(id, sid.clone());
        }
        if let Some(owner) = owner {
            let record = &mut self.clients[owner.0];
            record.sid = record.sid.take().or(sid);
            for packet in unpack(body) {
                self.client_receives(owner, packet);
            }
        }
        self.end(conn, &Outcome::Packets(packets));
    }

    /// A request is answered, or a connection has ended.
    pub(super) fn end(&mut self, conn: Conn, outcome: &Outcome) {
        let Connection { node, id, role, owner, .. } = self.connections[conn.0];
        if role == Role::Handshake && !matches!(outcome, Outcome::Packets(_)) {
            self.slots[node].finish_handshake(id, None);
        }
        self.connections[conn.0].end(outcome.clone());
        if let Some(owner) = owner {
            self.client_request_ended(owner, conn, outcome);
        }
    }
}
