//! Clients as a story uses them: they connect, say things, ask and leave, whatever they travel by.

use super::{
    client::{Action, Ending, Part, Record, Travel, Upgrade},
    conn::{Connection, Outcome, Role},
    words::{Client, Conn, Received},
    world::World,
};
use moorline_core::{Intake, Time};

impl World {
    /// A client opens a session on a node and says nothing yet.
    pub fn open(&mut self, node: usize) -> Client {
        self.open_by(self.travel, node)
    }

    /// The same, travelling like this.
    pub fn open_by(&mut self, travel: Travel, node: usize) -> Client {
        let client = Client(self.clients.len());
        self.clients.push(Record::new(node));
        let role = if travel == Travel::WebSocket { Role::Socket } else { Role::Handshake };
        self.open_connection(node, role, Some(client));
        if travel == Travel::Upgrade {
            self.start_upgrade(client);
        }
        client
    }

    /// A client that polls opens a WebSocket and moves there once the node has answered its test.
    pub fn start_upgrade(&mut self, client: Client) {
        let record = &self.clients[client.0];
        if let (Some(sid), None) = (record.sid.clone(), record.websocket) {
            let websocket = self.start_upgrade_of(&sid, Some(client));
            self.send(websocket, "2probe");
        }
    }

    /// A client opens a session and joins `/`. What it received so far is forgotten.
    pub fn client(&mut self, node: usize) -> Client {
        self.client_with_id(node).0
    }

    /// The same, with the id of its socket.
    pub fn client_with_id(&mut self, node: usize) -> (Client, String) {
        self.client_by(self.travel, node)
    }

    /// The same, travelling like this.
    pub fn client_by(&mut self, travel: Travel, node: usize) -> (Client, String) {
        let client = self.open_by(travel, node);
        let id = self.connect(client, "/");
        self.clients[client.0].received.clear();
        (client, id)
    }

