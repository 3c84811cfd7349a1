//! The Redis bus against a real Redis: order, confirmations, loss and return of the server, logins, bounds.
//!
//! Nothing here is measured in time: a test waits for an event, and gives up only when none has come for long.

use moorline::{
    bus::{BusStatus, RedisBus, RedisConfig},
    clock,
};
use moorline_core::{BusEvent, Destination, Publication, Ticket};
use moorline_tests::kit::RedisServer;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

/// Time without any event after which a test fails.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A bus and its loop: takes events when woken.
struct Bus {
    bus: RedisBus,
    wakes: Receiver<()>,
    batch: usize,
}

impl Bus {
    fn start(url: &str) -> Bus {
        Bus::start_with(url.parse().expect("a URL of the kit"))
    }

    fn start_with(config: RedisConfig) -> Bus {
        let (sender, wakes) = channel();
        let wake = Mutex::new(sender);
        let wake = Arc::new(move || {
            // The test may have ended, and its loop with it.
            let _ = wake.lock().expect("no panic here").send(());
        });
        Bus { bus: RedisBus::start(config, wake).expect("threads"), wakes, batch: 1_000 }
    }

    /// Starts a bus and waits until it is up.
    fn up(server: &RedisServer) -> Bus {
        let bus = Bus::start(&server.url());
        bus.wait_for(&BusEvent::Up);
        bus
    }

    fn subscribe(&self, channels: &[&str]) {
        channels.iter().for_each(|channel| self.bus.subscribe(channel));
        self.bus.flush_interest();
        let mut missing: BTreeSet<String> = channels.iter().map(|channel| (*channel).to_owned()).collect();
        self.collect_until(|event| {
            if let BusEvent::Subscribed { channel } = event {
                missing.remove(channel);
            }
            missing.is_empty()
        });
    }

    fn unsubscribe(&self, channel: &str) {
        self.bus.unsubscribe(channel);
        self.bus.flush_interest();
    }

    fn publish(&self, channel: &str, payload: &str, ticket: Option<u64>) {
        let publication = Publication {
            destination: Destination::Channel(channel.into()),
            payload: payload.into(),
            ticket: ticket.map(Ticket::new),
        };
        self.bus.publish(&mut vec![publication]);
    }

    /// Takes events until `is_last` says so and returns all of them. Events behind the last one in the same batch are
    /// returned as well.
    fn collect_until(&self, mut is_last: impl FnMut(&BusEvent) -> bool) -> Vec<BusEvent> {
        let mut seen = Vec::new();
        loop {
            let checked = seen.len();
            let has_more = self.bus.take_events(&mut seen, self.batch);
            let mut is_over = false;
            for event in &seen[checked..] {
                is_over |= is_last(event);
            }
            if is_over {
                return seen;
            }
            if !has_more {
                self.wakes
                    .recv_timeout(EVENT_TIMEOUT)
                    .unwrap_or_else(|_| panic!("nothing more after {seen:?}"));
            }
        }
    }

    fn wait_for(&self, wanted: &BusEvent) -> Vec<BusEvent> {
        self.collect_until(|event| event == wanted)
    }

