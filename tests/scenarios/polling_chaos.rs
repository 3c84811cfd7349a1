//! Clients that do anything at any time: requests, bodies, WebSockets and ends, in every order a seed can think of.
//!
//! Every request is answered exactly once, and in the end nothing of them is left.

use moorline_core::{Config, DropCause};
use moorline_tests::sim::{Conn, Seeded, Seeds, World};
use std::time::Duration;

const STEPS: usize = 400;

const TEXTS: [&str; 16] = [
    "2probe",
    "5",
    "3",
    "1",
    "40",
    "41",
    "42[\"@whoami\"]",
    "421[\"@join\",\"r\"]",
    "42[\"@to\",\"r\",\"e\",1]",
    "427[\"@ask\",\"r\",\"q\"]",
    "431[1]",
    "451-[\"@to\",\"r\",\"b\",{\"_placeholder\":true,\"num\":0}]",
    "2",
    "6",
    "abc",
    "",
];

/// Sessions that live or once did, and connections that are open.
struct Crowd {
    world: World,
    random: Seeded,
    sids: Vec<String>,
    polls: Vec<Conn>,
    posts: Vec<Conn>,
    sockets: Vec<Conn>,
}

impl Crowd {
    fn new(seed: u64) -> Crowd {
        let world = World::alone_with(seed, |config: &mut Config| {
            config.is_open = true;
            config.limits.ack_timeout = Duration::from_secs(1);
        });
        let (polls, posts, sockets) = (Vec::new(), Vec::new(), Vec::new());
        Crowd { world, random: Seeded::new(!seed), sids: vec!["s1.x".into()], polls, posts, sockets }
    }

    fn sid(&mut self) -> String {
        let recent = self.sids.len().min(4);
        let at = self.sids.len() - 1 - self.random.below(recent);
        self.sids[at].clone()
    }

    fn text(&mut self) -> &'static str {
        // The texts that get somewhere come more often.
        let bound = if self.random.below(3) == 0 { TEXTS.len() } else { 12 };
        TEXTS[self.random.below(bound)]
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 | 1 if self.world.node(0).is_draining() => {}
            0 => {
                self.world.fetch_late(false);
                let sid = self.world.open_polling(0);
                self.sids.push(sid);
            }
            1 => {
                self.world.fetch_late(false);
                let (sid, _) = self.world.connect_polling(0);
                self.sids.push(sid);
                self.world.fetch_late(self.random.below(2) == 0);
            }
            2 | 3 => {
                let (sid, packets) = (self.sid(), 1 + self.random.below(3));
                self.polls.push(self.world.poll_for(&sid, packets));
            }
            4 => {
                let sid = self.sid();
                self.posts.push(self.world.start_post(&sid));
            }
            5 => {
                let sid = self.sid();
                let socket = self.world.upgrade(&sid);
                self.sockets.push(socket);
                for text in ["2probe", "5"] {
                    if self.random.below(3) > 0 {
                        self.world.send(socket, text);
                    }
                }
            }
            6 | 7 => self.speak(),
            8 => {
                if let Some(post) = self.posts.pop() {
                    let body = [self.text(), self.text()].join("\x1e");
                    self.world.send_body(post, &body);
                    assert!(self.world.outcome(post).is_some(), "a body that has ended is answered");
                }
            }
            9 => self.drop_one(),
            10 if self.random.below(40) == 0 => self.world.drain(0, Duration::from_secs(30)),
            _ => {
                let ms = 1 << self.random.below(14);
                self.world.advance(Duration::from_millis(ms));
            }
        }
    }

    /// Somebody says something where it may or may not be welcome.
    fn speak(&mut self) {
        let text = self.text();
        let open: Vec<Conn> = self.posts.iter().chain(&self.sockets).copied().collect();
        if open.is_empty() {
            return;
        }
        let conn = open[self.random.below(open.len())];
        match self.random.below(5) {
            0 => self.world.send_binary(conn, &[1]),
            _ => self.world.send(conn, text),
        }
    }

    fn drop_one(&mut self) {
        let list = match self.random.below(3) {
            0 => &mut self.polls,
            1 => &mut self.posts,
            _ => &mut self.sockets,
        };
        if !list.is_empty() {
            let conn = list.swap_remove(self.random.below(list.len()));
            self.world.drop_connection(conn);
        }
    }
}

#[test]
fn every_request_is_answered_once_and_nothing_is_left() {
    let (mut upgrades, mut second) = (0, 0);
    let seeds = Seeds::of("polling_chaos::", 150);
    let is_one = seeds.is_one();
    for seed in seeds {
        let mut crowd = Crowd::new(seed);
        for _ in 0..STEPS {
            crowd.step();
        }
        // Everybody who is still there falls silent.
        crowd.world.fetch_late(false);
        crowd.world.advance(Duration::from_secs(200));
        let Crowd { world, polls, posts, sockets, .. } = crowd;
        for conn in polls.into_iter().chain(posts).chain(sockets) {
            assert!(world.outcome(conn).is_some(), "seed {seed}: {conn:?} was never answered");
        }
        let left = world.node(0).gauges();
        assert_eq!((left.sessions, left.sockets, left.rooms, left.timers), (0, 0, 0, 0), "seed {seed}");
        upgrades += world.node(0).stats().upgrades;
        second += world.drops(0, DropCause::SecondPoll)
            + world.drops(0, DropCause::SecondPost)
            + world.drops(0, DropCause::SecondWebsocket);
    }
    let is_enough = upgrades > 150 && second > 150;
    assert!(is_one || is_enough, "the seeds came around: {upgrades} upgrades, {second} overlaps");
}