    /// Joins a namespace; returns the socket's id.
    pub fn connect(&mut self, client: Client, namespace: &str) -> String {
        let head = if namespace == "/" { String::from("40") } else { format!("40{namespace},") };
        self.say(client, &head);
        let answer = self.clients[client.0].received.pop().expect("an answer to CONNECT").into_text();
        let id = answer.strip_prefix(&head).and_then(|rest| rest.strip_prefix(r#"{"sid":""#));
        id.and_then(|rest| rest.strip_suffix(r#""}"#)).expect("an id and nothing else").into()
    }

    /// A client sends a text message as it is: on its WebSocket, in the POST it has begun or in one of its own.
    pub fn say(&mut self, client: Client, text: &str) {
        self.speak(client, |world, conn| world.send(conn, text));
    }

    /// A client sends a binary message.
    pub fn say_binary(&mut self, client: Client, bytes: &[u8]) {
        self.speak(client, |world, conn| world.send_binary(conn, bytes));
    }

    fn speak(&mut self, client: Client, send: impl Fn(&mut World, Conn)) {
        let record = &self.clients[client.0];
        match (record.upgrade, record.websocket, record.post) {
            (Upgrade::Moved, Some(websocket), _) => send(self, websocket),
            (_, _, Some(post)) => send(self, post),
            _ => {
                self.begin_post(client);
                if let Some(post) = self.clients[client.0].post {
                    send(self, post);
                    self.finish_post(client);
                }
            }
        }
    }

    /// A client that polls begins a POST: what it says from now on is in there, until [`World::finish_post`].
    pub fn begin_post(&mut self, client: Client) {
        let record = &self.clients[client.0];
        if let (Some(sid), None) = (record.sid.clone(), record.post)
            && record.upgrade != Upgrade::Moved
        {
            self.start_post_of(&sid, Some(client));
        }
    }

    /// A client ends the POST it has begun.
    pub fn finish_post(&mut self, client: Client) {
        if let Some(post) = self.clients[client.0].post {
            self.end_post(post);
        }
    }

    /// A client sends a packet and its attachments.
    pub fn say_all(&mut self, client: Client, packet: &str, attachments: &[&[u8]]) {
        self.say(client, packet);
        for bytes in attachments {
            self.say_binary(client, bytes);
        }
    }

    /// A client sends an event in `/` and asks for no ack; `items` is the JSON array of the event.
    pub fn emit(&mut self, client: Client, items: &str) {
        self.say(client, &format!("42{items}"));
    }

    /// A client sends an event in `/` and wants an ack, but does not wait; returns the ack's number.
    pub fn request(&mut self, client: Client, items: &str) -> u64 {
        let record = &mut self.clients[client.0];
        record.last_ack += 1;
        let ack = record.last_ack;
        self.say(client, &format!("42{ack}{items}"));
        ack
    }

    /// The ack with this number, without its brackets, if it has come.
    pub fn take_ack(&mut self, client: Client, ack: u64) -> Option<String> {
        let received = &mut self.clients[client.0].received;
        let head = format!("43{ack}[");
        let is_it = |packet: &Received| matches!(packet, Received::Text(text) if text.starts_with(&head));
        let at = received.iter().position(is_it)?;
        received.remove(at).into_text()[head.len()..].strip_suffix(']').map(String::from)
    }

    /// A client sends an event in `/`, and the bus settles; returns the ack.
    pub fn ask(&mut self, client: Client, items: &str) -> String {
        let ack = self.request(client, items);
        if let Some(args) = self.take_ack(client, ack) {
            return args;
        }
        self.settle();
        self.take_ack(client, ack).unwrap_or_else(|| panic!("no ack of {items}"))
    }

    /// A client joins a room and is told that all is well.
    pub fn join(&mut self, client: Client, room: &str) {
        let ack = self.ask(client, &format!(r#"["@join","{room}"]"#));
        assert_eq!(ack, r#"{"ok":true}"#, "joining {room}");
    }

    /// A client goes away without a word, and all its connections with it.
    pub fn leave(&mut self, client: Client) {
        let record = &mut self.clients[client.0];
        record.is_gone = true;
        let conns = [record.websocket, record.poll.take(), record.post.take()];
        let kept = std::mem::take(&mut record.kept);
        conns.into_iter().flatten().chain(kept).for_each(|conn| self.drop_connection(conn));
    }

    /// From now on a client does not read what it is sent. One that polls takes what its held GET brings and asks for
    /// no more.
    pub fn stop_reading(&mut self, client: Client) {
        self.clients[client.0].is_reading = false;
    }

    /// A client reads again, all that waits for it first. A connection that the node has closed ends with that.
    pub fn read_again(&mut self, client: Client) {
        let record = &mut self.clients[client.0];
        let has_stopped = !std::mem::replace(&mut record.is_reading, true);
        let (node, is_moved, ending) = (record.node, record.upgrade == Upgrade::Moved, record.ending);
        if let Some(websocket) = record.websocket.filter(|_| is_moved && has_stopped)
            && self.connections[websocket.0].is_waiting()
        {
            self.pull_websocket(node, websocket);
            if let Some(ending) = ending {
                self.end(websocket, &Outcome::Closed(ending.reason.close_code()));
                self.finish_close(node, websocket);
            }
        }
        self.carry_out(node);
        self.actions.push_back((client, Action::GoOn));
        self.act();
    }

    /// From now on a client that polls takes so many packets of one answer.
    pub fn take_few(&mut self, client: Client, packets_max: usize) {
        self.clients[client.0].packets_max = packets_max;
    }

    /// A client loses one of its connections and goes on with the others.
    pub fn lose(&mut self, client: Client, part: Part) {
        let record = &mut self.clients[client.0];
        let is_moving = record.upgrade != Upgrade::Moved;
        let lost = match part {
            Part::Poll => record.poll.take(),
            Part::Post => record.post.take(),
            Part::Kept => record.kept.pop(),
            Part::Upgrade if is_moving => {
                record.upgrade = Upgrade::Polls;
                record.websocket.take()
            }
            Part::Upgrade => None,
        };
        if let Some(conn) = lost {
            self.drop_connection(conn);
            self.actions.push_back((client, Action::GoOn));
            self.act();
        }
    }

    /// From now on clients are slow to poll again, to answer heartbeats and to move: they do so when this is called
    /// with `false`.
    pub fn dawdle(&mut self, is_dawdling: bool) {
        self.is_dawdling = is_dawdling;
        self.act();
    }

    /// From now on a client answers no heartbeat.
    pub fn stop_pongs(&mut self, client: Client) {
        self.clients[client.0].has_pongs = false;
    }

    // For a story to look at.

    /// The messages to a client since the last call, heartbeats left out; an attachment among them is a failure.
    pub fn received(&mut self, client: Client) -> Vec<String> {
        self.received_all(client).into_iter().map(Received::into_text).collect()
    }

    /// The same with attachments.
    pub fn received_all(&mut self, client: Client) -> Vec<Received> {
        std::mem::take(&mut self.clients[client.0].received)
    }

    /// When a client was sent heartbeats.
    pub fn pings(&self, client: Client) -> &[Time] {
        &self.clients[client.0].pings
    }

    /// How the node ended a client's session, if it did and the client was there.
    pub fn ending(&self, client: Client) -> Option<Ending> {
        self.clients[client.0].ending
    }

    /// Whether the node does not read from a client now, so that what it says has to wait.
    pub fn is_waiting(&self, client: Client) -> bool {
        let record = &self.clients[client.0];
        let is_paused = |conn: Conn| {
            let Connection { node, id, .. } = self.connections[conn.0];
            let node = self.slots[node].node.as_ref();
            node.is_some_and(|node| node.intake(id) == Intake::Paused)
        };
        [record.websocket, record.post].into_iter().flatten().any(is_paused)
    }

    /// Whether a client is still connected, as far as it knows.
    pub fn is_open(&self, client: Client) -> bool {
        self.clients[client.0].is_open()
    }
}
