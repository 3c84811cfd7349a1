//! After the end of a connection or an attempt: when the next one is made, and when none is.

use crate::bench::{Bench, MAIN, handshake};
use moorline_client_core::{NetworkChange, Options, TransportKind};

fn websocket_only(adapt: impl FnOnce(&mut Options)) -> Bench {
    Bench::with(|options| {
        options.transports = vec![TransportKind::WebSocket];
        adapt(options);
    })
}

#[test]
fn a_lost_connection_is_opened_again() {
    let mut bench = Bench::new().on_websocket();
    bench.closed(1006);
    assert_eq!(
        bench.lines(),
        ["close #1", "link closed: transport close", "0 disconnected: transport close"]
    );
    assert!(bench.client.is_active(MAIN));
    assert_eq!(bench.pass_to_deadline(), 1_000);
    assert_eq!(bench.lines(), ["attempt 1", "open #2 websocket node=s1"]);
    bench.opened();
    bench.text(&handshake("s1.y", ""));
    assert_eq!(bench.lines(), ["link opened: websocket", "reconnected after 1", "#2 40"]);
    bench.text(r#"40{"sid":"again"}"#);
    assert_eq!(bench.lines(), ["0 connected: again"]);
}

#[test]
fn delays_double_up_to_their_maximum() {
    let mut bench = websocket_only(|_| {});
    bench.connect();
    for (attempt, ms) in [1_000, 2_000, 4_000, 5_000, 5_000].into_iter().enumerate() {
        bench.lines();
        bench.closed(1006);
        let heard = bench.lines();
        let is_retry = attempt > 0;
        assert_eq!(heard.contains(&"attempt failed: websocket error".to_string()), is_retry);
        assert!(heard.contains(&"0 not connected: websocket error (1006)".to_string()));
        assert_eq!(bench.pass_to_deadline(), ms);
        assert_eq!(bench.lines()[0], format!("attempt {}", attempt + 1));
    }
}

#[test]
fn delays_are_random_below_their_ceiling() {
    let mut delays: Vec<u64> = (0..200)
        .map(|seed| {
            let mut bench = websocket_only(|options| {
                options.random_permille = 1_000;
                options.seed = seed;
            });
            bench.connect();
            bench.closed(1006);
            bench.pass_to_deadline()
        })
        .collect();
    delays.sort_unstable();
    assert!(delays[0] < 50 && delays[199] > 950 && delays[199] <= 1_000, "{delays:?}");
}

#[test]
fn only_a_stable_connection_starts_the_delays_anew() {
    let mut bench = websocket_only(|_| {}).on_websocket();
    for ms in [1_000, 2_000, 4_000, 5_000] {
        bench.pass(9_999);
        bench.text("2");
        bench.closed(1006);
        assert_eq!(bench.pass_to_deadline(), ms);
        bench.accept_websocket("s1.x");
    }
    // Open for long, but never heard.
    bench.pass(30_000);
    bench.closed(1006);
    assert_eq!(bench.pass_to_deadline(), 5_000);
    bench.accept_websocket("s1.x");
    bench.pass(10_000);
    bench.text("2");
    bench.closed(1006);
    assert_eq!(bench.pass_to_deadline(), 1_000);
}

#[test]
fn a_delay_of_nothing_still_lies_in_the_future() {
    let mut bench = websocket_only(|options| {
        options.delay_ms = 0;
        options.delay_max_ms = 0;
        options.timeout_ms = 0;
    });
    bench.connect();
    bench.timer();
    for _ in 0..20 {
        bench.pass_to_deadline();
    }
}

#[test]
fn attempts_may_be_limited() {
    let mut bench = websocket_only(|options| options.attempts_max = Some(2)).on_websocket();
    bench.closed(1006);
    for _ in 0..2 {
        bench.pass_to_deadline();
        bench.closed(1006);
    }
    let heard = bench.lines();
    assert_eq!(heard.last().map(String::as_str), Some("no more attempts"));
    assert_eq!(heard.iter().filter(|line| line.starts_with("attempt failed")).count(), 2);
    assert!(!bench.client.is_active(MAIN));
    bench.assert_idle();
    bench.connect();
    bench.closed(1006);
    assert_eq!(bench.pass_to_deadline(), 1_000, "asked again, it counts anew");
}

#[test]
fn without_reconnection_an_end_is_the_end() {
    let mut bench = websocket_only(|options| options.reconnection = false).on_websocket();
    bench.closed(1006);
    assert_eq!(
        bench.lines(),
        ["close #1", "link closed: transport close", "0 disconnected: transport close"]
    );
    assert!(!bench.client.is_active(MAIN));
    bench.assert_idle();
    bench.connect();
    bench.closed(1006);
    bench.assert_idle();
    assert_eq!(bench.lines().last().map(String::as_str), Some("0 not connected: websocket error (1006)"));
}

#[test]
fn who_disconnects_while_it_waits_is_left_alone() {
    let mut bench = Bench::new().on_websocket();
    bench.closed(1006);
    bench.lines();
    bench.disconnect();
    assert_eq!(bench.lines(), [""; 0]);
    bench.assert_idle();
}

#[test]
fn who_disconnects_while_it_opens_gives_the_attempt_up() {
    let mut bench = Bench::new();
    bench.connect();
    bench.lines();
    bench.disconnect();
    assert_eq!(bench.lines(), ["close #1"]);
    bench.assert_idle();
    let mut bench = Bench::polling_only();
    bench.connect();
    bench.lines();
    bench.disconnect();
    assert_eq!(bench.lines(), ["abort #1"]);
    bench.assert_idle();
}

#[test]
fn who_asks_to_connect_does_not_wait() {
    let mut bench = Bench::new().on_websocket();
    bench.closed(1006);
    bench.lines();
    bench.connect();
    assert_eq!(bench.lines(), ["attempt 1", "open #2 websocket node=s1"]);
}

#[test]
fn a_server_may_ask_to_be_left_alone() {
    let mut bench = Bench::polling_only();
    bench.connect();
    bench.refused(503, Some(30_000));
    assert_eq!(bench.pass_to_deadline(), 31_000, "the delay comes on top");
    bench.refused(429, None);
    assert_eq!(bench.pass_to_deadline(), 2_000);
    bench.refused(503, Some(u64::MAX));
    assert_eq!(bench.pass_to_deadline(), 3_604_000, "an hour is the most");
    bench.polled(&[&handshake("x", "")]);
    bench.posted();
    bench.refused(503, Some(7_000));
    assert_eq!(bench.pass_to_deadline(), 12_000, "a session that ends so counts as well");
}

#[test]
fn those_who_were_asked_to_wait_do_not_come_back_all_at_once() {
    let delays: std::collections::BTreeSet<u64> = (0..100)
        .map(|seed| {
            let mut bench = Bench::with(|options| {
                options.transports = vec![TransportKind::Polling];
                options.random_permille = 1_000;
                options.seed = seed;
            });
            bench.connect();
            bench.refused(503, Some(30_000));
            bench.pass_to_deadline()
        })
        .collect();
    assert!(delays.len() > 80 && delays.iter().all(|ms| (30_000..=31_000).contains(ms)), "{delays:?}");
}

#[test]
fn nothing_overtakes_what_the_server_asked_for() {
    for change in [NetworkChange::Online, NetworkChange::Shown, NetworkChange::Changed] {
        let mut bench = Bench::polling_only();
        bench.connect();
        bench.refused(503, Some(30_000));
        bench.lines();
        bench.pass(1_000);
        bench.network(change);
        bench.connect();
        assert_eq!(bench.lines(), [""; 0], "{change:?}");
        assert_eq!(bench.pass_to_deadline(), 30_000, "{change:?}: with the delay on top");
        assert_eq!(bench.lines()[0], "attempt 1");
    }
}

#[test]
fn not_even_who_disconnects_and_connects_overtakes_it() {
    let mut bench = Bench::polling_only();
    bench.connect();
    bench.refused(503, Some(30_000));
    bench.disconnect();
    bench.lines();
    bench.connect();
    assert_eq!(bench.lines(), [""; 0]);
    assert_eq!(bench.pass_to_deadline(), 30_000);
    assert_eq!(bench.lines(), ["get #2 polling"]);

    let mut bench = Bench::with(|options| {
        options.transports = vec![TransportKind::Polling];
        options.reconnection = false;
    });
    bench.connect();
    bench.refused(503, Some(30_000));
    bench.lines();
    bench.assert_idle();
    bench.connect();
    assert_eq!(bench.pass_to_deadline(), 30_000, "nor who does so by hand");
}
