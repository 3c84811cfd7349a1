//! A link to Redis that is open and carries nothing is noticed, given up, and what was lost meanwhile is counted.

use moorline_tests::sim::{World, event_from, to};
use std::time::Duration;

const NOTICED_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn a_mute_link_is_given_up_within_five_seconds() {
    let mut world = World::cluster(2);
    let alice = world.client(0);
    world.advance(Duration::from_secs(30));
    world.redis().mute(0, true);
    world.advance(NOTICED_WITHIN);
    assert_eq!(world.stats(0).bus_resets, 1);
    assert_eq!(world.node(0).bus_is_up(), Some(false));
    let acked = world.ask(alice, &to("\"AAAAAAAAAAAAAAAAAAAA\"", r#""e""#));
    assert_eq!(acked, r#"{"error":"bus_down","expected":0}"#, "what cannot be sent is not pretended to be");
}

#[test]
fn a_quiet_cluster_is_not_a_mute_link() {
    let mut world = World::cluster(2);
    world.advance(Duration::from_secs(600));
    assert_eq!((world.stats(0).bus_resets, world.stats(1).bus_resets), (0, 0));
}

#[test]
fn a_short_silence_is_waited_out() {
    let mut world = World::cluster(1);
    world.advance(Duration::from_secs(10));
    world.redis().mute(0, true);
    world.advance(Duration::from_secs(3));
    world.redis().mute(0, false);
    world.advance(Duration::from_secs(30));
    assert_eq!(world.stats(0).bus_resets, 0);
}

#[test]
fn messages_lost_on_a_mute_link_are_counted_exactly_and_later_ones_arrive() {
    let mut world = World::cluster(2);
    let (alice, alice_id) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(1);
    world.join(alice, "r");
    world.join(bob, "r");
    world.received(bob);
    for target in [format!("\"{bob_id}\""), "\"r\"".into()] {
        world.emit(alice, &to(&target, r#""before",1"#));
    }
    world.settle();
    world.redis().mute(1, true);
    for number in 0..3 {
        world.emit(alice, &to(&format!("\"{bob_id}\""), &format!(r#""lost",{number}"#)));
    }
    world.emit(alice, &to("\"r\"", r#""lost","room""#));
    world.advance(Duration::from_secs(1));
    world.redis().mute(1, false);
    assert_eq!(world.stats(1).bus_missed, 0, "nothing shows yet");
    for target in [format!("\"{bob_id}\""), "\"r\"".into()] {
        world.emit(alice, &to(&target, r#""later",2"#));
    }
    world.settle();
    assert_eq!(world.stats(1).bus_missed, 4);
    assert_eq!(world.stats(0).bus_missed, 0);
    let expected = [("before", "1"), ("before", "1"), ("later", "2"), ("later", "2")];
    assert_eq!(world.received(bob), expected.map(|(name, number)| event_from(&alice_id, name, number)));
}

#[test]
fn rooms_come_back_after_a_mute_link() {
    let mut world = World::cluster(2);
    let (alice, bob) = (world.client(0), world.client(1));
    world.join(alice, "r");
    world.join(bob, "r");
    world.redis().mute(1, true);
    world.advance(NOTICED_WITHIN);
    assert_eq!(world.stats(1).bus_resets, 1);
    world.redis().mute(1, false);
    world.link_up(1);
    world.settle();
    assert_eq!(world.ask(alice, &to("\"r\"", r#""e""#)), r#"{"expected":1}"#);
}
