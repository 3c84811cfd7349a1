//! The shell's part in the simulated world: carries out what nodes want and moves frames to clients.
//!
//! It holds no truth of its own; like a real shell it pulls frames when told to and says when a connection is gone.

use super::{
    client::{Client, Ending},
    world::{Station, World},
};
use moorline_core::{ConnId, Input, Node, Output, close_code};
use moorline_protocol::{Frame, Reason};

impl World {
    pub(super) fn carry_out(&mut self, node: usize) {
        while let Some(output) = self.stations[node].node.as_mut().and_then(Node::poll_output) {
            if let Some(trace) = &mut self.trace {
                trace.push_str(&format!("{:?} {node} {output:?}\n", self.now));
            }
            match output {
                Output::Flush(conn) => self.flush(node, conn),
                Output::Answer { answer, .. } => panic!("{answer:?} to a WebSocket that tested nothing"),
                Output::Close { conn, reason } => self.close(node, conn, reason),
                Output::Subscribe(channel) => self.redis.subscribe(self.now, node, channel),
                Output::Unsubscribe(channel) => self.redis.unsubscribe(self.now, node, channel),
                Output::ResetBus => self.reset_link(node),
                Output::Publish(publication) => self.redis.publish(self.now, node, publication),
            }
        }
        self.check_sessions(node);
    }

    fn check_sessions(&self, node: usize) {
        let Station { node: Some(node), conns, .. } = &self.stations[node] else { return };
        assert_eq!(node.gauges().sessions, conns.len(), "one session for each open connection");
    }

    fn flush(&mut self, node: usize, conn: ConnId) {
        let client = self.stations[node].conns.get(&conn).copied();
        if let Some(client) = client.filter(|client| self.clients[client.0].is_reading) {
            self.pull(node, conn, client);
        }
    }

    pub(super) fn pull(&mut self, node: usize, conn: ConnId, client: Client) {
        let Some(node) = &mut self.stations[node].node else { return };
        let mut frames: Vec<Frame> = Vec::new();
        while node.pull(conn, 64 * 1024, &mut frames) {}
        for frame in frames {
            if let Some(trace) = &mut self.trace {
                trace.push_str(&format!("  {}\n", String::from_utf8_lossy(frame.as_packet())));
            }
            if self.clients[client.0].take(self.now, frame.as_websocket()) {
                self.pongs.push_back(client);
            }
        }
    }

    /// As a shell does: the connection is gone once the client has read what was left.
    fn close(&mut self, node: usize, conn: ConnId, reason: Reason) {
        let client = self.stations[node].conns.remove(&conn).expect("a close for an open connection");
        self.clients[client.0].ending = Some(Ending { reason, code: close_code(reason), at: self.now });
        if self.clients[client.0].is_reading {
            self.pull(node, conn, client);
            self.finish_close(node, conn);
        }
    }

    pub(super) fn finish_close(&mut self, node: usize, conn: ConnId) {
        self.release(node, conn);
        if let Some(node) = &mut self.stations[node].node {
            node.handle(self.now, Input::Closed { conn, reason: Reason::TransportClose });
        }
    }

    pub(super) fn release(&mut self, node: usize, conn: ConnId) {
        let station = &mut self.stations[node];
        station.conns.remove(&conn);
        station.free.push(ConnId { generation: conn.generation + 1, ..conn });
    }

    pub(super) fn send_pongs(&mut self) {
        while let Some(client) = self.pongs.pop_front() {
            if self.clients[client.0].is_open() {
                self.say(client, "3");
            }
        }
    }
}
