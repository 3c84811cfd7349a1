//! A packet with attachments arrives whole, exact and in one piece, or its sender's session ends.

use moorline_core::{Config, DropCause};
use moorline_protocol::Reason;
use moorline_tests::sim::{Client, Received, Seed, Seeded, World, event_from, to, to_binary};
use std::time::Duration;

/// Contents that tempt a codec: nothing, line ends, what looks like a packet, every byte, each length class.
fn contents() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        b"\n".to_vec(),
        b"\n\n]\n".to_vec(),
        b"42[\"e\"]".to_vec(),
        (0..=255).collect(),
        vec![0; 125],
        vec![0x0a; 126],
        vec![0xff; 65_536],
        b"to1 [\n".to_vec(),
        "é".as_bytes()[..1].to_vec(),
    ]
}

/// Waits for attachments longer than any of these stories.
fn patient(config: &mut Config) {
    config.limits.assembly_timeout = Duration::from_secs(600);
}

/// One placeholder for each attachment, the last first.
fn placeholders(attachments: usize) -> String {
    let placeholder = |number| format!(r#"{{"_placeholder":true,"num":{number}}}"#);
    (0..attachments).rev().map(placeholder).collect::<Vec<_>>().join(",")
}

/// The messages a recipient in `/` receives when `from` relays the event `e` with attachments.
fn relayed(from: &str, args: &str, attachments: &[&[u8]]) -> Vec<Received> {
    let count = attachments.len();
    let packet = format!(r#"45{count}-["e",{{"from":"{from}"}},{args}]"#);
    let attachments = attachments.iter().map(|bytes| Received::Binary(bytes.to_vec()));
    std::iter::once(Received::Text(packet)).chain(attachments).collect()
}

/// A client that was closed for breaking the protocol, counted as `cause`; nobody else was.
fn assert_closed(world: &mut World, client: Client, bystander: Client, cause: DropCause, why: &str) {
    let ending = world.ending(client).unwrap_or_else(|| panic!("{why:.80} closes"));
    assert_eq!((ending.reason, ending.code), (Reason::ParseError, 1002), "{why:.80}");
    assert_eq!(world.drops(0, cause), 1, "{why:.80}");
    assert_eq!(world.received_all(client), [], "nothing is said to it");
    assert!(world.is_open(bystander));
    assert_eq!(world.received_all(bystander), [], "{why:.80} reaches nobody");
}

#[test]
fn one_to_ten_attachments_arrive_exactly_near_and_far() {
    let contents = contents();
    for node in [0, 1] {
        let mut world = World::cluster(2);
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(node);
        for count in 1..=10 {
            let attachments: Vec<&[u8]> = contents[10 - count..].iter().map(Vec::as_slice).collect();
            let args = placeholders(count);
            world.say_all(alice, &to_binary(count, &bob_id, &format!("\"e\",{args}")), &attachments);
            world.settle();
            assert_eq!(world.received_all(bob), relayed(&alice_id, &args, &attachments), "{count} to {node}");
        }
        assert_eq!(world.received_all(alice), []);
        assert!(world.stats(0).drops.is_empty() && world.stats(node).drops.is_empty());
    }
}

#[test]
fn a_room_on_two_nodes_receives_it_once_each_and_the_sender_learns_how_many() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let (alice, alice_id) = world.client_with_id(0);
        let near = world.client(0);
        let far = [1, 1, 2].map(|node| world.client(node));
        for client in [alice, near].into_iter().chain(far) {
            world.join(client, "r");
            world.join(client, "s");
        }
        world.say_all(alice, r#"451-7["@to",["r","s"],"e",[{"_placeholder":true,"num":0}]]"#, &[b"\n"]);
        world.settle();
        assert_eq!(world.received(alice), [r#"437[{"expected":4}]"#]);
        for client in [near].into_iter().chain(far) {
            let expected = relayed(&alice_id, r#"[{"_placeholder":true,"num":0}]"#, &[b"\n"]);
            assert_eq!(world.received_all(client), expected);
        }
    }
}

#[test]
fn a_namespace_keeps_its_binary_events() {
    for mut world in
        World::each_way(|| World::cluster_with(Seed(1), 2, |config| config.namespaces.push("/admin".into())))
    {
        let (alice, bob) = (world.open(0), world.open(1));
        let (alice_id, bob_id) = (world.connect(alice, "/admin"), world.connect(bob, "/admin"));
        world.say_all(
            alice,
            &format!(r#"451-/admin,["@to","{bob_id}","e",{{"_placeholder":true,"num":0}}]"#),
            &[b"x"],
        );
        world.settle();
        let packet = format!(r#"451-/admin,["e",{{"from":"{alice_id}"}},{{"_placeholder":true,"num":0}}]"#);
        let received = world.received_all(bob);
        assert_eq!(received[received.len() - 2..], [Received::Text(packet), Received::Binary(b"x".to_vec())]);
    }
}

/// Senders on two nodes speak at the same time, frame by frame, to one recipient who reads in small pieces.
#[test]
fn nothing_comes_between_a_packet_and_its_attachments() {
    for seed in 1..6 {
        let mut random = Seeded::new(seed);
        let mut world = World::cluster_with(Seed(seed), 2, |_| {});
        let (bob, bob_id) = world.client_with_id(1);
        let senders: Vec<(Client, String)> = (0..4).map(|at| world.client_with_id(at % 2)).collect();
        let mut sent = vec![0usize; senders.len()];
        let mut missing: Vec<Vec<Vec<u8>>> = vec![Vec::new(); senders.len()];
        for _ in 0..600 {
            let at = random.below(senders.len());
            match missing[at].pop() {
                Some(bytes) => world.say_binary(senders[at].0, &bytes),
                None => {
                    let count = random.below(4);
                    let rest = format!("\"e\",{},[{}]", sent[at], placeholders(count));
                    let binary = to_binary(count, &bob_id, &rest);
                    let text = format!("42{}", to(&format!("\"{bob_id}\""), &rest));
                    world.say(senders[at].0, if count == 0 { &text } else { &binary });
                    let name = |number: usize| format!("{at} {} {number}", sent[at]).into_bytes();
                    missing[at] = (0..count).rev().map(name).collect();
                    sent[at] += 1;
                }
            }
            if random.below(5) == 0 {
                world.advance(Duration::from_micros(random.below(2_000) as u64));
            }
        }
        world.settle();
        assert_whole(world.received_all(bob), &senders, &sent);
    }
}

/// Every packet is followed by its own attachments in order, and each sender's packets are in the order sent.
fn assert_whole(received: Vec<Received>, senders: &[(Client, String)], sent: &[usize]) {
    let mut next = vec![0; senders.len()];
    let mut received = received.into_iter();
    while let Some(packet) = received.next() {
        let packet = packet.into_text();
        let at = senders.iter().position(|(_, id)| packet.contains(&format!(r#"{{"from":"{id}"}}"#)));
        let at = at.expect("a known sender");
        let number = next[at];
        assert!(packet.contains(&format!("}},{number},[")), "{packet} in order");
        next[at] += 1;
        let count = packet.matches("_placeholder").count();
        let head = if count == 0 { "42[".into() } else { format!("45{count}-[") };
        assert!(packet.starts_with(&head), "{packet}");
        for attachment in 0..count {
            assert_eq!(
                received.next(),
                Some(Received::Binary(format!("{at} {number} {attachment}").into_bytes()))
            );
        }
    }
    // The last packet of a sender may still miss attachments.
    assert!(next.iter().zip(sent).all(|(next, sent)| next + 1 >= *sent), "{next:?} of {sent:?}");
}

#[test]
fn ten_attachments_are_the_most() {
    let mut world = World::alone();
    let (client, bystander) = (world.client(0), world.client(0));
    let (bob, bob_id) = world.client_with_id(0);
    world.say(client, &to_binary(11, &bob_id, &format!("\"e\",{}", placeholders(11))));
    assert_closed(&mut world, client, bystander, DropCause::TooManyAttachments, "eleven");
    assert_eq!(world.received_all(bob), []);
    let mut world = World::alone_with(1, |config| config.limits.attachments_max = 2);
    let (client, bystander) = (world.client(0), world.client(0));
    world.say_all(client, &format!(r#"452-["e",{}]"#, placeholders(2)), &[b"1", b"2"]);
    assert!(world.is_open(client));
    world.say(client, r#"453-["e"]"#);
    assert_closed(&mut world, client, bystander, DropCause::TooManyAttachments, "three of two");
}

#[test]
fn a_packet_where_an_attachment_is_due_closes() {
    for text in [r#"42["e"]"#, "41", "40", "40/admin,", r#"451-["e"]"#, "43 1[]", "4"] {
        let mut world = World::alone();
        let (client, bystander) = (world.client(0), world.client(0));
        let (_, bob_id) = world.client_with_id(0);
        world.say_all(client, &to_binary(2, &bob_id, &format!("\"e\",{}", placeholders(2))), &[b"1"]);
        world.say(client, text);
        assert_closed(&mut world, client, bystander, DropCause::MissingAttachment, text);
    }
}

#[test]
fn an_attachment_where_a_packet_is_due_closes() {
    for mut world in World::each_way(World::alone) {
        let (client, bystander) = (world.client(0), world.client(0));
        world.say_all(client, r#"451-["e",{"_placeholder":true,"num":0}]"#, &[b"1", b""]);
        assert_closed(&mut world, client, bystander, DropCause::UnexpectedBinary, "one more than announced");
    }
}

#[test]
fn heartbeats_go_on_while_attachments_are_due() {
    for mut world in World::each_way(|| World::alone_with(1, patient)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(0);
        world.say(alice, &to_binary(2, &bob_id, &format!("\"e\",{}", placeholders(2))));
        world.advance(Duration::from_secs(60));
        assert!(world.pings(alice).len() >= 2, "the client answered while its packet was incomplete");
        world.say_binary(alice, b"1");
        world.advance(Duration::from_secs(60));
        world.say_binary(alice, b"2");
        assert_eq!(world.received_all(bob), relayed(&alice_id, &placeholders(2), &[b"1", b"2"]));
    }
}

#[test]
fn a_placeholder_that_points_at_nothing_closes_its_sender() {
    let nested = format!("{}{{\"_placeholder\":true,\"num\":1}}{}", "[".repeat(60), "]".repeat(60));
    for arg in [
        r#"{"_placeholder":true,"num":1}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":0.5}"#,
        r#"{"_placeholder":true,"num":1e0}"#,
        r#"{"_placeholder":true,"num":18446744073709551616}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":null}"#,
        r#"{"_placeholder":true,"num":[0]}"#,
        r#"{"_placeholder":true}"#,
        r#"{"_\u0070laceholder":true,"n\u0075m":1}"#,
        r#"{"\u005fplaceholder":true,"num":1}"#,
        r#"{"_placeholder":true,"num":0,"num":1}"#,
        r#"{"_placeholder":false,"num":1,"_placeholder":true}"#,
        r#"{"num":7,"x":[],"_placeholder":true}"#,
        r#"{"a":{"b":[1,{"c":{"_placeholder":true,"num":1}}]}}"#,
        r#"{"":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]}"#,
        nested.as_str(),
    ] {
        for packet in [
            to_binary(1, "AAAAAAAAAAAAAAAAAAAA", &format!("\"e\",{arg}")),
            format!(r#"451-["e",{arg}]"#),
            format!(r#"451-5["e",{arg}]"#),
            format!("461-5[{arg}]"),
        ] {
            let mut world = World::alone();
            let (client, bystander) = (world.client(0), world.client(0));
            world.say(client, &packet);
            assert!(world.is_open(client), "judged when it is whole");
            world.say_binary(client, b"x");
            assert_closed(&mut world, client, bystander, DropCause::BadPlaceholder, &packet);
        }
    }
}

#[test]
fn what_only_looks_like_a_placeholder_passes_untouched() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(1);
        for arg in [
            r#"{"_placeholder":false,"num":7}"#,
            r#"{"_placeholder":null,"num":7}"#,
            r#""_placeholder""#,
            r#"["_placeholder",true,"num",7]"#,
            r#""{\"_placeholder\":true,\"num\":7}""#,
            r#"{"num":7}"#,
            r#"{"placeholder":true,"num":7}"#,
            r#"{ "b" :1.50,	"a":123456789012345678901234567890}"#,
        ] {
            let args = format!(r#"{{"num":0,"_placeholder":true}},{arg}"#);
            world.say_all(alice, &to_binary(1, &bob_id, &format!("\"e\",{args}")), &[b"x"]);
            world.settle();
            assert_eq!(world.received_all(bob), relayed(&alice_id, &args, &[b"x"]), "{arg}");
        }
    }
}

#[test]
fn an_attachment_nothing_points_at_still_arrives() {
    for mut world in World::each_way(World::alone) {
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(0);
        world.say_all(alice, &to_binary(2, &bob_id, "\"e\",null"), &[b"1", b"2"]);
        assert_eq!(world.received_all(bob), relayed(&alice_id, "null", &[b"1", b"2"]));
    }
}

#[test]
fn a_placeholder_is_no_target_room_or_event_name() {
    for mut world in World::each_way(World::alone) {
        let (alice, id) = world.client_with_id(0);
        let hole = r#"{"_placeholder":true,"num":0}"#;
        for (items, code) in [
            (format!(r#"["@to",{hole},"e"]"#), "bad_target"),
            (format!(r#"["@to",["{id}",{hole}],"e"]"#), "bad_target"),
            (format!(r#"["@to","{id}",{hole}]"#), "bad_event"),
            (format!(r#"["@join",{hole}]"#), "bad_room"),
            (format!(r#"["@leave",{hole}]"#), "bad_room"),
        ] {
            world.say_all(alice, &format!("451-3{items}"), &[b"x"]);
            assert_eq!(world.received(alice), [format!(r#"433[{{"error":"{code}"}}]"#)], "{items}");
        }
        world.say_all(alice, &format!("451-[{hole}]"), &[b"x"]);
        assert_eq!(world.drops(0, DropCause::BadEventName), 1);
        assert!(!world.is_open(alice));
    }
}

#[test]
fn a_packet_and_its_attachments_together_stay_below_the_limit() {
    let small = |config: &mut Config| config.limits.payload_bytes_max = 1_000;
    let mut world = World::cluster_with(Seed(1), 2, small);
    let (alice, alice_id) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(1);
    let bystander = world.client(0);
    let packet = to_binary(3, &bob_id, "\"e\",1");
    // The type digit of Engine.IO is not part of the packet.
    let room = 1_000 - (packet.len() - 1);
    let (most, over) = (vec![7; room - 10], vec![7; room - 9]);
    world.say_all(alice, &packet, &[&[1; 4], &most, &[2; 6]]);
    world.settle();
    assert_eq!(world.received_all(bob), relayed(&alice_id, "1", &[&[1; 4], &most, &[2; 6]]));
    world.say_all(alice, &packet, &[&[1; 4], &over]);
    assert!(world.is_open(alice), "still within");
    world.say_binary(alice, &[2; 6]);
    world.settle();
    assert_closed(&mut world, alice, bystander, DropCause::AttachmentsTooBig, "a byte over");
    assert_eq!(world.received_all(bob), []);
}

#[test]
fn no_attachments_announced_is_an_ordinary_event() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(1);
        world.say(alice, &format!(r#"450-["@to","{bob_id}","e",1]"#));
        world.say(alice, r#"450-5["e"]"#);
        world.settle();
        assert_eq!(
            world.received(bob),
            [event_from(&alice_id, "e", "1")],
            "announced as text: nothing follows"
        );
        assert_eq!(world.received(alice), [r#"435[{"error":"no_handler"}]"#]);
        world.say_binary(alice, b"");
        assert!(!world.is_open(alice), "an attachment that nobody announced");
    }
}

#[test]
fn a_binary_ack_nobody_asked_for_is_counted_and_ignored() {
    for mut world in World::each_way(World::alone) {
        let client = world.client(0);
        world.say_all(client, r#"461-7[{"_placeholder":true,"num":0}]"#, &[b"x"]);
        assert!(world.is_open(client));
        assert_eq!(world.drops(0, DropCause::UnknownAck), 1);
        world.say(client, "460-7[]");
        assert_eq!(world.drops(0, DropCause::UnknownAck), 2);
    }
}

#[test]
fn json_is_checked_when_the_packet_is_whole() {
    let deep = format!(r#"451-["e",{}{}]"#, "[".repeat(64), "]".repeat(64));
    for (packet, cause) in [
        (r#"451-["connect",1]"#, DropCause::ReservedEvent),
        ("451-[]", DropCause::BadEventName),
        (deep.as_str(), DropCause::DeepJson),
    ] {
        let mut world = World::alone();
        let (client, bystander) = (world.client(0), world.client(0));
        world.say_all(client, packet, &[b"x"]);
        assert_closed(&mut world, client, bystander, cause, packet);
    }
    let mut world = World::alone();
    let client = world.client(0);
    world.say_all(client, r#"451-["e""#, &[b"x"]);
    assert!(!world.is_open(client));
    for packet in ["451-", "451-{}", "461-[]", "451-/,", "451-9007199254740992[1]"] {
        let mut world = World::alone();
        let (client, bystander) = (world.client(0), world.client(0));
        world.say(client, packet);
        assert!(!world.is_open(client), "{packet} closes before any attachment");
        assert!(world.is_open(bystander));
    }
}

#[test]
fn a_binary_packet_to_a_namespace_that_was_not_joined_closes_at_once() {
    for mut world in
        World::each_way(|| World::alone_with(1, |config| config.namespaces.push("/admin".into())))
    {
        let (client, bystander) = (world.client(0), world.client(0));
        world.say(client, r#"451-/admin,["e",1]"#);
        assert_closed(&mut world, client, bystander, DropCause::NotConnected, "no attachment is waited for");
        let early = world.open(0);
        world.say(early, r#"451-["e",1]"#);
        assert!(!world.is_open(early));
    }
}

#[test]
fn a_session_that_ends_in_the_middle_leaves_nothing() {
    for mut world in World::each_way(|| World::cluster_with(Seed(1), 2, patient)) {
        let (bob, bob_id) = world.client_with_id(1);
        let packet = to_binary(2, &bob_id, &format!("\"e\",{}", placeholders(2)));
        let gone = world.client(0);
        world.say_all(gone, &packet, &[b"1"]);
        world.leave(gone);
        world.assert_empty(0);
        let mute = world.client(0);
        world.say_all(mute, &packet, &[b"1"]);
        world.stop_pongs(mute);
        world.advance(Duration::from_secs(60));
        assert_eq!(world.ending(mute).unwrap().reason, Reason::PingTimeout);
        world.assert_empty(0);
        let successor = world.client(0);
        world.say_binary(successor, b"2");
        assert!(!world.is_open(successor), "the slot's next tenant has no packet to complete");
        assert_eq!(world.received_all(bob), []);
        world.leave(bob);
        world.assert_empty(1);
    }
}

#[test]
fn a_slow_reader_misses_whole_messages_only() {
    let mut world = World::alone_with(1, |config| config.limits.outbox_bytes_max = 5_000);
    let (alice, bob) = (world.client(0), world.client_with_id(0));
    world.stop_reading(bob.0);
    let packet = to_binary(2, &bob.1, &format!("\"e\",{}", placeholders(2)));
    for _ in 0..3 {
        world.say_all(alice, &packet, &[&[1; 1_000], &[2; 1_000]]);
    }
    world.advance(Duration::from_secs(2));
    assert_eq!(world.ending(bob.0).unwrap().reason, Reason::SlowConsumer);
    world.read_again(bob.0);
    let received = world.received_all(bob.0);
    assert_eq!(received.len(), 6, "two messages of three frames, and no piece of the third");
    assert_eq!(received[5], Received::Binary(vec![2; 1_000]));
}

#[test]
fn half_a_packet_is_not_kept_for_ever() {
    for mut world in World::each_way(World::alone) {
        let client = world.client(0);
        world.say(client, r#"451-["e",{"_placeholder":true,"num":0}]"#);
        world.advance(Duration::from_secs(10) - Duration::from_micros(1));
        assert!(world.is_open(client));
        world.advance(Duration::from_micros(1));
        assert_eq!(world.ending(client).map(|ending| ending.reason), Some(Reason::ParseError));
        assert_eq!(world.drops(0, DropCause::LateAttachment), 1);
    }
}

#[test]
fn a_packet_that_became_whole_has_no_deadline_any_more() {
    for mut world in World::each_way(World::alone) {
        let client = world.client(0);
        world.say(client, r#"451-["e",{"_placeholder":true,"num":0}]"#);
        world.say_binary(client, b"x");
        world.advance(Duration::from_secs(60));
        assert!(world.is_open(client));
    }
}
