//! From polling to a WebSocket: tested first, then moved, with nothing lost, doubled or reordered on the way.

use moorline_core::{DropCause, RequestError};
use moorline_protocol::TransportKind;
use moorline_tests::sim::{Conn, Outcome, Seeded, Seeds, World};
use std::time::Duration;

const REFUSED: Option<Outcome> = Some(Outcome::Refused(RequestError::BadRequest));

fn world() -> World {
    World::alone_with(1, |config| config.limits.ping_jitter = false)
}

fn noop() -> Option<Outcome> {
    Some(Outcome::packets(&["6"]))
}

#[test]
fn a_probe_is_answered_and_a_held_poll_ends_with_a_noop() {
    let mut world = world();
    let (sid, id) = world.connect_polling(0);
    let poll = world.poll(&sid);
    let socket = world.upgrade(&sid);
    assert_eq!((world.messages(socket), world.outcome(poll)), (Vec::<String>::new(), None));
    world.send(socket, "2probe");
    assert_eq!(world.messages(socket), ["3probe"]);
    assert_eq!(world.outcome(poll), noop());
    assert_eq!(world.transport(&sid), Some(TransportKind::Polling));
    world.send(socket, "5");
    assert_eq!(world.transport(&sid), Some(TransportKind::WebSocket));
    world.send(socket, r#"421["@whoami"]"#);
    assert_eq!(world.messages(socket), [format!(r#"431[{{"id":"{id}","node":"s1","user":null}}]"#)]);
    assert_eq!(world.node(0).stats().upgrades, 1);
}

#[test]
fn a_poll_during_the_upgrade_gets_a_noop_after_a_moment_or_what_there_is() {
    let mut world = world();
    let (sid, id) = world.connect_polling(0);
    let (bob, _) = world.client_with_id(0);
    let socket = world.upgrade(&sid);
    world.send(socket, "2probe");
    for _ in 0..2 {
        let poll = world.poll(&sid);
        world.advance(Duration::from_micros(99_999));
        assert_eq!(world.outcome(poll), None, "a client that polls on must not spin");
        world.advance(Duration::from_micros(1));
        assert_eq!(world.outcome(poll), noop());
    }
    let poll = world.poll(&sid);
    world.say(bob, &format!(r#"42["@to","{id}","e"]"#));
    assert!(
        matches!(world.outcome(poll), Some(Outcome::Packets(received)) if received[0].starts_with("42[\"e\""))
    );
    let poll = world.poll(&sid);
    world.send(socket, "5");
    assert_eq!(world.outcome(poll), noop(), "the move ends it");
    assert_eq!(world.get(&sid), REFUSED, "it polls no more");
    assert_eq!(world.post(&sid, "3"), REFUSED);
}

#[test]
fn what_waits_when_the_client_moves_comes_on_the_websocket_in_order() {
    let mut world = world();
    let (sid, id) = world.connect_polling(0);
    let (bob, _) = world.client_with_id(0);
    let socket = world.upgrade(&sid);
    world.send(socket, "2probe");
    for number in 0..3 {
        world.say(bob, &format!(r#"42["@to","{id}","n",{number}]"#));
    }
    world.send(socket, "5");
    world.say(bob, &format!(r#"42["@to","{id}","n",3]"#));
    let received = world.messages(socket);
    let ends: Vec<&str> = received.iter().map(|text| text.rsplit(',').next().unwrap()).collect();
    assert_eq!(ends, ["3probe", "0]", "1]", "2]", "3]"]);
}

#[test]
fn a_second_websocket_is_closed_and_harms_nobody() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let first = world.upgrade(&sid);
    let second = world.upgrade(&sid);
    assert_eq!(world.outcome(second), Some(Outcome::Closed(1000)));
    world.send(second, "2probe");
    world.send(second, "5");
    world.send(first, "2probe");
    world.send(first, "5");
    let third = world.upgrade(&sid);
    assert_eq!(world.outcome(third), Some(Outcome::Closed(1000)));
    world.messages(first);
    world.send(first, r#"421["@whoami"]"#);
    assert_eq!(world.messages(first).len(), 1);
    assert_eq!(world.drops(0, DropCause::SecondWebsocket), 2);
}

#[test]
fn a_websocket_for_a_session_that_is_gone_is_closed() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    world.post(&sid, "1");
    let socket = world.upgrade(&sid);
    assert_eq!(world.outcome(socket), Some(Outcome::Closed(1000)));
}

#[test]
fn who_moves_while_the_node_drains_is_told_on_the_websocket() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let socket = world.upgrade(&sid);
    world.send(socket, "2probe");
    world.drain(0, Duration::ZERO);
    assert_eq!(world.outcome(socket), None, "no held request could say so");
    world.send(socket, "5");
    assert_eq!(world.outcome(socket), Some(Outcome::Closed(1012)));
    assert!(world.node(0).is_drained());
}

#[test]
fn a_client_that_never_moves_stays_on_polling() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let socket = world.upgrade(&sid);
    world.send(socket, "2probe");
    world.advance(Duration::from_micros(9_999_999));
    assert_eq!(world.outcome(socket), None);
    world.advance(Duration::from_micros(1));
    assert_eq!(world.outcome(socket), Some(Outcome::Closed(1008)));
    assert_eq!(world.drops(0, DropCause::UpgradeTimeout), 1);
    world.send(socket, "5");
    assert_eq!(world.transport(&sid), Some(TransportKind::Polling));
    assert_eq!(world.post(&sid, r#"421["@whoami"]"#), Some(Outcome::Taken));
    assert!(world.get(&sid).is_some());
    let again = world.upgrade(&sid);
    world.send(again, "2probe");
    world.send(again, "5");
    assert_eq!(world.transport(&sid), Some(TransportKind::WebSocket), "it may try again");
}

#[test]
fn a_probe_that_says_something_else_or_goes_away_leaves_the_session_alone() {
    for text in ["2", "2hello", "3", "42[\"e\"]", "1", "x", "", "6"] {
        let mut world = world();
        let (sid, _) = world.connect_polling(0);
        let poll = world.poll(&sid);
        let socket = world.upgrade(&sid);
        world.send(socket, text);
        assert_eq!(world.outcome(socket), Some(Outcome::Closed(1002)), "{text:?}");
        assert_eq!(world.outcome(poll), None, "{text:?}");
        assert!(world.is_alive(&sid), "{text:?}");
        assert_eq!(world.drops(0, DropCause::BadProbe), 1);
    }
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let socket = world.upgrade(&sid);
    world.send_binary(socket, &[1]);
    assert_eq!(world.outcome(socket), Some(Outcome::Closed(1002)));
    let gone = world.upgrade(&sid);
    world.send(gone, "2probe");
    world.drop_connection(gone);
    assert!(world.is_alive(&sid));
    world.advance(Duration::from_secs(20));
    assert_eq!(world.drops(0, DropCause::UpgradeTimeout), 0);
}

#[test]
fn the_end_of_a_session_ends_its_probe() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let socket = world.upgrade(&sid);
    world.send(socket, "2probe");
    world.post(&sid, "1");
    assert_eq!(world.outcome(socket), Some(Outcome::Closed(1000)));
    world.send(socket, "5");
    assert_eq!(world.node(0).gauges().sessions, 0);
}

#[test]
fn a_post_that_had_begun_is_taken_to_its_end() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let (bob, bob_id) = world.client_with_id(0);
    let socket = world.upgrade(&sid);
    world.send(socket, "2probe");
    let post = world.start_post(&sid);
    world.send(post, &format!(r#"42["@to","{bob_id}","n",0]"#));
    world.send(socket, "5");
    world.send_body(post, &format!(r#"42["@to","{bob_id}","n",1]"#));
    assert_eq!(world.outcome(post), Some(Outcome::Taken));
    world.send(socket, &format!(r#"42["@to","{bob_id}","n",2]"#));
    assert_eq!(world.received(bob).len(), 3);
}

#[test]
fn a_post_that_outlives_its_session_is_refused_and_finds_no_successor() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let socket = world.upgrade(&sid);
    world.send(socket, "2probe");
    let post = world.start_post(&sid);
    world.send(socket, "5");
    world.drop_connection(socket);
    assert_eq!(world.outcome(post), REFUSED);
    let (successor, _) = world.connect_polling(0);
    world.send(post, "1");
    assert!(world.is_alive(&successor), "the slot's next tenant");
}

#[test]
fn a_heartbeat_crosses_the_move() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let socket = world.upgrade(&sid);
    world.advance(Duration::from_secs(9));
    world.send(socket, "2probe");
    world.send(socket, "5");
    world.advance(Duration::from_secs(16));
    assert_eq!(world.messages(socket), ["3probe", "2"]);
    world.send(socket, "3");
    world.advance(Duration::from_secs(25));
    assert_eq!(world.messages(socket), ["2"]);
    world.advance(Duration::from_secs(20));
    assert_eq!(world.outcome(socket), Some(Outcome::Closed(1008)));
}

/// A client that polls, tests a WebSocket and moves, as the stock client does, step by random step.
struct Mover {
    sid: String,
    poll: Option<Conn>,
    socket: Option<Conn>,
    has_moved: bool,
    /// Whether it opens no poll any more once it has tested its WebSocket. The stock client does not; others go on.
    is_pausing: bool,
    got: Vec<String>,
}

impl Mover {
    fn step(&mut self, world: &mut World, random: &mut Seeded) {
        self.collect(world);
        match random.below(6) {
            0 | 1
                if self.poll.is_none() && !self.has_moved && !(self.is_pausing && self.socket.is_some()) =>
            {
                self.poll = Some(world.poll(&self.sid));
            }
            2 if self.socket.is_none() => {
                let socket = world.upgrade(&self.sid);
                world.send(socket, "2probe");
                self.socket = Some(socket);
            }
            3 if self.socket.is_some() && self.poll.is_none() && !self.has_moved => {
                world.send(self.socket.expect("a socket"), "5");
                self.has_moved = true;
            }
            4 => world.advance(Duration::from_millis(60)),
            _ => {}
        }
        self.collect(world);
    }

    fn collect(&mut self, world: &mut World) {
        if let Some(Outcome::Packets(packets)) = self.poll.and_then(|poll| world.outcome(poll)) {
            self.poll = None;
            self.got.extend(packets);
        }
        if let Some(socket) = self.socket {
            assert_eq!(world.outcome(socket), None);
            self.got.extend(world.messages(socket));
        }
    }
}

#[test]
fn nothing_is_lost_doubled_or_reordered_whenever_the_client_moves() {
    for seed in Seeds::of("upgrading::nothing_is_lost", 700) {
        let mut random = Seeded::new(seed);
        let mut world = World::alone_with(seed, |config| config.limits.ping_jitter = false);
        let (sid, id) = world.connect_polling(0);
        let (bob, _) = world.client_with_id(0);
        let is_pausing = seed % 2 == 0;
        let mut mover =
            Mover { sid, poll: None, socket: None, has_moved: false, is_pausing, got: Vec::new() };
        let mut sent = 0;
        for _ in 0..60 {
            for _ in 0..random.below(3) {
                world.say(bob, &format!(r#"42["@to","{id}","n",{sent}]"#));
                sent += 1;
            }
            mover.step(&mut world, &mut random);
        }
        if !mover.has_moved && mover.poll.is_none() {
            mover.poll = Some(world.poll(&mover.sid));
        }
        mover.collect(&mut world);
        let numbers: Vec<String> = mover
            .got
            .iter()
            .filter(|text| text.starts_with("42[\"n\""))
            .map(|text| text.rsplit(',').next().unwrap().trim_end_matches(']').into())
            .collect();
        let expected: Vec<String> = (0..sent).map(|number: i32| number.to_string()).collect();
        assert_eq!(numbers, expected, "seed {seed}");
    }
}
