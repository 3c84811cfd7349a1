//! How a client gets on by itself: it polls again, answers heartbeats and moves to its WebSocket.
//!
//! Nothing is done in the midst of a node's turn: it waits in a queue until the node wants nothing else.

use super::{
    client::{Action, Record, Upgrade},
    conn::{Outcome, Role},
    words::{Client, Conn, Received},
    world::World,
};

/// One thing that happens once the node wants nothing else.
enum Step {
    /// A connection's messages are wanted again.
    ReadOn(Conn),
    /// A client does what it is about to do.
    Act(Client, Action),
}

impl World {
    /// A message came for a client, on whatever it travels by.
    pub(super) fn client_receives(&mut self, client: Client, packet: Received) {
        let record = &mut self.clients[client.0];
        let is_transport_s_own = matches!(&packet, Received::Text(text) if text == "6" || text == "1");
        if record.upgrade != Upgrade::Moved && is_transport_s_own {
            return;
        }
        if record.take(self.now, packet) {
            self.actions.push_back((client, Action::AnswerPing));
        }
    }

    /// The WebSocket that a client means to move to answered its test.
    pub(super) fn client_was_tested(&mut self, client: Client) {
        self.clients[client.0].upgrade = Upgrade::Tested;
        self.actions.push_back((client, Action::GoOn));
    }

    /// A client's request was answered, or one of its connections ended.
    pub(super) fn client_request_ended(&mut self, client: Client, conn: Conn, outcome: &Outcome) {
        let record = &mut self.clients[client.0];
        let role = self.connections[conn.0].role;
        match role {
            Role::Handshake | Role::Poll { .. } => record.poll = None,
            Role::Post => record.post = None,
            Role::Socket | Role::Upgrade => {}
        }
        if matches!(outcome, Outcome::Lost) || is_refusal_of_a_session(record, role, outcome) {
            record.is_gone = true;
        } else if record.ending.is_none() && !role.is_websocket() {
            record.kept.push(conn);
        }
        self.actions.push_back((client, Action::GoOn));
    }

    /// Does what clients are about to do, until nothing is left.
    pub(super) fn act(&mut self) {
        if self.is_acting {
            return;
        }
        self.is_acting = true;
        while let Some(step) = self.next_step() {
            match step {
                Step::ReadOn(conn) => self.read_on(conn),
                Step::Act(client, _) if !self.clients[client.0].is_open() => {}
                Step::Act(client, Action::AnswerPing) => self.say(client, "3"),
                Step::Act(client, Action::GoOn) => self.go_on(client),
            }
        }
        self.is_acting = false;
    }

    fn next_step(&mut self) -> Option<Step> {
        let resumed = self.resumed.pop_front().map(Step::ReadOn);
        resumed.or_else(|| {
            let (client, action) = self.actions.pop_front_if(|_| !self.is_dawdling)?;
            Some(Step::Act(client, action))
        })
    }

    fn go_on(&mut self, client: Client) {
        let record = &mut self.clients[client.0];
        match (record.upgrade, record.poll, record.websocket) {
            (Upgrade::Tested, None, Some(websocket)) => {
                record.upgrade = Upgrade::Moved;
                self.send(websocket, "5");
            }
            (Upgrade::Polls, None, _) if record.is_reading => {
                let packets_max = record.packets_max;
                if let Some(sid) = record.sid.clone() {
                    self.start_poll(&sid, packets_max, Some(client));
                }
            }
            _ => {}
        }
    }
}

/// A session that takes no request any more is over for its client. One that has moved refuses a late post and lives.
fn is_refusal_of_a_session(record: &Record, role: Role, outcome: &Outcome) -> bool {
    let is_late_post = role == Role::Post && record.upgrade == Upgrade::Moved;
    matches!(outcome, Outcome::Refused(_)) && !is_late_post
}
