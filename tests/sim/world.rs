//! The world itself: who there is, what time it is, and what happens next.

use super::{
    client::{Action, Record, Travel},
    conn::{Connection, Outcome},
    entropy::{Seed, Seeded},
    node_slot::{MICROSECOND, NodeSlot},
    redis::Redis,
    words::{Client, Conn},
};
use moorline_core::{BusEvent, Channels, Config, DropCause, Gauges, Input, Node, Relay, Stats, Time};
use std::{collections::VecDeque, time::Duration};

/// Deadlines handled in one call; small, so that the way over the budget is travelled often.
const TIMEOUT_BUDGET: usize = 3;
/// Calls after which a node that says it has more to do at one moment is taken to spin.
const TIMEOUT_CALLS_MAX: usize = 100_000;

/// Nodes, Redis, clients and a clock.
pub struct World {
    pub(super) now: Time,
    pub(super) slots: Vec<NodeSlot>,
    pub(super) redis: Redis,
    pub(super) connections: Vec<Connection>,
    pub(super) clients: Vec<Record>,
    pub(super) travel: Travel,
    random: Seeded,
    /// Actions that clients are about to take, and whether they are at it.
    pub(super) actions: VecDeque<(Client, Action)>,
    /// Connections whose messages are wanted again.
    pub(super) resumed: VecDeque<Conn>,
    pub(super) is_acting: bool,
    /// Whether they are slow to do it.
    pub(super) is_dawdling: bool,
    /// Whether frames for clients stay in their outboxes for the time being.
    pub(super) is_lazy: bool,
    pub(super) trace: Option<String>,
}

impl World {
    /// One node without a bus.
    pub fn alone() -> World {
        World::alone_with(1, |_| {})
    }

    /// One node without a bus, with its own seed and configuration.
    pub fn alone_with(seed: u64, adapt: impl Fn(&mut Config)) -> World {
        World::build(Seed(seed), 1, None, adapt)
    }

    /// Nodes `s1`, `s2`, … on one Redis, every link up.
    pub fn cluster(nodes: usize) -> World {
        World::cluster_with(Seed(1), nodes, |_| {})
    }

    /// The same with its own seed and configuration.
    pub fn cluster_with(seed: Seed, nodes: usize, adapt: impl Fn(&mut Config)) -> World {
        let mut world = World::cluster_without_links(seed, nodes, adapt);
        (0..nodes).for_each(|node| world.link_up(node));
        world.settle();
        world
    }

    /// The same before any link is up.
    pub fn cluster_without_links(seed: Seed, nodes: usize, adapt: impl Fn(&mut Config)) -> World {
        let channels = Channels { prefix: "moorline".into(), public: "socket".into() };
        World::build(seed, nodes, Some(&channels), adapt)
    }

    fn build(seed: Seed, nodes: usize, cluster: Option<&Channels>, adapt: impl Fn(&mut Config)) -> World {
        let mut world = World {
            now: Time::from_micros(1_000_000),
            slots: Vec::new(),
            redis: Redis::new(Seeded::new(seed.0), nodes),
            connections: Vec::new(),
            clients: Vec::new(),
            travel: Travel::WebSocket,
            random: Seeded::new(!seed.0),
            actions: VecDeque::new(),
            resumed: VecDeque::new(),
            is_acting: false,
            is_dawdling: false,
            is_lazy: false,
            trace: None,
        };
        for number in 1..=nodes {
            let mut config =
                Config { name: format!("s{number}"), cluster: cluster.cloned(), ..Config::default() };
            adapt(&mut config);
            world.slots.push(NodeSlot::new(config));
            world.start(number - 1);
        }
        world
    }

    /// Such a world for each way in which clients may travel.
    pub fn each_way(build: impl Fn() -> World) -> impl Iterator<Item = World> {
        Travel::ALL.into_iter().map(move |travel| {
            let mut world = build();
            world.travel = travel;
            world
        })
    }

    /// Starts a node, or starts a killed one again: another incarnation.
    pub fn start(&mut self, node: usize) {
        let entropy = Seeded::new(self.random.next_u64());
        let slot = &mut self.slots[node];
        assert!(slot.node.is_none(), "node {node} runs");
        let config = slot.config.clone();
        slot.node = Some(Node::new(config, Relay, Box::new(entropy), self.now));
        slot.is_frozen = false;
        self.carry_out(node);
    }

