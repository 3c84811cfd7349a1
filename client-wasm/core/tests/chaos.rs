//! A page, a network and a server that do anything at any time, in every order a seed can think of.
//!
//! In every order: the client keeps its contract with the shell (the harness checks that), every awaited ack ends once,
//! events arrive at most once and in order, and when the chaos is over every socket is connected.

use crate::{
    harness::{CarrierKind, Harness, SERVER},
    model::{Model, prefix},
    text,
};
use moorline_client_core::{
    AwaitedAck, Channel, Emission, Input, NetworkChange, Options, Output, SocketKey, SocketOptions,
};
use moorline_protocol::TransportKind;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const STEPS: usize = 150;
/// The last one sends again what is not acknowledged.
const NAMESPACES: [&str; 3] = ["/", "/a", "/again"];
const AGAIN: usize = 2;
const TEXTS: [&str; 24] = [
    "",
    "0{}",
    "1",
    "2",
    "3",
    "3probe",
    "5",
    "6",
    "7",
    "é",
    "40",
    "40{\"sid\":\"x\"}",
    "41",
    "44\"no\"",
    "42[\"e\"]",
    "427[\"q\"]",
    "430[1]",
    "452-[\"b\"]",
    "42/a,[\"e\"]",
    "44/a,{\"message\":\"no\"}",
    "41/again,",
    "4",
    "45-1",
    "0{\"sid\":\"s1.q\",\"upgrades\":[\"websocket\"],\"pingInterval\":1,\"pingTimeout\":0}",
];

/// How many stories are told: `SOAK=20` tells twenty times as many as usual.
fn seeds() -> u64 {
    3_000 * std::env::var("SOAK").map_or(1, |times| times.parse::<u64>().expect("SOAK is a number"))
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let count = u64::try_from(of.len()).expect("a length");
        (count > 0).then(|| of[usize::try_from(self.below(count)).expect("an index")].clone())
    }
}

/// One message on its way to the server on a channel.
enum Up {
    Open(String),
    Frame(String),
    Get(String),
    Post(String, String),
    Gone,
}

struct Chaos {
    harness: Harness,
    model: Model,
    random: Random,
    /// Whether anything may come on any channel, and not only what a server says.
    is_hostile: bool,
    /// Whether no attempt times out. Otherwise the client may send a second CONNECT, which the model counts as a fault.
    has_no_timeout: bool,
    up: BTreeMap<Channel, VecDeque<Up>>,
    acks: BTreeSet<AwaitedAck>,
    connected: [bool; 3],
    /// The last number received by each socket.
    received: [u64; 3],
    sent: u64,
}

#[test]
fn whatever_happens_everybody_is_connected_in_the_end() {
    let (mut arrived, mut connections, mut moves) = (0, 0, 0);
    for seed in 0..seeds() {
        let mut chaos = Chaos::new(seed);
        for _ in 0..STEPS {
            chaos.step();
        }
        chaos.calm_down(seed);
        chaos.check_arrivals(seed);
        chaos.leave(seed);
        arrived += chaos.model.received.len();
        connections += chaos.model.sessions.len();
        moves += chaos.harness.client.last_transport().is_some_and(|kind| kind == TransportKind::WebSocket)
            as usize;
    }
    assert!(arrived > 10_000 && connections > 6_000 && moves > 500, "{arrived} {connections} {moves}");
}

