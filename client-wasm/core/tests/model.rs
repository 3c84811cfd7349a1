//! A server as a model: sessions, polls, probes, namespaces and acknowledgements, as short as possible.
//!
//! It plays the other side for the chaos. Invariant: it does what the protocol says and nothing more; a fault of the
//! client is noted and ends its session.

use moorline_client_core::{Channel, Input};
use moorline_protocol::{
    engine::{Part, Payload},
    socket::{self, Kind},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) sessions: BTreeMap<String, Session>,
    /// Inputs on their way to the client, by channel.
    pub(crate) down: BTreeMap<Channel, VecDeque<Input>>,
    /// The events that arrived: session, namespace and JSON.
    pub(crate) received: Vec<(String, String, String)>,
    pub(crate) faults: Vec<String>,
    /// The session and the role of each WebSocket.
    websockets: BTreeMap<Channel, String>,
    count: u64,
}

#[derive(Default)]
pub(crate) struct Session {
    pub(crate) is_alive: bool,
    /// Whether it has disconnected a socket: packets that the client sent meanwhile are no fault.
    pub(crate) has_kicked: bool,
    pub(crate) joined: BTreeSet<String>,
    websocket: Option<Channel>,
    probe: Option<Channel>,
    poll: Option<Channel>,
    outbox: Vec<String>,
    /// A packet whose attachments are still to come, and how many.
    pending: Option<(String, u32)>,
}

impl Model {
    // Inputs from the network.

    pub(crate) fn open(&mut self, channel: Channel, url: &str) {
        self.send_down(channel, Input::Opened(channel));
        match sid_of(url) {
            Some(sid) => _ = self.websockets.insert(channel, sid.into()),
            None => {
                let sid = self.new_session(Some(channel));
                self.websockets.insert(channel, sid.clone());
                self.send_down(channel, Input::Text(channel, handshake(&sid, "")));
            }
        }
    }

    pub(crate) fn frame(&mut self, channel: Channel, text: &str) {
        let Some(sid) = self.websockets.get(&channel).cloned() else { return };
        let Some(session) = self.sessions.get_mut(&sid).filter(|session| session.is_alive) else { return };
        if session.websocket == Some(channel) {
            return self.packet(&sid, text);
        }
        match text {
            "2probe" if session.websocket.is_none() => {
                session.probe = Some(channel);
                self.send_down(channel, Input::Text(channel, "3probe".into()));
                self.answer_poll(&sid, "6");
            }
            "5" if session.probe == Some(channel) => {
                if session.poll.is_some() {
                    self.faults.push("moved with a GET under way".into());
                }
                session.websocket = Some(channel);
                self.flush(&sid);
            }
            _ => self.faults.push(format!("{text} on a probe")),
        }
    }

