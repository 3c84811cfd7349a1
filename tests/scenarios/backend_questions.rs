//! A backend asks clients: their acks come onto the stream, each once, and who sends none is named.

use crate::backend_world::{client, cluster, entry, publish, stream, with_backend};
use moorline_core::{Code, DropCause};
use moorline_tests::sim::{Client, Received, Seed, World};
use std::time::Duration;

/// The id under which a client is asked to acknowledge an event `q`.
fn asked_under(received: &str) -> u64 {
    let digits =
        received.strip_prefix("42").and_then(|rest| rest.split_once("[\"q\"")).expect("a question").0;
    digits.parse().expect("an id")
}

#[test]
fn a_backend_asks_and_the_ack_comes_onto_the_stream() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    for (number, acked, args) in [
        ("0", "[]", "[]"),
        ("9007199254740993", r#"[1,{"a":"\u00e9"}]"#, r#"[1,{"a":"\u00e9"}]"#),
        ("18446744073709551615", "[ null ]", "[null]"),
    ] {
        publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"q","ack":{number},"response":1}}"#));
        let received = world.received(client);
        let asked = asked_under(&received[0]);
        assert_eq!(received, [format!(r#"42{asked}["q",1]"#)]);
        assert!(asked < 1 << 31);
        world.say(client, &format!("43{asked}{acked}"));
        assert_eq!(stream(&mut world), [entry("ack", &id, "null", args, number)]);
        world.say(client, &format!("43{asked}{acked}"));
    }
    assert_eq!(world.drops(0, DropCause::UnknownAck), 3, "a second ack to the same");
    world.advance(Duration::from_secs(20));
    assert_eq!(stream(&mut world), Vec::<String>::new(), "no timeout follows an ack");
}

#[test]
fn a_backends_question_and_its_ack_may_be_binary() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    publish(
        &mut world,
        &format!(r#"{{"socketId":"{id}","event":"q","ack":5,"response":{{"$binary":"Cg=="}}}}"#),
    );
    let received = world.received_all(client);
    let [Received::Text(packet), Received::Binary(bytes)] = received.as_slice() else {
        panic!("{received:?}")
    };
    assert_eq!(bytes, b"\n");
    let asked = packet.strip_prefix("451-").and_then(|rest| rest.split_once('[')).unwrap().0;
    assert_eq!(*packet, format!(r#"451-{asked}["q",{{"_placeholder":true,"num":0}}]"#));
    world.say_all(client, &format!(r#"461-{asked}[{{"_placeholder":true,"num":0}},2]"#), &[b"\xff"]);
    assert_eq!(stream(&mut world), [entry("ack", &id, "null", r#"[{"$binary":"/w=="},2]"#, "5")]);
}

#[test]
fn malformed_numbers_ask_nobody() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    for ack in ["-1", "1.5", "1e3", "\"1\"", "true", "[]", "18446744073709551616"] {
        for event in ["", r#","event":"q""#] {
            let before = world.drops(0, DropCause::MalformedBackendMessage);
            publish(&mut world, &format!(r#"{{"socketId":"{id}"{event},"ack":{ack}}}"#));
            assert_eq!(world.drops(0, DropCause::MalformedBackendMessage), before + 1, "{ack}{event}");
        }
    }
    publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"q","ack":null}}"#));
    assert_eq!(world.received(client), [r#"42["q"]"#], "null asks for nothing");
}

#[test]
fn everyone_in_a_room_is_asked_and_who_does_not_acknowledge_is_named() {
    let mut world = cluster(2);
    let clients: Vec<(Client, String)> =
        [0, 0, 0, 1].into_iter().map(|node| world.client_with_id(node)).collect();
    for (client, _) in &clients {
        world.join(*client, "r");
    }
    stream(&mut world);
    publish(&mut world, r#"{"socketId":["r","r"],"event":"q","ack":5}"#);
    let asked: Vec<u64> =
        clients.iter().map(|(client, _)| asked_under(&world.received(*client)[0])).collect();
    assert!(asked[0] == asked[1] && asked[1] == asked[2], "one broadcast is encoded once");
    world.say(clients[1].0, &format!("43{}[\"b\"]", asked[1]));
    world.say(clients[3].0, &format!("43{}[\"d\"]", asked[3]));
    let b = entry("ack", &clients[1].1, "null", r#"["b"]"#, "5");
    let d = entry("ack", &clients[3].1, "null", r#"["d"]"#, "5").replace("s1", "s2");
    let mut entries = stream(&mut world);
    entries.sort_by_key(|entry| entry.contains("s2"));
    assert_eq!(entries, [b, d]);
    world.leave(clients[2].0);
    stream(&mut world);
    world.advance(Duration::from_secs(10));
    let a = entry("ack", &clients[0].1, "null", r#"[{"error":"timeout"}]"#, "5");
    assert_eq!(stream(&mut world), [a], "who left was told to have left");
    world.say(clients[0].0, &format!("43{}[]", asked[0]));
    assert_eq!(world.drops(0, DropCause::UnknownAck), 1, "too late");
    assert_eq!(stream(&mut world), Vec::<String>::new());
}

#[test]
fn a_question_in_several_namespaces_is_acknowledged_in_each() {
    let mut world = cluster(1);
    let client = world.open(0);
    let (root, admin) = (world.connect(client, "/"), world.connect(client, "/admin"));
    stream(&mut world);
    world.received(client);
    publish(&mut world, &format!(r#"{{"socketId":["{admin}","{root}"],"event":"q","ack":5}}"#));
    let received = world.received(client);
    let asked = asked_under(&received[0]);
    assert_eq!(received, [format!(r#"42{asked}["q"]"#), format!(r#"42/admin,{asked}["q"]"#)]);
    world.say(client, &format!("43/admin,{asked}[1]"));
    world.say(client, &format!("43/admin,{asked}[2]"));
    assert_eq!(world.drops(0, DropCause::UnknownAck), 1, "one ack for each socket");
    world.say(client, &format!("43{asked}[3]"));
    assert_eq!(
        stream(&mut world),
        [
            entry("ack", &admin, "null", "[1]", "5").replace(r#""/""#, r#""/admin""#),
            entry("ack", &root, "null", "[3]", "5"),
        ]
    );
}

#[test]
fn a_strangers_ack_is_counted_and_changes_nothing() {
    let mut world = cluster(2);
    let (client, id) = client(&mut world, 0);
    let strangers = [self::client(&mut world, 0).0, self::client(&mut world, 1).0];
    publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"q","ack":5}}"#));
    let asked = asked_under(&world.received(client)[0]);
    for stranger in strangers {
        world.say(stranger, &format!("43{asked}[\"forged\"]"));
        assert!(world.is_open(stranger));
    }
    for other in [asked + 1, asked + (1 << 32), 0, (1 << 53) - 1] {
        world.say(client, &format!("43{other}[\"forged\"]"));
    }
    assert_eq!((world.drops(0, DropCause::UnknownAck), world.drops(1, DropCause::UnknownAck)), (5, 1));
    assert_eq!(stream(&mut world), Vec::<String>::new());
    world.say(client, &format!("43{asked}[\"true\"]"));
    assert_eq!(stream(&mut world), [entry("ack", &id, "null", r#"["true"]"#, "5")]);
}

#[test]
fn each_question_has_its_own_id() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    for _ in 0..100 {
        publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"q","ack":5}}"#));
    }
    let mut asked: Vec<u64> = world.received(client).iter().map(|packet| asked_under(packet)).collect();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 100);
    assert!(asked.iter().all(|id| (1..1 << 31).contains(id)));
}

#[test]
fn a_question_that_reaches_nobody_leaves_nothing() {
    let mut world = cluster(2);
    let before = world.node(0).gauges();
    publish(&mut world, r#"{"socketId":["r","AAAAAAAAAAAAAAAAAAAA"],"event":"q","ack":5}"#);
    assert_eq!(world.node(0).gauges(), before);
    world.advance(Duration::from_secs(20));
    assert_eq!(stream(&mut world), Vec::<String>::new());
}

#[test]
fn an_ack_while_the_link_is_away_is_counted_as_lost() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    for _ in 0..2 {
        publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"q","ack":5}}"#));
    }
    let asked: Vec<u64> = world.received(client).iter().map(|packet| asked_under(packet)).collect();
    world.link_down(0);
    world.say(client, &format!("43{}[1]", asked[0]));
    world.advance(Duration::from_secs(20));
    assert_eq!(world.drops(0, DropCause::BackendLost), 2, "the ack, and the report of the missing one");
    assert!(world.is_open(client));
    world.leave(client);
    world.assert_empty(0);
}

#[test]
fn a_client_and_a_backend_may_use_the_same_number() {
    let mut world = cluster(1);
    let (client, id) = client(&mut world, 0);
    publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"q","ack":5}}"#));
    let asked = asked_under(&world.received(client)[0]);
    world.say(client, &format!(r#"42{asked}["e"]"#));
    stream(&mut world);
    publish(&mut world, &format!(r#"{{"socketId":"{id}","ack":{asked},"response":"for the client"}}"#));
    assert_eq!(world.received(client), [format!(r#"43{asked}["for the client"]"#)]);
    world.say(client, &format!(r#"43{asked}["for the backend"]"#));
    assert_eq!(stream(&mut world), [entry("ack", &id, "null", r#"["for the backend"]"#, "5")]);
}

#[test]
fn without_a_stream_nothing_is_written_and_nobody_handles_events() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (client, id) = world.client_with_id(0);
        assert_eq!(world.ask(client, r#"["e",1]"#), r#"{"error":"no_handler"}"#);
        world.emit(client, r#"["e"]"#);
        assert_eq!(world.stats(0).refusals.get(Code::NoHandler), 2);
        publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"q","ack":5}}"#));
        let asked = asked_under(&world.received(client)[0]);
        world.say(client, &format!("43{asked}[1]"));
        world.leave(client);
        assert_eq!(stream(&mut world), Vec::<String>::new());
        assert!(world.stats(0).drops.is_empty(), "{:?}", world.stats(0).drops);
    }
}

#[test]
fn a_question_too_many_is_acknowledged_so_for_everyone_it_would_have_reached() {
    for mut world in World::each_way(|| {
        World::cluster_with(Seed(1), 1, |config| {
            with_backend(config);
            config.limits.awaited_answers_max = 4;
        })
    }) {
        let clients: Vec<_> = (0..3).map(|_| client(&mut world, 0)).collect();
        let ids: Vec<String> = clients.iter().map(|(_, id)| format!("\"{id}\"")).collect();
        publish(&mut world, &format!(r#"{{"socketId":[{}],"event":"q","ack":5}}"#, ids.join(",")));
        let refused = |(_, id): &(_, String)| entry("ack", id, "null", r#"[{"error":"too_many"}]"#, "5");
        assert_eq!(stream(&mut world), clients.iter().map(refused).collect::<Vec<_>>());
        assert_eq!(
            (world.received(clients[0].0), world.drops(0, DropCause::TooManyRequests)),
            (Vec::new(), 1)
        );
        publish(&mut world, &format!(r#"{{"socketId":{},"event":"q","ack":6}}"#, ids[0]));
        assert_eq!(world.received(clients[0].0).len(), 1, "a question to one still has its place");
    }
}
