//! The world itself: who there is, what time it is, and what happens next.

use super::{
    client::{Client, Ending, Received, Record},
    entropy::Seeded,
    redis::Redis,
};
use moorline_core::{
    BusEvent, Channels, Config, ConnId, Dialect, DropCause, Gauges, Input, Node, Relay, Stats, Time,
    TransportKind,
};
use moorline_protocol::Reason;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

const MICROSECOND: Duration = Duration::from_micros(1);
/// Deadlines handled in one call; small, so that the way over the budget is travelled often.
const TIMEOUT_BUDGET: usize = 3;
/// Calls after which a node that says it has more to do at one moment is taken to spin.
const TIMEOUT_CALLS_MAX: usize = 100_000;

/// Nodes, Redis, clients and a clock.
pub struct World {
    pub(super) now: Time,
    pub(super) stations: Vec<Station>,
    pub(super) redis: Redis,
    pub(super) clients: Vec<Record>,
    random: Seeded,
    /// Heartbeat answers the clients are about to send.
    pub(super) pongs: VecDeque<Client>,
    pub(super) trace: Option<String>,
}

/// A node and the connections its shell would own.
pub(super) struct Station {
    pub(super) node: Option<Node<Relay>>,
    config: Config,
    is_frozen: bool,
    pub(super) conns: BTreeMap<ConnId, Client>,
    pub(super) free: Vec<ConnId>,
    slot_count: u32,
}

impl World {
    /// One node without a bus.
    pub fn alone() -> World {
        World::alone_with(1, |_| {})
    }

    /// One node without a bus, with its own seed and configuration.
    pub fn alone_with(seed: u64, adapt: impl Fn(&mut Config)) -> World {
        World::build(seed, 1, None, adapt)
    }

    /// Nodes `s1`, `s2`, … on one Redis, every link up.
    pub fn cluster(nodes: usize) -> World {
        World::cluster_with(1, nodes, |_| {})
    }

    /// The same with its own seed and configuration.
    pub fn cluster_with(seed: u64, nodes: usize, adapt: impl Fn(&mut Config)) -> World {
        let mut world = World::cluster_without_links(seed, nodes, adapt);
        (0..nodes).for_each(|node| world.link_up(node));
        world.settle();
        world
    }

    /// The same before any link is up.
    pub fn cluster_without_links(seed: u64, nodes: usize, adapt: impl Fn(&mut Config)) -> World {
        let channels = Channels { prefix: "moorline".into(), public: "socket".into() };
        World::build(seed, nodes, Some(&channels), adapt)
    }

    fn build(seed: u64, nodes: usize, cluster: Option<&Channels>, adapt: impl Fn(&mut Config)) -> World {
        let mut world = World {
            now: Time::from_micros(1_000_000),
            stations: Vec::new(),
            redis: Redis::new(seed, nodes),
            clients: Vec::new(),
            random: Seeded::new(!seed),
            pongs: VecDeque::new(),
            trace: None,
        };
        for number in 1..=nodes {
            let mut config =
                Config { name: format!("s{number}"), cluster: cluster.cloned(), ..Config::default() };
            adapt(&mut config);
            world.add_node(config);
        }
        world
    }

    fn add_node(&mut self, config: Config) {
        self.stations.push(Station {
            node: None,
            config,
            is_frozen: false,
            conns: BTreeMap::new(),
            free: Vec::new(),
            slot_count: 0,
        });
        self.start(self.stations.len() - 1);
    }

    /// Starts a node, or starts a killed one again: another incarnation.
    pub fn start(&mut self, node: usize) {
        let entropy = Seeded::new(self.random.next_u64());
        let station = &mut self.stations[node];
        assert!(station.node.is_none(), "node {node} runs");
        let config = station.config.clone();
        station.node = Some(Node::new(config, Relay, Box::new(entropy), self.now));
        station.is_frozen = false;
        self.carry_out(node);
    }

    // What clients do.

    /// A client opens a connection to a node and says nothing yet.
    pub fn open(&mut self, node: usize) -> Client {
        let client = Client(self.clients.len());
        let station = &mut self.stations[node];
        let conn = station.free.pop().unwrap_or_else(|| {
            station.slot_count += 1;
            ConnId { slot: station.slot_count - 1, generation: 0 }
        });
        station.conns.insert(conn, client);
        self.clients.push(Record::new(node, conn));
        let (transport, dialect) = (TransportKind::WebSocket, Dialect::SocketIo);
        self.tell(node, Input::Open { conn, transport, dialect });
        client
    }

    /// A client opens a connection and joins `/`. What it received so far is forgotten.
    pub fn client(&mut self, node: usize) -> Client {
        self.client_with_id(node).0
    }

