//! Clients of every kind on three nodes with a bus, while links, connections and nodes come and go.
//!
//! Every message that no cut could take arrives once and in order, every request and every ack ends once, and in the
//! end nothing is left on any node.

use crate::chaos_ledger::{Ledger, NODES, Person, Room};
use moorline_core::{Config, DropCause};
use moorline_tests::sim::{Part, Seed, Seeded, Seeds, Travel, World, ask, to};
use std::time::Duration;

const ROOMS: usize = 3;
const PEOPLE_MAX: usize = 10;
const STEPS: usize = 400;
const ACK_TIMEOUT: Duration = Duration::from_secs(1);

struct Chaos {
    world: World,
    random: Seeded,
    ledger: Ledger,
    is_running: [bool; NODES],
    is_linked: [bool; NODES],
    tally: Tally,
}

/// How often the seeds came around to what they are for.
#[derive(Debug, Default)]
struct Tally {
    upgrades: u64,
    cuts: usize,
    deaths: usize,
    drains: usize,
    arrived: usize,
    overflows: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.upgrades += other.upgrades;
        self.cuts += other.cuts;
        self.deaths += other.deaths;
        self.drains += other.drains;
        self.arrived += other.arrived;
        self.overflows += other.overflows;
    }
}

fn adapt(config: &mut Config) {
    config.is_open = true;
    config.limits.ack_timeout = ACK_TIMEOUT;
    config.limits.outbox_bytes_max = 4_000;
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let (world, random) = (World::cluster_with(Seed(seed), NODES, adapt), Seeded::new(!seed));
        let (is_running, is_linked) = ([true; NODES], [true; NODES]);
        Chaos { world, random, ledger: Ledger::default(), is_running, is_linked, tally: Tally::default() }
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.random.below(chances) == 0
    }

    /// Somebody who is there, as far as they know.
    fn somebody(&mut self) -> Option<usize> {
        let world = &self.world;
        let people = self.ledger.people.iter().enumerate();
        let open: Vec<usize> =
            people.filter(|(_, person)| world.is_open(person.client)).map(|(number, _)| number).collect();
        if open.is_empty() { None } else { Some(open[self.random.below(open.len())]) }
    }

    fn step(&mut self) {
        match self.random.below(30) {
            0 | 1 => self.come(),
            2..11 => self.send(),
            11 => self.stop_reading(),
            12..15 => self.join_or_leave(),
            15 | 16 => self.acknowledge(),
            17 => self.move_on(),
            18 => self.post_in_pieces(),
            19 => self.lose_something(),
            20 => self.read_again(),
            21 => self.hurry_or_not(),
            22 => self.link(),
            23 => self.node(),
            24 => self.go(),
            25 => self.check(),
            26 => self.world.settle(),
            _ => {
                let ms = 1 << self.random.below(12);
                self.world.advance(Duration::from_millis(ms));
            }
        }
    }

    fn come(&mut self) {
        let node = self.random.below(NODES);
        let is_full = self.ledger.people.iter().filter(|person| self.world.is_open(person.client)).count()
            >= PEOPLE_MAX;
        if is_full || !self.is_running[node] || self.world.node(node).is_draining() {
            return;
        }
        self.world.fetch_late(false);
        self.world.dawdle(false);
        let (client, id) = self.world.client_by(Travel::ALL[self.random.below(3)], node);
        if self.one_in(2) {
            self.world.take_few(client, 1 + self.random.below(3));
        }
        self.ledger.people.push(Person::new(client, node, id));
    }

    /// A message, or a question, to ids and rooms; in one packet or in several.
    fn send(&mut self) {
        let Some(from) = self.somebody() else { return };
        let ids: Vec<usize> = (0..self.random.below(3)).filter_map(|_| self.somebody()).collect();
        let mut rooms: Vec<usize> = (0..self.random.below(2)).map(|_| self.random.below(ROOMS)).collect();
        if ids.is_empty() && rooms.is_empty() {
            rooms.push(0);
        }
        let names = ids.iter().map(|to| format!("\"{}\"", self.ledger.people[*to].id));
        let names: Vec<String> = names.chain(rooms.iter().map(|room| format!("\"r{room}\""))).collect();
        let targets = format!("[{}]", names.join(","));
        let number = self.ledger.next_number();
        let longest = if self.one_in(4) { 3_000 } else { 10 };
        let padding = "x".repeat(self.random.below(longest));
        let client = self.ledger.people[from].client;
        match self.random.below(4) {
            0 => {
                let ack = self.world.request(client, &ask(&targets, &format!(r#""q",{number}"#)));
                self.ledger.people[from].asks(ack);
            }
            1 => {
                let items = to(&targets, &format!(r#""n",{number},"{padding}""#));
                let ack = self.world.request(client, &items);
                self.ledger.people[from].asks(ack);
            }
            2 => self.world.emit(client, &to(&targets, &format!(r#""n",{number},"{padding}""#))),
            _ => {
                let placeholder = r#"{"_placeholder":true,"num":0}"#;
                let items = to(&targets, &format!(r#""n",{number},{placeholder}"#));
                self.world.say_all(client, &format!("451-{items}"), &[padding.as_bytes()]);
            }
        }
        if self.world.is_open(client) {
            self.ledger.sent(&self.world, from, ids, rooms);
        }
    }

    fn join_or_leave(&mut self) {
        let Some(who) = self.somebody() else { return };
        let (room, client) = (self.random.below(ROOMS), self.ledger.people[who].client);
        if self.one_in(4) {
            let ack = self.world.request(client, &format!(r#"["@leave","r{room}"]"#));
            self.ledger.people[who].asks(ack);
            self.ledger.leaves(who, Room(room));
        } else {
            let ack = self.world.request(client, &format!(r#"["@join","r{room}"]"#));
            if self.world.is_waiting(client) {
                self.ledger.people[who].will_join(Room(room), ack);
            } else {
                self.ledger.people[who].joins(Room(room), ack);
            }
        }
    }

    /// Somebody acknowledges a question, now and then twice.
    fn acknowledge(&mut self) {
        self.ledger.collect(&mut self.world);
        let Some(who) = self.somebody() else { return };
        let person = &mut self.ledger.people[who];
        if let Some(id) = person.owed.pop() {
            let client = person.client;
            for _ in 0..1 + usize::from(self.one_in(5)) {
                self.world.say(client, &format!("43{id}[{id}]"));
            }
        }
    }

    fn move_on(&mut self) {
        if let Some(who) = self.somebody() {
            self.world.start_upgrade(self.ledger.people[who].client);
        }
    }

    fn post_in_pieces(&mut self) {
        let Some(who) = self.somebody() else { return };
        let client = self.ledger.people[who].client;
        if self.one_in(2) {
            self.world.begin_post(client);
        } else {
            self.world.finish_post(client);
        }
    }

    fn lose_something(&mut self) {
        let Some(who) = self.somebody() else { return };
        let part = [Part::Poll, Part::Post, Part::Upgrade, Part::Kept][self.random.below(4)];
        self.world.lose(self.ledger.people[who].client, part);
    }

    fn stop_reading(&mut self) {
        if let Some(who) = self.somebody() {
            self.world.stop_reading(self.ledger.people[who].client);
        }
    }

    fn read_again(&mut self) {
        if let Some(who) = self.somebody() {
            self.world.read_again(self.ledger.people[who].client);
        }
    }

    fn hurry_or_not(&mut self) {
        let is_slow = self.one_in(2);
        if self.one_in(2) {
            self.world.fetch_late(is_slow);
        } else {
            self.world.dawdle(is_slow);
        }
    }

    fn link(&mut self) {
        let node = self.random.below(NODES);
        if self.is_running[node] && !self.is_linked[node] {
            self.world.link_up(node);
            self.is_linked[node] = true;
        } else if self.is_running[node] && self.one_in(2) {
            self.cut(node);
            self.world.link_down(node);
        }
    }

    fn cut(&mut self, node: usize) {
        self.ledger.cut(node);
        self.is_linked[node] = false;
        self.tally.cuts += 1;
    }

    /// A node dies or comes back; some are drained before.
    fn node(&mut self) {
        let node = self.random.below(NODES);
        if !self.is_running[node] {
            self.world.start(node);
            self.world.link_up(node);
            (self.is_running[node], self.is_linked[node]) = (true, true);
        } else if self.world.node(node).is_drained() || self.one_in(8) {
            self.count(node);
            self.cut(node);
            self.world.kill(node);
            self.is_running[node] = false;
            self.tally.deaths += 1;
        } else if self.one_in(8) {
            self.world.drain(node, Duration::from_millis(1 << self.random.below(14)));
            self.tally.drains += 1;
        }
    }

    fn go(&mut self) {
        if let Some(who) = self.somebody().filter(|_| self.one_in(2)) {
            self.world.leave(self.ledger.people[who].client);
        }
    }

    /// Everybody reads and finishes what they began, and the bus comes to rest.
    fn check(&mut self) {
        self.world.fetch_late(false);
        self.world.dawdle(false);
        for person in &self.ledger.people {
            self.world.finish_post(person.client);
            self.world.read_again(person.client);
        }
        // Messages that waited for somebody to read go on now.
        self.world.advance(Duration::from_millis(10));
        self.world.settle();
        self.ledger.check_arrivals(&mut self.world);
    }

    fn count(&mut self, node: usize) {
        let stats = self.world.stats(node);
        self.tally.upgrades += stats.upgrades;
        self.tally.overflows += stats.drops.get(DropCause::SlowConsumer);
    }

    /// Everything heals, everybody gets their acks and goes, and nothing is left.
    fn finish(mut self) -> Tally {
        for node in 0..NODES {
            if !self.is_running[node] {
                self.world.start(node);
            }
            if !self.is_linked[node] {
                self.world.link_up(node);
            }
            self.is_running[node] = true;
        }
        self.check();
        self.world.advance(ACK_TIMEOUT);
        self.world.settle();
        self.ledger.check_acks(&mut self.world);
        self.ledger.people.iter().for_each(|person| self.world.leave(person.client));
        self.world.advance(Duration::from_secs(100));
        self.world.settle();
        for node in 0..NODES {
            self.world.assert_empty(node);
            assert_eq!(self.world.redis().subscriptions(node).len(), 2, "a node's own channels are left");
            self.count(node);
        }
        self.world.assert_all_answered();
        Tally { arrived: self.ledger.arrived, ..self.tally }
    }
}

#[test]
fn what_no_cut_takes_arrives_once_in_order_and_nothing_is_left() {
    let seeds = Seeds::of("cluster_chaos::", 100);
    let is_one = seeds.is_one();
    let mut all = Tally::default();
    for seed in seeds {
        let mut chaos = Chaos::new(seed);
        (0..STEPS).for_each(|_| chaos.step());
        all.add(&chaos.finish());
    }
    let Tally { arrived, upgrades, cuts, deaths, drains, overflows } = all;
    let is_enough = arrived > 6_000 && upgrades > 300 && cuts > 300;
    assert!(
        is_one || is_enough && deaths > 100 && drains > 60 && overflows > 12,
        "the seeds came around: {all:?}"
    );
}
