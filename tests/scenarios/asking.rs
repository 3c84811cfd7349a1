//! `@ask`: a question to clients on any node, and their acks gathered for who asked.

use crate::asking_world::{ACK_TIMEOUT, acknowledge, asked, members};
use moorline_core::{Code, Config, DropCause};
use moorline_tests::sim::{Received, Seed, World, ask};
use std::time::Duration;

#[test]
fn one_client_asks_another_on_its_node_and_on_another() {
    for nodes in [1, 2] {
        let mut world = World::cluster(nodes);
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(nodes - 1);
        let ack = world.request(alice, &ask(&format!("\"{bob_id}\""), r#""q",1,[2]"#));
        world.settle();
        assert_eq!(world.take_ack(alice, ack), None, "bob has not acknowledged");
        let (id, event) = asked(&mut world, bob);
        assert_eq!(event, format!(r#"["q",{{"from":"{alice_id}"}},1,[2]]"#));
        assert!((1..1 << 31).contains(&id));
        world.say(bob, &format!(r#"43{id}[{{"yes":[1]}},"only the first argument counts"]"#));
        world.settle();
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"expected":1,"responses":[{"yes":[1]}]}"#);
        (0..nodes).for_each(|node| assert_eq!(world.drops(node, DropCause::UnknownAck), 0));
    }
}

#[test]
fn acks_come_in_the_order_they_arrived_from_all_nodes() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let [alice, near, middle, far] = members(&mut world, [0, 0, 1, 2]);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        for (client, args) in [(far, "3"), (near, ""), (middle, "\"é\"")] {
            acknowledge(&mut world, client, args);
            world.settle();
        }
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"expected":3,"responses":[3,null,"é"]}"#);
    }
}

#[test]
fn who_does_not_acknowledge_is_missing_and_that_is_no_error() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, bob, _carol] = members(&mut world, [0, 1, 1]);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        acknowledge(&mut world, bob, "1");
        world.advance(ACK_TIMEOUT - Duration::from_millis(500));
        assert_eq!(world.take_ack(alice, ack), None);
        world.advance(Duration::from_millis(500));
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"expected":2,"responses":[1]}"#);
        assert_eq!(world.stats(0).refusals.get(Code::Timeout), 0);
    }
}

