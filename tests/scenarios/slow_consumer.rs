//! A client that does not read costs a bounded amount of memory and then its connection, and nobody else anything.

use moorline_core::{Code, Config, DropCause, PauseCause};
use moorline_protocol::Reason;
use moorline_tests::sim::{Seed, World, event_from, to};
use std::time::Duration;

fn small_outbox(config: &mut Config) {
    config.limits.outbox_bytes_max = 10_000;
}

fn kilobyte(number: usize) -> String {
    format!(r#""e","{number:0>1000}""#)
}

#[test]
fn a_full_outbox_makes_its_senders_wait_for_a_second_and_then_closes_its_own_session() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, alice_id) = world.client_with_id(0);
    let (near, slow) = (world.client(0), world.client(0));
    for client in [alice, near, slow] {
        world.join(client, "r");
    }
    world.stop_reading(slow);
    for number in 0..9 {
        assert_eq!(world.ask(alice, &to("\"r\"", &kilobyte(number))), r#"{"expected":2}"#);
    }
    let held: Vec<u64> =
        (9..20).map(|number| world.request(alice, &to("\"r\"", &kilobyte(number)))).collect();
    world.advance(Duration::from_millis(999));
    assert_eq!((world.take_ack(alice, held[0]), world.received(near).len()), (None, 9), "nobody gets it yet");
    assert_eq!(world.stats(0).pauses.get(PauseCause::SlowRecipient), 1);
    world.advance(Duration::from_millis(1));
    let ending = world.ending(slow).unwrap();
    assert_eq!((ending.reason, ending.code), (Reason::SlowConsumer, 1013));
    assert_eq!(world.drops(0, DropCause::SlowConsumer), 1);
    let acked: Vec<_> = held.into_iter().map(|ack| world.take_ack(alice, ack)).collect();
    assert_eq!(
        acked,
        vec![Some(String::from(r#"{"expected":1}"#)); 11],
        "who could not take it is not counted"
    );
    let received = world.received(near);
    assert_eq!(received.len(), 11);
    assert_eq!(received[10], event_from(&alice_id, "e", &format!("\"{:0>1000}\"", 19)));
    assert!(world.is_open(alice) && world.is_open(near));
}

#[test]
fn a_recipient_that_reads_again_in_time_gets_everything_in_order() {
    for mut world in World::each_way(|| World::alone_with(1, small_outbox)) {
        let (alice, alice_id) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(0);
        world.stop_reading(bob);
        let acks: Vec<u64> = (0..40)
            .map(|number| world.request(alice, &to(&format!("\"{bob_id}\""), &kilobyte(number))))
            .collect();
        world.advance(Duration::from_millis(900));
        world.read_again(bob);
        world.advance(Duration::from_millis(100));
        assert!(
            acks.into_iter().all(|ack| world.take_ack(alice, ack).as_deref() == Some(r#"{"expected":1}"#))
        );
        let expected: Vec<String> =
            (0..40).map(|number| event_from(&alice_id, "e", &format!("\"{number:0>1000}\""))).collect();
        assert_eq!(world.received(bob), expected);
        assert!(world.is_open(bob) && world.is_open(alice));
    }
}

#[test]
fn a_recipient_makes_others_wait_for_a_second_of_each_minute() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    let fill = |world: &mut World| {
        world.stop_reading(bob);
        (0..10).for_each(|number| world.emit(alice, &to(&format!("\"{bob_id}\""), &kilobyte(number))));
    };
    for _ in 0..2 {
        fill(&mut world);
        world.advance(Duration::from_millis(450));
        world.read_again(bob);
        world.advance(Duration::from_millis(1));
        assert_eq!(world.received(bob).len(), 10);
    }
    fill(&mut world);
    world.advance(Duration::from_millis(150));
    assert_eq!(world.ending(bob).map(|ending| ending.reason), Some(Reason::SlowConsumer));
}

#[test]
fn a_sender_that_leaves_while_it_waits_has_sent_its_message() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    world.stop_reading(bob);
    (0..10).for_each(|number| _ = world.request(alice, &to(&format!("\"{bob_id}\""), &kilobyte(number))));
    world.leave(alice);
    world.advance(Duration::from_millis(500));
    world.read_again(bob);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.received(bob).len(), 10);
    world.leave(bob);
    world.assert_empty(0);
}

#[test]
fn over_a_quarter_of_the_outbox_nobody_goes_without_a_byte_for_five_seconds() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let clients = [(); 2].map(|()| world.client_with_id(0));
    for (number, (client, id)) in clients.iter().enumerate() {
        world.stop_reading(*client);
        (0..=2 * number).for_each(|at| world.emit(alice, &to(&format!("\"{id}\""), &kilobyte(at))));
    }
    world.advance(Duration::from_millis(4999));
    assert!(clients.iter().all(|(client, _)| world.is_open(*client)));
    world.advance(Duration::from_millis(1));
    let [(little, _), (much, _)] = clients;
    assert!(world.is_open(little), "it may sleep for as long as its heartbeat lets it");
    assert_eq!(world.ending(much).map(|ending| ending.reason), Some(Reason::SlowConsumer));
}

#[test]
fn senders_elsewhere_fill_more_of_an_outbox_as_long_as_its_client_reads() {
    let mut world = World::cluster_with(Seed(1), 2, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(1);
    let send = |world: &mut World, count: usize| {
        (0..count).for_each(|number| world.emit(alice, &to(&format!("\"{bob_id}\""), &kilobyte(number))));
        world.settle();
    };
    world.stop_reading(bob);
    send(&mut world, 36);
    assert!(world.is_open(bob), "four times its bound, since it took something a moment ago");
    world.read_again(bob);
    assert_eq!(world.received(bob).len(), 36);
    world.stop_reading(bob);
    send(&mut world, 9);
    world.advance(Duration::from_millis(1_100));
    send(&mut world, 1);
    assert_eq!(world.ending(bob).map(|ending| ending.reason), Some(Reason::SlowConsumer));
}

#[test]
fn senders_on_other_nodes_are_told_that_a_recipient_is_behind() {
    let mut world = World::cluster_with(Seed(1), 2, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(1);
    let target = format!("\"{bob_id}\"");
    world.stop_reading(bob);
    let acks: Vec<String> = (0..5).map(|number| world.ask(alice, &to(&target, &kilobyte(number)))).collect();
    let (fine, busy) = (r#"{"expected":1}"#, r#"{"error":"busy","expected":1}"#);
    assert_eq!(acks, [fine, fine, fine, busy, busy]);
    assert_eq!(world.stats(0).refusals.get(Code::Busy), 2);
    world.read_again(bob);
    assert_eq!(world.received(bob).len(), 5, "it got all of them");
    assert_eq!(world.ask(alice, &to(&target, &kilobyte(9))), fine);
    world.stop_reading(bob);
    for number in 0..20 {
        world.advance(Duration::from_millis(100));
        world.emit(alice, &to(&target, &kilobyte(number)));
    }
    world.settle();
    assert_eq!(world.ending(bob).map(|ending| ending.reason), Some(Reason::SlowConsumer));
    assert_eq!(world.stats(0).pauses.get(PauseCause::SlowRecipient), 0, "another node makes nobody wait");
}

#[test]
fn reading_in_time_makes_room_again() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    for _ in 0..10 {
        world.stop_reading(bob);
        for number in 0..9 {
            world.emit(alice, &to(&format!("\"{bob_id}\""), &kilobyte(number)));
        }
        world.read_again(bob);
        assert_eq!(world.received(bob).len(), 9);
    }
    assert!(world.is_open(bob));
}

#[test]
fn a_client_that_reads_no_answers_is_not_read_from_and_ends_itself() {
    for mut world in World::each_way(|| World::alone_with(1, small_outbox)) {
        let (alice, bystander) = (world.client(0), world.client(0));
        world.stop_reading(alice);
        let acks: Vec<u64> = (0..1000).map(|_| world.request(alice, r#"["@whoami"]"#)).collect();
        let taken = world.stats(0).events_in;
        assert!(taken < 100, "{taken} of 1000 were taken");
        assert_eq!(world.stats(0).pauses.get(PauseCause::UnreadAnswers), 1);
        world.read_again(alice);
        world.advance(Duration::from_millis(1));
        assert!(acks.into_iter().all(|ack| world.take_ack(alice, ack).is_some()), "nothing was lost");
        world.stop_reading(alice);
        (0..1000).for_each(|_| _ = world.request(alice, r#"["@whoami"]"#));
        world.advance(Duration::from_secs(16));
        assert!(!world.is_open(alice) && world.is_open(bystander));
    }
}

#[test]
fn an_answer_that_does_not_fit_is_cut_and_ends_nobody() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, alice_id) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    let asked = world.request(alice, &format!(r#"["@ask","{bob_id}","q"]"#));
    let question = world.received(bob).remove(0);
    world.stop_reading(alice);
    let alice = (alice, format!("\"{alice_id}\""));
    (0..4).for_each(|number| world.emit(bob, &to(&alice.1, &kilobyte(number))));
    let answer = format!("43{}[\"{}\"]", &question[2..question.find('[').unwrap()], "x".repeat(8_000));
    world.say(bob, &answer);
    world.read_again(alice.0);
    assert_eq!(world.take_ack(alice.0, asked).as_deref(), Some(r#"{"expected":1,"responses":[],"more":1}"#));
    assert!(world.is_open(alice.0));
}

#[test]
fn who_does_not_read_that_namespaces_are_refused_is_not_read_from_either() {
    let mut world = World::alone_with(1, small_outbox);
    let client = world.open(0);
    world.stop_reading(client);
    (0..1000).for_each(|_| world.say(client, "40/random"));
    assert_eq!(world.stats(0).pauses.get(PauseCause::UnreadAnswers), 1);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.ending(client).unwrap().reason, Reason::SlowConsumer);
    world.assert_empty(0);
}

#[test]
fn a_client_that_reads_nothing_ends_at_the_ping_timeout() {
    let mut world = World::alone();
    let client = world.client(0);
    world.stop_reading(client);
    world.advance(Duration::from_secs(46));
    assert_eq!(world.ending(client).unwrap().reason, Reason::PingTimeout);
    world.assert_empty(0);
}

#[test]
fn a_session_that_missed_a_frame_gets_no_later_one() {
    let namespaces = |config: &mut Config| {
        small_outbox(config);
        config.namespaces = vec!["/a_long_name".into(), "/".into()];
    };
    let mut world = World::cluster_with(Seed(1), 1, namespaces);
    let client = world.open(0);
    let (long, short) = (world.connect(client, "/a_long_name"), world.connect(client, "/"));
    world.received(client);
    world.stop_reading(client);
    let publish = |world: &mut World, target: &str, bytes: usize| {
        let message = format!(r#"{{"socketId":{target},"event":"e","response":"{}"}}"#, "x".repeat(bytes));
        world.publish("socket", message.as_bytes());
    };
    publish(&mut world, &format!("\"{short}\""), 8_000);
    // A second later it counts as one that does not read, and nobody may put more there.
    world.advance(Duration::from_millis(1_100));
    publish(&mut world, &format!(r#"["{long}","{short}"]"#), 1_970);
    assert_eq!(world.ending(client).unwrap().reason, Reason::SlowConsumer);
    assert_eq!(world.drops(0, DropCause::SlowConsumer), 1);
    world.read_again(client);
    assert_eq!(world.received(client).len(), 1, "the shorter one would have fitted");
}

#[test]
fn frames_come_out_in_order_whatever_piece_is_pulled() {
    let mut world = World::alone_with(1, |config| config.limits.outbox_bytes_max = 10_000_000);
    let (alice, alice_id) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    world.stop_reading(bob);
    let sizes = [0, 1, 100, 125, 126, 65_000, 65_535, 65_536, 200_000, 3];
    for size in sizes {
        world.emit(alice, &to(&format!("\"{bob_id}\""), &format!(r#""e","{}""#, "x".repeat(size))));
    }
    world.read_again(bob);
    let expected = sizes.map(|size| event_from(&alice_id, "e", &format!("\"{}\"", "x".repeat(size))));
    assert_eq!(world.received(bob), expected);
}

#[test]
fn many_that_do_not_read_make_others_wait_no_longer_than_one_does() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let near = world.client(0);
    let slow: Vec<_> = (0..5).map(|_| world.client(0)).collect();
    for client in slow.iter().chain([&alice, &near]) {
        world.join(*client, "r");
    }
    slow.iter().for_each(|client| world.stop_reading(*client));
    (0..10).for_each(|number| world.emit(alice, &to("\"r\"", &kilobyte(number))));
    assert_eq!(world.received(near).len(), 9);
    world.advance(Duration::from_millis(999));
    assert_eq!(world.received(near).len(), 0);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.received(near).len(), 1);
    assert!(slow.iter().all(|client| !world.is_open(*client)));
}

#[test]
fn those_that_read_again_while_others_do_not_are_closed_for_nothing() {
    let mut world = World::alone_with(1, small_outbox);
    let (alice, _) = world.client_with_id(0);
    let [first, second] = [(); 2].map(|()| world.client(0));
    for client in [alice, first, second] {
        world.join(client, "r");
    }
    [first, second].iter().for_each(|client| world.stop_reading(*client));
    (0..10).for_each(|number| world.emit(alice, &to("\"r\"", &kilobyte(number))));
    world.advance(Duration::from_millis(500));
    world.read_again(second);
    world.advance(Duration::from_millis(500));
    assert!(!world.is_open(first) && world.is_open(second));
    assert_eq!(world.received(second).len(), 10);
    world.advance(Duration::from_secs(60));
    assert!(world.is_open(second) && world.is_open(alice));
}
