//! Nobody receives what is sent to another's id, however they try.

use moorline_core::SocketId;
use moorline_tests::sim::{Client, Seed, Seeded, World, event_from, to};

const HINT: &str = "room names of exactly 20 URL-safe characters are reserved for socket ids: put a prefix before yours, such as doc:";

/// Bob's friend sends him a word; Bob receives it, the attacker does not.
fn assert_private(world: &mut World, bob: (Client, &str), attacker: Client) {
    let (friend, friend_id) = world.client_with_id(0);
    world.received(attacker);
    world.received(bob.0);
    assert_eq!(world.ask(friend, &to(&format!("\"{}\"", bob.1), r#""secret""#)), r#"{"expected":1}"#);
    assert_eq!(world.received(bob.0), [event_from(&friend_id, "secret", "")]);
    assert_eq!(world.received(attacker), Vec::<String>::new());
    world.leave(friend);
}

#[test]
fn a_room_named_like_an_id_cannot_be_joined() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (bob, bob_id) = world.client_with_id(1);
        let refusal = format!(r#"{{"error":"bad_room","message":"{HINT}"}}"#);
        for node in [0, 1] {
            let attacker = world.client(node);
            let escaped = format!("\\u{:04x}{}", bob_id.as_bytes()[0], &bob_id[1..]);
            for name in [bob_id.as_str(), &escaped, "doc-0000000000000000"] {
                assert_eq!(world.ask(attacker, &format!(r#"["@join","{name}"]"#)), refusal, "{name}");
                assert_eq!(world.ask(attacker, &format!(r#"["@leave","{name}"]"#)), refusal, "{name}");
            }
            world.emit(attacker, &format!(r#"["@join","{bob_id}"]"#));
            assert_private(&mut world, (bob, &bob_id), attacker);
        }
        assert_eq!(world.node(0).gauges().rooms, 0);
    }
}

#[test]
fn names_that_look_nearly_like_the_id_are_only_rooms() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (bob, bob_id) = world.client_with_id(1);
        let attacker = world.client(1);
        for name in [
            format!("{bob_id} "),
            format!(" {bob_id}"),
            format!("doc:{bob_id}"),
            format!("/,{bob_id}"),
            format!("{bob_id}\\u0000"),
            bob_id[..19].to_string(),
            format!("{}é", &bob_id[..18]),
            format!("moorline:node:{}", world.node(1).tag()),
            "socket".into(),
        ] {
            world.join(attacker, &name);
        }
        assert_private(&mut world, (bob, &bob_id), attacker);
    }
}

#[test]
fn rooms_that_start_with_an_at_sign_cannot_be_joined() {
    for mut world in World::each_way(World::alone) {
        let attacker = world.client(0);
        for name in ["@", "@all", "\\u0040all"] {
            assert_eq!(world.ask(attacker, &format!(r#"["@join","{name}"]"#)), r#"{"error":"bad_room"}"#);
        }
        for name in [r#""""#, "7", "null", r#"["r"]"#, r#""\ud800""#] {
            assert_eq!(world.ask(attacker, &format!(r#"["@join",{name}]"#)), r#"{"error":"bad_room"}"#);
        }
        assert_eq!(world.ask(attacker, r#"["@join"]"#), r#"{"error":"bad_room"}"#);
        assert_eq!(world.ask(attacker, r#"["@leave"]"#), r#"{"error":"bad_room"}"#);
        assert_eq!(world.node(0).gauges().rooms, 0);
    }
}

#[test]
fn another_namespace_receives_nothing() {
    for mut world in
        World::each_way(|| World::cluster_with(Seed(1), 2, |config| config.namespaces.push("/admin".into())))
    {
        let (bob, bob_id) = world.client_with_id(1);
        world.join(bob, "r");
        let attacker = world.open(1);
        world.connect(attacker, "/admin");
        world.say(attacker, r#"42/admin,1["@join","r"]"#);
        world.settle();
        assert_eq!(world.received(attacker).pop().unwrap(), r#"43/admin,1[{"ok":true}]"#);
        assert_private(&mut world, (bob, &bob_id), attacker);
        let friend = world.client(0);
        world.join(friend, "r");
        assert_eq!(world.ask(friend, &to("\"r\"", r#""e""#)), r#"{"expected":1}"#);
        assert_eq!(world.received(attacker), Vec::<String>::new());
    }
}

#[test]
fn the_next_tenant_of_a_slot_receives_nothing_of_the_last() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (bob, bob_id) = world.client_with_id(1);
        world.leave(bob);
        let (attacker, attacker_id) = world.client_with_id(1);
        let slot = |id: &str| SocketId::parse(id).unwrap().slot();
        assert_eq!(slot(&bob_id), slot(&attacker_id), "the slot is used again");
        for node in [0, 1] {
            let friend = world.client(node);
            assert_eq!(world.ask(friend, &to(&format!("\"{bob_id}\""), r#""e""#)), r#"{"expected":0}"#);
        }
        assert_eq!(world.received(attacker), Vec::<String>::new());
    }
}

#[test]
fn a_guessed_id_reaches_nobody() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (bob, bob_id) = world.client_with_id(1);
        let attacker = world.client(0);
        let mut random = Seeded::new(5);
        for _ in 0..500 {
            let mut guess = bob_id.clone().into_bytes();
            let at = random.below(20);
            guess[at] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[random.below(64)];
            let guess = String::from_utf8(guess).unwrap();
            if guess != bob_id {
                let acked = world.ask(attacker, &to(&format!("\"{guess}\""), r#""e""#));
                assert_eq!(acked, r#"{"expected":0}"#, "{guess}");
            }
        }
        assert_eq!(world.received(bob), Vec::<String>::new());
    }
}

#[test]
fn a_forged_sender_stands_behind_the_true_one() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (bob, bob_id) = world.client_with_id(1);
        let (attacker, attacker_id) = world.client_with_id(0);
        let forged = format!(r#"{{"from":"{bob_id}"}}"#);
        world.ask(attacker, &to(&format!("\"{bob_id}\""), &format!(r#""e",{forged}"#)));
        assert_eq!(world.received(bob), [event_from(&attacker_id, "e", &forged)]);
    }
}

#[test]
fn a_room_of_others_needs_membership_unless_the_node_is_open() {
    for (is_open, acked, received) in
        [(false, r#"{"error":"not_member"}"#, 0), (true, r#"{"expected":1}"#, 1)]
    {
        let mut world = World::cluster_with(Seed(1), 2, |config| config.is_open = is_open);
        let (stranger, member) = (world.client(0), world.client(1));
        world.join(member, "r");
        assert_eq!(world.ask(stranger, &to("\"r\"", r#""e""#)), acked);
        assert_eq!(world.received(member).len(), received);
        world.join(stranger, "r");
        assert_eq!(world.ask(stranger, &to("\"r\"", r#""e""#)), r#"{"expected":1}"#);
        assert_eq!(world.ask(stranger, r#"["@leave","r"]"#), r#"{"ok":true}"#);
        assert_eq!(world.ask(stranger, &to("\"r\"", r#""e""#)), acked, "membership ends with @leave");
    }
}