#[test]
fn nobody_to_ask_is_acknowledged_at_once() {
    let mut world = World::cluster(2);
    let alice = world.client(0);
    world.join(alice, "r");
    assert_eq!(world.ask(alice, &ask("\"r\"", r#""q""#)), r#"{"expected":0,"responses":[]}"#);
    let (gone, gone_id) = world.client_with_id(1);
    world.leave(gone);
    let items = ask(&format!("\"{gone_id}\""), r#""q""#);
    assert_eq!(world.ask(alice, &items), r#"{"expected":0,"responses":[]}"#);
    let mut alone = World::alone();
    let alice = alone.client(0);
    alone.join(alice, "r");
    assert_eq!(alone.ask(alice, &ask("\"r\"", r#""q""#)), r#"{"expected":0,"responses":[]}"#);
}

#[test]
fn a_question_that_wants_no_answer_is_a_message() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, near, far] = members(&mut world, [0, 0, 1]);
        world.emit(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        for client in [near, far] {
            assert!(world.received(client)[0].starts_with(r#"42["q",{"from":"#), "nobody is asked");
        }
    }
}

#[test]
fn the_same_refusals_as_for_a_message() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let alice = world.client(0);
        for (items, code) in [
            (r#"["@ask"]"#, "bad_target"),
            (r#"["@ask","r"]"#, "not_member"),
            (r#"["@ask",[],"q"]"#, "bad_target"),
            (r#"["@ask","r","q"]"#, "not_member"),
            (r#"["@ask","abcdefghijABCDEF-_09","@q"]"#, "bad_event"),
            (r#"["@ask","abcdefghijABCDEF-_09","connect"]"#, "bad_event"),
        ] {
            assert_eq!(world.ask(alice, items), format!(r#"{{"error":"{code}"}}"#), "{items}");
        }
    }
}

#[test]
fn binary_data_goes_out_with_the_question_and_comes_back_with_the_acks() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let [alice, bob, carol] = members(&mut world, [0, 1, 2]);
        world.say_all(alice, r#"451-77["@ask","r","q",{"_placeholder":true,"num":0}]"#, &[&[1, 2]]);
        world.settle();
        for (client, bytes) in [(bob, [&[7_u8][..], &[8]]), (carol, [&[9][..], &[]])] {
            let received = world.received_all(client);
            let Received::Text(event) = &received[0] else { panic!("the event comes first") };
            let id = event.strip_prefix("451-").and_then(|rest| rest.split('[').next()).unwrap();
            assert!(event.ends_with(r#"{"_placeholder":true,"num":0}]"#), "{event}");
            assert_eq!(received[1], Received::Binary(vec![1, 2]));
            let packet = format!(
                r#"462-{id}[{{"b":{{"_placeholder":true,"num":1}}}},{{"_placeholder":true,"num":0}}]"#
            );
            world.say_all(client, &packet, &bytes);
            world.settle();
        }
        let received = world.received_all(alice);
        let expected = r#"462-77[{"expected":2,"responses":[{"b":{"_placeholder":true,"num":0}},{"b":{"_placeholder":true,"num":1}}]}]"#;
        assert_eq!(
            received,
            [Received::Text(expected.into()), Received::Binary(vec![8]), Received::Binary(vec![])],
            "the first argument of each, and its attachments only"
        );
    }
}

#[test]
fn who_leaves_without_an_ack_is_not_waited_for() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, near, far, farther] = members(&mut world, [0, 0, 1, 1]);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        acknowledge(&mut world, farther, "1");
        world.leave(near);
        world.say(far, "41");
        world.settle();
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"expected":3,"responses":[1]}"#);
    }
}

#[test]
fn a_node_that_dies_costs_the_timeout_and_no_more() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let [alice, bob, carol] = members(&mut world, [0, 1, 2]);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        world.kill(2);
        acknowledge(&mut world, bob, "1");
        world.advance(ACK_TIMEOUT);
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"expected":2,"responses":[1]}"#);
        assert!(!world.is_open(carol));
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        acknowledge(&mut world, bob, "2");
        world.settle();
        assert_eq!(
            world.take_ack(alice, ack).unwrap(),
            r#"{"expected":1,"responses":[2]}"#,
            "Redis knows that it is gone"
        );
    }
}

#[test]
fn a_hung_node_is_an_error_with_what_is_known() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let [alice, bob, _carol] = members(&mut world, [0, 1, 2]);
        world.freeze(2);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        acknowledge(&mut world, bob, "1");
        world.advance(ACK_TIMEOUT);
        assert_eq!(
            world.take_ack(alice, ack).unwrap(),
            r#"{"error":"timeout","expected":1,"responses":[1]}"#
        );
        assert_eq!(world.stats(0).refusals.get(Code::Timeout), 1);
    }
}

#[test]
fn who_asked_and_left_leaves_nothing_behind() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, near, far] = members(&mut world, [0, 0, 1]);
        world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        let (near_id, far_id) = (asked(&mut world, near).0, asked(&mut world, far).0);
        world.leave(alice);
        let successor = world.client(0);
        world.say(near, &format!("43{near_id}[1]"));
        world.say(far, &format!("43{far_id}[1]"));
        world.settle();
        assert_eq!(
            world.received(successor),
            Vec::<String>::new(),
            "the slot's next tenant receives nothing of it"
        );
        for client in [successor, near, far] {
            assert!(world.is_open(client));
            world.leave(client);
        }
        world.advance(Duration::from_secs(3));
        world.assert_empty(0);
        world.assert_empty(1);
    }
}

#[test]
fn who_asked_and_left_costs_nothing_more_even_if_nobody_acknowledges() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, near, far] = members(&mut world, [0, 0, 1]);
        let timers = |world: &World, node| world.node(node).gauges().timers;
        let before = [timers(&world, 0), timers(&world, 1)];
        world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        assert_eq!(timers(&world, 0), before[0] + 2, "for the count and for the acks");
        world.leave(alice);
        assert_eq!(timers(&world, 0), before[0] - 1, "its own is gone with them");
        world.advance(ACK_TIMEOUT);
        assert_eq!(timers(&world, 1), before[1]);
        assert!(world.is_open(near) && world.is_open(far));
    }
}

