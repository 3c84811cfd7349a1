//! From polling to a WebSocket: tested first, then moved, with nothing lost, doubled or reordered on the way.

use moorline_core::{DropCause, RequestError, TransportKind};
use moorline_tests::sim::{Conn, Desk, Outcome, Seeded};
use std::time::Duration;

const REFUSED: Option<Outcome> = Some(Outcome::Refused(RequestError::BadRequest));

fn desk() -> Desk {
    Desk::new(1, |_| {})
}

fn noop() -> Option<Outcome> {
    Some(Outcome::packets(&["6"]))
}

#[test]
fn a_probe_is_answered_and_a_held_poll_ends_with_a_noop() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let poll = desk.poll(&sid);
    let socket = desk.upgrade(&sid);
    assert_eq!((desk.received(socket), desk.outcome(poll)), (Vec::<String>::new(), None));
    desk.say(socket, "2probe");
    assert_eq!(desk.received(socket), ["3probe"]);
    assert_eq!(desk.outcome(poll), noop());
    assert_eq!(desk.transport(&sid), Some(TransportKind::Polling));
    desk.say(socket, "5");
    assert_eq!(desk.transport(&sid), Some(TransportKind::WebSocket));
    desk.say(socket, r#"421["@whoami"]"#);
    assert_eq!(desk.received(socket), [format!(r#"431[{{"id":"{id}","node":"s1","user":null}}]"#)]);
    assert_eq!(desk.node().stats().upgrades, 1);
}

#[test]
fn a_poll_during_the_upgrade_gets_a_noop_after_a_moment_or_what_there_is() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let (bob, _) = desk.connect_websocket();
    let socket = desk.upgrade(&sid);
    desk.say(socket, "2probe");
    for _ in 0..2 {
        let poll = desk.poll(&sid);
        desk.advance(Duration::from_micros(99_999));
        assert_eq!(desk.outcome(poll), None, "a client that polls on must not spin");
        desk.advance(Duration::from_micros(1));
        assert_eq!(desk.outcome(poll), noop());
    }
    let poll = desk.poll(&sid);
    desk.say(bob, &format!(r#"42["@to","{id}","e"]"#));
    assert!(
        matches!(desk.outcome(poll), Some(Outcome::Packets(received)) if received[0].starts_with("42[\"e\""))
    );
    let poll = desk.poll(&sid);
    desk.say(socket, "5");
    assert_eq!(desk.outcome(poll), noop(), "the move ends it");
    assert_eq!(desk.get(&sid), REFUSED, "it polls no more");
    assert_eq!(desk.post(&sid, "3"), REFUSED);
}

#[test]
fn what_waits_when_the_client_moves_comes_on_the_websocket_in_order() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let (bob, _) = desk.connect_websocket();
    let socket = desk.upgrade(&sid);
    desk.say(socket, "2probe");
    for number in 0..3 {
        desk.say(bob, &format!(r#"42["@to","{id}","n",{number}]"#));
    }
    desk.say(socket, "5");
    desk.say(bob, &format!(r#"42["@to","{id}","n",3]"#));
    let received = desk.received(socket);
    let ends: Vec<&str> = received.iter().map(|text| text.rsplit(',').next().unwrap()).collect();
    assert_eq!(ends, ["3probe", "0]", "1]", "2]", "3]"]);
}

#[test]
fn a_second_websocket_is_closed_and_harms_nobody() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let first = desk.upgrade(&sid);
    let second = desk.upgrade(&sid);
    assert_eq!(desk.outcome(second), Some(Outcome::Closed(1000)));
    desk.say(second, "2probe");
    desk.say(second, "5");
    desk.say(first, "2probe");
    desk.say(first, "5");
    let third = desk.upgrade(&sid);
    assert_eq!(desk.outcome(third), Some(Outcome::Closed(1000)));
    desk.received(first);
    desk.say(first, r#"421["@whoami"]"#);
    assert_eq!(desk.received(first).len(), 1);
    assert_eq!(desk.drops(DropCause::SecondWebsocket), 2);
}

#[test]
fn a_websocket_for_a_session_that_is_gone_is_closed() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    desk.post(&sid, "1");
    let socket = desk.upgrade(&sid);
    assert_eq!(desk.outcome(socket), Some(Outcome::Closed(1000)));
}

#[test]
fn who_moves_while_the_node_drains_is_told_on_the_websocket() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let socket = desk.upgrade(&sid);
    desk.say(socket, "2probe");
    desk.drain(Duration::ZERO);
    assert_eq!(desk.outcome(socket), None, "nothing is held that could tell it");
    desk.say(socket, "5");
    assert_eq!(desk.outcome(socket), Some(Outcome::Closed(1012)));
    assert!(desk.node().is_drained());
}

#[test]
fn a_client_that_never_moves_stays_on_polling() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let socket = desk.upgrade(&sid);
    desk.say(socket, "2probe");
    desk.advance(Duration::from_micros(9_999_999));
    assert_eq!(desk.outcome(socket), None);
    desk.advance(Duration::from_micros(1));
    assert_eq!(desk.outcome(socket), Some(Outcome::Closed(1008)));
    assert_eq!(desk.drops(DropCause::UpgradeTimeout), 1);
    desk.say(socket, "5");
    assert_eq!(desk.transport(&sid), Some(TransportKind::Polling));
    assert_eq!(desk.post(&sid, r#"421["@whoami"]"#), Some(Outcome::Taken));
    assert!(desk.get(&sid).is_some());
    let again = desk.upgrade(&sid);
    desk.say(again, "2probe");
    desk.say(again, "5");
    assert_eq!(desk.transport(&sid), Some(TransportKind::WebSocket), "it may try again");
}

#[test]
fn a_probe_that_says_something_else_or_goes_away_leaves_the_session_alone() {
    for text in ["2", "2hello", "3", "42[\"e\"]", "1", "x", "", "6"] {
        let mut desk = desk();
        let (sid, _) = desk.connect_polling();
        let poll = desk.poll(&sid);
        let socket = desk.upgrade(&sid);
        desk.say(socket, text);
        assert_eq!(desk.outcome(socket), Some(Outcome::Closed(1002)), "{text:?}");
        assert_eq!(desk.outcome(poll), None, "{text:?}");
        assert!(desk.is_alive(&sid), "{text:?}");
        assert_eq!(desk.drops(DropCause::BadProbe), 1);
    }
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let socket = desk.upgrade(&sid);
    desk.say_binary(socket, &[1]);
    assert_eq!(desk.outcome(socket), Some(Outcome::Closed(1002)));
    let gone = desk.upgrade(&sid);
    desk.say(gone, "2probe");
    desk.drop_connection(gone);
    assert!(desk.is_alive(&sid));
    desk.advance(Duration::from_secs(20));
    assert_eq!(desk.drops(DropCause::UpgradeTimeout), 0);
}

#[test]
fn the_end_of_a_session_ends_its_probe() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let socket = desk.upgrade(&sid);
    desk.say(socket, "2probe");
    desk.post(&sid, "1");
    assert_eq!(desk.outcome(socket), Some(Outcome::Closed(1000)));
    desk.say(socket, "5");
    assert_eq!(desk.node().gauges().sessions, 0);
}

#[test]
fn a_post_that_had_begun_is_taken_to_its_end() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let (bob, bob_id) = desk.connect_websocket();
    let socket = desk.upgrade(&sid);
    desk.say(socket, "2probe");
    let post = desk.start_post(&sid);
    desk.say(post, &format!(r#"42["@to","{bob_id}","n",0]"#));
    desk.say(socket, "5");
    desk.say_body(post, &format!(r#"42["@to","{bob_id}","n",1]"#));
    assert_eq!(desk.outcome(post), Some(Outcome::Taken));
    desk.say(socket, &format!(r#"42["@to","{bob_id}","n",2]"#));
    assert_eq!(desk.received(bob).len(), 3);
}

#[test]
fn a_post_that_outlives_its_session_is_refused_and_finds_no_successor() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let socket = desk.upgrade(&sid);
    desk.say(socket, "2probe");
    let post = desk.start_post(&sid);
    desk.say(socket, "5");
    desk.drop_connection(socket);
    assert_eq!(desk.outcome(post), REFUSED);
    let (successor, _) = desk.connect_polling();
    desk.say(post, "1");
    assert!(desk.is_alive(&successor), "the slot's next tenant");
}

#[test]
fn a_heartbeat_crosses_the_move() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let socket = desk.upgrade(&sid);
    desk.advance(Duration::from_secs(9));
    desk.say(socket, "2probe");
    desk.say(socket, "5");
    desk.advance(Duration::from_secs(16));
    assert_eq!(desk.received(socket), ["3probe", "2"]);
    desk.say(socket, "3");
    desk.advance(Duration::from_secs(25));
    assert_eq!(desk.received(socket), ["2"]);
    desk.advance(Duration::from_secs(20));
    assert_eq!(desk.outcome(socket), Some(Outcome::Closed(1008)));
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
    fn step(&mut self, desk: &mut Desk, random: &mut Seeded) {
        self.collect(desk);
        match random.below(6) {
            0 | 1
                if self.poll.is_none() && !self.has_moved && !(self.is_pausing && self.socket.is_some()) =>
            {
                self.poll = Some(desk.poll(&self.sid));
            }
            2 if self.socket.is_none() => {
                let socket = desk.upgrade(&self.sid);
                desk.say(socket, "2probe");
                self.socket = Some(socket);
            }
            3 if self.socket.is_some() && self.poll.is_none() && !self.has_moved => {
                desk.say(self.socket.expect("a socket"), "5");
                self.has_moved = true;
            }
            4 => desk.advance(Duration::from_millis(60)),
            _ => {}
        }
        self.collect(desk);
    }

    fn collect(&mut self, desk: &mut Desk) {
        if let Some(Outcome::Packets(packets)) = self.poll.and_then(|poll| desk.outcome(poll)) {
            self.poll = None;
            self.got.extend(packets);
        }
        if let Some(socket) = self.socket {
            assert_eq!(desk.outcome(socket), None);
            self.got.extend(desk.received(socket));
        }
    }
}

#[test]
fn nothing_is_lost_doubled_or_reordered_whenever_the_client_moves() {
    for seed in 0..2_000 {
        let mut random = Seeded::new(seed);
        let mut desk = Desk::new(seed, |_| {});
        let (sid, id) = desk.connect_polling();
        let (bob, _) = desk.connect_websocket();
        let is_pausing = seed % 2 == 0;
        let mut mover =
            Mover { sid, poll: None, socket: None, has_moved: false, is_pausing, got: Vec::new() };
        let mut sent = 0;
        for _ in 0..60 {
            for _ in 0..random.below(3) {
                desk.say(bob, &format!(r#"42["@to","{id}","n",{sent}]"#));
                sent += 1;
            }
            mover.step(&mut desk, &mut random);
        }
        if !mover.has_moved && mover.poll.is_none() {
            mover.poll = Some(desk.poll(&mover.sid));
        }
        mover.collect(&mut desk);
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
