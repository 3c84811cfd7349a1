//! One node and the requests of its clients: polls, posts and WebSockets as a shell would carry them, with no world around.
//!
//! It plays the shell for long polling, where [`super::World`] plays it for clients that are on a WebSocket from the start.
//!
//! Invariant: a request is answered once at most; a second answer ends the test.

use super::{client::unframe, entropy::Seeded};
use moorline_core::{
    Config, ConnId, Dialect, DropCause, Input, Node, Output, Relay, RequestAnswer, RequestError, Time,
    TransportKind, close_code,
};
use moorline_protocol::{
    Reason,
    engine::{Part, Payload, payload},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A node, its connections and a clock.
pub struct Desk {
    node: Node<Relay>,
    now: Time,
    connections: BTreeMap<ConnId, Connection>,
    /// Connections for which something waits. As in a shell, it is fetched when the node wants nothing else.
    dirty: BTreeSet<ConnId>,
    is_lazy: bool,
    slots: u32,
}

/// A connection, by its number; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conn(ConnId);

#[derive(Debug, Default)]
struct Connection {
    is_websocket: bool,
    received: Vec<String>,
    outcome: Option<Outcome>,
}

/// How a request was answered, or how a WebSocket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A poll got these packets; binary ones start with `b`.
    Packets(Vec<String>),
    /// A post was taken.
    Taken,
    /// It was refused.
    Refused(RequestError),
    /// A WebSocket was closed with this code.
    Closed(u16),
}

impl Outcome {
    /// What a poll is answered with.
    pub fn packets(packets: &[&str]) -> Outcome {
        Outcome::Packets(packets.iter().map(|packet| (*packet).into()).collect())
    }
}

impl Desk {
    /// A node alone.
    pub fn new(seed: u64, adapt: impl Fn(&mut Config)) -> Desk {
        let mut config = Config { name: "s1".into(), ..Config::default() };
        config.limits.ping_jitter = false;
        adapt(&mut config);
        let now = Time::from_micros(1_000_000);
        let node = Node::new(config, Relay, Box::new(Seeded::new(seed)), now);
        let (connections, dirty) = (BTreeMap::new(), BTreeSet::new());
        Desk { node, now, connections, dirty, is_lazy: false, slots: 0 }
    }

    /// From now on, what waits for clients is fetched late: when this is called again with `false`.
    pub fn fetch_late(&mut self, is_lazy: bool) {
        self.is_lazy = is_lazy;
        self.carry_out();
    }

    // What clients do.

