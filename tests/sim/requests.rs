//! Requests and WebSockets that a story makes itself, one by one, as no well-behaved client would.
//!
//! As behind a balancer, a request goes to the node that its session's id names. A request that was answered keeps its
//! connection, as a browser does.

use super::{
    conn::{Connection, Outcome, Role, Unread, session_id, socket_id},
    words::{Client, Conn, Received},
    world::World,
};
use moorline_core::{ConnId, Dialect, Input, Intake};
use moorline_protocol::{
    Reason, TransportKind,
    engine::{Part, Payload},
};

impl World {
    // Polls.

    /// A GET that asks for a session, which is answered at once; the session's id.
    pub fn open_polling(&mut self, node: usize) -> String {
        let Some(Outcome::Packets(packets)) = self.try_open_polling(node) else { panic!("no handshake") };
        let [open] = packets.as_slice() else { panic!("{packets:?} is no handshake") };
        assert!(open.contains(r#""upgrades":["websocket"]"#), "{open}");
        session_id(open).expect("a session id")
    }

    /// A GET that asks for a session, and how it was answered.
    pub fn try_open_polling(&mut self, node: usize) -> Option<Outcome> {
        let conn = self.ask_for_polling(node);
        self.outcome(conn)
    }

    /// A GET that asks for a session.
    pub fn ask_for_polling(&mut self, node: usize) -> Conn {
        self.open_connection(node, Role::Handshake, None)
    }

    /// The same, connected to `/`; the session's id and the socket's.
    pub fn connect_polling(&mut self, node: usize) -> (String, String) {
        let sid = self.open_polling(node);
        assert_eq!(self.post(&sid, "40"), Some(Outcome::Taken));
        let Some(Outcome::Packets(packets)) = self.get(&sid) else { panic!("no answer to CONNECT") };
        (sid, socket_id(&packets[0]))
    }

    /// A GET of a session, which may be held.
    pub fn poll(&mut self, sid: &str) -> Conn {
        self.poll_for(sid, usize::MAX)
    }

    /// A GET of a client that takes so many packets of one answer.
    pub fn poll_for(&mut self, sid: &str, packets_max: usize) -> Conn {
        self.start_poll(sid, packets_max, None)
    }

    /// A GET and how it was answered; `None` for one that is held.
    pub fn get(&mut self, sid: &str) -> Option<Outcome> {
        let conn = self.poll(sid);
        self.outcome(conn)
    }

    // Posts.

    /// The head of a POST; its packets are for [`World::send_body`].
    pub fn start_post(&mut self, sid: &str) -> Conn {
        self.start_post_of(sid, None)
    }

    /// The packets of a body and its end.
    pub fn send_body(&mut self, conn: Conn, body: &str) {
        let mut payload = Payload::new(body.into());
        while let Some(part) = payload.next_part() {
            match part.expect("a well-formed body") {
                Part::Text(text) => self.send(conn, text),
                Part::Binary(bytes) => self.send_binary(conn, &bytes),
            }
        }
        self.end_post(conn);
    }

    /// The end of a body.
    pub fn end_post(&mut self, conn: Conn) {
        self.bring(conn, Unread::Posted);
    }

    /// The client of a POST should wait no longer.
    pub fn post_late(&mut self, conn: Conn) {
        self.input_from(conn, |conn| Input::PostLate { conn });
    }

    /// A whole POST and how it was answered.
    pub fn post(&mut self, sid: &str, body: &str) -> Option<Outcome> {
        let conn = self.start_post(sid);
        self.send_body(conn, body);
        self.outcome(conn)
    }

    // WebSockets.

    /// A WebSocket that asks for a session of its own.
    pub fn open_websocket(&mut self, node: usize) -> Conn {
        self.open_connection(node, Role::Socket, None)
    }

    /// A WebSocket that names a session.
    pub fn upgrade(&mut self, sid: &str) -> Conn {
        self.start_upgrade_of(sid, None)
    }

    /// A text message on a WebSocket, or a text packet of a body.
    pub fn send(&mut self, conn: Conn, text: &str) {
        self.bring(conn, Unread::Text(text.into()));
    }

    /// A binary message on a WebSocket, or a binary packet of a body.
    pub fn send_binary(&mut self, conn: Conn, bytes: &[u8]) {
        self.bring(conn, Unread::Binary(bytes.into()));
    }

    /// Something comes on a connection. Like a shell, leaves it there while the node does not want it.
    fn bring(&mut self, conn: Conn, unread: Unread) {
        let waiting = &mut self.connections[conn.0].unread;
        let has_ended = matches!(waiting.back(), Some(Unread::Posted));
        if !has_ended || !matches!(unread, Unread::Posted) {
            // A client whose body is not all read puts more into it.
            waiting.insert(waiting.len() - usize::from(has_ended), unread);
        }
        self.read_on(conn);
    }

    /// Hands over what waits on a connection, as far as the node wants it.
    pub(super) fn read_on(&mut self, conn: Conn) {
        let Connection { node, id, .. } = self.connections[conn.0];
        let is_wanted = |world: &World| {
            let node = world.slots[node].node.as_ref();
            node.is_some_and(|node| node.intake(id) != Intake::Paused)
        };
        while is_wanted(self)
            && let Some(unread) = self.connections[conn.0].unread.pop_front()
        {
            match &unread {
                Unread::Text(text) => self.input_from(conn, |conn| Input::Text { conn, text }),
                Unread::Binary(bytes) => self.input_from(conn, |conn| Input::Binary { conn, bytes }),
                Unread::Posted => self.input_from(conn, |conn| Input::Posted { conn }),
            }
        }
    }

    /// A connection goes away.
    pub fn drop_connection(&mut self, conn: Conn) {
        let Connection { node, id, .. } = self.connections[conn.0];
        self.connections[conn.0].is_dropped = true;
        if self.slots[node].conns.get(&id) == Some(&conn) {
            self.slots[node].release(id);
        }
        self.input_from(conn, |conn| Input::Closed { conn, reason: Reason::TransportClose });
    }

    // For a story to look at.

    /// How a request was answered, or how a WebSocket ended.
    pub fn outcome(&self, conn: Conn) -> Option<Outcome> {
        self.connections[conn.0].outcome.clone()
    }

    /// The messages on a WebSocket since the last look; binary messages start with `b`.
    pub fn messages(&mut self, conn: Conn) -> Vec<String> {
        let received = std::mem::take(&mut self.connections[conn.0].received);
        received.iter().map(Received::to_string).collect()
    }

    /// Whether a session lives.
    pub fn is_alive(&self, sid: &str) -> bool {
        self.transport(sid).is_some()
    }

    /// The transport of a session that lives.
    pub fn transport(&self, sid: &str) -> Option<TransportKind> {
        self.slots[self.node_of(sid)].node.as_ref()?.transport(sid, self.now)
    }

    /// Asserts that every request was answered and every WebSocket ended, unless its client dropped it.
    pub fn assert_all_answered(&self) {
        for (number, connection) in self.connections.iter().enumerate() {
            assert!(!connection.is_waiting(), "connection {number} was never answered: {connection:?}");
        }
    }

    // The same for the client that drives a connection.

    pub(super) fn open_connection(&mut self, node: usize, role: Role, owner: Option<Client>) -> Conn {
        let transport = if role.is_websocket() { TransportKind::WebSocket } else { TransportKind::Polling };
        self.begin(node, role, owner, |conn| Input::Open { conn, transport, dialect: Dialect::SocketIo })
    }

    pub(super) fn start_poll(&mut self, sid: &str, packets_max: usize, owner: Option<Client>) -> Conn {
        let node = self.node_of(sid);
        self.begin(node, Role::Poll { packets_max }, owner, |conn| Input::Poll { conn, sid, packets_max })
    }

    pub(super) fn start_post_of(&mut self, sid: &str, owner: Option<Client>) -> Conn {
        let node = self.node_of(sid);
        self.begin(node, Role::Post, owner, |conn| Input::Post { conn, sid })
    }

    pub(super) fn start_upgrade_of(&mut self, sid: &str, owner: Option<Client>) -> Conn {
        let node = self.node_of(sid);
        self.begin(node, Role::Upgrade, owner, |conn| Input::Upgrade { conn, sid })
    }

    /// A new connection, or a new request on one that its client keeps, and the input it starts with.
    fn begin<'a>(
        &mut self,
        node: usize,
        role: Role,
        owner: Option<Client>,
        input: impl Fn(ConnId) -> Input<'a>,
    ) -> Conn {
        let conn = Conn(self.connections.len());
        if self.slots[node].node.is_none() {
            let id = ConnId { slot: 0, generation: u32::MAX };
            self.connections.push(Connection::new(node, id, role, owner));
            self.end(conn, &Outcome::Lost);
            return conn;
        }
        let id = self.kept_connection(owner, role).unwrap_or_else(|| self.slots[node].new_id());
        self.connections.push(Connection::new(node, id, role, owner));
        self.slots[node].insert(id, conn, role);
        if let Some(owner) = owner {
            self.clients[owner.0].began(conn, role);
        }
        self.input(node, input(id));
        conn
    }

    fn kept_connection(&mut self, owner: Option<Client>, role: Role) -> Option<ConnId> {
        let kept = self.clients[owner.filter(|_| !role.is_websocket())?.0].kept.pop()?;
        Some(self.connections[kept.0].id)
    }

    /// Something happens on a connection. One that is gone is named all the same, as long as nobody has its place:
    /// the node must know better.
    fn input_from<'a>(&mut self, conn: Conn, input: impl Fn(ConnId) -> Input<'a>) {
        let Connection { node, id, .. } = self.connections[conn.0];
        if self.slots[node].conns.get(&id).is_none_or(|now| *now == conn) {
            self.input(node, input(id));
        }
    }

    /// The node whose name a session's id starts with; the first one, if there is no such node.
    fn node_of(&self, sid: &str) -> usize {
        let is_it = |slot: &super::node_slot::NodeSlot| {
            sid.strip_prefix(slot.config.name.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        self.slots.iter().position(is_it).unwrap_or_default()
    }
}
