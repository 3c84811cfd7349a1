//! `@ask` at its limits: what one ack may hold, who may send one, and what lies and floods change.

use crate::asking_world::{ACK_TIMEOUT, acknowledge, asked, members};
use moorline_core::{Config, DropCause};
use moorline_tests::sim::{Client, Received, Seed, World, ask};

/// Two acks are put together: that of somebody who lies about attachments, which is only counted, and an honest one,
/// whose attachment is its own. A mark that only clients in some languages take for true is a lie as well.
#[test]
fn an_ack_that_lies_about_its_attachments_does_not_reach_into_others() {
    let lies: [(&str, &[&[u8]]); 2] = [
        (r#"{"_placeholder":true,"num":0}"#, &[]),
        (r#"[{"_placeholder":1,"num":1},{"_placeholder":true,"num":0}]"#, &[&[1], &[2]]),
    ];
    for (lie, attachments) in lies {
        let mut world = World::cluster(2);
        let [alice, liar, honest] = members(&mut world, [0, 0, 1]);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        let (id, _) = asked(&mut world, liar);
        let kind = if attachments.is_empty() { "43" } else { "462-" };
        world.say_all(liar, &format!("{kind}{id}[{lie}]"), attachments);
        let (id, _) = asked(&mut world, honest);
        world.say_all(honest, &format!(r#"461-{id}[{{"_placeholder":true,"num":0}}]"#), &[&[5]]);
        world.settle();
        let responses = r#"[{"_placeholder":true,"num":0}]"#;
        let expected = format!(r#"461-{ack}[{{"expected":2,"responses":{responses},"more":1}}]"#);
        assert_eq!(world.received_all(alice), [Received::Text(expected), Received::Binary(vec![5])], "{lie}");
    }
}

#[test]
fn more_attachments_than_one_ack_may_hold_are_only_counted() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        world.join(alice, "r");
        let others: Vec<Client> = (0..12).map(|at| members(&mut world, [at % 2])[0]).collect();
        world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        for client in others {
            let (id, _) = asked(&mut world, client);
            world.say_all(client, &format!(r#"461-{id}[{{"_placeholder":true,"num":0}}]"#), &[&[5]]);
        }
        world.settle();
        let received = world.received_all(alice);
        let Received::Text(text) = &received[0] else { panic!("the ack comes first") };
        assert!(text.starts_with("4610-") && text.contains(r#"{"expected":12,"responses":["#), "{text}");
        assert!(text.ends_with(r#"],"more":2}]"#), "{text}");
        assert_eq!(received.len(), 11);
    }
}

#[test]
fn of_300_acks_256_are_held_and_the_others_counted() {
    for nodes in [1, 2] {
        let mut world = World::cluster(nodes);
        let alice = world.client(0);
        world.join(alice, "r");
        let others: Vec<Client> = (0..300).map(|_| members(&mut world, [nodes - 1])[0]).collect();
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        world.redis().take_published();
        for client in others {
            acknowledge(&mut world, client, "7");
        }
        world.settle();
        let published = world.redis().take_published();
        let whole = published.iter().filter(|message| message.text.ends_with("\n7")).count();
        assert_eq!(whole, if nodes == 1 { 0 } else { 256 }, "the others travel as a number");
        let held = vec!["7"; 256].join(",");
        let expected = format!(r#"{{"expected":300,"responses":[{held}],"more":44}}"#);
        assert_eq!(world.take_ack(alice, ack).unwrap(), expected);
    }
}

#[test]
fn the_gathered_ack_stays_below_the_largest_message() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, bob, carol, dave] = members(&mut world, [0, 0, 1, 1]);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        let big = format!("\"{}\"", "x".repeat(600_000));
        for (client, args) in [(bob, big.as_str()), (carol, &big), (dave, "1")] {
            acknowledge(&mut world, client, args);
            world.settle();
        }
        let acked = world.take_ack(alice, ack).unwrap();
        assert!(acked.len() < 1_000_000 && world.is_open(alice));
        assert!(
            acked.starts_with(r#"{"expected":3,"responses":["xxx"#) && acked.ends_with(r#"x",1],"more":1}"#)
        );
    }
}

/// Of six that are asked, one answers with nearly all that one message may hold, as the first, the last or in between.
#[test]
fn one_big_ack_takes_no_room_from_small_ones_whenever_it_comes() {
    let [big, small] = [998_000, 100_000].map(|bytes| format!("\"{}\"", "x".repeat(bytes)));
    for nodes in [1, 2] {
        for turn in 0..6 {
            let mut world = World::cluster(nodes);
            let alice = world.client(0);
            world.join(alice, "r");
            let others = members(&mut world, [nodes - 1; 6]);
            let ack = world.request(alice, &ask("\"r\"", r#""q""#));
            world.settle();
            for (at, client) in others.into_iter().enumerate() {
                acknowledge(&mut world, client, if at == turn { &big } else { &small });
                world.settle();
            }
            let acked = world.take_ack(alice, ack).expect("all have answered");
            let all = [small.as_str(); 5].join(",");
            let expected = format!(r#"{{"expected":6,"responses":[{all}],"more":1}}"#);
            assert!(acked == expected, "{nodes} nodes, turn {turn}: {} bytes", acked.len());
        }
    }
}

#[test]
fn one_big_ack_alone_is_held() {
    for nodes in [1, 2] {
        let mut world = World::cluster(nodes);
        let [alice, bob, carol] = members(&mut world, [0, nodes - 1, 0]);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        let big = format!("\"{}\"", "x".repeat(998_000));
        acknowledge(&mut world, bob, &big);
        world.leave(carol);
        world.settle();
        let expected = format!(r#"{{"expected":2,"responses":[{big}]}}"#);
        assert!(world.take_ack(alice, ack) == Some(expected), "{nodes} nodes");
    }
}

#[test]
fn what_is_gathered_for_one_socket_stays_below_what_it_may_have_unsent() {
    let small = |config: &mut Config| config.limits.outbox_bytes_max = 1 << 20;
    for mut world in World::each_way(|| World::cluster_with(Seed(1), 1, small)) {
        let (alice, _) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(0);
        let (silent, silent_id) = world.client_with_id(0);
        let items = ask(&format!(r#"["{bob_id}","{silent_id}"]"#), r#""q""#);
        let big = format!("\"{}\"", "x".repeat(400_000));
        let ask = |world: &mut World| {
            let ack = world.request(alice, &items);
            acknowledge(world, bob, &big);
            ack
        };
        let acks = [(); 4].map(|()| ask(&mut world));
        let mut kept = Vec::new();
        for (ack, asked) in acks.into_iter().zip(world.received(silent)) {
            world.say(silent, &format!("43{}[]", &asked[2..asked.find('[').unwrap()]));
            kept.push(!world.take_ack(alice, ack).expect("all have answered").contains("more"));
        }
        assert_eq!(kept, [true, true, false, false]);
        let ack = ask(&mut world);
        acknowledge(&mut world, silent, "1");
        let text = world.take_ack(alice, ack).expect("all have answered");
        assert!(!text.contains("more"), "what was acknowledged makes room");
    }
}

#[test]
fn one_node_sends_no_more_big_acks_on_than_one_message_may_hold() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        world.join(alice, "r");
        let others = members(&mut world, [1, 1, 1, 1]);
        world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        world.redis().take_published();
        let big = format!("\"{}\"", "x".repeat(400_000));
        for client in others {
            acknowledge(&mut world, client, &big);
        }
        world.settle();
        let published = world.redis().take_published();
        let bytes: usize = published.iter().map(|message| message.text.len()).sum();
        assert!(bytes < 1_000_000, "{bytes} bytes went through Redis");
    }
}

#[test]
fn only_who_was_asked_may_acknowledge_and_only_once() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, bob, carol] = members(&mut world, [0, 1, 1]);
        let stranger = world.client(1);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        let id = asked(&mut world, bob).0;
        for text in [format!("43{id}[\"stranger\"]"), format!("43{}[1]", id + 1)] {
            world.say(stranger, &text);
        }
        world.say(bob, &format!("43{id}[1]"));
        world.say(bob, &format!("43{id}[2]"));
        world.settle();
        assert_eq!(world.drops(1, DropCause::UnknownAck), 3);
        assert_eq!(world.take_ack(alice, ack), None, "carol is still waited for");
        acknowledge(&mut world, carol, "3");
        world.settle();
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"expected":2,"responses":[1,3]}"#);
    }
}

#[test]
fn questions_are_bounded_by_socket_and_by_node() {
    for mut world in World::each_way(|| {
        World::cluster_with(Seed(1), 2, |config: &mut Config| {
            config.limits.pending_acks_max = 3;
            config.limits.awaited_answers_max = 32;
        })
    }) {
        let [alice, bob, near, far] = members(&mut world, [0, 0, 0, 1]);
        let items = ask("\"r\"", r#""q""#);
        let first = world.request(alice, &items);
        let second = world.request(alice, &items);
        assert_eq!(world.ask(alice, &items), r#"{"error":"too_many"}"#, "of the four for her it awaits four");
        world.settle();
        assert_eq!(world.received(bob).len(), 2, "what was refused reached nobody");
        for client in [near, far] {
            for text in world.received(client) {
                world.say(client, &format!("43{}[1]", &text[2..text.find('[').unwrap()]));
            }
        }
        world.settle();
        assert_eq!(world.take_ack(alice, first), None, "bob has not acknowledged");
        let address = format!("\"{}\"", world.client_with_id(1).1);
        let third = world.request(alice, &ask(&address, r#""q""#));
        let fourth = world.request(alice, &ask(&address, r#""q""#));
        assert_eq!(
            world.take_ack(alice, fourth).unwrap(),
            r#"{"error":"too_many"}"#,
            "alice waits for three"
        );
        world.advance(ACK_TIMEOUT);
        for ack in [first, second] {
            assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"expected":3,"responses":[1,1]}"#);
        }
        assert_eq!(world.take_ack(alice, third).unwrap(), r#"{"expected":1,"responses":[]}"#);
    }
}