#[test]
fn questions_of_many_leave_nothing_behind() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let clients = members(&mut world, [0, 0, 1, 1, 2, 2]);
        for round in 0..20 {
            let acks = clients.map(|client| world.request(client, &ask("\"r\"", &format!("\"q\",{round}"))));
            world.settle();
            for client in clients {
                let questions = world.received(client);
                assert_eq!(questions.len(), 5);
                for text in questions {
                    let at = text.find('[').unwrap();
                    world.say(client, &format!("43{}[{round}]", &text[2..at]));
                }
            }
            world.settle();
            for (client, ack) in clients.into_iter().zip(acks) {
                let all = vec![round.to_string(); 5].join(",");
                let expected = format!(r#"{{"expected":5,"responses":[{all}]}}"#);
                assert_eq!(world.take_ack(client, ack).unwrap(), expected);
            }
        }
        (0..3).for_each(|node| assert_eq!(world.drops(node, DropCause::UnknownAck), 0));
        clients.into_iter().for_each(|client| world.leave(client));
        world.advance(Duration::from_secs(3));
        (0..3).for_each(|node| world.assert_empty(node));
    }
}

#[test]
fn numbers_of_two_nodes_and_two_namespaces_do_not_collide() {
    for mut world in World::each_way(|| {
        World::cluster_with(Seed(1), 3, |config: &mut Config| {
            config.namespaces = vec!["/".into(), "/admin".into()];
        })
    }) {
        let askers = [world.client(0), world.client(1)];
        let bob = world.open(2);
        let (root, admin) = (world.connect(bob, "/"), world.connect(bob, "/admin"));
        world.received(bob);
        let admin_asker = world.open(0);
        world.connect(admin_asker, "/admin");
        world.received(admin_asker);
        let acks = askers.map(|asker| world.request(asker, &ask(&format!("\"{root}\""), r#""q""#)));
        world.say(admin_asker, &format!(r#"42/admin,1["@ask","{admin}","q"]"#));
        world.settle();
        let received = world.received(bob);
        assert_eq!(received.len(), 3);
        let mut numbers: Vec<&str> = Vec::new();
        for text in &received {
            let (head, number) = match text.strip_prefix("42/admin,") {
                Some(rest) => ("43/admin,", &rest[..rest.find('[').unwrap()]),
                None => ("43", &text[2..text.find('[').unwrap()]),
            };
            assert!(!numbers.contains(&number), "{number} is used twice: {received:?}");
            numbers.push(number);
            let acked = format!("{head}{number}[{number}]");
            world.say(bob, &acked);
        }
        world.settle();
        let mut acked: Vec<String> = Vec::new();
        for (asker, ack) in askers.into_iter().zip(acks) {
            acked.push(world.take_ack(asker, ack).unwrap());
        }
        let admin_ack = world.received(admin_asker).remove(0);
        acked.push(admin_ack.strip_prefix("43/admin,1[").unwrap().strip_suffix(']').unwrap().into());
        let mut expected: Vec<String> =
            numbers.iter().map(|number| format!(r#"{{"expected":1,"responses":[{number}]}}"#)).collect();
        acked.sort();
        expected.sort();
        assert_eq!(acked, expected, "each received the ack to its own question");
    }
}

#[test]
fn while_the_bus_is_away_the_clients_here_acknowledge() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, near, far] = members(&mut world, [0, 0, 1]);
        world.link_down(0);
        let ack = world.request(alice, &ask("\"r\"", r#""q""#));
        acknowledge(&mut world, near, "1");
        assert_eq!(
            world.take_ack(alice, ack).unwrap(),
            r#"{"error":"bus_down","expected":1,"responses":[1]}"#
        );
        assert_eq!(world.received(far), Vec::<String>::new());
        world.leave(near);
        assert_eq!(
            world.ask(alice, &ask("\"r\"", r#""q""#)),
            r#"{"error":"bus_down","expected":0,"responses":[]}"#
        );
    }
}

#[test]
fn a_bus_that_goes_away_meanwhile_ends_questions_to_others_only() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let [alice, near, _far] = members(&mut world, [0, 0, 1]);
        let (near_address, near_client) = {
            let (client, id) = world.client_with_id(0);
            (id, client)
        };
        let local = world.request(alice, &ask(&format!("\"{near_address}\""), r#""q""#));
        let wide = world.request(alice, &ask("\"r\"", r#""q""#));
        world.settle();
        acknowledge(&mut world, near, "1");
        world.link_down(0);
        assert_eq!(
            world.take_ack(alice, wide).unwrap(),
            r#"{"error":"bus_down","expected":2,"responses":[1]}"#
        );
        assert_eq!(world.take_ack(alice, local), None, "that one needs no bus");
        acknowledge(&mut world, near_client, "2");
        assert_eq!(world.take_ack(alice, local).unwrap(), r#"{"expected":1,"responses":[2]}"#);
    }
}
