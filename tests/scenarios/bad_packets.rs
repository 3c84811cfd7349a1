//! What breaks the protocol closes its own session, is counted by kind, and touches nobody else.

use moorline_core::Config;
use moorline_protocol::Reason;
use moorline_tests::sim::{Client, World};
use proptest::prelude::*;

fn with_admin(config: &mut Config) {
    config.namespaces = vec!["/".into(), "/admin".into()];
}

/// Says `text` on a session in `/` beside a bystander; the session must end, counted as `kind`.
fn assert_closes(world: &mut World, bystander: Client, text: &str, kind: &str) {
    let client = world.client(0);
    let before = world.drops(0, kind);
    world.say(client, text);
    let ending = world.ending(client).unwrap_or_else(|| panic!("{text:.60} closes"));
    assert_eq!((ending.reason, ending.code), (Reason::ParseError, 1002), "{text:.60}");
    assert_eq!(world.heard(client), Vec::<String>::new(), "nothing is said to it");
    assert_eq!(world.drops(0, kind), before + 1, "{text:.60} is counted as {kind}");
    assert!(world.is_open(bystander));
}

#[test]
fn each_kind_of_malformed_packet_closes_and_is_counted() {
    let mut world = World::alone_with(1, with_admin);
    let bystander = world.client(0);
    let deep = format!(r#"42["a",{}{}]"#, "[".repeat(64), "]".repeat(64));
    let long_namespace = format!("40/{}", "x".repeat(128));
    for (text, kind) in [
        ("", "empty"),
        ("4", "empty"),
        ("7", "unknown_type"),
        ("é", "unknown_type"),
        ("b4AQID", "unknown_type"),
        ("48", "unknown_type"),
        ("4é", "unknown_type"),
        ("0{}", "unexpected_packet"),
        ("2", "unexpected_packet"),
        ("2probe", "unexpected_packet"),
        ("5", "unexpected_packet"),
        ("6", "unexpected_packet"),
        (r#"44{"message":"x"}"#, "unexpected_packet"),
        ("40", "unexpected_connect"),
        ("40[]", "bad_payload"),
        ("407", "bad_payload"),
        ("40{", "bad_json"),
        (r#"40/admin,{"a":}"#, "bad_json"),
        (&long_namespace, "long_namespace"),
        ("41{}", "bad_payload"),
        ("42", "bad_payload"),
        ("42{}", "bad_payload"),
        (r#"42"a""#, "bad_payload"),
        ("42[", "bad_json"),
        ("42[]", "bad_event_name"),
        (r#"42["a""#, "bad_json"),
        (r#"42["a"]x"#, "bad_json"),
        (r#"42["a",]"#, "bad_json"),
        ("42[\"a\n\"]", "bad_json"),
        (r#"42["\ud800"]"#, "bad_event_name"),
        ("42[null]", "bad_event_name"),
        ("42[true]", "bad_event_name"),
        (r#"42[{"a":1}]"#, "bad_event_name"),
        (r#"42[["a"]]"#, "bad_event_name"),
        (&deep, "deep_json"),
        (r#"429007199254740992["a"]"#, "bad_ack_id"),
        ("43[]", "bad_payload"),
        ("431", "bad_payload"),
        (r#"45["a"]"#, "bad_attachments"),
        (r#"45-["a"]"#, "bad_attachments"),
        (r#"4599999999999-["a"]"#, "bad_attachments"),
    ] {
        assert_closes(&mut world, bystander, text, kind);
    }
}

#[test]
fn packets_to_a_namespace_that_was_not_joined_close() {
    let mut world = World::alone_with(1, with_admin);
    let bystander = world.client(0);
    for text in [r#"42/admin,["a"]"#, "41/admin", "43/admin,1[]", r#"42/random,["a"]"#, "41/random,"] {
        assert_closes(&mut world, bystander, text, "not_connected");
    }
    let early = world.open(0);
    world.say(early, r#"42["a"]"#);
    assert!(!world.is_open(early), "an event before CONNECT closes too");
}

#[test]
fn reserved_event_names_close_however_they_are_spelled() {
    let mut world = World::alone();
    let bystander = world.client(0);
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert_closes(&mut world, bystander, &format!(r#"42["{name}",1]"#), "reserved_event");
        assert_closes(&mut world, bystander, &format!(r#"421["{name}"]"#), "reserved_event");
    }
    assert_closes(&mut world, bystander, r#"42["\u0063onnect"]"#, "reserved_event");
    assert_closes(&mut world, bystander, r#"42[ "dis\u0063onnect" ]"#, "reserved_event");
}

#[test]
fn binary_messages_close() {
    let mut world = World::alone();
    let (client, bystander) = (world.client(0), world.client(0));
    world.say_binary(client, &[1, 2, 3]);
    assert_eq!(world.ending(client).unwrap().reason, Reason::ParseError);
    assert_eq!(world.drops(0, "unexpected_binary"), 1);
    assert!(world.is_open(bystander));
}

#[test]
fn a_close_packet_ends_the_session_in_order() {
    let mut world = World::alone();
    let client = world.client(0);
    world.say(client, "1");
    let ending = world.ending(client).unwrap();
    assert_eq!((ending.reason, ending.code), (Reason::TransportClose, 1000));
    assert_eq!(world.stats(0).drops.total(), 0);
    world.assert_empty(0);
}

#[test]
fn answers_nobody_asked_for_are_counted_and_ignored() {
    let mut world = World::alone();
    let client = world.client(0);
    world.say(client, r#"437["x"]"#);
    assert!(world.is_open(client));
    assert_eq!(world.drops(0, "unknown_ack"), 1);
}

#[test]
fn what_comes_after_the_end_is_ignored() {
    let mut world = World::alone();
    let (client, other) = (world.client(0), world.client(0));
    world.say(client, "7");
    let successor = world.client(0);
    world.say(client, r#"42["@whoami"]"#);
    world.leave(client);
    assert!(world.is_open(other) && world.is_open(successor), "its slot belongs to somebody else");
    assert_eq!(world.heard(successor), Vec::<String>::new());
}

/// Texts near the grammar: pieces of real packets in any order.
fn near_packets() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "4",
        "2",
        "0",
        "1",
        "3",
        "5",
        "6",
        "40",
        "42",
        "43",
        "/",
        "/admin",
        ",",
        "?",
        "-",
        "7",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "\\",
        "\\u0041",
        "\"@to\"",
        "\"@join\"",
        "\"@leave\"",
        "\"@whoami\"",
        "\"room\"",
        "\"a\"",
        "null",
        "1e9",
        " ",
        "\n",
        "é",
        "9007199254740993",
        "[\"@join\",\"r\"]",
        "[\"@to\",\"r\",\"e\"]",
        "\u{0}",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_reaches_a_bystander_or_breaks_the_node(texts in prop::collection::vec(near_packets(), 1..12)) {
        let mut world = World::alone_with(7, with_admin);
        let bystander = world.client(0);
        let client = world.client(0);
        for text in &texts {
            if world.is_open(client) {
                world.say(client, text);
            }
        }
        prop_assert!(world.is_open(bystander));
        prop_assert_eq!(world.heard(bystander), Vec::<String>::new());
        world.join(bystander, "still");
        if world.is_open(client) {
            world.leave(client);
        }
        world.leave(bystander);
        world.assert_empty(0);
    }
}
