//! How a session begins: the open packet, CONNECT and its answer, namespaces.

use moorline_core::{Config, SocketId};
use moorline_tests::sim::World;

#[test]
fn the_open_packet_has_the_five_keys_and_nothing_else() {
    let mut world = World::alone();
    let client = world.open(0);
    let received = world.received(client);
    let sid = received[0].strip_prefix(r#"0{"sid":"s1."#).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(sid.len(), 27, "20 bytes: a slot and 128 random bits");
    let expected = format!(
        r#"0{{"sid":"s1.{sid}","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    );
    assert_eq!(received, [expected]);
    assert!(world.node(0).transport(&format!("s1.{sid}"), world.now()).is_some());
    world.leave(client);
    assert!(world.node(0).transport(&format!("s1.{sid}"), world.now()).is_none());
}

#[test]
fn connect_is_answered_with_the_sid_alone() {
    for mut world in World::each_way(World::alone) {
        let client = world.open(0);
        world.received(client);
        world.say(client, r#"40{"token":"x"}"#);
        let received = world.received(client);
        let id =
            received[0].strip_prefix(r#"40{"sid":""#).and_then(|rest| rest.strip_suffix(r#""}"#)).unwrap();
        let parsed = SocketId::parse(id).unwrap();
        assert_eq!(parsed.tag(), world.node(0).tag(), "the id names its node");
        assert_eq!(received.len(), 1);
    }
}

fn with_admin(config: &mut Config) {
    config.namespaces = vec!["/".into(), "/admin".into()];
}

#[test]
fn an_unknown_namespace_is_refused_and_the_session_lives() {
    for mut world in World::each_way(World::alone) {
        let client = world.open(0);
        world.received(client);
        for (connect, answer) in [
            ("40/random", r#"44/random,{"message":"Invalid namespace"}"#),
            (r#"40/random?a=b,{"t":1}"#, r#"44/random,{"message":"Invalid namespace"}"#),
            (r#"40/"é\,"#, r#"44/"é\,{"message":"Invalid namespace"}"#),
        ] {
            world.say(client, connect);
            assert_eq!(world.received(client), [answer]);
        }
        world.connect(client, "/");
        assert!(world.is_open(client));
    }
}

#[test]
fn namespaces_of_one_connection_are_apart() {
    for mut world in World::each_way(|| World::alone_with(1, with_admin)) {
        let client = world.open(0);
        world.received(client);
        let root = world.connect(client, "/");
        let admin = world.connect(client, "/admin");
        assert_ne!(root, admin);
        world.say(client, r#"42/admin,7["@whoami"]"#);
        world.say(client, r#"427["@whoami"]"#);
        assert_eq!(
            world.received(client),
            [
                format!(r#"43/admin,7[{{"id":"{admin}","node":"s1","user":null}}]"#),
                format!(r#"437[{{"id":"{root}","node":"s1","user":null}}]"#)
            ]
        );
        assert_eq!(world.node(0).gauges().sockets, 2);
    }
}

#[test]
fn leaving_one_namespace_leaves_the_others() {
    for mut world in World::each_way(|| World::alone_with(1, with_admin)) {
        let client = world.open(0);
        world.connect(client, "/");
        let old = world.connect(client, "/admin");
        world.say(client, "41/admin");
        assert!(world.is_open(client));
        assert_eq!(world.node(0).gauges().sockets, 1);
        assert_ne!(world.connect(client, "/admin"), old, "joining again is another socket");
        world.say(client, "41/admin,");
        world.say(client, "41");
        assert!(world.is_open(client));
        assert_eq!(world.node(0).gauges().sockets, 0);
    }
}

#[test]
fn connecting_twice_to_a_namespace_closes() {
    for mut world in World::each_way(World::alone) {
        let client = world.client(0);
        world.say(client, "40");
        assert_eq!(world.ending(client).map(|ending| ending.code), Some(1002));
        assert_eq!(world.received(client), Vec::<String>::new());
        world.assert_empty(0);
    }
}

#[test]
fn every_session_and_socket_has_its_own_id() {
    for mut world in World::each_way(World::alone) {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let client = world.open(0);
            assert!(seen.insert(world.received(client).remove(0)));
            assert!(seen.insert(world.connect(client, "/")));
            world.leave(client);
        }
    }
}
