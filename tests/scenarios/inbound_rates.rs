//! A client that sends more than its rate is read from more slowly. It loses nothing, and nobody else notices.

use moorline_core::{Config, PauseCause};
use moorline_protocol::Reason;
use moorline_tests::sim::{Outcome, World, to};
use std::time::Duration;

fn slow_rates(config: &mut Config) {
    config.limits.rate_events = 100;
    config.limits.rate_events_burst = 10;
}

#[test]
fn events_over_the_burst_come_at_the_rate_in_order_and_none_is_lost() {
    for mut world in World::each_way(|| World::alone_with(1, slow_rates)) {
        let (alice, _) = world.client_with_id(0);
        let (bob, bob_id) = world.client_with_id(0);
        for number in 0..60 {
            world.emit(alice, &to(&format!("\"{bob_id}\""), &format!("\"e\",{number}")));
        }
        let mut received = world.received(bob);
        assert!((5..=15).contains(&received.len()), "{} at once", received.len());
        world.advance(Duration::from_millis(250));
        received.extend(world.received(bob));
        assert!((25..=40).contains(&received.len()), "{} after a quarter of a second", received.len());
        world.advance(Duration::from_secs(1));
        received.extend(world.received(bob));
        let numbers: Vec<usize> = received.iter().map(|event| number_of(event)).collect();
        assert_eq!(numbers, (0..60).collect::<Vec<_>>());
        assert!(world.stats(0).pauses.get(PauseCause::RateEvents) > 1);
        assert_eq!(world.ask(bob, r#"["@leave","r"]"#), r#"{"ok":true}"#);
    }
}

/// The last argument of an event.
fn number_of(event: &str) -> usize {
    event.rsplit(',').next().and_then(|last| last.strip_suffix(']')?.parse().ok()).expect("a number")
}

#[test]
fn a_stock_client_flushes_ten_thousand_buffered_events_at_once() {
    let mut world = World::alone();
    let (alice, _) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    for number in 0..10_000 {
        world.emit(alice, &to(&format!("\"{bob_id}\""), &format!("\"e\",{number}")));
    }
    assert_eq!(world.received(bob).len(), 10_000);
    assert_eq!(world.stats(0).pauses.total(), 0);
}

#[test]
fn bytes_and_work_have_rates_of_their_own() {
    let mut world = World::alone_with(1, |config| {
        config.limits.rate_work = 100;
        config.limits.rate_work_burst = 100;
        config.limits.rate_bytes = 10_000;
        config.limits.rate_bytes_burst = 65_536;
    });
    let sender = world.client(0);
    let others: Vec<_> = (0..60).map(|_| world.client(0)).collect();
    others.iter().chain([&sender]).for_each(|client| world.join(*client, "r"));
    (0..4).for_each(|_| world.emit(sender, &to("\"r\"", "\"e\"")));
    assert_eq!(world.stats(0).pauses.get(PauseCause::RateWork), 1);
    assert_eq!(world.received(others[0]).len(), 2, "a fan-out that has begun is finished");
    world.advance(Duration::from_secs(2));
    assert_eq!(world.received(others[59]).len(), 4);
    let big = "x".repeat(60_000);
    (0..2).for_each(|_| world.emit(others[0], &format!(r#"["@whoami","{big}"]"#)));
    assert_eq!(world.stats(0).pauses.get(PauseCause::RateBytes), 1);
}

#[test]
fn one_message_for_the_same_people_by_many_names_costs_what_one_costs() {
    let mut world = World::alone_with(1, |config| config.limits.rate_work = 0);
    let sender = world.client(0);
    let others: Vec<_> = (0..50).map(|_| world.client(0)).collect();
    let names: Vec<String> = (0..64).map(|number| format!("\"r{number}\"")).collect();
    for client in others.iter().chain([&sender]) {
        for name in &names {
            world.emit(*client, &format!(r#"["@join",{name}]"#));
        }
    }
    let targets = [
        String::from("\"r0\""),
        format!("[{}]", vec!["\"r0\""; 64].join(",")),
        format!("[{}]", names.join(",")),
    ];
    for target in targets {
        let before = world.stats(0).work;
        world.emit(sender, &to(&target, "\"e\""));
        assert_eq!(world.stats(0).work - before, 51, "one packet and fifty recipients");
        assert!(others.iter().all(|client| world.received(*client).len() == 1));
    }
}

#[test]
fn who_is_not_read_from_is_pinged_and_owes_no_pong() {
    let mut world = World::alone_with(1, |config| {
        slow_rates(config);
        config.limits.ping_jitter = false;
    });
    let alice = world.client(0);
    // A minute of events: the pongs lie behind them, unread.
    (0..6_000).for_each(|_| world.emit(alice, r#"["@whoami"]"#));
    world.advance(Duration::from_secs(55));
    assert!(world.is_open(alice));
    assert!(world.pings(alice).len() >= 2, "it hears from the node all the same");
    world.advance(Duration::from_secs(60));
    assert!(world.is_open(alice), "once it is read from again its pongs are heard");
    world.stop_pongs(alice);
    world.advance(Duration::from_secs(50));
    assert_eq!(world.ending(alice).map(|ending| ending.reason), Some(Reason::PingTimeout));
}

#[test]
fn a_body_that_takes_long_is_answered_before_its_packets_are_all_taken() {
    let mut world = World::alone_with(1, slow_rates);
    let (sid, _) = world.connect_polling(0);
    let (bob, bob_id) = world.client_with_id(0);
    let event = |number: usize| format!("42{}", to(&format!("\"{bob_id}\""), &format!("\"e\",{number}")));
    let body = |numbers: std::ops::Range<usize>| numbers.map(event).collect::<Vec<_>>().join("\u{1e}");
    let first = world.start_post(&sid);
    world.send_body(first, &body(0..1000));
    world.advance(Duration::from_secs(3));
    assert_eq!(world.outcome(first), None);
    world.post_late(first);
    assert_eq!(world.outcome(first), Some(Outcome::Taken));
    for later in 1000..1003 {
        let post = world.start_post(&sid);
        world.send_body(post, &body(later..later + 1));
        world.post_late(post);
        assert_eq!(world.outcome(post), Some(Outcome::Taken), "its packets come behind those that wait");
    }
    let last = world.start_post(&sid);
    world.send_body(last, &body(1003..1020));
    world.post_late(last);
    assert_eq!(world.outcome(last), None, "four bodies wait together at most");
    world.advance(Duration::from_secs(8));
    assert_eq!(world.outcome(last), Some(Outcome::Taken));
    let numbers: Vec<usize> = world.received(bob).iter().map(|event| number_of(event)).collect();
    assert_eq!(numbers, (0..1020).collect::<Vec<_>>());
}

#[test]
fn the_rest_of_a_body_goes_with_its_session() {
    let mut world = World::alone_with(1, slow_rates);
    let (sid, _) = world.connect_polling(0);
    let post = world.start_post(&sid);
    world.send_body(post, &vec!["42[\"@whoami\"]"; 100].join("\u{1e}"));
    world.post_late(post);
    let websocket = world.upgrade(&sid);
    world.send(websocket, "2probe");
    world.send(websocket, "5");
    world.send(websocket, "42[\"@whoami\"]");
    let before = world.stats(0).events_in;
    world.drop_connection(websocket);
    world.advance(Duration::from_secs(3));
    assert!(!world.is_alive(&sid));
    assert!(world.stats(0).events_in <= before + 1, "nobody is there to have said it");
    world.assert_empty(0);
}

#[test]
fn after_a_stall_of_the_node_everybody_has_the_whole_timeout_again() {
    for mut world in World::each_way(|| {
        World::alone_with(1, |config| {
            config.limits.ping_interval = Duration::from_secs(2);
            config.limits.ping_timeout = Duration::from_secs(4);
            config.limits.connect_timeout = Duration::from_secs(5);
        })
    }) {
        let clients: Vec<_> = (0..20).map(|_| world.client(0)).collect();
        for _ in 0..20 {
            let late = world.open(0);
            world.advance(Duration::from_millis(1_500));
            // Their pongs are on the way when the node stands still, and are read only afterwards.
            world.dawdle(true);
            world.advance(Duration::from_millis(1_700));
            world.stall(0, Duration::from_secs(6));
            world.advance(Duration::from_millis(100));
            world.dawdle(false);
            assert!(clients.iter().chain([&late]).all(|client| world.is_open(*client)));
            world.connect(late, "/");
        }
        let mute = clients[0];
        let late = world.open(0);
        world.stop_pongs(mute);
        world.advance(Duration::from_secs(7));
        assert_eq!(world.ending(mute).map(|ending| ending.reason), Some(Reason::PingTimeout));
        assert_eq!(world.ending(late).map(|ending| ending.reason), Some(Reason::ConnectTimeout));
    }
}

#[test]
fn a_message_that_had_to_wait_is_charged_when_it_goes_out() {
    let mut world = World::alone_with(1, |config| {
        config.limits.rate_work = 100;
        config.limits.rate_work_burst = 100;
        config.limits.outbox_bytes_max = 10_000;
    });
    let sender = world.client(0);
    let others: Vec<_> = (0..60).map(|_| world.client(0)).collect();
    let (slow, slow_id) = world.client_with_id(0);
    others.iter().chain([&sender, &slow]).for_each(|client| world.join(*client, "r"));
    world.advance(Duration::from_secs(5));
    world.stop_reading(slow);
    let big = format!("\"e\",\"{}\"", "x".repeat(9_000));
    world.emit(others[0], &to(&format!("\"{slow_id}\""), &big));
    for _ in 0..2 {
        world.emit(sender, &to("\"r\"", &big));
    }
    assert_eq!(world.received(others[1]).len(), 0, "it waits");
    world.read_again(slow);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.received(others[1]).len(), 2);
    assert_eq!(world.stats(0).pauses.get(PauseCause::RateWork), 1, "both of them cost 61 units");
}

#[test]
fn a_client_that_is_gone_is_noticed_though_the_node_is_often_late_for_a_moment() {
    let mut world = World::alone();
    let clients: Vec<_> = (0..300).map(|_| world.client(0)).collect();
    world.stop_pongs(clients[0]);
    for _ in 0..60 {
        world.advance(Duration::from_secs(2));
        world.stall(0, Duration::from_millis(300));
    }
    assert_eq!(world.ending(clients[0]).map(|ending| ending.reason), Some(Reason::PingTimeout));
    assert!(clients[1..].iter().all(|client| world.is_open(*client)));
}
