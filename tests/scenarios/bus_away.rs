//! Redis goes and comes back: local traffic goes on, what cannot be done is said at once, everything heals.

use moorline_core::{Code, DropCause};
use moorline_tests::sim::{Seed, Seeds, World, event_from, to};
use std::time::Duration;

const LOCAL: &str = r#"{"ok":true,"local":true}"#;

#[test]
fn before_redis_was_ever_reached_a_node_serves_its_own() {
    for mut world in World::each_way(|| World::cluster_without_links(Seed(1), 2, |_| {})) {
        assert!(!world.node(0).is_ready());
        let (alice, bob) = (world.client(0), world.client(0));
        for client in [alice, bob] {
            assert_eq!(world.ask(client, r#"["@join","r"]"#), LOCAL);
        }
        assert_eq!(world.ask(alice, &to("\"r\"", r#""e""#)), r#"{"error":"bus_down","expected":1}"#);
        assert_eq!(world.received(bob).len(), 1);
        world.link_up(0);
        world.settle();
        assert!(world.node(0).is_ready());
        assert_eq!(world.ask(alice, &to("\"r\"", r#""e""#)), r#"{"expected":1}"#);
    }
}

#[test]
fn remote_sends_fail_at_once_with_the_local_count() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (near, near_id) = world.client_with_id(0);
        let (far, far_id) = world.client_with_id(1);
        for client in [alice, near, far] {
            world.join(client, "r");
        }
        world.link_down(0);
        for (targets, acked, local) in [
            ("\"r\"".to_string(), r#"{"error":"bus_down","expected":1}"#, 1),
            (format!("\"{far_id}\""), r#"{"error":"bus_down","expected":0}"#, 0),
            (format!(r#"["{far_id}","{near_id}"]"#), r#"{"error":"bus_down","expected":1}"#, 1),
            (format!("\"{near_id}\""), r#"{"expected":1}"#, 1),
        ] {
            let ack = world.request(alice, &to(&targets, r#""e""#));
            assert_eq!(world.take_ack(alice, ack).unwrap(), acked, "at once");
            assert_eq!(world.received(near), vec![event_from(&alice_id, "e", ""); local]);
        }
        world.emit(alice, &to("\"r\"", r#""e""#));
        assert_eq!(world.stats(0).refusals.get(Code::BusDown), 4);
        assert_eq!(world.drops(0, DropCause::BusDown), 4);
        world.settle();
        assert_eq!(world.received(far), Vec::<String>::new());
    }
}

#[test]
fn joins_while_it_is_away_say_local_and_are_whole_when_it_is_back() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (near, far) = (world.client(0), world.client(1));
        world.join(far, "r");
        world.link_down(0);
        for client in [alice, near, near] {
            assert_eq!(world.ask(client, r#"["@join","r"]"#), LOCAL);
        }
        world.emit(alice, &to("\"r\"", r#""e",1"#));
        assert_eq!(world.received(near), [event_from(&alice_id, "e", "1")]);
        world.link_up(0);
        world.settle();
        assert_eq!(world.ask(alice, &to("\"r\"", r#""e",2"#)), r#"{"expected":2}"#);
        assert_eq!(world.ask(far, &to("\"r\"", r#""e",3"#)), r#"{"expected":2}"#);
        let late = world.client(0);
        let ack = world.request(late, r#"["@join","r"]"#);
        assert_eq!(world.take_ack(late, ack).unwrap(), r#"{"ok":true}"#, "confirmed meanwhile");
    }
}

#[test]
fn a_room_confirmed_before_is_local_while_it_is_away_and_confirmed_again_before_it_is_whole() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let (alice, near, late) = (world.client(0), world.client(0), world.client(0));
        world.join(alice, "r");
        world.link_down(0);
        assert_eq!(world.ask(near, r#"["@join","r"]"#), LOCAL);
        world.redis().hold_subscriptions(0);
        world.link_up(0);
        world.settle();
        assert_eq!(world.ask(late, r#"["@join","r"]"#), LOCAL, "not yet");
        let now = world.now();
        world.redis().release_subscriptions(now, 0);
        world.settle();
        world.join(late, "r");
    }
}

#[test]
fn joins_that_wait_when_it_goes_are_told_local_at_once() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, bob) = (world.client(0), world.client(0));
        world.redis().hold_subscriptions(0);
        let acks = [alice, bob].map(|client| world.request(client, r#"["@join","r"]"#));
        world.settle();
        world.link_down(0);
        assert_eq!(world.take_ack(alice, acks[0]).unwrap(), LOCAL);
        assert_eq!(world.take_ack(bob, acks[1]).unwrap(), LOCAL);
        world.advance(Duration::from_secs(30));
        assert_eq!(world.received(alice), Vec::<String>::new(), "acknowledged once");
    }
}

#[test]
fn counts_that_are_open_when_it_goes_are_told_at_once() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (_, near_id) = world.client_with_id(0);
        let (_, far_id) = world.client_with_id(1);
        let ack = world.request(alice, &to(&format!(r#"["{far_id}","{near_id}"]"#), r#""e""#));
        assert_eq!(world.take_ack(alice, ack), None);
        world.link_down(0);
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"error":"bus_down","expected":1}"#);
        world.link_up(0);
        world.settle();
        world.advance(Duration::from_secs(11));
        assert_eq!(world.received(alice), Vec::<String>::new(), "acknowledged once");
        assert_eq!(world.drops(0, DropCause::BusLost), 1);
    }
}

#[test]
fn counts_that_wait_for_a_node_are_told_at_once_too() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (_, far_id) = world.client_with_id(1);
        world.freeze(1);
        let ack = world.request(alice, &to(&format!("\"{far_id}\""), r#""e""#));
        world.settle();
        assert_eq!(world.take_ack(alice, ack), None, "published, not acknowledged");
        world.link_down(0);
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"error":"bus_down","expected":0}"#);
        assert_eq!(world.drops(0, DropCause::BusLost), 0);
    }
}

#[test]
fn a_lost_publication_is_told_and_counted() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (bob, bob_id) = world.client_with_id(1);
        world.redis().lose_publications(0, true);
        let items = to(&format!("\"{bob_id}\""), r#""e""#);
        assert_eq!(world.ask(alice, &items), r#"{"error":"bus_down","expected":0}"#);
        world.emit(alice, &items);
        world.settle();
        assert_eq!(world.drops(0, DropCause::BusLost), 2);
        world.redis().lose_publications(0, false);
        assert_eq!(world.ask(alice, &items), r#"{"expected":1}"#);
        assert_eq!(world.received(bob).len(), 1, "what was lost is not sent again");
    }
}

#[test]
fn every_subscription_is_restored() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let clients: Vec<_> = (0..20).map(|_| world.client(1)).collect();
        for (number, client) in clients.iter().enumerate() {
            world.join(*client, &format!("r{number}"));
        }
        let before = world.redis().subscriptions(1);
        assert_eq!(before.len(), 22);
        for _ in 0..3 {
            world.link_down(1);
            assert_eq!(world.redis().subscriptions(1), Vec::<String>::new());
            world.advance(Duration::from_secs(3));
            world.link_up(1);
            world.settle();
            assert_eq!(world.redis().subscriptions(1), before);
        }
        let alice = world.client(0);
        for (number, client) in clients.iter().enumerate() {
            world.join(alice, &format!("r{number}"));
            assert_eq!(world.ask(alice, &to(&format!("\"r{number}\""), r#""e""#)), r#"{"expected":1}"#);
            assert_eq!(world.received(*client).len(), 1);
        }
    }
}

#[test]
fn rooms_left_while_it_is_away_are_not_subscribed_again() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let client = world.client(0);
        world.join(client, "old");
        world.link_down(0);
        world.ask(client, r#"["@leave","old"]"#);
        world.ask(client, r#"["@join","brief"]"#);
        world.ask(client, r#"["@leave","brief"]"#);
        world.advance(Duration::from_secs(3));
        assert_eq!(world.node(0).gauges().rooms, 0);
        world.link_up(0);
        world.settle();
        assert_eq!(world.redis().subscriptions(0).len(), 2, "its own two");
        world.leave(client);
        world.assert_empty(0);
    }
}

#[test]
fn a_room_left_before_its_confirmation_goes_when_the_link_does() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let client = world.client(0);
        world.redis().hold_subscriptions(0);
        world.emit(client, r#"["@join","r"]"#);
        world.emit(client, r#"["@leave","r"]"#);
        world.advance(Duration::from_secs(5));
        assert_eq!(world.node(0).gauges().rooms, 1, "its SUBSCRIBE is not confirmed");
        world.link_down(0);
        world.advance(Duration::from_micros(1));
        assert_eq!(world.node(0).gauges().rooms, 0);
    }
}

#[test]
fn a_link_that_flaps_never_confuses_rooms() {
    for seed in Seeds::of("bus_away::a_link_that_flaps", 20) {
        let mut world = World::cluster_with(Seed(seed), 2, |_| {});
        let (alice, bob) = (world.client(0), world.client(1));
        for turn in 0..12 {
            let room = format!("r{}", turn % 3);
            let verb = if turn % 4 == 3 { "@leave" } else { "@join" };
            for client in [alice, bob] {
                world.request(client, &format!(r#"["{verb}","{room}"]"#));
            }
            if turn % 2 == 0 {
                world.link_down(turn % 4 / 2);
                world.advance(Duration::from_micros(seed * 150));
                world.link_up(turn % 4 / 2);
            }
            world.advance(Duration::from_micros(seed * 97));
        }
        world.settle();
        for client in [alice, bob] {
            world.join(client, "r0");
        }
        assert_eq!(world.ask(alice, &to("\"r0\"", r#""e""#)), r#"{"expected":1}"#, "seed {seed}");
        world.leave(alice);
        world.leave(bob);
        world.advance(Duration::from_secs(5));
        world.settle();
        for node in [0, 1] {
            world.assert_empty(node);
            assert_eq!(world.redis().subscriptions(node).len(), 2, "seed {seed}");
        }
    }
}

#[test]
fn the_other_node_s_trouble_is_not_ours() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (bob, bob_id) = world.client_with_id(1);
        world.link_down(1);
        assert_eq!(world.ask(alice, &to(&format!("\"{bob_id}\""), r#""e""#)), r#"{"expected":0}"#);
        assert_eq!(world.received(bob), Vec::<String>::new());
        world.link_up(1);
        world.settle();
        assert_eq!(world.ask(alice, &to(&format!("\"{bob_id}\""), r#""e""#)), r#"{"expected":1}"#);
    }
}

#[test]
fn no_client_is_cut_and_readiness_stays() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let client = world.client(0);
        world.link_down(0);
        world.advance(Duration::from_secs(300));
        assert!(world.is_open(client));
        assert!(world.node(0).is_ready());
        assert_eq!((world.node(0).bus_is_up(), world.stats(0).bus_lag), (Some(false), None));
    }
}

#[test]
fn the_lag_of_the_bus_is_measured() {
    let mut world = World::cluster(1);
    assert_eq!(world.stats(0).bus_lag, None);
    world.advance(Duration::from_secs(2));
    world.settle();
    let lag = world.stats(0).bus_lag.unwrap();
    assert!(lag > Duration::ZERO && lag < Duration::from_millis(2), "{lag:?}");
}