    /// Waits until the status, looked at again and again, is as wanted.
    fn wait_for_status(&self, is_wanted: impl Fn(&BusStatus) -> bool) -> BusStatus {
        for _ in 0..3_000 {
            let status = self.bus.status();
            if is_wanted(&status) {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the status stays {:?}", self.bus.status());
    }

    /// The loop sees the loss of Redis: one `Down`, and one `SubscriptionsLost`.
    fn wait_for_loss(&self) {
        let mut has_lost_subscriptions = false;
        let mut is_down = false;
        self.collect_until(|event| {
            has_lost_subscriptions |= *event == BusEvent::SubscriptionsLost;
            is_down |= *event == BusEvent::Down;
            has_lost_subscriptions && is_down
        });
    }
}

fn message(channel: &str, payload: &str) -> BusEvent {
    BusEvent::Message { channel: channel.into(), payload: payload.into() }
}

fn subscribed(channel: &str) -> BusEvent {
    BusEvent::Subscribed { channel: channel.into() }
}

/// Waits for a condition of the server itself.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never seen: {what}");
}

#[test]
fn ten_thousand_messages_arrive_in_order_on_another_bus() {
    let server = RedisServer::start();
    let (sender, receiver) = (Bus::up(&server), Bus::up(&server));
    receiver.subscribe(&["a", "b"]);
    for turn in 0..100 {
        let number = |i: usize| (turn * 100 + i).to_string();
        let publication = |i| Publication {
            destination: Destination::Channel(if i % 2 == 0 { "a" } else { "b" }.into()),
            payload: number(i).into_bytes(),
            ticket: None,
        };
        sender.bus.publish(&mut (0..100).map(publication).collect());
    }
    let mut numbers = Vec::new();
    receiver.collect_until(|event| {
        if let BusEvent::Message { payload, .. } = event {
            numbers.push(String::from_utf8_lossy(payload).parse::<usize>().unwrap());
        }
        numbers.len() == 10_000
    });
    assert!(numbers.into_iter().eq(0..10_000));
    let status = sender.wait_for_status(|status| status.published == 10_000);
    assert_eq!((status.lost, status.publish_queue_bytes), (0, 0));
    assert!(status.publish_round_trip_us > 0);
    // The counter follows the event by a moment.
    receiver.wait_for_status(|status| status.messages_in == 10_000);
}

#[test]
fn a_payload_larger_than_every_buffer_arrives_whole() {
    let server = RedisServer::start();
    let bus = Bus::up(&server);
    bus.subscribe(&["a"]);
    let payload: String = ('a'..='z').cycle().take(5_000_000).collect();
    bus.publish("a", &payload, None);
    bus.publish("a", "\r\n*1\r\n", None);
    let seen = bus.wait_for(&message("a", "\r\n*1\r\n"));
    assert!(seen.contains(&message("a", &payload)), "the large one came first");
}

#[test]
fn a_subscription_confirmed_misses_nothing_published_after_it() {
    let server = RedisServer::start();
    let bus = Bus::up(&server);
    for round in 0..50 {
        bus.subscribe(&["a"]);
        let payload = round.to_string();
        assert_eq!(server.command(&["PUBLISH", "a", &payload]), ":1\r\n");
        bus.wait_for(&message("a", &payload));
        // Both intents may reach the thread apart or together: either way the next confirmation must be true.
        bus.unsubscribe("a");
    }
}

#[test]
fn a_thousand_channels_subscribed_and_unsubscribed_leave_nothing_behind() {
    let server = RedisServer::start();
    let bus = Bus::up(&server);
    let names: Vec<String> = (0..1_000).map(|i| format!("room:{i}")).collect();
    bus.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(server.command(&["PUBSUB", "CHANNELS"]).starts_with("*1000\r\n"));
    for name in &names {
        bus.bus.unsubscribe(name);
    }
    bus.bus.flush_interest();
    wait_until("no channel left", || server.command(&["PUBSUB", "CHANNELS"]) == "*0\r\n");
}

#[test]
fn a_killed_redis_is_noticed_and_what_is_published_then_is_lost() {
    let mut server = RedisServer::start();
    let bus = Bus::up(&server);
    bus.subscribe(&["a"]);
    server.stop();
    bus.wait_for_loss();
    bus.publish("a", "too late", Some(7));
    bus.publish("a", "too late", None);
    let mut lost = Vec::new();
    bus.collect_until(|event| {
        if let BusEvent::Lost { ticket } = event {
            lost.push(ticket.map(Ticket::number));
        }
        lost.len() == 2
    });
    lost.sort_unstable();
    assert_eq!(lost, [None, Some(7)]);
    let status = bus.bus.status();
    assert_eq!((status.is_up, status.lost, status.publish_queue_bytes), (false, 2, 0));
}

#[test]
fn redis_back_on_its_port_has_every_subscription_again_before_the_bus_is_up() {
    let mut server = RedisServer::start();
    let bus = Bus::up(&server);
    let names: Vec<String> = (0..1_200).map(|i| format!("room:{i}")).collect();
    bus.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for _ in 0..2 {
        server.stop();
        bus.wait_for_loss();
        server.restart_same_port();
        let seen = bus.wait_for(&BusEvent::Up);
        let until_up = seen.iter().take_while(|event| **event != BusEvent::Up);
        let restored: BTreeSet<&str> = until_up
            .filter_map(|event| match event {
                BusEvent::Subscribed { channel } => Some(channel.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(restored, names.iter().map(String::as_str).collect());
        bus.publish("room:7", "again", Some(1));
        bus.wait_for(&message("room:7", "again"));
    }
    let status = bus.bus.status();
    assert_eq!((status.subscriber_connects, status.publisher_connects), (3, 3));
}

#[test]
fn intents_made_while_redis_is_away_hold_when_it_is_back() {
    let mut server = RedisServer::start();
    let bus = Bus::up(&server);
    bus.subscribe(&["old", "kept"]);
    server.stop();
    bus.wait_for_loss();
    bus.bus.subscribe("new");
    bus.unsubscribe("old");
    server.restart_same_port();
    let seen = bus.wait_for(&BusEvent::Up);
    assert!(seen.contains(&subscribed("new")) && seen.contains(&subscribed("kept")), "{seen:?}");
    assert!(!seen.contains(&subscribed("old")), "{seen:?}");
    assert!(server.command(&["PUBSUB", "CHANNELS"]).starts_with("*2\r\n"));
}

#[test]
fn each_link_cut_alone_takes_the_bus_down_and_up_again() {
    let server = RedisServer::start();
    let bus = Bus::up(&server);
    bus.subscribe(&["a"]);
    assert_eq!(server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]), ":1\r\n");
    let seen = bus.wait_for(&BusEvent::Up);
    for expected in [BusEvent::Down, BusEvent::SubscriptionsLost, subscribed("a")] {
        assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
    }
    // An idle publisher notices without being asked to send.
    let _ = server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let seen = bus.wait_for(&BusEvent::Up);
    assert_eq!(seen, [BusEvent::Down, BusEvent::Up]);
    let status = bus.bus.status();
    assert_eq!((status.subscriber_connects, status.publisher_connects), (2, 2));
}

#[test]
fn a_ticket_counts_subscribers_and_no_onlooker() {
    let server = RedisServer::start();
    let (one, two) = (Bus::up(&server), Bus::up(&server));
    one.subscribe(&["both", "one"]);
    two.subscribe(&["both"]);
    let _onlooker = server.command_and_stay(&["PSUBSCRIBE", "*"]);
    assert_eq!(server.command(&["PUBLISH", "both", "x"]), ":3\r\n", "the onlooker is there");
    for (ticket, channel) in [(1, "both"), (2, "one"), (3, "nobody")] {
        one.publish(channel, "x", Some(ticket));
        one.publish(channel, "without a ticket", None);
    }
    let mut reports = Vec::new();
    one.collect_until(|event| {
        if let BusEvent::Published { ticket, receivers } = event {
            reports.push((ticket.number(), *receivers));
        }
        reports.len() == 3
    });
    assert_eq!(reports, [(1, 2), (2, 1), (3, 0)]);
}

#[test]
fn a_user_with_a_password_and_a_database_can_log_in() {
    let options: Vec<&str> = "--user bob on >s3cret/@ ~* &* +@all --requirepass other".split(' ').collect();
    let server = RedisServer::start_with(&options, Some(&["AUTH", "other"]));
    let bus = Bus::start(&format!("redis://bob:s3cret%2F%40@127.0.0.1:{}/3", server.port()));
    bus.wait_for(&BusEvent::Up);
    let clients = server.command(&["CLIENT", "LIST"]);
    for role in ["subscriber", "publisher"] {
        let line = clients.lines().find(|line| line.contains(&format!("name=moorline-{role} ")));
        let line = line.unwrap_or_else(|| panic!("{role} in {clients}"));
        assert!(line.contains(" db=3 ") && line.contains(" user=bob "), "{line}");
    }
    let by_password = Bus::start(&format!("redis://:other@127.0.0.1:{}/0", server.port()));
    by_password.wait_for(&BusEvent::Up);
}

#[test]
fn a_refused_publication_is_lost_and_the_others_go_on() {
    let options: Vec<&str> = "--user bob on >pw ~* resetchannels &open +@all".split(' ').collect();
    let server = RedisServer::start_with(&options, None);
    let bus = Bus::start(&format!("redis://bob:pw@127.0.0.1:{}/0", server.port()));
    bus.wait_for(&BusEvent::Up);
    bus.subscribe(&["open"]);
    bus.publish("closed", "x", Some(1));
    bus.publish("open", "x", Some(2));
    let mut reports = Vec::new();
    bus.collect_until(|event| {
        if matches!(event, BusEvent::Published { .. } | BusEvent::Lost { .. }) {
            reports.push(event.clone());
        }
        reports.len() == 2
    });
    let expected = [
        BusEvent::Lost { ticket: Some(Ticket::new(1)) },
        BusEvent::Published { ticket: Ticket::new(2), receivers: 1 },
    ];
    assert_eq!(reports, expected);
    assert!(bus.bus.status().is_up);
}

#[test]
fn a_wrong_password_stays_down() {
    let server = RedisServer::start_with(&["--requirepass", "right"], Some(&["AUTH", "right"]));
    for login in [":wrong@", ""] {
        let bus = Bus::start(&format!("redis://{login}127.0.0.1:{}/0", server.port()));
        let refused = || {
            let log = server.command(&["INFO", "stats"]);
            let line = log.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
            line.unwrap().parse::<u64>().unwrap()
        };
        // Each look is a connection itself; both links have tried several times when it has grown by many more.
        let before = refused();
        let mut looks = 0;
        while refused() < before + looks + 10 {
            looks += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        bus.publish("a", "x", Some(1));
        assert_eq!(
            bus.wait_for(&BusEvent::Lost { ticket: Some(Ticket::new(1)) }),
            [BusEvent::Lost { ticket: Some(Ticket::new(1)) }]
        );
        let status = bus.bus.status();
        assert_eq!((status.is_up, status.subscriber_connects, status.publisher_connects), (false, 0, 0));
    }
}

#[test]
fn a_full_event_queue_makes_the_subscriber_wait_and_loses_nothing() {
    let server = RedisServer::start();
    let mut config: RedisConfig = server.url().parse().unwrap();
    config.event_queue_max = 4;
    let mut receiver = Bus::start_with(config);
    receiver.batch = 1;
    receiver.wait_for(&BusEvent::Up);
    receiver.subscribe(&["a"]);
    let sender = Bus::up(&server);
    let publication = |i: u64| Publication {
        destination: Destination::Channel("a".into()),
        payload: i.to_string().into_bytes(),
        ticket: None,
    };
    sender.bus.publish(&mut (0..1_000).map(publication).collect());
    sender.wait_for_status(|status| status.published == 1_000);
    receiver.wait_for_status(|status| status.messages_in == 4);
    let mut taken = 0;
    receiver.collect_until(|event| {
        assert_eq!(*event, message("a", &taken.to_string()));
        taken += 1;
        let messages_in = receiver.bus.status().messages_in;
        assert!(messages_in <= taken + 4, "{messages_in} queued when {taken} were taken");
        taken == 1_000
    });
}

#[test]
fn a_mute_link_loses_what_was_in_flight_and_comes_back() {
    let server = RedisServer::start();
    let bus = Bus::up(&server);
    // Redis holds back the answers to PUBLISH and nothing else.
    let _ = server.command(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    bus.publish("a", "in flight", Some(1));
    bus.wait_for(&BusEvent::Lost { ticket: Some(Ticket::new(1)) });
    let _ = server.command(&["CLIENT", "UNPAUSE"]);
    bus.wait_for_status(|status| status.is_up);
    bus.publish("a", "after", Some(2));
    bus.wait_for(&BusEvent::Published { ticket: Ticket::new(2), receivers: 0 });
}

#[test]
fn a_mute_subscriber_link_is_given_up_and_its_channel_restored() {
    let server = RedisServer::start();
    let bus = Bus::up(&server);
    // Redis answers nobody for longer than the bus waits for an answer.
    let _paused = server.command_and_stay(&["CLIENT", "PAUSE", "8000", "ALL"]);
    bus.bus.subscribe("a");
    bus.bus.flush_interest();
    bus.wait_for_loss();
    let seen = bus.wait_for(&BusEvent::Up);
    assert!(seen.contains(&subscribed("a")), "{seen:?}");
    assert_eq!(server.command(&["PUBLISH", "a", "x"]), ":1\r\n");
    bus.wait_for(&message("a", "x"));
}

#[test]
fn a_full_publish_queue_refuses_what_does_not_fit() {
    let server = RedisServer::start();
    let mut config: RedisConfig = server.url().parse().unwrap();
    config.publish_queue_bytes_max = 100_000;
    let bus = Bus::start_with(config);
    bus.wait_for(&BusEvent::Up);
    let _ = server.command(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    let payload = "x".repeat(40_000);
    for ticket in 1..=3 {
        bus.publish("a", &payload, Some(ticket));
    }
    assert_eq!(
        bus.wait_for(&BusEvent::Lost { ticket: Some(Ticket::new(3)) }),
        [BusEvent::Lost { ticket: Some(Ticket::new(3)) }]
    );
    let _ = server.command(&["CLIENT", "UNPAUSE"]);
    bus.wait_for(&BusEvent::Published { ticket: Ticket::new(2), receivers: 0 });
    bus.wait_for_status(|status| status.publish_queue_bytes == 0);
}

#[test]
fn shutting_down_sends_what_is_queued_first() {
    let server = RedisServer::start();
    let (sender, receiver) = (Bus::up(&server), Bus::up(&server));
    receiver.subscribe(&["a"]);
    let publication = |i: u64| Publication {
        destination: Destination::Channel("a".into()),
        payload: i.to_string().into_bytes(),
        ticket: None,
    };
    sender.bus.publish(&mut (0..20_000).map(publication).collect());
    sender.bus.shutdown(clock::now() + EVENT_TIMEOUT);
    receiver.wait_for(&message("a", "19999"));
    // The counter follows the event by a moment.
    receiver.wait_for_status(|status| status.messages_in == 20_000);
    let links = || server.command(&["CLIENT", "LIST"]).matches("name=moorline-").count();
    wait_until("only the receiver's two links are left", || links() == 2);
}
