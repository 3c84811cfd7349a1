//! A browser tab: the real client, and a network that carries each of its requests and WebSockets in its own time.
//!
//! It plays the browser's shell. Invariant: one channel keeps its order; of two channels either may be first.

use moorline_client_core::{
    Channel, Client, Emission, Input, Options, Output, SocketKey, SocketOptions, Time,
};
use moorline_core::RequestError;
use moorline_protocol::TransportKind;
use moorline_tests::sim::{Conn, Outcome, Seeded, World};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

pub(crate) struct Tab {
    pub(crate) client: Client,
    socket: SocketKey,
    now_ms: u64,
    /// The id of its socket, while it is connected.
    pub(crate) id: Option<String>,
    /// The events it received.
    pub(crate) received: Vec<String>,
    /// The queries of its handshake requests.
    pub(crate) queries: Vec<String>,
    pub(crate) closed: Vec<&'static str>,
    pub(crate) upgrades: usize,
    up: BTreeMap<Channel, VecDeque<Output>>,
    down: BTreeMap<Channel, VecDeque<Input>>,
    carriers: BTreeMap<Channel, Carrier>,
    given_up: BTreeSet<Channel>,
}

#[derive(Clone, Copy)]
enum Carrier {
    WebSocket(Conn),
    Request(Conn),
}

impl Tab {
    pub(crate) fn new(seed: u64, transports: &[TransportKind]) -> Tab {
        let url = "http://localhost/socket.io/".into();
        let mut client = Client::new(Options { seed, transports: transports.into(), ..Options::new(url) });
        let socket = client.add_socket("/".into(), SocketOptions::default());
        client.connect(Time::from_ms(0), socket);
        let (up, down, carriers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (received, queries, closed) = (Vec::new(), Vec::new(), Vec::new());
        let (id, given_up) = (None, BTreeSet::new());
        let mut tab = Tab {
            client,
            socket,
            now_ms: 0,
            id,
            received,
            queries,
            closed,
            upgrades: 0,
            up,
            down,
            carriers,
            given_up,
        };
        tab.take_outputs();
        tab
    }

    pub(crate) fn emit(&mut self, json: String, attachments: Vec<Vec<u8>>) {
        let emission = Emission { json, attachments, ..Emission::default() };
        self.client.emit(self.now(), self.socket, emission).expect("it is taken");
        self.take_outputs();
    }

    pub(crate) fn disconnect(&mut self) {
        self.client.disconnect(self.now(), self.socket);
        self.take_outputs();
    }

    /// Carries one thing up or down, of any channel; whether there was one.
    pub(crate) fn carry_one(&mut self, world: &mut World, random: &mut Seeded) -> bool {
        self.fetch(world);
        let queues = self.up.len() + self.down.len();
        if queues == 0 {
            return false;
        }
        let at = random.below(queues);
        if let Some(channel) = self.up.keys().nth(at).copied() {
            let output = pop(&mut self.up, channel);
            self.do_one(world, output);
        } else {
            let channel = *self.down.keys().nth(at - self.up.len()).expect("a queue");
            let input = pop(&mut self.down, channel);
            self.client.handle(self.now(), input);
            self.take_outputs();
        }
        self.fetch(world);
        true
    }

    /// Lets the client's clock go on, and whatever is due by then happen.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).expect("a short time");
        while self.client.poll_timeout().is_some_and(|at| at <= self.now()) {
            self.client.handle_timeout(self.now());
            self.take_outputs();
        }
    }

    /// The node died with everything it had.
    pub(crate) fn lose_everything(&mut self) {
        self.up.clear();
        self.down.clear();
        for (channel, carrier) in std::mem::take(&mut self.carriers) {
            if !self.given_up.contains(&channel) {
                self.client.handle(
                    self.now(),
                    match carrier {
                        Carrier::WebSocket(_) => Input::Closed { channel, code: 1006, reason: String::new() },
                        Carrier::Request(_) => Input::Failed(channel),
                    },
                );
            }
        }
        self.take_outputs();
    }

    fn now(&self) -> Time {
        Time::from_ms(self.now_ms)
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.client.poll_output() {
            let channel = match &output {
                Output::Open(channel, _)
                | Output::Get(channel, _)
                | Output::Post(channel, ..)
                | Output::Send(channel, _) => *channel,
                Output::Close(channel) | Output::Abort(channel) => {
                    self.given_up.insert(*channel);
                    *channel
                }
                _ => {
                    self.take_up(output);
                    continue;
                }
            };
            self.up.entry(channel).or_default().push_back(output);
        }
    }

