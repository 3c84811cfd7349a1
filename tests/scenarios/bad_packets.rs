//! A packet that breaks the protocol closes its own session, is counted by its cause, and touches nobody else.

use moorline_core::{Config, DropCause};
use moorline_protocol::Reason;
use moorline_tests::sim::{Client, World, soak};
use proptest::prelude::*;

fn with_admin(config: &mut Config) {
    config.namespaces = vec!["/".into(), "/admin".into()];
}

/// Says `text` on a session in `/` beside a bystander; the session must end, counted as `cause`.
fn assert_closes(world: &mut World, bystander: Client, text: &str, cause: DropCause) {
    let client = world.client(0);
    let before = world.drops(0, cause);
    world.say(client, text);
    let ending = world.ending(client).unwrap_or_else(|| panic!("{text:.60} closes"));
    assert_eq!((ending.reason, ending.code), (Reason::ParseError, 1002), "{text:.60}");
    assert_eq!(world.received(client), Vec::<String>::new(), "nothing is said to it");
    assert_eq!(world.drops(0, cause), before + 1, "{text:.60} is counted as {cause:?}");
    assert!(world.is_open(bystander));
}

#[test]
fn each_kind_of_malformed_packet_closes_and_is_counted() {
    for mut world in World::each_way(|| World::alone_with(1, with_admin)) {
        let bystander = world.client(0);
        let deep = format!(r#"42["a",{}{}]"#, "[".repeat(64), "]".repeat(64));
        let long_namespace = format!("40/{}", "x".repeat(128));
        for (text, cause) in [
            ("", DropCause::Empty),
            ("4", DropCause::Empty),
            ("7", DropCause::UnknownType),
            ("é", DropCause::UnknownType),
            ("b4AQID", DropCause::UnknownType),
            ("48", DropCause::UnknownType),
            ("4é", DropCause::UnknownType),
            ("0{}", DropCause::UnexpectedPacket),
            ("2", DropCause::UnexpectedPacket),
            ("2probe", DropCause::UnexpectedPacket),
            ("5", DropCause::UnexpectedPacket),
            ("6", DropCause::UnexpectedPacket),
            (r#"44{"message":"x"}"#, DropCause::UnexpectedPacket),
            ("40", DropCause::UnexpectedConnect),
            ("40[]", DropCause::BadPayload),
            ("407", DropCause::BadPayload),
            ("40{", DropCause::BadJson),
            (r#"40/admin,{"a":}"#, DropCause::BadJson),
            (&long_namespace, DropCause::LongNamespace),
            ("41{}", DropCause::BadPayload),
            ("42", DropCause::BadPayload),
            ("42{}", DropCause::BadPayload),
            (r#"42"a""#, DropCause::BadPayload),
            ("42[", DropCause::BadJson),
            ("42[]", DropCause::BadEventName),
            (r#"42["a""#, DropCause::BadJson),
            (r#"42["a"]x"#, DropCause::BadJson),
            (r#"42["a",]"#, DropCause::BadJson),
            ("42[\"a\n\"]", DropCause::BadJson),
            (r#"42["\ud800"]"#, DropCause::BadEventName),
            ("42[null]", DropCause::BadEventName),
            ("42[true]", DropCause::BadEventName),
            (r#"42[{"a":1}]"#, DropCause::BadEventName),
            (r#"42[["a"]]"#, DropCause::BadEventName),
            (&deep, DropCause::DeepJson),
            (r#"429007199254740992["a"]"#, DropCause::BadAckId),
            ("43[]", DropCause::BadPayload),
            ("431", DropCause::BadPayload),
            (r#"45["a"]"#, DropCause::BadAttachments),
            (r#"45-["a"]"#, DropCause::BadAttachments),
            (r#"4599999999999-["a"]"#, DropCause::BadAttachments),
        ] {
            assert_closes(&mut world, bystander, text, cause);
        }
    }
}

#[test]
fn packets_to_a_namespace_that_was_not_joined_close() {
    for mut world in World::each_way(|| World::alone_with(1, with_admin)) {
        let bystander = world.client(0);
        for text in [r#"42/admin,["a"]"#, "41/admin", "43/admin,1[]", r#"42/random,["a"]"#, "41/random,"] {
            assert_closes(&mut world, bystander, text, DropCause::NotConnected);
        }
        let early = world.open(0);
        world.say(early, r#"42["a"]"#);
        assert!(!world.is_open(early), "an event before CONNECT closes too");
    }
}

#[test]
fn reserved_event_names_close_however_they_are_spelled() {
    for mut world in World::each_way(World::alone) {
        let bystander = world.client(0);
        for name in
            ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
        {
            assert_closes(&mut world, bystander, &format!(r#"42["{name}",1]"#), DropCause::ReservedEvent);
            assert_closes(&mut world, bystander, &format!(r#"421["{name}"]"#), DropCause::ReservedEvent);
        }
        assert_closes(&mut world, bystander, r#"42["\u0063onnect"]"#, DropCause::ReservedEvent);
        assert_closes(&mut world, bystander, r#"42[ "dis\u0063onnect" ]"#, DropCause::ReservedEvent);
    }
}

#[test]
fn binary_messages_close() {
    for mut world in World::each_way(World::alone) {
        let (client, bystander) = (world.client(0), world.client(0));
        world.say_binary(client, &[1, 2, 3]);
        assert_eq!(world.ending(client).unwrap().reason, Reason::ParseError);
        assert_eq!(world.drops(0, DropCause::UnexpectedBinary), 1);
        assert!(world.is_open(bystander));
    }
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
fn acks_nobody_asked_for_are_counted_and_ignored() {
    for mut world in World::each_way(World::alone) {
        let client = world.client(0);
        world.say(client, r#"437["x"]"#);
        assert!(world.is_open(client));
        assert_eq!(world.drops(0, DropCause::UnknownAck), 1);
    }
}

#[test]
fn what_comes_after_the_end_is_ignored() {
    for mut world in World::each_way(World::alone) {
        let (client, other) = (world.client(0), world.client(0));
        world.say(client, "7");
        let successor = world.client(0);
        world.say(client, r#"42["@whoami"]"#);
        world.leave(client);
        assert!(world.is_open(other) && world.is_open(successor), "its slot belongs to somebody else");
        assert_eq!(world.received(successor), Vec::<String>::new());
    }
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
    #![proptest_config(ProptestConfig { cases: 300 * soak(), failure_persistence: None, ..ProptestConfig::default() })]

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
        prop_assert_eq!(world.received(bystander), Vec::<String>::new());
        world.join(bystander, "still");
        if world.is_open(client) {
            world.leave(client);
        }
        world.leave(bystander);
        world.assert_empty(0);
    }
}
