//! Servers of the old design in the same cluster: what goes out to them on the public channel, and what never does.

use moorline_core::{Config, DropCause};
use moorline_tests::sim::{Client, Seed, World, event_from, to, to_binary};
use std::time::Duration;

/// Sockets of an old server; the last two share the first characters, as those of one process may.
const OLD: [&str; 3] = ["0ldServerSocket-AAAA", "0therServerSocketAAA", "0therServerSocketAAB"];

fn with_peers(config: &mut Config) {
    config.has_legacy_peers = true;
}

/// Nodes beside one old server, which receives the public channel.
fn cluster(nodes: usize) -> World {
    let mut world = World::cluster_with(Seed(1), nodes, with_peers);
    world.redis().add_onlooker("socket");
    world
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Everything published on the public channel since the last look.
fn public(world: &mut World) -> Vec<String> {
    world.settle();
    let published = world.redis().take_published();
    published.into_iter().filter(|it| it.channel == "socket").map(|it| it.text).collect()
}

/// The old form of the event `e` from `from`; `args` is JSON joined by commas, its first item `response`.
fn old_form(to: &str, from: &str, response: &str, args: &str) -> String {
    let comma = if args.is_empty() { "" } else { "," };
    format!(
        r#"{{"socketId":"{to}","event":"e","response":{response},"args":[{{"from":"{from}"}}{comma}{args}]}}"#
    )
}

fn emit(world: &mut World, client: Client, target: &str, args: &str) {
    world.emit(client, &to(&quoted(target), &format!("\"e\"{args}")));
}

#[test]
fn an_id_nobody_has_goes_out_once_in_the_old_form() {
    let mut world = cluster(3);
    let (alice, alice_id) = world.client_with_id(0);
    for (sent, response, args) in [
        ("", "null", ""),
        (",1", "1", "1"),
        (r#",{"a":[1, 2]},"two""#, r#"{"a":[1, 2]}"#, r#"{"a":[1, 2]},"two""#),
        (",null", "null", "null"),
        (r#", "é\n" , [ ]"#, r#""é\n""#, r#""é\n",[ ]"#),
    ] {
        emit(&mut world, alice, OLD[0], sent);
        assert_eq!(public(&mut world), [old_form(OLD[0], &alice_id, response, args)], "{sent}");
    }
    for node in 0..3 {
        assert!(world.stats(node).drops.is_empty(), "{:?}", world.stats(node).drops);
    }
}

#[test]
fn the_event_name_goes_out_as_it_was_written() {
    let mut world = cluster(1);
    let (alice, alice_id) = world.client_with_id(0);
    world.emit(alice, &to(&quoted(OLD[0]), r#""a \"b\"\u0041","x""#));
    let from = format!(r#"{{"from":"{alice_id}"}}"#);
    let expected =
        format!(r#"{{"socketId":"{}","event":"a \"b\"\u0041","response":"x","args":[{from},"x"]}}"#, OLD[0]);
    assert_eq!(public(&mut world), [expected]);
}

#[test]
fn the_sender_is_told_that_nobody_it_knows_of_was_reached() {
    let mut world = cluster(2);
    let alice = world.client(0);
    assert_eq!(world.ask(alice, &to(&quoted(OLD[0]), r#""e""#)), r#"{"expected":0}"#);
    assert_eq!(public(&mut world).len(), 1);
    assert_eq!(world.drops(0, DropCause::UnknownTarget), 1);
}

#[test]
fn off_unless_configured() {
    let mut world = World::cluster(2);
    let alice = world.client(0);
    emit(&mut world, alice, OLD[0], ",1");
    assert_eq!(world.ask(alice, &to(&quoted(OLD[0]), r#""e""#)), r#"{"expected":0}"#);
    assert_eq!(public(&mut world), Vec::<String>::new());
    let mut world = World::alone_with(1, with_peers);
    let alice = world.client(0);
    assert_eq!(world.ask(alice, &to(&quoted(OLD[0]), r#""e""#)), r#"{"expected":0}"#, "nobody to reach");
}

#[test]
fn ids_of_live_nodes_never_go_out_not_even_with_the_first_message() {
    let mut world = cluster(3);
    let alice = world.client(0);
    for node in [0, 1, 2] {
        let (bob, bob_id) = world.client_with_id(node);
        for _ in 0..3 {
            emit(&mut world, alice, &bob_id, ",1");
            assert_eq!(public(&mut world), Vec::<String>::new(), "node {node}");
        }
        assert_eq!(world.received(bob).len(), 3);
        world.leave(bob);
        emit(&mut world, alice, &bob_id, ",1");
        assert_eq!(public(&mut world), Vec::<String>::new(), "gone, but its node lives");
    }
}

#[test]
fn rooms_never_go_out() {
    let mut world = World::cluster_with(Seed(1), 2, |config| {
        with_peers(config);
        config.is_open = true;
    });
    let alice = world.client(0);
    for room in ["r", "0ldServerSocket-AAA", "0ldServerSocket-AAAAA", "0ldServerSocket.AAAA"] {
        emit(&mut world, alice, room, ",1");
    }
    assert_eq!(public(&mut world), Vec::<String>::new());
}

#[test]
fn each_of_several_targets_goes_where_it_belongs() {
    let mut world = cluster(2);
    let (alice, alice_id) = world.client_with_id(0);
    let (near, near_id) = world.client_with_id(0);
    let (far, far_id) = world.client_with_id(1);
    let member = world.client(1);
    for client in [alice, member] {
        world.join(client, "r");
    }
    public(&mut world);
    let [one, two, three] = OLD;
    let targets = format!(r#"["{two}","{far_id}","r","{one}","{near_id}","{three}"]"#);
    assert_eq!(world.ask(alice, &to(&targets, r#""e",1"#)), r#"{"expected":3}"#);
    let mut published = public(&mut world);
    published.sort();
    assert_eq!(published, OLD.map(|id| old_form(id, &alice_id, "1", "1")), "one for each old socket");
    for client in [near, far, member] {
        assert_eq!(world.received(client), [event_from(&alice_id, "e", "1")]);
    }
}

#[test]
fn a_sender_may_send_ten_in_a_second() {
    let mut world = cluster(2);
    world.advance(Duration::from_millis(1_000));
    let (alice, carol) = (world.client(0), world.client(0));
    let start = world.now();
    for _ in 0..25 {
        emit(&mut world, alice, OLD[0], ",1");
    }
    assert_eq!(public(&mut world).len(), 10);
    assert_eq!(world.drops(0, DropCause::LegacyRate), 15);
    emit(&mut world, carol, OLD[0], ",1");
    assert_eq!(public(&mut world).len(), 1, "another sender has its own");
    assert!(world.now() - start < Duration::from_millis(500));
    world.advance(Duration::from_secs(1));
    for _ in 0..12 {
        emit(&mut world, alice, OLD[1], ",1");
    }
    assert_eq!(public(&mut world).len(), 10, "the next second");
    assert!(world.is_open(alice));
}

#[test]
fn the_targets_of_one_message_count_each() {
    let mut world = cluster(1);
    world.advance(Duration::from_millis(1_000));
    let alice = world.client(0);
    let ids: Vec<String> = (0..64).map(|number| format!("\"0ldServerSocket-{number:04}\"")).collect();
    world.emit(alice, &to(&format!("[{}]", ids.join(",")), r#""e""#));
    assert_eq!(public(&mut world).len(), 10);
    assert_eq!(world.drops(0, DropCause::LegacyRate), 54);
}

#[test]
fn messages_to_one_old_socket_keep_their_order() {
    for seed in 1..8 {
        let mut world = World::cluster_with(Seed(seed), 2, |config| {
            with_peers(config);
            config.limits.legacy_per_second_max = 1_000;
        });
        let (alice, alice_id) = world.client_with_id(0);
        let (_, far_id) = world.client_with_id(1);
        for number in 0..200 {
            let target = match number % 3 {
                0 => quoted(OLD[0]),
                1 => format!(r#"["{}","{far_id}"]"#, OLD[0]),
                _ => format!(r#"["{far_id}","{}","{}"]"#, OLD[1], OLD[0]),
            };
            let items = to(&target, &format!("\"e\",{number}"));
            if number % 2 == 0 {
                world.emit(alice, &items);
            } else {
                world.request(alice, &items);
            }
        }
        let to_first: Vec<String> =
            public(&mut world).into_iter().filter(|text| text.contains(OLD[0])).collect();
        let expected: Vec<String> = (0..200)
            .map(|number| old_form(OLD[0], &alice_id, &number.to_string(), &number.to_string()))
            .collect();
        assert_eq!(to_first, expected, "seed {seed}");
    }
}

#[test]
fn without_a_link_nothing_goes_out_then_or_later() {
    let mut world = cluster(2);
    let alice = world.client(0);
    world.redis().take_published();
    emit(&mut world, alice, OLD[0], ",\"under way\"");
    world.link_down(0);
    let ack = world.request(alice, &to(&quoted(OLD[0]), r#""e","while away""#));
    assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"error":"bus_down","expected":0}"#);
    world.link_up(0);
    assert_eq!(public(&mut world), Vec::<String>::new());
    emit(&mut world, alice, OLD[0], ",\"back\"");
    let published = public(&mut world);
    assert!(published.len() == 1 && published[0].contains("back"), "{published:?}");
}

#[test]
fn a_message_that_was_lost_does_not_go_out() {
    let mut world = cluster(2);
    let alice = world.client(0);
    world.redis().lose_publications(0, true);
    emit(&mut world, alice, OLD[0], ",1");
    world.settle();
    world.redis().lose_publications(0, false);
    emit(&mut world, alice, OLD[0], ",2");
    let published = public(&mut world);
    assert!(published.len() == 1 && published[0].contains(":2,"), "{published:?}");
    assert_eq!(world.drops(0, DropCause::BusLost), 1);
}

#[test]
fn a_sender_that_leaves_does_not_take_its_message_back() {
    let mut world = cluster(1);
    let (alice, alice_id) = world.client_with_id(0);
    emit(&mut world, alice, OLD[0], ",1");
    world.leave(alice);
    assert_eq!(public(&mut world), [old_form(OLD[0], &alice_id, "1", "1")]);
}

#[test]
fn attachments_cannot_go_out_and_are_counted() {
    let mut world = cluster(2);
    let (alice, alice_id) = world.client_with_id(0);
    world.say_all(alice, &to_binary(1, OLD[0], r#""e",{"_placeholder":true,"num":0}"#), &[b"x"]);
    assert_eq!(public(&mut world), Vec::<String>::new());
    assert_eq!(world.drops(0, DropCause::LegacyBinary), 1);
    emit(&mut world, alice, OLD[0], ",1");
    assert_eq!(public(&mut world), [old_form(OLD[0], &alice_id, "1", "1")], "the next without goes out");
}

#[test]
fn what_comes_from_an_old_server_is_delivered_and_never_published_again() {
    let mut world = cluster(3);
    let (bob, bob_id) = world.client_with_id(1);
    world.settle();
    world.redis().take_published();
    for socket in [bob_id.as_str(), OLD[0]] {
        world.publish("socket", format!(r#"{{"socketId":"{socket}","event":"e","response":1}}"#).as_bytes());
    }
    assert_eq!(world.received(bob), [r#"42["e",1]"#]);
    assert_eq!(world.redis().take_published().len(), 2, "the old server's own two");
}

#[test]
fn nodes_that_receive_what_went_out_keep_quiet() {
    let mut world = cluster(3);
    let bystanders = [0, 1, 2].map(|node| world.client(node));
    for client in bystanders {
        world.join(client, OLD[0].split_at(19).0);
    }
    let alice = world.client(0);
    world.settle();
    world.redis().take_published();
    emit(&mut world, alice, OLD[0], ",1");
    world.settle();
    let published = world.redis().take_published();
    let channels: Vec<&str> = published.iter().map(|it| it.channel.as_str()).collect();
    assert_eq!(channels.len(), 2, "{channels:?}");
    assert!(channels[0].starts_with("moorline:node:") && channels[1] == "socket");
    assert_eq!(published[1].receivers, 4, "three nodes and the old server");
    for client in bystanders {
        assert_eq!(world.received(client), Vec::<String>::new());
    }
}

#[test]
fn an_id_of_a_dead_node_goes_out_unless_that_node_was_known() {
    for (is_known, count) in [(false, 1), (true, 0)] {
        let mut world = cluster(2);
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(1);
        if is_known {
            emit(&mut world, bob, &alice_id, "");
            world.settle();
        }
        world.kill(1);
        emit(&mut world, alice, &bob_id, ",1");
        assert_eq!(public(&mut world).len(), count);
    }
}

#[test]
fn messages_to_a_live_node_cost_no_allowance_and_count_as_nothing_dropped() {
    let mut world = cluster(2);
    world.advance(Duration::from_secs(1));
    let alice = world.client(0);
    let (bob, bob_id) = world.client_with_id(1);
    for _ in 0..20 {
        emit(&mut world, alice, &bob_id, ",1");
    }
    world.say_all(alice, &to_binary(1, &bob_id, "\"e\",1"), &[b"x"]);
    assert_eq!(public(&mut world), Vec::<String>::new());
    assert_eq!(world.received_all(bob).len(), 22);
    assert!(world.stats(0).drops.is_empty(), "{:?}", world.stats(0).drops);
    emit(&mut world, alice, OLD[0], ",1");
    assert_eq!(public(&mut world).len(), 1, "the first of ten");
}

#[test]
fn one_message_stays_within_the_bound_on_what_it_may_put_on_the_bus() {
    let mut world = cluster(1);
    world.advance(Duration::from_secs(1));
    let alice = world.client(0);
    let ids: Vec<String> = (0..10).map(|number| format!("\"0ldServerSocket-{number:04}\"")).collect();
    let big = format!("\"{}\"", "x".repeat(900_000));
    world.emit(alice, &to(&format!("[{}]", ids.join(",")), &format!("\"e\",{big}")));
    assert_eq!(public(&mut world).len(), 2, "the argument is in it twice");
    assert_eq!(world.drops(0, DropCause::LegacySize), 8);
}

#[test]
fn what_cannot_wait_for_redis_is_counted() {
    let mut world = World::cluster_with(Seed(1), 1, |config| {
        with_peers(config);
        config.limits.legacy_per_second_max = 10_000;
    });
    let alice = world.client(0);
    for _ in 0..5_000 {
        emit(&mut world, alice, OLD[0], ",1");
    }
    let (out, dropped) = (public(&mut world).len() as u64, world.drops(0, DropCause::LegacyBusy));
    assert!(dropped > 0 && out + dropped == 5_000, "{out} went out, {dropped} counted");
}
