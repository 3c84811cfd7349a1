//! Rooms: who receives them on which node, and how long a node listens to their channels.

use moorline_core::Config;
use moorline_tests::sim::{Seed, World, event_from, to};
use std::time::Duration;

const LINGER: Duration = Duration::from_secs(2);
const ACK_TIMEOUT: Duration = Duration::from_secs(10);
const MICROSECOND: Duration = Duration::from_micros(1);
const CHANNEL: &str = "moorline:room:/,r";

/// The channels of a node but its own two.
fn room_channels(world: &mut World, node: usize) -> Vec<String> {
    let own = [format!("moorline:node:{}", world.node(node).tag()), "socket".into()];
    let mut channels = world.redis().subscriptions(node);
    for channel in own {
        let at = channels.iter().position(|name| *name == channel).expect("its own channels are subscribed");
        channels.remove(at);
    }
    channels
}

#[test]
fn a_message_reaches_every_member_on_every_node_once() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let (alice, alice_id) = world.client_with_id(0);
        let members = [0, 0, 1, 1, 2].map(|node| world.client(node));
        let outsider = world.client(2);
        world.join(alice, "r");
        members.iter().for_each(|&member| world.join(member, "r"));
        assert_eq!(world.ask(alice, &to("\"r\"", r#""e",1"#)), r#"{"expected":5}"#);
        for member in members {
            assert_eq!(world.received(member), [event_from(&alice_id, "e", "1")]);
        }
        assert_eq!(world.received(outsider), Vec::<String>::new());
        assert_eq!(
            world.received(alice),
            Vec::<String>::new(),
            "the echo of its own message is not delivered"
        );
    }
}

#[test]
fn who_left_receives_nothing_and_who_stayed_receives_all() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, stays, leaves) = (world.client(0), world.client(1), world.client(1));
        for client in [alice, stays, leaves] {
            world.join(client, "r");
        }
        assert_eq!(world.ask(leaves, r#"["@leave","r"]"#), r#"{"ok":true}"#);
        assert_eq!(world.ask(leaves, r#"["@leave","r"]"#), r#"{"ok":true}"#, "leaving twice is no error");
        assert_eq!(world.ask(alice, &to("\"r\"", r#""e""#)), r#"{"expected":1}"#);
        assert_eq!((world.received(stays).len(), world.received(leaves).len()), (1, 0));
    }
}

#[test]
fn joining_twice_is_no_error_and_delivers_once() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, bob) = (world.client(0), world.client(1));
        world.join(alice, "r");
        world.join(bob, "r");
        world.join(bob, "r");
        assert_eq!(world.ask(alice, &to("\"r\"", r#""e""#)), r#"{"expected":1}"#);
        assert_eq!(world.received(bob).len(), 1);
        world.ask(bob, r#"["@leave","r"]"#);
        assert_eq!(world.ask(alice, &to("\"r\"", r#""e""#)), r#"{"expected":0}"#, "one @leave undoes both");
    }
}

#[test]
fn a_message_to_a_room_is_published_on_its_channel_alone() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        world.join(alice, "r");
        world.redis().take_published();
        world.emit(alice, &to("\"r\"", r#""e""#));
        world.settle();
        let published = world.redis().take_published();
        assert_eq!(published.len(), 1);
        assert_eq!((published[0].channel.as_str(), published[0].receivers), (CHANNEL, 1));
    }
}

#[test]
fn a_node_listens_only_while_it_has_members_and_a_little_longer() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (one, two) = (world.client(0), world.client(0));
        assert_eq!(room_channels(&mut world, 0), Vec::<String>::new());
        world.join(one, "r");
        world.join(two, "r");
        assert_eq!(room_channels(&mut world, 0), [CHANNEL]);
        assert_eq!(room_channels(&mut world, 1), Vec::<String>::new());
        world.ask(one, r#"["@leave","r"]"#);
        world.advance(LINGER * 3);
        assert_eq!(room_channels(&mut world, 0), [CHANNEL], "one member is left");
        world.leave(two);
        world.advance(LINGER - MICROSECOND);
        assert_eq!(room_channels(&mut world, 0), [CHANNEL]);
        world.advance(MICROSECOND);
        world.settle();
        assert_eq!(room_channels(&mut world, 0), Vec::<String>::new());
        world.leave(one);
        world.assert_empty(0);
    }
}

#[test]
fn coming_back_within_the_linger_costs_no_subscription() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let client = world.client(0);
        for _ in 0..5 {
            world.join(client, "r");
            world.ask(client, r#"["@leave","r"]"#);
            world.advance(LINGER / 2);
        }
        world.redis().hold_subscriptions(0);
        world.join(client, "r");
        world.advance(LINGER * 2);
        assert_eq!(room_channels(&mut world, 0), [CHANNEL], "the linger was called off");
    }
}

#[test]
fn join_is_acknowledged_when_the_subscription_is_confirmed_and_not_before() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, bob) = (world.client(0), world.client(1));
        world.join(alice, "r");
        world.redis().hold_subscriptions(1);
        let ack = world.request(bob, r#"["@join","r"]"#);
        world.settle();
        world.advance(Duration::from_secs(5));
        assert_eq!(world.take_ack(bob, ack), None);
        let now = world.now();
        world.redis().release_subscriptions(now, 1);
        world.settle();
        assert_eq!(world.take_ack(bob, ack).unwrap(), r#"{"ok":true}"#);
        assert_eq!(
            world.ask(alice, &to("\"r\"", r#""e""#)),
            r#"{"expected":1}"#,
            "nothing sent after is missed"
        );
        assert_eq!(world.received(bob).len(), 1);
    }
}

#[test]
fn members_on_one_node_reach_each_other_before_the_confirmation() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let (alice, bob) = (world.client(0), world.client(0));
        world.redis().hold_subscriptions(0);
        for client in [alice, bob] {
            world.emit(client, r#"["@join","r"]"#);
        }
        world.emit(alice, &to("\"r\"", r#""e""#));
        assert_eq!(world.received(bob).len(), 1);
    }
}

#[test]
fn a_second_member_is_acknowledged_at_once() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let (alice, bob) = (world.client(0), world.client(0));
        world.join(alice, "r");
        let ack = world.request(bob, r#"["@join","r"]"#);
        assert_eq!(world.take_ack(bob, ack).unwrap(), r#"{"ok":true}"#, "without waiting for the bus");
    }
}

#[test]
fn an_unconfirmed_join_is_acknowledged_at_the_ack_timeout_and_heals_later() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, bob) = (world.client(0), world.client(1));
        world.join(alice, "r");
        world.redis().hold_subscriptions(1);
        let ack = world.request(bob, r#"["@join","r"]"#);
        world.advance(Duration::from_secs(10) - MICROSECOND);
        assert_eq!(world.take_ack(bob, ack), None);
        world.advance(MICROSECOND);
        assert_eq!(world.take_ack(bob, ack).unwrap(), r#"{"error":"timeout"}"#);
        let now = world.now();
        world.redis().release_subscriptions(now, 1);
        world.settle();
        assert_eq!(
            world.ask(alice, &to("\"r\"", r#""e""#)),
            r#"{"expected":1}"#,
            "it is a member all the same"
        );
    }
}

#[test]
fn leaving_before_the_confirmation_unsubscribes_after_it() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let client = world.client(0);
        world.redis().hold_subscriptions(0);
        let ack = world.request(client, r#"["@join","r"]"#);
        assert_eq!(world.ask(client, r#"["@leave","r"]"#), r#"{"ok":true}"#);
        world.advance(LINGER * 3);
        assert_eq!(world.take_ack(client, ack), None, "the linger is not the join's time");
        world.advance(ACK_TIMEOUT);
        assert_eq!(
            world.take_ack(client, ack).as_deref(),
            Some(r#"{"error":"timeout"}"#),
            "nobody is left waiting"
        );
        assert_eq!(world.stats(0).refusals.get(moorline_core::Code::Timeout), 1);
        let now = world.now();
        world.redis().release_subscriptions(now, 0);
        world.advance(LINGER * 2);
        world.settle();
        assert_eq!(room_channels(&mut world, 0), Vec::<String>::new());
        world.leave(client);
        world.assert_empty(0);
    }
}

#[test]
fn a_thousand_rooms_joined_and_left_leave_nothing_behind() {
    for mut world in World::each_way(|| {
        World::cluster_with(Seed(1), 2, |config: &mut Config| config.limits.rooms_max = 250)
    }) {
        let clients = [0, 0, 1, 1].map(|node| world.client(node));
        for (number, &client) in clients.iter().enumerate() {
            for room in 0..250 {
                world.request(client, &format!(r#"["@join","room {number} {room}"]"#));
            }
            world.settle();
            assert_eq!(
                world.received(client).iter().filter(|packet| packet.contains(r#"{"ok":true}"#)).count(),
                250
            );
        }
        assert_eq!(room_channels(&mut world, 0).len() + room_channels(&mut world, 1).len(), 1000);
        for room in 0..250 {
            world.emit(clients[0], &format!(r#"["@leave","room 0 {room}"]"#));
            world.emit(clients[3], &format!(r#"["@leave","room 3 {room}"]"#));
        }
        world.leave(clients[1]);
        world.say(clients[2], "41");
        world.advance(LINGER);
        world.settle();
        for node in [0, 1] {
            assert_eq!(room_channels(&mut world, node), Vec::<String>::new());
            assert_eq!(world.node(node).gauges().rooms, 0);
        }
        [0, 2, 3].iter().for_each(|&number| world.leave(clients[number]));
        world.assert_empty(0);
        world.assert_empty(1);
    }
}

#[test]
fn a_node_that_is_alone_keeps_no_empty_room_and_asks_for_no_channel() {
    for mut world in World::each_way(World::alone) {
        let client = world.client(0);
        world.record();
        world.join(client, "r");
        assert_eq!(world.node(0).gauges().rooms, 1);
        world.ask(client, r#"["@leave","r"]"#);
        assert_eq!(world.node(0).gauges().rooms, 0);
        assert!(!world.trace().contains("ubscribe"));
        world.leave(client);
        world.assert_empty(0);
    }
}

#[test]
fn odd_room_names_cross_nodes() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, bob) = (world.client(0), world.client(1));
        for room in [" ", ",", "a,b", "/,r", "\\\"", "\\n", "\\u0000", "é😀", "*", "[a]", "{}"] {
            world.join(alice, room);
            world.join(bob, room);
            assert_eq!(
                world.ask(alice, &to(&format!("\"{room}\""), r#""e""#)),
                r#"{"expected":1}"#,
                "{room}"
            );
            assert_eq!(world.received(bob).len(), 1);
        }
    }
}

#[test]
fn a_room_name_is_the_same_however_it_is_escaped() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, bob) = (world.client(0), world.client(1));
        world.join(alice, "abc");
        world.join(bob, "\\u0061b\\u0063");
        assert_eq!(world.ask(alice, &to("\"abc\"", r#""e""#)), r#"{"expected":1}"#);
    }
}

#[test]
fn without_a_linger_an_unconfirmed_empty_room_does_not_spin() {
    for mut world in World::each_way(|| {
        World::cluster_with(Seed(1), 1, |config: &mut Config| config.limits.room_linger = Duration::ZERO)
    }) {
        let client = world.client(0);
        world.redis().hold_subscriptions(0);
        world.emit(client, r#"["@join","r"]"#);
        world.emit(client, r#"["@leave","r"]"#);
        world.advance(Duration::from_secs(1));
        let now = world.now();
        world.redis().release_subscriptions(now, 0);
        world.settle();
        world.advance(Duration::from_secs(6));
        world.settle();
        assert_eq!(world.redis().subscriptions(0).len(), 2);
        assert_eq!(world.node(0).gauges().rooms, 0);
    }
}

#[test]
fn each_join_waits_its_own_ack_timeout() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let (one, two) = (world.client(0), world.client(0));
        world.redis().hold_subscriptions(0);
        let first = world.request(one, r#"["@join","r"]"#);
        world.advance(Duration::from_secs(9));
        let second = world.request(two, r#"["@join","r"]"#);
        world.advance(Duration::from_secs(1));
        assert_eq!(world.take_ack(one, first).as_deref(), Some(r#"{"error":"timeout"}"#));
        assert_eq!(world.take_ack(two, second), None, "it has waited for one second");
    }
}

#[test]
fn a_stranger_s_leave_does_not_prolong_the_linger() {
    const LINGER: Duration = Duration::from_secs(2);
    let mut world = World::cluster(1);
    let (member, stranger) = (world.client(0), world.client(0));
    world.join(member, "r");
    world.ask(member, r#"["@leave","r"]"#);
    for _ in 0..4 {
        world.advance(LINGER / 4);
        world.emit(stranger, r#"["@leave","r"]"#);
    }
    assert_eq!(world.node(0).gauges().rooms, 0);
}