    // For a story to look at.

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
        self.slots[node].node.as_ref().expect("the node runs")
    }

    /// The counters of a node.
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
        let mut empty = Gauges::default();
        empty.timers = timers;
        assert_eq!(self.node(node).gauges(), empty, "something is left on node {node}");
    }

    /// From now on frames for clients are fetched late: when this is called again with `false`.
    pub fn fetch_late(&mut self, is_lazy: bool) {
        self.is_lazy = is_lazy;
        (0..self.slots.len()).for_each(|node| self.carry_out(node));
        self.act();
    }

    /// Records everything the nodes do from now on.
    pub fn record(&mut self) {
        self.trace = Some(String::new());
    }

    /// Everything recorded so far.
    pub fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    // Inputs, links and nodes.

    /// Something happens to a node.
    pub fn input(&mut self, node: usize, input: Input<'_>) {
        let now = self.now;
        if let Some(node) = &mut self.slots[node].node {
            node.handle(now, input);
        }
        self.carry_out(node);
        self.act();
    }

    /// A node starts to drain.
    pub fn drain(&mut self, node: usize, over: Duration) {
        self.input(node, Input::Drain { over });
    }

    /// A node's link to Redis breaks.
    pub fn link_down(&mut self, node: usize) {
        for event in self.redis.cut(node) {
            self.bus_event(node, &event);
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
        self.slots[node].is_frozen = true;
    }

    /// A node stands still for a while and then goes on.
    pub fn stall(&mut self, node: usize, time: Duration) {
        self.freeze(node);
        self.advance(time);
        self.slots[node].is_frozen = false;
        self.handle_timeouts(node);
    }

    /// A node dies, and its clients' connections with it.
    pub fn kill(&mut self, node: usize) {
        self.redis.forget(node);
        for conn in self.slots[node].clear() {
            let connection = &mut self.connections[conn.0];
            if connection.is_waiting() {
                connection.end(Outcome::Lost);
            }
        }
        self.clients.iter_mut().filter(|client| client.node == node).for_each(|client| client.is_gone = true);
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
                self.bus_event(node, &event);
            }
            (0..self.slots.len()).for_each(|node| self.handle_timeouts(node));
        }
        self.now = self.now.max(until);
    }

    fn next_due(&self) -> Option<Time> {
        self.slots.iter().filter_map(NodeSlot::next_due).chain(self.redis.next_due()).min()
    }

    /// A microsecond before anything is due, nothing happens.
    fn check_not_early(&mut self, next: Time) {
        if next - self.now <= MICROSECOND {
            return;
        }
        self.now = self.now + (next - self.now - MICROSECOND);
        for slot in self.slots.iter_mut().filter(|slot| !slot.is_frozen) {
            let Some(node) = &mut slot.node else { continue };
            assert!(!node.handle_timeout(self.now, TIMEOUT_BUDGET), "more is due, but nothing was");
            assert_eq!(node.poll_output(), None, "something happened before its time");
        }
    }

    fn handle_timeouts(&mut self, at: usize) {
        let now = self.now;
        if self.slots[at].is_frozen {
            return;
        }
        for _ in 0..TIMEOUT_CALLS_MAX {
            let Some(node) = &mut self.slots[at].node else { return };
            let is_more_due = node.handle_timeout(now, TIMEOUT_BUDGET);
            let next = node.poll_timeout();
            assert!(is_more_due || next.is_none_or(|(next, _)| next > now), "{next:?} lies in the past");
            self.carry_out(at);
            self.act();
            // The frames that were fetched may have made room for messages that wait.
            if self.node(at).poll_timeout().is_none_or(|(next, _)| next > now) {
                return;
            }
        }
        panic!("node {at} spins at {now:?}");
    }

    fn bus_event(&mut self, node: usize, event: &BusEvent) {
        if !self.slots[node].is_frozen {
            self.input(node, Input::Bus(event));
        }
    }
}

impl Drop for World {
    /// Says how clients travelled when a story fails, since many are told once for each way.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("clients travelled by {:?}", self.travel);
        }
    }
}