    fn take_up(&mut self, output: Output) {
        match output {
            Output::WantAuth(socket, ticket) => self.client.authorize(self.now(), socket, ticket, ""),
            Output::Connected(_, id) => self.id = Some(id),
            Output::Disconnected(_, reason, _) => {
                self.id = None;
                self.closed.push(reason);
            }
            Output::Event { json, attachments, .. } => self.received.push(format!("{json} {attachments:?}")),
            Output::LinkUpgraded(_) => self.upgrades += 1,
            _ => {}
        }
    }

    fn do_one(&mut self, world: &mut World, output: Output) {
        match output {
            Output::Open(channel, url) => {
                let conn = match self.session_of(&url) {
                    Some(sid) => world.upgrade(&sid),
                    None => world.open_websocket(0),
                };
                self.carriers.insert(channel, Carrier::WebSocket(conn));
                self.down.entry(channel).or_default().push_back(Input::Opened(channel));
            }
            Output::Get(channel, url) => {
                let conn = match self.session_of(&url) {
                    Some(sid) => world.poll(&sid),
                    None => world.ask_for_polling(0),
                };
                self.carriers.insert(channel, Carrier::Request(conn));
            }
            Output::Post(channel, url, body) => {
                let conn = world.start_post(&self.session_of(&url).expect("a POST is of a session"));
                self.carriers.insert(channel, Carrier::Request(conn));
                world.send_body(conn, &body);
            }
            Output::Send(channel, frame) => {
                let Some(Carrier::WebSocket(conn)) = self.carriers.get(&channel) else { return };
                match std::str::from_utf8(frame.as_packet()) {
                    Ok(text) if !frame.is_binary() => world.send(*conn, text),
                    _ => world.send_binary(*conn, frame.as_packet()),
                }
            }
            Output::Close(channel) | Output::Abort(channel) => {
                if let Some(Carrier::WebSocket(conn) | Carrier::Request(conn)) =
                    self.carriers.remove(&channel)
                    && world.outcome(conn).is_none()
                {
                    world.drop_connection(conn);
                }
                self.down.remove(&channel);
            }
            other => panic!("{other:?} is for no network"),
        }
    }

    /// The session a request names; without one it is noted.
    fn session_of(&mut self, url: &str) -> Option<String> {
        let sid = url.split('&').find_map(|pair| pair.strip_prefix("sid="));
        if sid.is_none() {
            let (_, query) = url.split_once("EIO=4&transport=").expect("a query");
            self.queries.push(query.into());
        }
        sid.map(String::from)
    }

    /// Fetches what the node said on each channel.
    fn fetch(&mut self, world: &mut World) {
        for (channel, carrier) in self.carriers.clone() {
            let queue = self.down.entry(channel).or_default();
            let (Carrier::WebSocket(conn) | Carrier::Request(conn)) = carrier;
            queue.extend(world.messages(conn).iter().map(|text| message(channel, text)));
            if let Some(outcome) = world.outcome(conn) {
                queue.push_back(end(channel, outcome));
                self.carriers.remove(&channel);
            }
        }
        self.down.retain(|_, queue| !queue.is_empty());
    }
}

fn pop<Item>(queues: &mut BTreeMap<Channel, VecDeque<Item>>, channel: Channel) -> Item {
    let queue = queues.get_mut(&channel).expect("a queue");
    let item = queue.pop_front().expect("no empty queue is kept");
    if queue.is_empty() {
        queues.remove(&channel);
    }
    item
}

fn message(channel: Channel, text: &str) -> Input {
    match text.strip_prefix("b[").and_then(|rest| rest.strip_suffix(']')) {
        Some(bytes) => {
            Input::Binary(channel, bytes.split(", ").map(|byte| byte.parse().expect("a byte")).collect())
        }
        None => Input::Text(channel, text.into()),
    }
}

fn end(channel: Channel, outcome: Outcome) -> Input {
    let (status, body) = match outcome {
        Outcome::Closed(code) => return Input::Closed { channel, code, reason: String::new() },
        Outcome::Lost => return Input::Failed(channel),
        Outcome::Packets(packets) => (200, packets.join("\x1e")),
        Outcome::Taken => (200, "ok".into()),
        Outcome::Refused(RequestError::Overloaded) => (503, String::new()),
        Outcome::Refused(_) => (400, String::new()),
    };
    Input::Response { channel, status, retry_after_ms: None, body }
}
