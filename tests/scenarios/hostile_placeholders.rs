//! Placeholders and look-alikes meant to hurt: what a small packet may become, and what others may take it for.

use moorline_core::{Config, DropCause};
use moorline_protocol::json;
use moorline_tests::sim::{Client, Received, Seed, World, stock, to_binary};

const HOLE: &str = r#"{"_placeholder":true,"num":0}"#;

fn with_backend(config: &mut Config) {
    config.has_backend = true;
}

/// A node with a backend, and a client whose connect entry was read already.
fn node() -> (World, Client, String) {
    let mut world = World::cluster_with(Seed(1), 1, with_backend);
    let (client, id) = world.client_with_id(0);
    stream(&mut world);
    (world, client, id)
}

fn stream(world: &mut World) -> Vec<String> {
    world.settle();
    world.redis().take_stream()
}

#[test]
fn an_attachment_pointed_at_twice_closes_so_that_no_small_packet_becomes_a_huge_entry() {
    let (mut world, client, _) = node();
    let holes = vec![HOLE; 1_000].join(",");
    world.say_all(client, &format!(r#"451-["e",[{holes}]]"#), &[&[7; 100_000]]);
    assert!(!world.is_open(client));
    assert_eq!(world.drops(0, DropCause::BadPlaceholder), 1);
    let bytes: usize = stream(&mut world).iter().map(String::len).sum();
    assert!(bytes < 1_000, "the disconnect and nothing else: {bytes} bytes");
    let (bystander, _) = world.client_with_id(0);
    world.say_all(bystander, &format!(r#"461-7[{HOLE},{HOLE}]"#), &[b"x"]);
    assert!(!world.is_open(bystander), "acks are held to it, too");
}

/// A JSON library may keep a key for itself that turns a string into JSON, past every check made before.
#[test]
fn a_string_stays_a_string_whatever_key_it_stands_under() {
    let (mut world, client, _) = node();
    let mut arg = String::from("1");
    for _ in 0..8 {
        let mut quoted = Vec::new();
        json::push_string(&mut quoted, &format!("{}{arg}{}", "[".repeat(60), "]".repeat(60)));
        let quoted = String::from_utf8(quoted).expect("a string of JSON");
        arg = format!(r#"{{"$serde_json::private::RawValue":{quoted}}}"#);
    }
    world.say_all(client, &format!(r#"451-["e",[{arg},{HOLE}]]"#), &[b"x"]);
    let entries = stream(&mut world);
    assert_eq!(entries.len(), 1);
    stock::parse(&entries[0], stock::DEPTH_MAX).expect("no deeper than it was sent");
    assert!(entries[0].contains(&arg), "as it was sent");
}

#[test]
fn a_cut_emoji_beside_an_attachment_passes() {
    let (mut world, alice, _) = node();
    let (bob, bob_id) = world.client_with_id(0);
    stream(&mut world);
    let args = format!(r#"["\ud83d",{HOLE}]"#);
    world.say_all(alice, &to_binary(1, &bob_id, &format!("\"e\",{args}")), &[b"x"]);
    let received = world.received_all(bob);
    assert!(
        matches!(&received[0], Received::Text(packet) if packet.ends_with(&format!("{args}]"))),
        "{received:?}"
    );
    world.say_all(alice, &format!(r#"451-["e",{args}]"#), &[b"x"]);
    let entries = stream(&mut world);
    assert!(entries[0].contains(r#""args":[["\ud83d",{"$binary":"eA=="}]]"#), "{entries:?}");
}

#[test]
fn arguments_with_binary_data_keep_their_order_and_digits() {
    let (mut world, client, id) = node();
    let rest = r#""z":1, "a":12345678901234567890123,"y":1.10"#;
    world.say_all(client, &format!(r#"451-["e",{{{rest},"b":{HOLE}}}]"#), &[b"x"]);
    let entries = stream(&mut world);
    assert!(entries[0].contains(&format!(r#"{{{rest},"b":{{"$binary":"eA=="}}}}"#)), "{entries:?}");
    let message = format!(r#"{{"socketId":"{id}","event":"e","args":[{{{rest}}},{{"$binary":"eA=="}}]}}"#);
    world.publish("socket", message.as_bytes());
    let packet = Received::Text(format!(r#"451-["e",{{{rest}}},{HOLE}]"#));
    assert_eq!(world.received_all(client), [packet, Received::Binary(b"x".to_vec())]);
}

/// Clients differ on what counts as true and on which of two equal keys counts.
#[test]
fn what_any_client_takes_for_a_placeholder_must_fit() {
    for arg in [
        r#"{"_placeholder":1,"num":7}"#,
        r#"{"_placeholder":"true","num":7}"#,
        r#"{"_placeholder":[0],"num":-1}"#,
        r#"{"_placeholder":{"a":1},"num":"x"}"#,
        r#"{"_placeholder":true,"num":7,"_placeholder":false}"#,
        r#"{"_placeholder":true,"num":0,"num":7}"#,
        r#"{"_placeholder":true,"num":7,"num":0}"#,
        r#"{"a":{"_placeholder":true,"num":7},"a":0}"#,
    ] {
        let mut world = World::alone();
        let alice = world.client(0);
        let (bob, bob_id) = world.client_with_id(0);
        world.say_all(alice, &to_binary(2, &bob_id, &format!("\"e\",{arg}")), &[b"x", b"y"]);
        assert_eq!(world.received_all(bob), [], "{arg}");
        assert!(!world.is_open(alice), "{arg}");
    }
}

#[test]
fn a_text_that_happens_to_have_that_key_passes() {
    let mut world = World::alone();
    let alice = world.client(0);
    let (bob, bob_id) = world.client_with_id(0);
    let args = format!(r#"{{"_placeholder":"Your name"}},{HOLE}"#);
    world.say_all(alice, &to_binary(1, &bob_id, &format!("\"e\",{args}")), &[b"x"]);
    assert_eq!(world.received_all(bob).len(), 2);
}