    /// The same, with the id of its socket.
    pub fn client_with_id(&mut self, node: usize) -> (Client, String) {
        let client = self.open(node);
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

    /// A client sends a text message as it is.
    pub fn say(&mut self, client: Client, text: &str) {
        let Record { node, conn, .. } = self.clients[client.0];
        self.tell(node, Input::Text { conn, text });
    }

    /// A client sends a binary message.
    pub fn say_binary(&mut self, client: Client, bytes: &[u8]) {
        let Record { node, conn, .. } = self.clients[client.0];
        self.tell(node, Input::Binary { conn, bytes });
    }

    /// A client sends a packet and its attachments.
    pub fn say_all(&mut self, client: Client, packet: &str, attachments: &[&[u8]]) {
        self.say(client, packet);
        for bytes in attachments {
            self.say_binary(client, bytes);
        }
    }

    /// A client sends an event in `/` and asks for no answer; `items` is the JSON array of the event.
    pub fn emit(&mut self, client: Client, items: &str) {
        self.say(client, &format!("42{items}"));
    }

    /// A client sends an event in `/` and wants an answer, but does not wait; returns the number of the answer.
    pub fn request(&mut self, client: Client, items: &str) -> u64 {
        let record = &mut self.clients[client.0];
        record.last_ack += 1;
        let ack = record.last_ack;
        self.say(client, &format!("42{ack}{items}"));
        ack
    }

    /// The answer with this number, without its brackets, if it has come.
    pub fn take_ack(&mut self, client: Client, ack: u64) -> Option<String> {
        let received = &mut self.clients[client.0].received;
        let head = format!("43{ack}[");
        let is_it =
            |received: &Received| matches!(received, Received::Text(packet) if packet.starts_with(&head));
        let at = received.iter().position(is_it)?;
        received.remove(at).into_text()[head.len()..].strip_suffix(']').map(String::from)
    }

    /// A client sends an event in `/`, and the bus settles; returns the answer.
    pub fn ask(&mut self, client: Client, items: &str) -> String {
        let ack = self.request(client, items);
        if let Some(answer) = self.take_ack(client, ack) {
            return answer;
        }
        self.settle();
        self.take_ack(client, ack).unwrap_or_else(|| panic!("no answer to {items}"))
    }

    /// A client joins a room and is told that all is well.
    pub fn join(&mut self, client: Client, room: &str) {
        let answer = self.ask(client, &format!(r#"["@join","{room}"]"#));
        assert_eq!(answer, r#"{"ok":true}"#, "joining {room}");
    }

    /// A client goes away without a word.
    pub fn leave(&mut self, client: Client) {
        self.drop_client(client, Reason::TransportClose);
    }

    fn drop_client(&mut self, client: Client, reason: Reason) {
        let Record { node, conn, .. } = self.clients[client.0];
        self.clients[client.0].is_gone = true;
        self.release(node, conn);
        self.tell(node, Input::Closed { conn, reason });
    }

    /// From now on a client does not read what it is sent.
    pub fn stop_reading(&mut self, client: Client) {
        self.clients[client.0].is_reading = false;
    }

    /// A client reads again, all that waits for it first. A connection that the node has closed ends with that.
    pub fn read_again(&mut self, client: Client) {
        let Record { node, conn, .. } = self.clients[client.0];
        self.clients[client.0].is_reading = true;
        self.pull(node, conn, client);
        if self.clients[client.0].ending.is_some() {
            self.finish_close(node, conn);
        }
        self.send_pongs();
    }

    /// From now on a client answers no heartbeat.
    pub fn stop_pongs(&mut self, client: Client) {
        self.clients[client.0].has_pongs = false;
    }

    // What a story looks at.

    /// What a client was sent since the last call, heartbeats left out; an attachment among it is a failure.
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

    /// How the node ended a client's connection, if it did.
    pub fn ending(&self, client: Client) -> Option<Ending> {
        self.clients[client.0].ending
    }

    /// Whether a client is still connected.
    pub fn is_open(&self, client: Client) -> bool {
        self.clients[client.0].is_open()
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Redis.
    pub fn redis(&mut self) -> &mut Redis {
        &mut self.redis
    }

    /// A node.
    pub fn node(&self, node: usize) -> &Node<Relay> {
        self.stations[node].node.as_ref().expect("the node runs")
    }

    /// What a node counted.
    pub fn stats(&self, node: usize) -> &Stats {
        self.node(node).stats()
    }

    /// How often a node dropped something for this cause.
    pub fn drops(&self, node: usize, cause: DropCause) -> u64 {
        self.stats(node).drops.get(cause)
    }

    /// Asserts that nothing is left of clients and rooms on a node.
    pub fn assert_empty(&self, node: usize) {
        let timers = usize::from(self.node(node).bus_is_up() == Some(true));
        let empty = Gauges { sessions: 0, sockets: 0, rooms: 0, timers };
        assert_eq!(self.node(node).gauges(), empty, "something is left on node {node}");
    }

    /// Records everything the nodes do from now on.
    pub fn record(&mut self) {
        self.trace = Some(String::new());
    }

    /// What was recorded.
    pub fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    // What happens to nodes and links.

    /// Tells a node something.
    pub fn tell(&mut self, node: usize, input: Input<'_>) {
        let now = self.now;
        if let Some(node) = &mut self.stations[node].node {
            node.handle(now, input);
        }
        self.carry_out(node);
        self.send_pongs();
    }

    /// A node starts to drain.
    pub fn drain(&mut self, node: usize, over: Duration) {
        self.tell(node, Input::Drain { over });
    }

    /// A node's link to Redis breaks.
    pub fn link_down(&mut self, node: usize) {
        for event in self.redis.cut(node) {
            self.tell_event(node, &event);
        }
    }

    /// A node's link to Redis comes back; `settle` lets it become usable.
    pub fn link_up(&mut self, node: usize) {
        self.redis.restore(self.now, node);
    }

    /// A node gave its link up: a new one comes up, unless what swallows messages swallows those of the new one, too.
    pub(super) fn reset_link(&mut self, node: usize) {
        self.link_down(node);
        if !self.redis.is_mute(node) {
            self.link_up(node);
        }
    }

    /// A node hangs: it keeps its connections and does nothing.
    pub fn freeze(&mut self, node: usize) {
        self.stations[node].is_frozen = true;
    }

    /// A node dies, and its clients' connections with it.
    pub fn kill(&mut self, node: usize) {
        self.stations[node].node = None;
        self.redis.forget(node);
        for (conn, client) in self.stations[node].conns.clone() {
            self.clients[client.0].is_gone = true;
            self.release(node, conn);
        }
    }

    /// A backend publishes; returns how many subscribers there were.
    pub fn publish(&mut self, channel: &str, payload: &[u8]) -> u32 {
        let receivers = self.redis.publish_from_outside(self.now, channel, payload);
        self.settle();
        receivers
    }

    // Time.

    /// Lets the bus come to rest. Takes as long as that takes, some milliseconds.
    pub fn settle(&mut self) {
        while let Some(at) = self.redis.next_due() {
            self.run_until(at);
        }
    }

    /// Lets time pass, and whatever becomes due in it happen.
    pub fn advance(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    fn run_until(&mut self, until: Time) {
        while let Some(next) = self.next_due().filter(|next| *next <= until) {
            self.check_not_early(next);
            self.now = self.now.max(next);
            while let Some((node, event)) = self.redis.step(self.now) {
                self.tell_event(node, &event);
            }
            (0..self.stations.len()).for_each(|node| self.handle_timeouts(node));
        }
        self.now = self.now.max(until);
    }

    fn next_due(&self) -> Option<Time> {
        let awake = self.stations.iter().filter(|station| !station.is_frozen);
        let timeouts = awake.filter_map(|station| Some(station.node.as_ref()?.poll_timeout()?.0));
        timeouts.chain(self.redis.next_due()).min()
    }

    /// A microsecond before anything is due, nothing happens.
    fn check_not_early(&mut self, next: Time) {
        if next - self.now <= MICROSECOND {
            return;
        }
        self.now = self.now + (next - self.now - MICROSECOND);
        for station in self.stations.iter_mut().filter(|station| !station.is_frozen) {
            let Some(node) = &mut station.node else { continue };
            assert!(!node.handle_timeout(self.now, TIMEOUT_BUDGET), "more is due, but nothing was");
            assert_eq!(node.poll_output(), None, "something happened before its time");
        }
    }

    fn handle_timeouts(&mut self, at: usize) {
        let now = self.now;
        if self.stations[at].is_frozen {
            return;
        }
        for _ in 0..TIMEOUT_CALLS_MAX {
            let Some(node) = &mut self.stations[at].node else { return };
            let is_more_due = node.handle_timeout(now, TIMEOUT_BUDGET);
            self.carry_out(at);
            self.send_pongs();
            if !is_more_due {
                let next = self.node(at).poll_timeout();
                assert!(next.is_none_or(|(next, _)| next > now), "{next:?} does not lie in the future");
                return;
            }
        }
        panic!("node {at} spins at {now:?}");
    }

    fn tell_event(&mut self, node: usize, event: &BusEvent) {
        if !self.stations[node].is_frozen {
            self.tell(node, Input::Bus(event));
        }
    }
}
