//! The public channel: what any backend publishes reaches the clients it names, validated whole.

use moorline_core::{Config, DropCause};
use moorline_tests::sim::{Seed, World};

fn with_admin(config: &mut Config) {
    config.namespaces = vec!["/".into(), "/admin".into()];
}

fn publish(world: &mut World, message: &str) {
    world.publish("socket", message.as_bytes());
}

#[test]
fn a_message_to_an_id_reaches_it_on_whichever_node_as_it_was_sent() {
    for mut world in World::each_way(|| World::cluster(3)) {
        for node in [0, 1, 2] {
            let (client, id) = world.client_with_id(node);
            let bystander = world.client(node);
            publish(
                &mut world,
                &format!(r#"{{"socketId":"{id}","event":"news","response":{{"a":[1, 2]}}}}"#),
            );
            assert_eq!(world.received(client), [r#"42["news",{"a":[1, 2]}]"#]);
            assert_eq!(world.received(bystander), Vec::<String>::new());
            assert_eq!(world.stats(node).deliveries_remote, 1);
        }
    }
}

#[test]
fn arguments_come_from_response_or_args() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let (client, id) = world.client_with_id(0);
        for (fields, received) in [
            ("", r#"42["e"]"#),
            (r#","response":null"#, r#"42["e",null]"#),
            (r#","response":[1,2]"#, r#"42["e",[1,2]]"#),
            (r#","args":[1,"two",{}]"#, r#"42["e",1,"two",{}]"#),
            (r#","args":[]"#, r#"42["e"]"#),
            (r#","args":[1],"response":2"#, r#"42["e",1]"#),
            (r#","unknown":true"#, r#"42["e"]"#),
        ] {
            publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"e"{fields}}}"#));
            assert_eq!(world.received(client), [received], "{fields}");
        }
    }
}

#[test]
fn targets_are_rooms_ids_or_an_array_of_them_and_each_socket_is_served_once() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (one, one_id) = world.client_with_id(0);
        let (two, two_id) = world.client_with_id(1);
        let outsider = world.client(1);
        for client in [one, two] {
            world.join(client, "r");
            world.join(client, "s");
        }
        for targets in [
            r#""r""#.to_string(),
            format!(r#"["r","s","r","{one_id}","{two_id}","{one_id}"]"#),
            format!(r#"["{two_id}","{one_id}","nobody here"]"#),
        ] {
            publish(&mut world, &format!(r#"{{"socketId":{targets},"event":"e"}}"#));
            assert_eq!((world.received(one).len(), world.received(two).len()), (1, 1), "{targets}");
        }
        assert_eq!(world.received(outsider), Vec::<String>::new());
    }
}

#[test]
fn a_namespace_narrows_and_without_one_rooms_are_those_of_the_first() {
    for mut world in World::each_way(|| World::cluster_with(Seed(1), 2, with_admin)) {
        let client = world.open(1);
        let root = world.connect(client, "/");
        let admin = world.connect(client, "/admin");
        for head in ["42", "42/admin,"] {
            world.say(client, &format!(r#"{head}["@join","r"]"#));
        }
        world.settle();
        world.received(client);
        for (target, namespace, received) in [
            ("r", "", vec![r#"42["e"]"#]),
            ("r", r#","namespace":"/""#, vec![r#"42["e"]"#]),
            ("r", r#","namespace":"/admin""#, vec![r#"42/admin,["e"]"#]),
            (root.as_str(), "", vec![r#"42["e"]"#]),
            (&admin, "", vec![r#"42/admin,["e"]"#]),
            (&admin, r#","namespace":"/""#, vec![]),
            (&root, r#","namespace":"/admin""#, vec![]),
        ] {
            publish(&mut world, &format!(r#"{{"socketId":"{target}","event":"e"{namespace}}}"#));
            assert_eq!(world.received(client), received, "{target} {namespace}");
        }
        publish(&mut world, &format!(r#"{{"socketId":["{root}","{admin}"],"event":"e"}}"#));
        assert_eq!(world.received(client), [r#"42["e"]"#, r#"42/admin,["e"]"#], "each in its own namespace");
        publish(&mut world, &format!(r#"{{"socketId":"{root}","event":"e","namespace":"/nowhere"}}"#));
        assert_eq!(world.received(client), Vec::<String>::new());
        assert_eq!(world.drops(1, DropCause::UnknownNamespace), 1);
    }
}

#[test]
fn what_could_break_a_client_is_counted_and_reaches_nobody() {
    for mut world in
        World::each_way(|| World::cluster_with(Seed(1), 2, |config| config.limits.payload_bytes_max = 10_000))
    {
        let (client, id) = world.client_with_id(1);
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        let long = "x".repeat(129);
        let huge = "x".repeat(10_000);
        let many = format!("[{}\"{id}\"]", format!("\"{id}\",").repeat(64));
        let malformed = DropCause::MalformedBackendMessage;
        for (message, cause) in [
            (String::new(), malformed),
            ("not JSON".into(), malformed),
            ("[]".into(), malformed),
            ("null".into(), malformed),
            (r#"{"event":"e"}"#.into(), malformed),
            (format!(r#"{{"socketId":"{id}"}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":7}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":null}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":"\ud800"}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":"e","response":}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":"e","response":01}}"#), malformed),
            (format!("{{\"socketId\":\"{id}\",\"event\":\"e\",\"response\":\"\n\"}}"), malformed),
            (format!(r#"{{"socketId":"{id}","event":"e","response":1}}x"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":"e","args":{{}}}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":"e","args":1}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":"e","namespace":7}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":"e","response":{deep}}}"#), malformed),
            (r#"{"socketId":[],"event":"e"}"#.into(), malformed),
            (r#"{"socketId":7,"event":"e"}"#.into(), malformed),
            (format!(r#"{{"socketId":["{id}",7],"event":"e"}}"#), malformed),
            (format!(r#"{{"socketId":{many},"event":"e"}}"#), malformed),
            (format!(r#"{{"socketId":"{id}","event":"connect"}}"#), DropCause::BadBackendEvent),
            (format!(r#"{{"socketId":"{id}","event":"\u0064isconnect"}}"#), DropCause::BadBackendEvent),
            (format!(r#"{{"socketId":"{id}","event":"@to"}}"#), DropCause::BadBackendEvent),
            (format!(r#"{{"socketId":"{id}","event":"{long}"}}"#), DropCause::BadBackendEvent),
            (
                format!(r#"{{"socketId":"{id}","event":"e","response":"{huge}"}}"#),
                DropCause::OversizedBackendMessage,
            ),
        ] {
            let before = world.drops(1, cause);
            publish(&mut world, &message);
            assert_eq!(world.drops(1, cause), before + 1, "{message:.80}");
            assert_eq!(world.received(client), Vec::<String>::new(), "{message:.80}");
        }
        world.publish("socket", b"{\"socketId\":\"\xff\",\"event\":\"e\"}");
        assert_eq!(world.drops(1, malformed), 22);
        publish(&mut world, &format!(r#"{{"socketId":"{id}","event":"e"}}"#));
        assert_eq!(world.received(client), [r#"42["e"]"#], "and the next good one arrives");
    }
}

#[test]
fn nothing_received_there_is_published_again() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let client = world.client(0);
        world.join(client, "r");
        world.redis().take_published();
        publish(&mut world, r#"{"socketId":["r","AAAAAAAAAAAAAAAAAAAA","nobody"],"event":"e"}"#);
        assert_eq!(world.redis().take_published().len(), 1);
    }
}

#[test]
fn node_messages_nobody_wrote_are_counted_and_ignored() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let client = world.client(0);
        world.join(client, "r");
        let channel = format!("moorline:node:{}", world.node(0).tag());
        let strange: [&[u8]; 9] = [
            b"",
            b"\n",
            b"{\"socketId\":\"r\",\"event\":\"e\"}",
            b"to1 []\n2[\"e\"]",
            b"to1 [\"xyz\",1,1,false,\"/\",[\"r\"],[]]\n2[\"e\"]",
            b"to1 [\"00000001\",-1,1,false,\"/\",[\"r\"],[]]\n2[\"e\"]",
            b"to2 [\"00000001\",1,1,false,\"/\",[\"r\"],[]]\n2[\"e\"]",
            b"count1 [1]\n",
            b"\xff\xfe",
        ];
        for payload in strange {
            for channel in [channel.as_str(), "moorline:room:/,r"] {
                world.publish(channel, payload);
            }
        }
        assert_eq!(world.drops(0, DropCause::MalformedNodeMessage), 18);
        assert_eq!(world.received(client), Vec::<String>::new());
        world.publish(&channel, b"to1 [\"00000001\",1,1,false,\"/nowhere\",[\"r\"],[]]\n2[\"e\"]");
        assert_eq!(world.drops(0, DropCause::UnknownNamespace), 1);
        world.publish(&channel, b"to1 [\"00000001\",2,2,false,\"/\",[\"r\"],[]]\n2[\"e\"]");
        assert_eq!(world.received(client), [r#"42["e"]"#], "a good one from a node of another make");
    }
}
