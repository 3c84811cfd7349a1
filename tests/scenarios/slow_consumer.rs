//! A client that does not read costs a bounded amount of memory and then its connection, and nobody else anything.

use moorline_core::{Config, DropCause};
use moorline_protocol::Reason;
use moorline_tests::sim::{Seed, World, event_from, to};
use std::time::Duration;

fn small_outbox(config: &mut Config) {
    config.limits.outbox_bytes_max = 10_000;
}

fn kilobyte(number: usize) -> String {
    format!(r#""e","{number:0>1000}""#)
}

#[test]
fn a_full_outbox_closes_its_own_session_during_a_broadcast() {
    let mut world = World::cluster_with(Seed(1), 2, small_outbox);
    let (alice, alice_id) = world.client_with_id(0);
    let (near, slow, far, slow_far) = (world.client(0), world.client(0), world.client(1), world.client(1));
    for client in [alice, near, slow, far, slow_far] {
        world.join(client, "r");
    }
    world.stop_reading(slow);
    world.stop_reading(slow_far);
    let mut expected = Vec::new();
    for number in 0..20 {
        let acked = world.ask(alice, &to("\"r\"", &kilobyte(number)));
        expected.push(acked);
    }
    let nine = vec![r#"{"expected":4}"#; 9];
    let rest = vec![r#"{"expected":2}"#; 11];
    assert_eq!(expected, [nine, rest].concat(), "who cannot take it is not counted");
    for (node, client) in [(0, slow), (1, slow_far)] {
        let ending = world.ending(client).unwrap();
        assert_eq!((ending.reason, ending.code), (Reason::SlowConsumer, 1013));
        assert_eq!(world.drops(node, DropCause::SlowConsumer), 1);
        assert_eq!(world.stats(node).sessions_closed.get(Reason::SlowConsumer), 1);
    }
    for client in [near, far] {
        let received = world.received(client);
        assert_eq!(received.len(), 20);
        assert_eq!(received[19], event_from(&alice_id, "e", &format!("\"{:0>1000}\"", 19)));
    }
    assert!(world.is_open(alice) && world.is_open(near) && world.is_open(far));
}

#[test]
fn reading_in_time_makes_room_again() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    for _ in 0..10 {
        world.stop_reading(bob);
        for number in 0..9 {
            world.emit(alice, &to(&format!("\"{bob_id}\""), &kilobyte(number)));
        }
        world.read_again(bob);
        assert_eq!(world.received(bob).len(), 9);
    }
    assert!(world.is_open(bob));
}

#[test]
fn a_client_that_fills_its_own_outbox_ends_itself() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, bystander) = (world.client(0), world.client(0));
    world.stop_reading(alice);
    for _ in 0..1000 {
        if world.is_open(alice) {
            world.request(alice, r#"["@whoami"]"#);
        }
    }
    assert_eq!(world.ending(alice).unwrap().reason, Reason::SlowConsumer);
    assert!(world.is_open(bystander));
}

#[test]
fn refused_namespaces_fill_an_outbox_too() {
    let mut world = World::alone_with(1, small_outbox);
    let client = world.open(0);
    world.stop_reading(client);
    for _ in 0..1000 {
        if world.is_open(client) {
            world.say(client, "40/random");
        }
    }
    assert_eq!(world.ending(client).unwrap().reason, Reason::SlowConsumer);
    world.assert_empty(0);
}

#[test]
fn a_client_that_reads_nothing_ends_at_the_ping_timeout() {
    let mut world = World::alone();
    let client = world.client(0);
    world.stop_reading(client);
    world.advance(Duration::from_secs(46));
    assert_eq!(world.ending(client).unwrap().reason, Reason::PingTimeout);
    world.assert_empty(0);
}

#[test]
fn a_session_that_missed_a_frame_gets_no_later_one() {
    let namespaces = |config: &mut Config| {
        small_outbox(config);
        config.namespaces = vec!["/a_long_name".into(), "/".into()];
    };
    let mut world = World::cluster_with(Seed(1), 1, namespaces);
    let client = world.open(0);
    let (long, short) = (world.connect(client, "/a_long_name"), world.connect(client, "/"));
    world.received(client);
    world.stop_reading(client);
    let publish = |world: &mut World, target: &str, bytes: usize| {
        let message = format!(r#"{{"socketId":{target},"event":"e","response":"{}"}}"#, "x".repeat(bytes));
        world.publish("socket", message.as_bytes());
    };
    publish(&mut world, &format!("\"{short}\""), 8_000);
    publish(&mut world, &format!(r#"["{long}","{short}"]"#), 1_970);
    assert_eq!(world.ending(client).unwrap().reason, Reason::SlowConsumer);
    assert_eq!(world.drops(0, DropCause::SlowConsumer), 1);
    world.read_again(client);
    assert_eq!(world.received(client).len(), 1, "the shorter one would have fitted");
}

#[test]
fn frames_come_out_in_order_whatever_piece_is_pulled() {
    let mut world = World::alone_with(1, |config| config.limits.outbox_bytes_max = 10_000_000);
    let (alice, alice_id) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    world.stop_reading(bob);
    let sizes = [0, 1, 100, 125, 126, 65_000, 65_535, 65_536, 200_000, 3];
    for size in sizes {
        world.emit(alice, &to(&format!("\"{bob_id}\""), &format!(r#""e","{}""#, "x".repeat(size))));
    }
    world.read_again(bob);
    let expected = sizes.map(|size| event_from(&alice_id, "e", &format!("\"{}\"", "x".repeat(size))));
    assert_eq!(world.received(bob), expected);
}
