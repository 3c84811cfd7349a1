//! Backends read what clients do from a stream, acknowledge it, and ask them in turn.

use crate::backend_world::{client, cluster, entry, publish, stream, with_backend};
use moorline_core::{Code, DropCause};
use moorline_tests::sim::{Client, Received, Seed, World};
use std::time::Duration;

const BUS_DOWN: &str = r#"{"error":"bus_down"}"#;
const TIMEOUT: &str = r#"{"error":"timeout"}"#;
const TOO_MANY: &str = r#"{"error":"too_many"}"#;

fn event_entry(id: &str, event: &str, args: &str, ack: &str) -> String {
    entry("event", id, event, args, ack)
}

/// The backend acknowledges what the socket `id` asked under `ack`; `rest` is `"response":…` or `"args":…`.
fn acknowledge(world: &mut World, id: &str, ack: u64, rest: &str) {
    publish(world, &format!(r#"{{"socketId":"{id}","ack":{ack},{rest}}}"#));
}

#[test]
fn connects_events_and_disconnects_are_written_exactly() {
    let mut world = cluster(1);
    let (client, id) = world.client_with_id(0);
    assert_eq!(stream(&mut world), [entry("connect", &id, r#""connect""#, "[null]", "null")]);
    world.emit(client, r#"["say"]"#);
    world.emit(client, r#"["say", 1 ,{"b":1,"a":[ null ]},"é\n"]"#);
    world.request(client, r#"["ask","x"]"#);
    world.emit(client, "[7,true]");
    world.emit(client, r#"["a \"b\"\u0041\n"]"#);
    assert_eq!(
        stream(&mut world),
        [
            event_entry(&id, r#""say""#, "[]", "null"),
            event_entry(&id, r#""say""#, r#"[1,{"b":1,"a":[ null ]},"é\n"]"#, "null"),
            event_entry(&id, r#""ask""#, r#"["x"]"#, "1"),
            event_entry(&id, r#""7""#, "[true]", "null"),
            event_entry(&id, r#""a \"b\"A\n""#, "[]", "null"),
        ]
    );
    world.leave(client);
    let gone = entry("disconnect", &id, r#""disconnect""#, r#"["transport close"]"#, "null");
    assert_eq!(stream(&mut world), [gone]);
}

#[test]
fn the_auth_payload_comes_with_the_connect_as_it_was_sent() {
    for auth in [r#"{"token":"t"}"#, r#"{ "b" : 1, "a" : "\u00e9" }"#, "{}"] {
        let mut world = cluster(1);
        let client = world.open(0);
        world.say(client, &format!("40{auth}"));
        let entries = stream(&mut world);
        assert_eq!(entries.len(), 1);
        assert!(
            entries[0].ends_with(&format!(r#""event":"connect","args":[{auth}],"ack":null}}"#)),
            "{entries:?}"
        );
    }
}

#[test]
fn a_refused_connect_is_no_connect() {
    let mut world = cluster(1);
    let client = world.open(0);
    world.say(client, r#"40/nowhere,{"token":"t"}"#);
    world.say(client, r#"40{"a":}"#);
    assert!(!world.is_open(client));
    assert_eq!(stream(&mut world), Vec::<String>::new());
}

/// One way for a client to end.
type End = fn(&mut World, Client);

#[test]
fn every_end_of_a_socket_names_its_reason() {
    let mut world = cluster(1);
    let ends: [(End, &str); 5] = [
        (|world, client| world.say(client, "41"), "client namespace disconnect"),
        (|world, client| world.say(client, "1"), "transport close"),
        (|world, client| world.say(client, "x"), "parse error"),
        (
            |world, client| {
                world.stop_pongs(client);
                world.advance(Duration::from_secs(60));
            },
            "ping timeout",
        ),
        (|world, _| world.drain(0, Duration::ZERO), "server shutting down"),
    ];
    for (end, reason) in ends {
        let (client, id) = client(&mut world, 0);
        end(&mut world, client);
        let gone = entry("disconnect", &id, r#""disconnect""#, &format!("[\"{reason}\"]"), "null");
        // A client that left its namespace only keeps its connection.
        let own: Vec<String> = stream(&mut world).into_iter().filter(|entry| entry.contains(&id)).collect();
        assert_eq!(own, [gone]);
    }
}

#[test]
fn each_namespace_has_its_own_sockets() {
    let mut world = cluster(2);
    let client = world.open(1);
    let (root, admin) = (world.connect(client, "/"), world.connect(client, "/admin"));
    world.say(client, r#"42/admin,5["e",1]"#);
    world.say(client, r#"425["e",2]"#);
    world.leave(client);
    let entries = stream(&mut world);
    let parts: Vec<String> = entries
        .iter()
        .map(|entry| {
            let value: serde_json::Value = serde_json::from_str(entry).unwrap();
            let id = if value["socketId"] == *root { "root" } else { "admin" };
            assert!(id == "root" || value["socketId"] == *admin);
            assert_eq!(value["node"], "s2");
            format!("{} {id} {} {} {}", value["type"], value["namespace"], value["args"], value["ack"])
        })
        .collect();
    assert_eq!(
        parts,
        [
            r#""connect" root "/" [null] null"#,
            r#""connect" admin "/admin" [null] null"#,
            r#""event" admin "/admin" [1] 5"#,
            r#""event" root "/" [2] 5"#,
            r#""disconnect" admin "/admin" ["transport close"] null"#,
            r#""disconnect" root "/" ["transport close"] null"#,
        ]
    );
}

#[test]
fn the_same_number_in_two_namespaces_is_two_questions() {
    let mut world = cluster(1);
    let client = world.open(0);
    let (root, admin) = (world.connect(client, "/"), world.connect(client, "/admin"));
    world.received(client);
    world.say(client, r#"42/admin,5["e"]"#);
    world.say(client, r#"425["e"]"#);
    acknowledge(&mut world, &root, 5, r#""response":"root""#);
    assert_eq!(world.received(client), [r#"435["root"]"#]);
    acknowledge(&mut world, &admin, 5, r#""response":"admin""#);
    assert_eq!(world.received(client), [r#"43/admin,5["admin"]"#]);
}

#[test]
fn binary_arguments_are_written_in_place() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    let one = r#"{"_placeholder":true,"num":1}"#;
    world.say_all(
        client,
        &format!(r#"452-3["e",{one},"x",{{"a":[{{"num":0,"_placeholder":true}}]}}]"#),
        &[&[0, 255], b""],
    );
    let args = r#"[{"$binary":""},"x",{"a":[{"$binary":"AP8="}]}]"#;
    assert_eq!(stream(&mut world), [event_entry(&id, r#""e""#, args, "3")]);
}

#[test]
fn every_entry_is_json_whatever_the_client_writes() {
    for mut world in World::each_way(|| {
        World::cluster_with(Seed(1), 1, |config| {
            with_backend(config);
            config.name = "a \"b\"\n".into();
        })
    }) {
        let client = world.client(0);
        for items in [
            r#"["\"}\n\\"]"#,
            r#"["e","\ud800",{"a":"\ud800"}]"#,
            "[-0.5e1]",
            r#"["e",1e999]"#,
            r#"["__proto__",{"__proto__":1}]"#,
            "[\"\u{2028}\u{7f}\",\"\u{10ffff}\"]",
            r#"["",[]]"#,
        ] {
            world.request(client, items);
        }
        let entries = stream(&mut world);
        assert_eq!(entries.len(), 8);
        for entry in entries {
            // Syntax alone: lone surrogates and huge numbers are the reader's to judge.
            serde_json::from_str::<&serde_json::value::RawValue>(&entry)
                .unwrap_or_else(|_| panic!("{entry}"));
            assert!(entry.starts_with(r#"{"type":""#) && entry.contains(r#""node":"a \"b\"\n""#), "{entry}");
        }
    }
}

#[test]
fn events_come_onto_the_stream_in_the_order_sent() {
    let mut world = cluster(1);
    let (client, _) = client(&mut world, 0);
    for number in 0..500 {
        let items = format!("[\"n\",{number}]");
        if number % 3 == 0 {
            world.request(client, &items);
        } else {
            world.emit(client, &items);
        }
    }
    let numbers: Vec<u64> = stream(&mut world)
        .iter()
        .map(|entry| serde_json::from_str::<serde_json::Value>(entry).unwrap()["args"][0].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
}

#[test]
fn a_backend_acknowledges_from_anywhere_with_one_argument_or_several() {
    let mut world = cluster(2);
    for node in [0, 1] {
        let (client, id) = client(&mut world, node);
        for (rest, received) in [
            (r#""response":{"a":[1, 2]}"#, r#"{"a":[1, 2]}"#),
            (r#""response":null"#, "null"),
            (r#""args":[1,"two",{}]"#, r#"1,"two",{}"#),
            (r#""args":[]"#, ""),
            (r#""x":1"#, ""),
            (r#""event":null,"response":1"#, "1"),
        ] {
            let ack = world.request(client, r#"["e"]"#);
            acknowledge(&mut world, &id, ack, rest);
            assert_eq!(world.take_ack(client, ack).as_deref(), Some(received), "{rest}");
        }
        assert_eq!(world.received(client), Vec::<String>::new());
    }
}

#[test]
fn an_ack_may_be_binary() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    let ack = world.request(client, r#"["e"]"#);
    acknowledge(&mut world, &id, ack, r#""args":[{"$binary":"AP8="},[{"$binary":""}]]"#);
    let packet = format!(r#"462-{ack}[{{"_placeholder":true,"num":0}},[{{"_placeholder":true,"num":1}}]]"#);
    let received = [Received::Text(packet), Received::Binary(vec![0, 255]), Received::Binary(Vec::new())];
    assert_eq!(world.received_all(client), received);
}

#[test]
fn an_event_of_a_backend_may_be_binary() {
    let mut world = cluster(2);
    let (one, two) = (world.client(0), world.client(1));
    for client in [one, two] {
        world.join(client, "r");
    }
    publish(&mut world, r#"{"socketId":"r","event":"e","response":{"x":{"$bin\u0061ry":"Cg=="}}}"#);
    let packet = Received::Text(r#"451-["e",{"x":{"_placeholder":true,"num":0}}]"#.into());
    for client in [one, two] {
        assert_eq!(world.received_all(client), [packet.clone(), Received::Binary(b"\n".to_vec())]);
    }
    let hole = r#"{"_placeholder":true,"num":0}"#;
    for args in [
        r#"[{"$binary":"?"}]"#.to_string(),
        r#"[{"$binary":7}]"#.to_string(),
        format!(r#"[{{"$binary":"Cg=="}},{hole}]"#),
        format!(r#"[{hole},{{"$binary":"Cg=="}}]"#),
        format!(r#"[{}{{"$binary":""}}]"#, r#"{"$binary":""},"#.repeat(10)),
    ] {
        let before = world.drops(0, DropCause::MalformedBackendMessage);
        publish(&mut world, &format!(r#"{{"socketId":"r","event":"e","args":{args}}}"#));
        assert_eq!(world.drops(0, DropCause::MalformedBackendMessage), before + 1, "{args}");
        assert_eq!(world.received_all(one), [], "{args}");
    }
    for args in [hole, r#"{"$binary":"Cg==","x":1}"#, r#""$binary""#, r#"["$binary"]"#] {
        publish(&mut world, &format!(r#"{{"socketId":"r","event":"e","args":[{args}]}}"#));
        assert_eq!(world.received(one), [format!(r#"42["e",{args}]"#)], "nothing binary, as it was sent");
    }
}

#[test]
fn no_ack_in_time_says_so_and_a_late_one_is_counted() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    let ack = world.request(client, r#"["e"]"#);
    world.advance(Duration::from_micros(9_999_999));
    assert_eq!(world.take_ack(client, ack), None);
    world.advance(Duration::from_micros(1));
    assert_eq!(world.take_ack(client, ack).unwrap(), TIMEOUT);
    assert_eq!(world.stats(0).refusals.get(Code::Timeout), 1);
    acknowledge(&mut world, &id, ack, r#""response":1"#);
    assert_eq!(world.received(client), Vec::<String>::new());
    assert_eq!(world.drops(0, DropCause::UnknownBackendAck), 1);
}

#[test]
fn a_second_ack_is_counted() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    let ack = world.request(client, r#"["e"]"#);
    publish(&mut world, &format!(r#"{{"socketId":["{id}","{id}"],"ack":{ack},"response":1}}"#));
    acknowledge(&mut world, &id, ack, r#""response":2"#);
    assert_eq!(world.received(client), [format!("43{ack}[1]")]);
    assert_eq!(world.drops(0, DropCause::UnknownBackendAck), 2);
    world.advance(Duration::from_secs(20));
    assert_eq!(world.received(client), Vec::<String>::new(), "and no timeout follows");
}

#[test]
fn only_the_socket_that_asked_is_acknowledged() {
    let mut world = cluster(2);
    let (asker, asker_id) = client(&mut world, 0);
    let (near, near_id) = client(&mut world, 0);
    let (far, far_id) = client(&mut world, 1);
    for client in [asker, near] {
        world.join(client, "r");
    }
    let ack = world.request(asker, r#"["e"]"#);
    for target in [near_id.as_str(), &far_id, "r", "AAAAAAAAAAAAAAAAAAAA"] {
        acknowledge(&mut world, target, ack, r#""response":1"#);
    }
    acknowledge(&mut world, &asker_id, ack + 1, r#""response":1"#);
    for client in [asker, near, far] {
        assert_eq!(world.received(client), Vec::<String>::new());
    }
    assert_eq!(
        (world.drops(0, DropCause::UnknownBackendAck), world.drops(1, DropCause::UnknownBackendAck)),
        (2, 1)
    );
    acknowledge(&mut world, &asker_id, ack, r#""response":1"#);
    assert_eq!(world.take_ack(asker, ack).unwrap(), "1");
}

#[test]
fn the_link_going_away_ends_every_wait_at_once() {
    let mut world = cluster(1);
    let (client, _) = client(&mut world, 0);
    let first = world.request(client, r#"["e"]"#);
    world.settle();
    let second = world.request(client, r#"["e"]"#);
    world.link_down(0);
    for ack in [first, second] {
        assert_eq!(world.take_ack(client, ack).unwrap(), BUS_DOWN, "read already, or still under way");
    }
    let third = world.request(client, r#"["e"]"#);
    assert_eq!(world.take_ack(client, third).unwrap(), BUS_DOWN);
    world.emit(client, r#"["e"]"#);
    assert_eq!(world.drops(0, DropCause::BackendLost), 2, "with and without an ack wanted");
    world.link_up(0);
    world.settle();
    world.redis().take_stream();
    let ack = world.request(client, r#"["e"]"#);
    assert_eq!(stream(&mut world).len(), 1, "it works again");
    assert_eq!(world.take_ack(client, ack), None);
    world.advance(Duration::from_secs(20));
    assert_eq!(world.received(client), [format!("43{ack}[{TIMEOUT}]")], "nothing is acknowledged twice");
}

#[test]
fn an_entry_that_was_lost_is_answered_so() {
    let mut world = cluster(1);
    let (client, _) = client(&mut world, 0);
    world.redis().lose_publications(0, true);
    let ack = world.request(client, r#"["e"]"#);
    world.settle();
    assert_eq!(world.take_ack(client, ack).unwrap(), BUS_DOWN);
    world.redis().lose_publications(0, false);
    world.advance(Duration::from_secs(20));
    assert_eq!(world.received(client), Vec::<String>::new());
}

#[test]
fn connects_and_disconnects_without_a_link_are_counted() {
    let mut world = cluster(1);
    world.link_down(0);
    let client = world.client(0);
    world.leave(client);
    assert_eq!(world.drops(0, DropCause::BackendLost), 2);
}

#[test]
fn a_socket_waits_for_so_many_acks_and_no_more() {
    for mut world in World::each_way(|| {
        World::cluster_with(Seed(1), 1, |config| {
            with_backend(config);
            config.limits.pending_acks_max = 2;
        })
    }) {
        let (client, id) = client(&mut world, 0);
        let waiting = [0, 1].map(|_| world.request(client, r#"["e"]"#));
        let over = world.request(client, r#"["e"]"#);
        assert_eq!(world.take_ack(client, over).unwrap(), TOO_MANY);
        assert_eq!(stream(&mut world).len(), 2, "a refused one is not put onto the stream");
        world.emit(client, r#"["e"]"#);
        assert_eq!(stream(&mut world).len(), 1, "what wants no ack goes on");
        acknowledge(&mut world, &id, waiting[0], r#""response":1"#);
        let again = world.request(client, r#"["e"]"#);
        assert_eq!(world.take_ack(client, again), None, "an ack makes room");
        world.advance(Duration::from_secs(10));
        for ack in [waiting[1], again] {
            assert_eq!(world.take_ack(client, ack).unwrap(), TIMEOUT);
        }
        for _ in 0..2 {
            let ack = world.request(client, r#"["e"]"#);
            assert_eq!(world.take_ack(client, ack), None, "and so does a timeout");
        }
    }
}

#[test]
fn a_number_used_twice_at_a_time_is_acknowledged_once() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    for _ in 0..3 {
        world.say(client, r#"427["e"]"#);
    }
    assert_eq!(stream(&mut world).len(), 3);
    acknowledge(&mut world, &id, 7, r#""response":1"#);
    assert_eq!(world.received(client), ["437[1]"]);
    world.advance(Duration::from_secs(20));
    assert_eq!(world.received(client), Vec::<String>::new());
    world.say(client, r#"427["e"]"#);
    world.link_down(0);
    assert_eq!(world.received(client), [format!("437[{BUS_DOWN}]")]);
    world.leave(client);
    world.assert_empty(0);
}

#[test]
fn a_number_used_twice_costs_one_of_the_acks_waited_for() {
    for mut world in World::each_way(|| {
        World::cluster_with(Seed(1), 1, |config| {
            with_backend(config);
            config.limits.pending_acks_max = 2;
        })
    }) {
        let client = world.client(0);
        world.say(client, r#"427["e"]"#);
        for _ in 0..5 {
            world.say(client, r#"427["e"]"#);
        }
        assert_eq!(world.received(client), Vec::<String>::new());
        world.say(client, r#"428["e"]"#);
        assert_eq!(world.received(client), Vec::<String>::new(), "one was free all the time");
        world.say(client, r#"429["e"]"#);
        assert_eq!(world.received(client), [format!("439[{TOO_MANY}]")]);
    }
}

#[test]
fn what_a_socket_asked_goes_with_it() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    let acks = [0, 1, 2].map(|_| world.request(client, r#"["e"]"#));
    world.leave(client);
    let (successor, _) = world.client_with_id(0);
    for ack in acks {
        acknowledge(&mut world, &id, ack, r#""response":1"#);
    }
    assert_eq!(world.received(successor), Vec::<String>::new(), "its slot belongs to another");
    world.leave(successor);
    world.assert_empty(0);
    world.link_down(0);
    world.assert_empty(0);
}

#[test]
fn names_that_are_no_event_are_refused_and_not_written() {
    let mut world = cluster(1);
    let (client, _) = client(&mut world, 0);
    let long = format!("[\"{}\"]", "x".repeat(129));
    for items in [r#"["@unknown"]"#, r#"["@"]"#, &long] {
        assert_eq!(world.ask(client, items), r#"{"error":"bad_event"}"#, "{items:.20}");
    }
    world.ask(client, r#"["@join","r"]"#);
    world.ask(client, r#"["@whoami"]"#);
    assert_eq!(stream(&mut world), Vec::<String>::new());
    world.emit(client, &format!("[\"{}\"]", "x".repeat(128)));
    assert_eq!(stream(&mut world).len(), 1);
}
