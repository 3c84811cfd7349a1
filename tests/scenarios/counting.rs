//! `{"expected":n}`: the number is right, or the ack says why it may not be.

use moorline_core::Code;
use moorline_tests::sim::{Seed, Seeds, World, to};
use std::time::Duration;

const ACK_TIMEOUT: Duration = Duration::from_secs(10);
const MICROSECOND: Duration = Duration::from_micros(1);

#[test]
fn counts_are_right_whatever_overtakes_whatever() {
    for seed in Seeds::of("counting::counts_are_right", 40) {
        let mut world = World::cluster_with(Seed(seed), 3, |_| {});
        let alice = world.client(0);
        world.join(alice, "r");
        let near = world.client(0);
        world.join(near, "r");
        let mut ids = Vec::new();
        for node in [1, 1, 1, 2, 2] {
            let (member, id) = world.client_with_id(node);
            world.join(member, "r");
            ids.push(id);
        }
        let (_, stranger) = world.client_with_id(2);
        let acks = [
            world.request(alice, &to("\"r\"", r#""e""#)),
            world.request(alice, &to(&format!(r#"["r","{stranger}","{}"]"#, ids[0]), r#""e""#)),
            world.request(alice, &to(&format!(r#"["{}","{}","{stranger}"]"#, ids[0], ids[4]), r#""e""#)),
        ];
        world.settle();
        let acked = acks.map(|ack| world.take_ack(alice, ack).unwrap());
        assert_eq!(acked, [r#"{"expected":6}"#, r#"{"expected":7}"#, r#"{"expected":3}"#], "seed {seed}");
    }
}

#[test]
fn a_hung_node_makes_the_count_time_out_with_what_is_known() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let alice = world.client(0);
        world.join(alice, "r");
        for node in [0, 1, 2] {
            let member = world.client(node);
            world.join(member, "r");
        }
        world.freeze(2);
        let ack = world.request(alice, &to("\"r\"", r#""e""#));
        world.settle();
        world.advance(ACK_TIMEOUT - Duration::from_millis(100));
        assert_eq!(world.take_ack(alice, ack), None);
        world.advance(Duration::from_millis(100));
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"error":"timeout","expected":2}"#);
        assert_eq!(world.stats(0).refusals.get(Code::Timeout), 1);
    }
}

#[test]
fn the_timeout_comes_to_the_microsecond() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (_, bob_id) = world.client_with_id(1);
        world.freeze(1);
        let ack = world.request(alice, &to(&format!("\"{bob_id}\""), r#""e""#));
        world.advance(ACK_TIMEOUT - MICROSECOND);
        assert_eq!(world.take_ack(alice, ack), None);
        world.advance(MICROSECOND);
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"error":"timeout","expected":0}"#);
    }
}

#[test]
fn an_onlooker_makes_the_count_time_out_but_disturbs_no_delivery() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, bob) = (world.client(0), world.client(1));
        world.join(alice, "r");
        world.join(bob, "r");
        world.redis().add_onlooker("moorline:room:/,r");
        let ack = world.request(alice, &to("\"r\"", r#""e""#));
        world.settle();
        assert_eq!(world.received(bob).len(), 1);
        assert_eq!(world.take_ack(alice, ack), None);
        world.advance(ACK_TIMEOUT);
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"error":"timeout","expected":1}"#);
    }
}

#[test]
fn a_dead_node_that_redis_noticed_is_not_waited_for() {
    for mut world in World::each_way(|| World::cluster(3)) {
        let (alice, bob) = (world.client(0), world.client(1));
        let (victim, victim_id) = world.client_with_id(2);
        for client in [alice, bob, victim] {
            world.join(client, "r");
        }
        world.kill(2);
        let targets = format!(r#"["r","{victim_id}"]"#);
        assert_eq!(world.ask(alice, &to(&targets, r#""e""#)), r#"{"expected":1}"#);
        world.start(2);
        world.link_up(2);
        world.settle();
        let (successor, successor_id) = world.client_with_id(2);
        assert_ne!(victim_id, successor_id);
        assert_eq!(world.ask(alice, &to(&targets, r#""e""#)), r#"{"expected":1}"#);
        assert_eq!(world.received(successor), Vec::<String>::new(), "another incarnation, another address");
        assert_eq!(world.ask(alice, &to(&format!("\"{successor_id}\""), r#""e""#)), r#"{"expected":1}"#);
    }
}

#[test]
fn an_ack_that_comes_too_late_changes_nothing() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (_, bob_id) = world.client_with_id(1);
        world.freeze(1);
        let ack = world.request(alice, &to(&format!("\"{bob_id}\""), r#""e""#));
        world.advance(ACK_TIMEOUT);
        assert!(world.take_ack(alice, ack).is_some());
        let channel = format!("moorline:node:{}", world.node(0).tag());
        world.publish(&channel, b"count1 [1,5]\n");
        world.publish(&channel, b"count1 [99,5]\n");
        assert_eq!(world.received(alice), Vec::<String>::new());
    }
}

#[test]
fn a_message_with_the_highest_number_there_is_ends_no_node() {
    let mut world = World::cluster(1);
    let channel = format!("moorline:node:{}", world.node(0).tag());
    for sequence in 1..=2 {
        let message = format!("to1 [\"00c0ffee\",{sequence},{},false,\"/\",[],[]]\n2[\"e\"]", u64::MAX);
        world.publish(&channel, message.as_bytes());
    }
    assert_eq!(world.stats(0).bus_missed, 0);
}

#[test]
fn a_sender_that_left_meanwhile_is_not_acknowledged_and_nothing_is_left() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let alice = world.client(0);
        let (bob, bob_id) = world.client_with_id(1);
        world.request(alice, &to(&format!("\"{bob_id}\""), r#""e""#));
        world.leave(alice);
        let successor = world.client(0);
        world.settle();
        assert_eq!(
            world.received(successor),
            Vec::<String>::new(),
            "the slot's next tenant gets no ack of the last"
        );
        assert_eq!(world.received(bob).len(), 1);
        world.leave(successor);
        world.leave(bob);
        world.assert_empty(0);
        world.assert_empty(1);
    }
}

#[test]
fn a_message_received_twice_is_delivered_once() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let (alice, bob) = (world.client(0), world.client(1));
        world.join(alice, "r");
        world.join(bob, "r");
        world.redis().take_published();
        world.ask(alice, &to("\"r\"", r#""e",1"#));
        let message = world.redis().take_published().remove(0);
        assert_eq!(message.text.split('\n').count(), 2, "one line of head");
        world.received(bob);
        world.publish(&message.channel, message.text.as_bytes());
        assert_eq!(world.received(bob), Vec::<String>::new(), "the same number again");
        assert_eq!(world.received(alice), Vec::<String>::new());
        assert_eq!(world.ask(alice, &to("\"r\"", r#""e",2"#)), r#"{"expected":1}"#);
        assert_eq!(world.received(bob).len(), 1, "the next number is new");
    }
}