    pub(crate) fn get(&mut self, channel: Channel, url: &str) {
        let Some(sid) = sid_of(url) else {
            let sid = self.new_session(None);
            return self.answer(channel, 200, &handshake(&sid, r#""websocket""#));
        };
        let Some(session) = self.sessions.get_mut(sid).filter(|session| session.is_alive) else {
            return self.answer(channel, 400, "");
        };
        if session.poll.is_some() || session.websocket.is_some() {
            self.faults.push(format!("a second transport of {sid}"));
            return self.end(sid, 1000);
        }
        session.poll = Some(channel);
        if session.probe.is_some() {
            return self.answer_poll(sid, "6");
        }
        self.flush(sid);
    }

    pub(crate) fn post(&mut self, channel: Channel, url: &str, body: &str) {
        let sid = sid_of(url).unwrap_or_default();
        if !self.sessions.get(sid).is_some_and(|session| session.is_alive) {
            return self.answer(channel, 400, "");
        }
        let mut payload = Payload::new(body.into());
        while let Some(Ok(part)) = payload.next_part() {
            let text = match part {
                Part::Text(text) => text.to_string(),
                Part::Binary(bytes) => format!("b{bytes:?}"),
            };
            self.packet(sid, &text);
        }
        self.answer(channel, 200, "ok");
    }

    /// A connection is gone.
    pub(crate) fn gone(&mut self, channel: Channel) {
        for session in self.sessions.values_mut() {
            if session.websocket == Some(channel) || session.poll == Some(channel) {
                session.is_alive = false;
            } else if session.probe == Some(channel) {
                session.probe = None;
            }
        }
    }

    // Actions of its own accord.

    /// Sends a packet to a session.
    pub(crate) fn send(&mut self, sid: &str, packet: String) {
        if let Some(session) = self.sessions.get_mut(sid).filter(|session| session.is_alive) {
            session.outbox.push(packet);
            self.flush(sid);
        }
    }

    pub(crate) fn kick(&mut self, sid: &str, namespace: &str) {
        let Some(session) = self.sessions.get_mut(sid) else { return };
        if session.joined.remove(namespace) {
            session.has_kicked = true;
            self.send(sid, format!("41{}", prefix(namespace)));
        }
    }

    /// Ends a session with a close code, or a close packet to a poll.
    pub(crate) fn end(&mut self, sid: &str, code: u16) {
        let Some(session) = self.sessions.get_mut(sid).filter(|session| session.is_alive) else { return };
        session.is_alive = false;
        let (websocket, poll) = (session.websocket, session.poll.take());
        if let Some(channel) = websocket {
            self.send_down(channel, Input::Closed { channel, code, reason: String::new() });
        }
        if let Some(channel) = poll {
            self.answer(channel, 200, "1");
        }
    }

    pub(crate) fn living(&self) -> Vec<String> {
        let living = self.sessions.iter().filter(|(_, session)| session.is_alive);
        living.map(|(sid, _)| sid.clone()).collect()
    }

    fn new_session(&mut self, websocket: Option<Channel>) -> String {
        self.count += 1;
        let sid = format!("s{}.{}", self.count % 3, self.count);
        self.sessions.insert(sid.clone(), Session { is_alive: true, websocket, ..Session::default() });
        sid
    }

    fn packet(&mut self, sid: &str, text: &str) {
        match text.split_at_checked(1) {
            Some(("4", packet)) => self.message(sid, packet),
            Some(("1", "")) => {
                self.answer_poll(sid, "6");
                self.sessions.get_mut(sid).expect("a session").is_alive = false;
            }
            Some(("3", "")) => {}
            Some(("b", _)) => self.attachment(sid),
            _ => self.faults.push(format!("{text} of {sid}")),
        }
    }

    fn attachment(&mut self, sid: &str) {
        let session = self.sessions.get_mut(sid).expect("a session");
        match session.pending.take() {
            None => self.faults.push("an attachment to nothing".into()),
            Some((text, 1)) => self.message(sid, &text),
            Some((text, missing)) => session.pending = Some((text, missing - 1)),
        }
    }

    fn message(&mut self, sid: &str, text: &str) {
        let session = self.sessions.get_mut(sid).expect("a session");
        if session.pending.is_some() {
            self.faults.push(format!("{text} where an attachment was due"));
        }
        if let Some(rest) = text.strip_prefix("52-") {
            session.pending = Some((format!("2{rest}"), 2));
            return;
        }
        let packet = socket::decode(text).expect("a client speaks the protocol");
        let namespace = packet.namespace.to_string();
        let is_connect = packet.kind == Kind::Connect;
        if is_connect == session.joined.contains(&namespace) {
            if !session.has_kicked {
                self.faults.push(format!("{text} of {sid}"));
            }
            return self.end(sid, 1000);
        }
        let name = prefix(&namespace);
        match packet.kind {
            Kind::Connect => {
                session.joined.insert(namespace);
                self.count += 1;
                self.send(sid, format!(r#"40{name}{{"sid":"{}"}}"#, self.count));
            }
            Kind::Disconnect => _ = session.joined.remove(&namespace),
            Kind::Event => {
                self.received.push((sid.into(), namespace, packet.data.into()));
                if let Some(id) = packet.ack {
                    self.send(sid, format!("43{name}{id}[1]"));
                }
            }
            _ => {}
        }
    }

    fn flush(&mut self, sid: &str) {
        let session = self.sessions.get_mut(sid).expect("a session");
        if session.outbox.is_empty() {
            return;
        }
        if let Some(channel) = session.websocket {
            for text in std::mem::take(&mut session.outbox) {
                self.send_down(channel, Input::Text(channel, text));
            }
        } else if session.poll.is_some() {
            let body = std::mem::take(&mut session.outbox).join("\x1e");
            self.answer_poll(sid, &body);
        }
    }

    fn answer_poll(&mut self, sid: &str, body: &str) {
        if let Some(channel) = self.sessions.get_mut(sid).and_then(|session| session.poll.take()) {
            self.answer(channel, 200, body);
        }
    }

    pub(crate) fn answer(&mut self, channel: Channel, status: u16, body: &str) {
        self.send_down(channel, Input::Response { channel, status, retry_after_ms: None, body: body.into() });
    }

    fn send_down(&mut self, channel: Channel, input: Input) {
        self.down.entry(channel).or_default().push_back(input);
    }
}

/// The namespace as a packet spells it.
pub(crate) fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

fn sid_of(url: &str) -> Option<&str> {
    url.split('&').find_map(|pair| pair.strip_prefix("sid="))
}

fn handshake(sid: &str, upgrades: &str) -> String {
    format!(
        r#"0{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}}"#
    )
}