#[test]
fn equal_inputs_give_equal_outputs() {
    for seed in 0..100 {
        let [first, second] = [seed, seed].map(|seed| {
            let mut chaos = Chaos::new(seed);
            for _ in 0..STEPS {
                chaos.step();
            }
            (format!("{:?}", chaos.harness.client), chaos.model.received)
        });
        assert_eq!(first, second, "seed {seed}");
    }
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let mut random = Random(seed);
        let mut options = Options { seed, ..Options::new(SERVER.into()) };
        match random.below(4) {
            0 => options.transports = vec![TransportKind::Polling],
            1 => options.transports = vec![TransportKind::Polling, TransportKind::WebSocket],
            2 => options.transports = vec![TransportKind::WebSocket],
            _ => {}
        }
        options.reconnection = !random.one_in(8);
        options.attempts_max = random.one_in(8).then_some(3);
        options.send_packets_max = 20;
        let is_hostile = random.one_in(2);
        let has_no_timeout = !is_hostile && random.one_in(2);
        if has_no_timeout {
            options.timeout_ms = 10_000_000;
        }
        let mut harness = Harness::bare(options);
        harness.gives_auth = true;
        for (at, namespace) in NAMESPACES.into_iter().enumerate() {
            let (retries, ack_timeout_ms) = if at == AGAIN { (Some(3), Some(2_000)) } else { (None, None) };
            harness.client.add_socket(namespace.into(), SocketOptions { retries, ack_timeout_ms });
        }
        Chaos {
            harness,
            model: Model::default(),
            random,
            is_hostile,
            has_no_timeout,
            up: BTreeMap::new(),
            acks: BTreeSet::new(),
            connected: [false; 3],
            received: [0; 3],
            sent: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=4 => self.carry_up(),
            5..=9 => self.carry_down(),
            10..=12 => self.act(),
            13 | 14 => self.serve(),
            15 => self.let_time_pass(),
            16 => self.break_something(),
            17 => self.change_network(),
            18 if self.is_hostile => self.throw_anything(),
            _ => self.reply_to_auth(),
        }
        self.take_up_outputs();
    }

    // The network.

    fn carry_up(&mut self) {
        let channels: Vec<Channel> = self.up.keys().copied().collect();
        let Some(channel) = self.random.pick(&channels) else { return };
        let queue = self.up.get_mut(&channel).expect("a queue");
        let first = queue.pop_front().expect("no empty queue is kept");
        if queue.is_empty() {
            self.up.remove(&channel);
        }
        match first {
            Up::Open(url) => self.model.open(channel, &url),
            Up::Frame(text) => self.model.frame(channel, &text),
            Up::Get(url) => self.model.get(channel, &url),
            Up::Post(url, body) => self.model.post(channel, &url, &body),
            Up::Gone => self.model.gone(channel),
        }
    }

    fn carry_down(&mut self) {
        let channels: Vec<Channel> = self.model.down.keys().copied().collect();
        let Some(channel) = self.random.pick(&channels) else { return };
        let queue = self.model.down.get_mut(&channel).expect("a queue");
        let first = queue.pop_front().expect("no empty queue is kept");
        if queue.is_empty() {
            self.model.down.remove(&channel);
        }
        if !self.harness.channels[&channel].has_ended {
            self.harness.handle(first);
        }
    }

    fn break_something(&mut self) {
        let live: Vec<(Channel, CarrierKind)> = self.live();
        let Some((channel, kind)) = self.random.pick(&live) else { return };
        self.up.remove(&channel);
        self.model.down.remove(&channel);
        self.model.gone(channel);
        self.harness.handle(match (kind, self.random.below(3)) {
            (CarrierKind::WebSocket, _) => Input::Closed { channel, code: 1006, reason: String::new() },
            (_, 0) => {
                let retry_after_ms = self.random.one_in(2).then(|| self.random.below(60_000));
                let status = self.random.pick(&[400, 403, 429, 500, 503]).expect("a status");
                Input::Response { channel, status, retry_after_ms, body: String::new() }
            }
            _ => Input::Failed(channel),
        });
    }

    fn live(&self) -> Vec<(Channel, CarrierKind)> {
        let live = self.harness.channels.iter().filter(|(_, carrier)| carrier.is_live());
        live.map(|(channel, carrier)| (*channel, carrier.kind)).collect()
    }

    fn change_network(&mut self) {
        use NetworkChange::{Absent, Changed, Offline, Online, Shown};
        let change = self.random.pick(&[Online, Online, Offline, Absent, Changed, Shown]).expect("a change");
        self.harness.network(change);
    }

    fn let_time_pass(&mut self) {
        let ms = 1 << self.random.below(17);
        if self.random.one_in(4) { self.harness.sleep(ms) } else { self.harness.pass(ms) }
    }

    fn throw_anything(&mut self) {
        let back = usize::try_from(self.random.below(4)).expect("a small number");
        let Some(channel) = self.harness.channels.keys().rev().nth(back).copied() else { return };
        let text = self.random.pick(&TEXTS).expect("a text").to_string();
        self.harness.handle(match self.random.below(9) {
            0..=2 => Input::Text(channel, text),
            3 => Input::Binary(channel, vec![1, 2]),
            4 => Input::Opened(channel),
            5 => Input::TooBig(channel),
            6 => Input::Unreadable,
            7 => Input::Closed { channel, code: 1012, reason: text },
            _ => Input::Response { channel, status: 200, retry_after_ms: None, body: text },
        });
    }

    // The server.

    fn serve(&mut self) {
        let living = self.model.living();
        let Some(sid) = self.random.pick(&living) else { return };
        let joined: Vec<String> = self.model.sessions[&sid].joined.iter().cloned().collect();
        let namespace = self.random.pick(&joined);
        match (self.random.below(12), namespace) {
            (0, _) => {
                let code = self.random.pick(&[1000, 1001, 1008, 1012]).expect("a code");
                self.model.end(&sid, code);
            }
            (1, Some(namespace)) => self.model.kick(&sid, &namespace),
            (2..=8, Some(namespace)) => {
                self.sent += 1;
                let packet = format!("42{}[\"s\",{}]", prefix(&namespace), self.sent);
                self.model.send(&sid, packet);
            }
            _ => self.model.send(&sid, "2".into()),
        }
    }

    // The page.

    fn act(&mut self) {
        let number = u32::try_from(self.random.below(3)).expect("a number");
        let socket = self.harness.socket(number);
        match self.random.below(10) {
            0 | 1 => self.harness.connect_socket(socket),
            2 if self.random.one_in(2) => self.harness.disconnect_socket(socket),
            _ => self.emit(socket),
        }
    }

    fn emit(&mut self, socket: SocketKey) {
        self.sent += 1;
        let emission = Emission {
            json: format!("\"n\",{}", self.sent),
            attachments: if self.random.one_in(4) { vec![vec![1]; 2] } else { Vec::new() },
            wants_ack: self.random.one_in(2),
            timeout_ms: self.random.one_in(2).then(|| self.random.below(5_000)),
            is_volatile: self.random.one_in(5),
            ..Emission::default()
        };
        let wants_ack = emission.wants_ack;
        // Not through the harness, which would take outputs before the ack is known.
        let now = self.harness.now();
        if let Ok(ack) = self.harness.client.emit(now, socket, emission) {
            assert_eq!(ack.is_some(), wants_ack);
            assert!(ack.is_none_or(|ack| self.acks.insert(ack)), "an ack is new");
        }
        self.harness.take_outputs();
    }

    fn reply_to_auth(&mut self) {
        if let Some((socket, ticket)) = self.harness.tickets.pop() {
            match self.random.below(4) {
                0 => self.harness.auth_failed(socket, ticket),
                _ => self.harness.authorize(socket, ticket, "{}"),
            }
        }
    }

    // Outputs of the client.

    fn take_up_outputs(&mut self) {
        for output in std::mem::take(&mut self.harness.outputs) {
            match output {
                Output::Open(channel, url) => self.send_up(channel, Up::Open(url)),
                Output::Get(channel, url) => self.send_up(channel, Up::Get(url)),
                Output::Post(channel, url, body) => self.send_up(channel, Up::Post(url, body)),
                Output::Send(channel, frame) => {
                    self.send_up(channel, Up::Frame(text::packet(&frame)));
                }
                Output::Close(channel) | Output::Abort(channel) => self.send_up(channel, Up::Gone),
                Output::Connected(socket, _) => self.connected[index(socket)] = true,
                Output::Disconnected(socket, ..) => self.connected[index(socket)] = false,
                Output::Acked { ack, .. } | Output::AckFailed(ack, _) => {
                    assert!(self.acks.remove(&ack), "{ack:?} ends twice");
                }
                Output::Event { socket, json, .. } => self.receive(socket, &json),
                _ => {}
            }
        }
    }

    fn send_up(&mut self, channel: Channel, up: Up) {
        self.up.entry(channel).or_default().push_back(up);
    }

    fn receive(&mut self, socket: SocketKey, json: &str) {
        if let Some(number) = number_of(json, "s") {
            assert!(number > self.received[index(socket)], "{number} after {}", self.received[index(socket)]);
            self.received[index(socket)] = number;
        }
    }

    // The end.

    /// From now on everybody behaves, and everything arrives.
    fn calm_down(&mut self, seed: u64) {
        self.harness.network(NetworkChange::Online);
        for _ in 0..40 {
            for socket in [0, 1, 2].map(|number| self.harness.socket(number)) {
                if !self.harness.client.is_active(socket) {
                    self.harness.connect_socket(socket);
                }
            }
            self.harness.pass(5_000);
            self.carry_everything();
            for sid in self.model.living() {
                self.model.send(&sid, "2".into());
            }
            self.carry_everything();
        }
        assert_eq!(self.connected, [true; 3], "seed {seed}: everybody is connected");
    }

    fn carry_everything(&mut self) {
        loop {
            self.take_up_outputs();
            if let Some((socket, ticket)) = self.harness.tickets.pop() {
                self.harness.authorize(socket, ticket, "{}");
            } else if !self.up.is_empty() {
                self.carry_up();
            } else if !self.model.down.is_empty() {
                self.carry_down();
            } else {
                return;
            }
        }
    }

    fn check_arrivals(&self, seed: u64) {
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (sid, namespace, json) in &self.model.received {
            if namespace == NAMESPACES[AGAIN] {
                continue;
            }
            let number = number_of(json, "n").expect("a number");
            assert!(seen.insert(number), "seed {seed}: {number} arrived twice");
            let last = last.entry((sid, namespace)).or_default();
            // A hostile network may confirm a POST that is still on its way.
            assert!(self.is_hostile || number > *last, "seed {seed}: {number} after {last}");
            *last = number;
        }
        if self.has_no_timeout {
            assert_eq!(self.model.faults, [""; 0], "seed {seed}");
        }
    }

    fn leave(&mut self, seed: u64) {
        for socket in [0, 1, 2].map(|number| self.harness.socket(number)) {
            self.harness.disconnect_socket(socket);
        }
        self.carry_everything();
        self.harness.pass(20_000);
        self.take_up_outputs();
        assert!(self.acks.is_empty(), "seed {seed}: {:?} never ended", self.acks);
        self.harness.assert_idle();
    }
}

fn index(socket: SocketKey) -> usize {
    usize::try_from(socket.number()).expect("an index")
}

fn number_of(json: &str, name: &str) -> Option<u64> {
    let rest = json.strip_prefix(&format!("[\"{name}\","))?;
    rest.strip_suffix(']')?.parse().ok()
}
