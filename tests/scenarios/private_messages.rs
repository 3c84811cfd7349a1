//! `@to` a socket id: who receives it, what they receive, and what the sender is told.

use moorline_core::{Code, DropCause};
use moorline_tests::sim::{Seed, World, event_from, to};

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[test]
fn a_message_reaches_the_id_with_the_sender_first() {
    for nodes in [1, 2] {
        let mut world = World::cluster(nodes);
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(nodes - 1);
        let acked = world.ask(alice, &to(&quoted(&bob_id), r#""hi",1,{"a":[null]},"é""#));
        assert_eq!(acked, r#"{"expected":1}"#);
        assert_eq!(world.received(bob), [event_from(&alice_id, "hi", r#"1,{"a":[null]},"é""#)]);
        assert_eq!(world.received(alice), Vec::<String>::new());
    }
}

#[test]
fn a_message_without_arguments_carries_the_sender_alone() {
    for mut world in World::each_way(World::alone) {
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(0);
        world.emit(alice, &to(&quoted(&bob_id), r#""hi""#));
        assert_eq!(world.received(bob), [event_from(&alice_id, "hi", "")]);
    }
}

#[test]
fn recipients_see_no_ack_id_and_a_sender_that_wants_none_costs_no_count() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (near, near_id) = world.client_with_id(0);
        let (far, far_id) = world.client_with_id(1);
        let both = format!(r#"["{near_id}","{far_id}"]"#);
        world.redis().take_published();
        world.emit(alice, &to(&both, r#""e""#));
        world.settle();
        let published = world.redis().take_published();
        assert_eq!(published.len(), 1, "nobody counts: {published:?}");
        assert!(!published[0].is_ticketed);
        assert_eq!(world.ask(alice, &to(&both, r#""e""#)), r#"{"expected":2}"#);
        for client in [near, far] {
            assert_eq!(world.received(client), vec![event_from(&alice_id, "e", ""); 2]);
        }
    }
}

#[test]
fn a_message_to_an_id_goes_to_its_node_alone() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let alice = world.client(0);
        let (_, bob_id) = world.client_with_id(2);
        world.redis().take_published();
        world.emit(alice, &to(&quoted(&bob_id), r#""e""#));
        world.settle();
        let published = world.redis().take_published();
        assert_eq!(published.len(), 1);
        assert_eq!(published[0].channel, format!("moorline:node:{}", world.node(2).tag()));
        assert_eq!(world.stats(1).bus_in, 0);
    }
}

#[test]
fn the_sender_never_receives_itself() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, id) = world.client_with_id(0);
        world.join(alice, "r");
        for targets in [format!(r#"["{id}","r"]"#), quoted(&id), quoted("r"), r#"["r","r"]"#.into()] {
            assert_eq!(world.ask(alice, &to(&targets, r#""e""#)), r#"{"expected":0}"#, "{targets}");
        }
        assert_eq!(world.received(alice), Vec::<String>::new());
    }
}

#[test]
fn a_socket_is_served_once_however_many_targets_name_it() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (near, near_id) = world.client_with_id(0);
        let (far, far_id) = world.client_with_id(1);
        let (third, _) = world.client_with_id(2);
        for client in [alice, near, far, third] {
            world.join(client, "one");
            world.join(client, "two");
        }
        let targets = format!(r#"["one","{far_id}","two","{near_id}","{far_id}","one","{alice_id}"]"#);
        assert_eq!(world.ask(alice, &to(&targets, r#""e",7"#)), r#"{"expected":3}"#);
        for client in [near, far, third] {
            assert_eq!(world.received(client), [event_from(&alice_id, "e", "7")]);
        }
        assert_eq!(world.received(alice), Vec::<String>::new());
    }
}

#[test]
fn ids_that_no_socket_answers_to_add_nothing() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (near, near_id) = world.client_with_id(0);
        let (far, far_id) = world.client_with_id(1);
        world.leave(near);
        world.leave(far);
        for id in [near_id.as_str(), &far_id, "AAAAAAAAAAAAAAAAAAAA", "--------------------"] {
            assert_eq!(world.ask(alice, &to(&quoted(id), r#""e""#)), r#"{"expected":0}"#, "{id}");
        }
        let unknown = (world.drops(0, DropCause::UnknownTarget), world.drops(1, DropCause::UnknownTarget));
        assert_eq!(unknown, (3, 1), "each is counted where it was found out");
    }
}

#[test]
fn a_node_that_is_alone_counts_every_id_it_does_not_have() {
    for mut world in World::each_way(World::alone) {
        let alice = world.client(0);
        assert_eq!(world.ask(alice, &to(&quoted("AAAAAAAAAAAAAAAAAAAA"), r#""e""#)), r#"{"expected":0}"#);
        assert_eq!(world.drops(0, DropCause::UnknownTarget), 1);
    }
}

#[test]
fn an_empty_room_is_no_unknown_target() {
    for mut world in World::each_way(|| World::cluster_with(Seed(1), 2, |config| config.is_open = true)) {
        let alice = world.client(0);
        assert_eq!(world.ask(alice, &to(&quoted("nobody here"), r#""e""#)), r#"{"expected":0}"#);
        assert_eq!(world.drops(0, DropCause::UnknownTarget), 0);
    }
}

#[test]
fn an_id_works_in_its_own_namespace_only() {
    for mut world in
        World::each_way(|| World::cluster_with(Seed(1), 2, |config| config.namespaces.push("/admin".into())))
    {
        for node in [0, 1] {
            let (alice, _) = world.client_with_id(0);
            let (bob, _) = world.client_with_id(node);
            let admin_id = world.connect(bob, "/admin");
            assert_eq!(world.ask(alice, &to(&quoted(&admin_id), r#""e""#)), r#"{"expected":0}"#);
            let alice_admin = world.connect(alice, "/admin");
            world.say(alice, &format!(r#"42/admin,["@to","{admin_id}","e"]"#));
            world.settle();
            assert_eq!(world.received(bob), [format!(r#"42/admin,["e",{{"from":"{alice_admin}"}}]"#)]);
        }
    }
}

#[test]
fn a_message_arrives_in_the_order_sent_to_ids_and_rooms_alike() {
    for (seed, node) in [(1, 0), (2, 1), (3, 1), (4, 1)] {
        let mut world = World::cluster_with(Seed(seed), 2, |_| {});
        let alice = world.client(0);
        let (bob, bob_id) = world.client_with_id(node);
        for room in ["one", "two"] {
            world.join(alice, room);
            world.join(bob, room);
        }
        let targets = [quoted(&bob_id), quoted("one"), quoted("two"), format!(r#"["two","{bob_id}"]"#)];
        for number in 0..400 {
            let items = to(&targets[number * 7 % 4], &format!(r#""n",{number}"#));
            if number % 3 == 0 {
                world.request(alice, &items);
            } else {
                world.emit(alice, &items);
            }
        }
        world.settle();
        let received: Vec<usize> = world.received(bob).iter().map(|packet| last_number(packet)).collect();
        assert_eq!(received, (0..400).collect::<Vec<_>>(), "seed {seed}");
    }
}

fn last_number(packet: &str) -> usize {
    packet.trim_end_matches(']').rsplit(',').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn order_of_ten_thousand_messages_holds_across_nodes() {
    let mut world = World::cluster(2);
    let alice = world.client(0);
    let (bob, bob_id) = world.client_with_id(1);
    for batch in 0..100 {
        for number in batch * 100..batch * 100 + 100 {
            world.emit(alice, &to(&quoted(&bob_id), &format!(r#""n",{number}"#)));
        }
        world.settle();
    }
    let received: Vec<usize> = world.received(bob).iter().map(|packet| last_number(packet)).collect();
    assert_eq!(received, (0..10_000).collect::<Vec<_>>());
}

#[test]
fn refusals_name_their_reason_and_deliver_nothing() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (bob, bob_id) = world.client_with_id(1);
        let long = "x".repeat(129);
        for (items, code) in [
            (r#"["@to"]"#.into(), Code::BadTarget),
            (r#"["@to",7,"e"]"#.into(), Code::BadTarget),
            (r#"["@to",null,"e"]"#.into(), Code::BadTarget),
            (r#"["@to",{},"e"]"#.into(), Code::BadTarget),
            (r#"["@to",[],"e"]"#.into(), Code::BadTarget),
            (r#"["@to","","e"]"#.into(), Code::BadTarget),
            (r#"["@to","@x","e"]"#.into(), Code::BadTarget),
            (r#"["@to","\ud800","e"]"#.into(), Code::BadTarget),
            (format!(r#"["@to",["{bob_id}",7],"e"]"#), Code::BadTarget),
            (format!(r#"["@to",["{bob_id}",["{bob_id}"]],"e"]"#), Code::BadTarget),
            (format!(r#"["@to",["{bob_id}",""],"e"]"#), Code::BadTarget),
            (format!(r#"["@to",["{bob_id}","elsewhere"],"e"]"#), Code::NotMember),
            (to(&quoted(&"x".repeat(256)), r#""e""#), Code::BadTarget),
            (format!(r#"["@to","{bob_id}"]"#), Code::BadEvent),
            (to(&quoted(&bob_id), "7"), Code::BadEvent),
            (to(&quoted(&bob_id), "null"), Code::BadEvent),
            (to(&quoted(&bob_id), r#""connect""#), Code::BadEvent),
            (to(&quoted(&bob_id), r#""\u0064isconnect""#), Code::BadEvent),
            (to(&quoted(&bob_id), r#""newListener",1"#), Code::BadEvent),
            (to(&quoted(&bob_id), r#""@to""#), Code::BadEvent),
            (to(&quoted(&bob_id), r#""\u0040x""#), Code::BadEvent),
            (to(&quoted(&bob_id), r#""\ud800""#), Code::BadEvent),
            (to(&quoted(&bob_id), &quoted(&long)), Code::BadEvent),
            (r#"["@ask2"]"#.into(), Code::BadEvent),
            (r#"["hello",1]"#.into(), Code::NoHandler),
            (r#"[7,1]"#.into(), Code::NoHandler),
            (r#"[-7]"#.into(), Code::NoHandler),
        ] {
            let before = world.stats(0).refusals.get(code);
            assert_eq!(world.ask(alice, &items), format!(r#"{{"error":"{}"}}"#, code.as_str()), "{items}");
            world.emit(alice, &items);
            assert_eq!(world.stats(0).refusals.get(code), before + 2, "{items} counts without an ack, too");
        }
        world.settle();
        assert_eq!(world.received(bob), Vec::<String>::new());
        assert!(world.is_open(alice) && world.is_open(bob));
        assert_eq!(world.received(alice), Vec::<String>::new(), "no refusal without an ack id");
    }
}

#[test]
fn the_longest_names_are_allowed() {
    for mut world in World::each_way(World::alone) {
        let (alice, alice_id) = world.client_with_id(0);
        let bob = world.client(0);
        let (room, event) = ("é".repeat(127) + "x", "y".repeat(128));
        world.join(alice, &room);
        world.join(bob, &room);
        assert_eq!(world.ask(alice, &to(&quoted(&room), &quoted(&event))), r#"{"expected":1}"#);
        assert_eq!(world.received(bob), [event_from(&alice_id, &event, "")]);
        assert_eq!(world.ask(alice, &format!(r#"["@join","{room}x"]"#)), r#"{"error":"bad_room"}"#);
    }
}

#[test]
fn odd_but_valid_json_passes_untouched() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(1);
        let args = "{ \"a\" :\n[ 1 ,\t2.50e+3 ] },\"\\u0041\\n\\\"\",-0,123456789012345678901234567890,{\"_placeholder\":true,\"num\":0}";
        assert_eq!(world.ask(alice, &to(&quoted(&bob_id), &format!("\"e\",{args}"))), r#"{"expected":1}"#);
        assert_eq!(world.received(bob), [event_from(&alice_id, "e", args)]);
    }
}

#[test]
fn whoami_names_socket_and_node() {
    for mut world in
        World::each_way(|| World::alone_with(1, |config| config.name = "a \"quoted\" name".into()))
    {
        let (alice, id) = world.client_with_id(0);
        assert_eq!(
            world.ask(alice, r#"["@whoami"]"#),
            format!(r#"{{"id":"{id}","node":"a \"quoted\" name","user":null}}"#)
        );
    }
}
