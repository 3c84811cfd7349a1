//! Each limit: the last thing allowed, the first refused, and what the refusal costs.

use moorline_core::{Code, Config, DropCause};
use moorline_tests::sim::{Seed, World, to};
use std::time::Duration;

const TOO_MANY: &str = r#"{"error":"too_many"}"#;

#[test]
fn namespaces_of_one_session() {
    let namespaces = |config: &mut Config| {
        config.namespaces = ["/", "/a", "/b", "/c"].map(String::from).into();
        config.limits.namespaces_max = 3;
    };
    let mut world = World::alone_with(1, namespaces);
    let client = world.open(0);
    for namespace in ["/", "/a", "/b"] {
        world.connect(client, namespace);
    }
    world.say(client, "41/a");
    world.connect(client, "/c");
    world.say(client, "40/a");
    assert!(!world.is_open(client));
    world.assert_empty(0);
}

#[test]
fn rooms_of_one_socket() {
    for mut world in World::each_way(|| World::cluster_with(Seed(1), 2, |config| config.limits.rooms_max = 3))
    {
        let (client, other) = (world.client(0), world.client(0));
        for room in ["a", "b", "c"] {
            world.join(client, room);
        }
        assert_eq!(world.ask(client, r#"["@join","d"]"#), TOO_MANY);
        world.join(client, "a");
        world.join(other, "d");
        world.ask(client, r#"["@leave","b"]"#);
        world.join(client, "d");
        assert_eq!(world.node(0).gauges().rooms, 4, "the refused join made no room; b lingers");
        assert_eq!(world.stats(0).refusals.get(Code::TooMany), 1);
    }
}

#[test]
fn a_refused_join_subscribes_to_nothing() {
    for mut world in World::each_way(|| World::cluster_with(Seed(1), 1, |config| config.limits.rooms_max = 0))
    {
        let client = world.client(0);
        assert_eq!(world.ask(client, r#"["@join","a"]"#), TOO_MANY);
        assert_eq!(world.node(0).gauges().rooms, 0);
        assert_eq!(world.redis().subscriptions(0).len(), 2);
    }
}

#[test]
fn acks_one_socket_waits_for() {
    for mut world in
        World::each_way(|| World::cluster_with(Seed(1), 2, |config| config.limits.pending_acks_max = 2))
    {
        let (alice, near) = (world.client(0), world.client(0));
        let (bob, bob_id) = world.client_with_id(1);
        world.freeze(1);
        let items = to(&format!("\"{bob_id}\""), r#""e""#);
        let waiting = [0, 1].map(|_| world.request(alice, &items));
        for items in [items.as_str(), r#"["@join","r"]"#] {
            let ack = world.request(alice, items);
            assert_eq!(world.take_ack(alice, ack).unwrap(), TOO_MANY, "{items}");
        }
        assert!(world.ask(alice, r#"["@whoami"]"#).starts_with(r#"{"id""#), "what needs no waiting goes on");
        let ack = world.request(near, &items);
        assert_eq!(world.take_ack(near, ack), None, "another socket has its own");
        world.advance(Duration::from_secs(10));
        for ack in waiting {
            assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"error":"timeout","expected":0}"#);
        }
        world.join(alice, "r");
        assert!(world.is_open(bob));
    }
}

#[test]
fn joins_count_among_the_acks_waited_for() {
    for mut world in
        World::each_way(|| World::cluster_with(Seed(1), 1, |config| config.limits.pending_acks_max = 2))
    {
        let alice = world.client(0);
        world.redis().hold_subscriptions(0);
        let waiting = ["a", "b"].map(|room| world.request(alice, &format!(r#"["@join","{room}"]"#)));
        let ack = world.request(alice, r#"["@join","c"]"#);
        assert_eq!(world.take_ack(alice, ack).unwrap(), TOO_MANY);
        assert_eq!(world.node(0).gauges().rooms, 2);
        let now = world.now();
        world.redis().release_subscriptions(now, 0);
        world.settle();
        assert!(waiting.iter().all(|&ack| world.take_ack(alice, ack).unwrap() == r#"{"ok":true}"#));
        for room in ["c", "d", "e", "f"] {
            world.join(alice, room);
        }
    }
}

#[test]
fn targets_of_one_message() {
    for mut world in World::each_way(World::alone) {
        let alice = world.client(0);
        let (bob, bob_id) = world.client_with_id(0);
        let targets = |count: usize| format!("[{}]", vec![format!("\"{bob_id}\""); count].join(","));
        assert_eq!(world.ask(alice, &to(&targets(64), r#""e""#)), r#"{"expected":1}"#);
        assert_eq!(world.ask(alice, &to(&targets(65), r#""e""#)), TOO_MANY);
        assert_eq!(world.received(bob).len(), 1);
    }
}

#[test]
fn depth_of_json() {
    for mut world in World::each_way(World::alone) {
        let (alice, bob) = (world.client(0), world.client_with_id(0));
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        for args in [nested(63), objects(63), format!("\"{}\"", "[".repeat(100)), r#""\"[[""#.to_string()] {
            let items = to(&format!("\"{}\"", bob.1), &format!(r#""e",{args}"#));
            assert_eq!(world.ask(alice, &items), r#"{"expected":1}"#);
            assert_eq!(world.received(bob.0).len(), 1);
        }
        for args in [nested(64), objects(64)] {
            let client = world.client(0);
            world.emit(client, &to(&format!("\"{}\"", bob.1), &format!(r#""e",{args}"#)));
            assert!(!world.is_open(client));
        }
        assert_eq!(world.received(bob.0).len(), 0);
        let client = world.open(0);
        world.say(client, &format!("40{}", objects(65)));
        assert!(!world.is_open(client), "the auth payload is held to it, too");
        assert_eq!(world.drops(0, DropCause::DeepJson), 3);
    }
}

#[test]
fn length_of_a_namespace() {
    for mut world in World::each_way(World::alone) {
        let (allowed, refused) = (world.open(0), world.open(0));
        world.say(allowed, &format!("40/{},", "x".repeat(127)));
        world.say(refused, &format!("40/{},", "x".repeat(128)));
        assert!(world.is_open(allowed) && !world.is_open(refused));
        assert_eq!(world.drops(0, DropCause::LongNamespace), 1);
    }
}

#[test]
fn one_message_does_not_become_sixty_four_of_a_megabyte() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let client = world.client(0);
        let ids: Vec<String> = (0..64).map(|number| format!("\"{number:04}AAAAAAAAAAAAAAAA\"")).collect();
        let big = format!("\"{}\"", "x".repeat(900_000));
        world.redis().take_published();
        let acked = world.ask(client, &to(&format!("[{}]", ids.join(",")), &format!("\"e\",{big}")));
        assert_eq!(acked, r#"{"error":"too_many"}"#);
        assert_eq!(world.redis().take_published().len(), 0);
        let acked = world.ask(client, &to(&format!("[{}]", ids[..5].join(",")), &format!("\"e\",{big}")));
        assert_eq!(acked, TOO_MANY, "five of them are over 4 MiB");
        let acked = world.ask(client, &to(&format!("[{}]", ids[..4].join(",")), &format!("\"e\",{big}")));
        assert_eq!(acked, r#"{"expected":0}"#, "four of them fit");
    }
}