    /// A GET that asks for a session, which is answered at once; the session's id.
    pub fn open_polling(&mut self) -> String {
        let Some(Outcome::Packets(packets)) = self.try_open_polling() else { panic!("no handshake") };
        let [open] = packets.as_slice() else { panic!("{packets:?} is no handshake") };
        let sid = open.strip_prefix(r#"0{"sid":""#).and_then(|rest| rest.split('"').next());
        assert!(open.contains(r#""upgrades":["websocket"]"#), "{open}");
        sid.expect("a session id").into()
    }

    /// A GET that asks for a session, and how it was answered.
    pub fn try_open_polling(&mut self) -> Option<Outcome> {
        let conn = self.ask_for_polling();
        self.outcome(conn)
    }

    /// A GET that asks for a session.
    pub fn ask_for_polling(&mut self) -> Conn {
        let conn = self.connection(false);
        let transport = TransportKind::Polling;
        self.tell(Input::Open { conn: conn.0, transport, dialect: Dialect::SocketIo });
        conn
    }

    /// The same, connected to `/`; the session's id and the socket's.
    pub fn connect_polling(&mut self) -> (String, String) {
        let sid = self.open_polling();
        assert_eq!(self.post(&sid, "40"), Some(Outcome::Taken));
        let Some(Outcome::Packets(packets)) = self.get(&sid) else { panic!("no answer to CONNECT") };
        (sid, socket_id(&packets[0]))
    }

    /// A WebSocket that asks for a session of its own.
    pub fn open_websocket(&mut self) -> Conn {
        let conn = self.connection(true);
        self.tell(Input::Open {
            conn: conn.0,
            transport: TransportKind::WebSocket,
            dialect: Dialect::SocketIo,
        });
        conn
    }

    /// A WebSocket with a session of its own, connected to `/`; and its socket's id.
    pub fn connect_websocket(&mut self) -> (Conn, String) {
        let conn = self.open_websocket();
        self.say(conn, "40");
        let received = self.received(conn);
        (conn, socket_id(&received[1]))
    }

    /// A GET of a session, which may be held.
    pub fn poll(&mut self, sid: &str) -> Conn {
        self.poll_for(sid, usize::MAX)
    }

    /// A GET of a client that takes so many packets of one answer.
    pub fn poll_for(&mut self, sid: &str, packets_max: usize) -> Conn {
        let conn = self.connection(false);
        self.tell(Input::Poll { conn: conn.0, sid, packets_max });
        conn
    }

    /// A GET and how it was answered; `None` for one that is held.
    pub fn get(&mut self, sid: &str) -> Option<Outcome> {
        let conn = self.poll(sid);
        self.outcome(conn)
    }

    /// The head of a POST; its packets are for [`Desk::say_body`].
    pub fn start_post(&mut self, sid: &str) -> Conn {
        let conn = self.connection(false);
        self.tell(Input::Post { conn: conn.0, sid });
        conn
    }

    /// The packets of a body and its end.
    pub fn say_body(&mut self, conn: Conn, body: &str) {
        let mut payload = Payload::new(body.into());
        while let Some(part) = payload.next_part() {
            match part.expect("a well-formed body") {
                Part::Text(text) => self.say(conn, text),
                Part::Binary(bytes) => self.tell(Input::Binary { conn: conn.0, bytes: &bytes }),
            }
        }
        self.tell(Input::Posted { conn: conn.0 });
    }

    /// A whole POST and how it was answered.
    pub fn post(&mut self, sid: &str, body: &str) -> Option<Outcome> {
        let conn = self.start_post(sid);
        self.say_body(conn, body);
        self.outcome(conn)
    }

    /// A WebSocket that names a session.
    pub fn upgrade(&mut self, sid: &str) -> Conn {
        let conn = self.connection(true);
        self.tell(Input::Upgrade { conn: conn.0, sid });
        conn
    }

    /// A text message, or a text packet of a body.
    pub fn say(&mut self, conn: Conn, text: &str) {
        self.tell(Input::Text { conn: conn.0, text });
    }

    /// A binary message.
    pub fn say_binary(&mut self, conn: Conn, bytes: &[u8]) {
        self.tell(Input::Binary { conn: conn.0, bytes });
    }

    /// A connection goes away.
    pub fn drop_connection(&mut self, conn: Conn) {
        self.tell(Input::Closed { conn: conn.0, reason: Reason::TransportClose });
    }

    /// The node starts to drain.
    pub fn drain(&mut self, over: Duration) {
        self.tell(Input::Drain { over });
    }

    // What a story looks at.

    /// How a request was answered, or how a WebSocket ended.
    pub fn outcome(&self, conn: Conn) -> Option<Outcome> {
        self.connections[&conn.0].outcome.clone()
    }

    /// What came on a WebSocket since the last look; binary messages start with `b`.
    pub fn received(&mut self, conn: Conn) -> Vec<String> {
        let connection = self.connections.get_mut(&conn.0).expect("a connection");
        std::mem::take(&mut connection.received)
    }

    /// Whether a session lives.
    pub fn is_alive(&self, sid: &str) -> bool {
        self.node.transport(sid, self.now).is_some()
    }

    /// The transport of a session that lives.
    pub fn transport(&self, sid: &str) -> Option<TransportKind> {
        self.node.transport(sid, self.now)
    }

    /// The node.
    pub fn node(&self) -> &Node<Relay> {
        &self.node
    }

    /// How often something was dropped for this cause.
    pub fn drops(&self, cause: DropCause) -> u64 {
        self.node.stats().drops.get(cause)
    }

    /// Lets time pass, and whatever becomes due in it happen.
    pub fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, _)) = self.node.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            while self.node.handle_timeout(self.now, 3) {}
            let next = self.node.poll_timeout();
            assert!(next.is_none_or(|(next, _)| next > self.now), "{next:?} does not lie in the future");
            self.carry_out();
        }
        self.now = until;
    }

    fn connection(&mut self, is_websocket: bool) -> Conn {
        let conn = ConnId { slot: self.slots, generation: 7 };
        self.slots += 1;
        self.connections.insert(conn, Connection { is_websocket, ..Connection::default() });
        Conn(conn)
    }

    fn tell(&mut self, input: Input<'_>) {
        self.node.handle(self.now, input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Flush(conn) => _ = self.dirty.insert(conn),
                Output::Answer { conn, answer: RequestAnswer::Probed } => self.receive(conn, "3probe".into()),
                Output::Answer { conn, answer: RequestAnswer::Taken } => self.end(conn, Outcome::Taken),
                Output::Answer { conn, answer: RequestAnswer::Noop } => {
                    self.end(conn, Outcome::packets(&["6"]))
                }
                Output::Answer { conn, answer: RequestAnswer::Refused(error) } => {
                    self.end(conn, Outcome::Refused(error));
                }
                Output::Close { conn, reason } => self.close(conn, reason),
                other => panic!("{other:?} of a node alone"),
            }
        }
        while !self.is_lazy
            && let Some(conn) = self.dirty.pop_first()
        {
            self.flush(conn);
        }
    }

    fn flush(&mut self, conn: ConnId) {
        if self.connections[&conn].outcome.is_some() {
            return;
        }
        let mut frames = Vec::new();
        while self.node.pull(conn, 1 << 16, &mut frames) {}
        if self.connections[&conn].is_websocket {
            for frame in &frames {
                self.receive(conn, unframe(frame.as_websocket()).to_string());
            }
        } else if !frames.is_empty() {
            self.end(conn, Outcome::Packets(split(&payload::encode(&frames))));
        }
    }

    fn close(&mut self, conn: ConnId, reason: Reason) {
        if self.connections[&conn].is_websocket {
            self.flush(conn);
            self.end(conn, Outcome::Closed(close_code(reason)));
        } else {
            let mut frames = Vec::new();
            self.node.pull(conn, usize::MAX, &mut frames);
            frames.push(moorline_protocol::engine::close());
            self.end(conn, Outcome::Packets(split(&payload::encode(&frames))));
        }
        self.node.handle(self.now, Input::Closed { conn, reason });
    }

    fn receive(&mut self, conn: ConnId, text: String) {
        let connection = self.connections.get_mut(&conn).expect("a connection");
        assert_eq!(connection.outcome, None, "{text} comes after the end");
        connection.received.push(text);
    }

    fn end(&mut self, conn: ConnId, outcome: Outcome) {
        let connection = self.connections.get_mut(&conn).expect("a connection");
        assert_eq!(connection.outcome, None, "{outcome:?} comes after the end");
        connection.outcome = Some(outcome);
    }
}

fn split(body: &[u8]) -> Vec<String> {
    let body = String::from_utf8(body.to_vec()).expect("a body is UTF-8");
    body.split('\x1e').map(String::from).collect()
}

fn socket_id(packet: &str) -> String {
    let id = packet.strip_prefix(r#"40{"sid":""#).and_then(|rest| rest.strip_suffix(r#""}"#));
    id.unwrap_or_else(|| panic!("{packet} is no answer to CONNECT")).into()
}
