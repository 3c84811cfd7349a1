//! After the end of a connection or an attempt: when the next one is made, and when none is.

use crate::harness::{Harness, handshake};
use moorline_client_core::{NetworkChange, Options};
use moorline_protocol::TransportKind;

fn websocket_only(adapt: impl FnOnce(&mut Options)) -> Harness {
    Harness::with(|options| {
        options.transports = vec![TransportKind::WebSocket];
        adapt(options);
    })
}

#[test]
fn a_lost_connection_is_opened_again() {
    let mut harness = Harness::new().on_websocket();
    harness.closed(1006);
    assert_eq!(
        harness.lines(),
        ["close #1", "link closed: transport close", "0 disconnected: transport close"]
    );
    assert!(harness.client.is_active(harness.main()));
    assert_eq!(harness.pass_to_deadline(), 1_000);
    assert_eq!(harness.lines(), ["attempt 1", "open #2 websocket node=s1"]);
    harness.opened();
    harness.text(&handshake("s1.y", ""));
    assert_eq!(harness.lines(), ["link opened: websocket", "reconnected after 1", "#2 40"]);
    harness.text(r#"40{"sid":"again"}"#);
    assert_eq!(harness.lines(), ["0 connected: again"]);
}

#[test]
fn delays_double_up_to_their_maximum() {
    let mut harness = websocket_only(|_| {});
    harness.connect();
    for (attempt, ms) in [1_000, 2_000, 4_000, 5_000, 5_000].into_iter().enumerate() {
        harness.lines();
        harness.closed(1006);
        let received = harness.lines();
        let is_retry = attempt > 0;
        assert_eq!(received.contains(&"attempt failed: websocket error".to_string()), is_retry);
        assert!(received.contains(&"0 not connected: websocket error (1006)".to_string()));
        assert_eq!(harness.pass_to_deadline(), ms);
        assert_eq!(harness.lines()[0], format!("attempt {}", attempt + 1));
    }
}

#[test]
fn delays_are_random_below_their_ceiling() {
    let mut delays: Vec<u64> = (0..200)
        .map(|seed| {
            let mut harness = websocket_only(|options| {
                options.random_permille = 1_000;
                options.seed = seed;
            });
            harness.connect();
            harness.closed(1006);
            harness.pass_to_deadline()
        })
        .collect();
    delays.sort_unstable();
    assert!(delays[0] < 50 && delays[199] > 950 && delays[199] <= 1_000, "{delays:?}");
}

#[test]
fn only_a_stable_connection_starts_the_delays_anew() {
    let mut harness = websocket_only(|_| {}).on_websocket();
    for ms in [1_000, 2_000, 4_000, 5_000] {
        harness.pass(9_999);
        harness.text("2");
        harness.closed(1006);
        assert_eq!(harness.pass_to_deadline(), ms);
        harness.accept_websocket("s1.x");
    }
    // Open for long, but never received.
    harness.pass(30_000);
    harness.closed(1006);
    assert_eq!(harness.pass_to_deadline(), 5_000);
    harness.accept_websocket("s1.x");
    harness.pass(10_000);
    harness.text("2");
    harness.closed(1006);
    assert_eq!(harness.pass_to_deadline(), 1_000);
}

#[test]
fn a_delay_of_nothing_still_lies_in_the_future() {
    let mut harness = websocket_only(|options| {
        options.delay_ms = 0;
        options.delay_max_ms = 0;
        options.timeout_ms = 0;
    });
    harness.connect();
    harness.timer();
    for _ in 0..20 {
        harness.pass_to_deadline();
    }
}

#[test]
fn attempts_may_be_limited() {
    let mut harness = websocket_only(|options| options.attempts_max = Some(2)).on_websocket();
    harness.closed(1006);
    for _ in 0..2 {
        harness.pass_to_deadline();
        harness.closed(1006);
    }
    let received = harness.lines();
    assert_eq!(received.last().map(String::as_str), Some("no more attempts"));
    assert_eq!(received.iter().filter(|line| line.starts_with("attempt failed")).count(), 2);
    assert!(!harness.client.is_active(harness.main()));
    harness.assert_idle();
    harness.connect();
    harness.closed(1006);
    assert_eq!(harness.pass_to_deadline(), 1_000, "asked again, it counts anew");
}

#[test]
fn without_reconnection_an_end_is_the_end() {
    let mut harness = websocket_only(|options| options.reconnection = false).on_websocket();
    harness.closed(1006);
    assert_eq!(
        harness.lines(),
        ["close #1", "link closed: transport close", "0 disconnected: transport close"]
    );
    assert!(!harness.client.is_active(harness.main()));
    harness.assert_idle();
    harness.connect();
    harness.closed(1006);
    harness.assert_idle();
    assert_eq!(harness.lines().last().map(String::as_str), Some("0 not connected: websocket error (1006)"));
}

#[test]
fn a_disconnect_while_waiting_ends_the_attempts() {
    let mut harness = Harness::new().on_websocket();
    harness.closed(1006);
    harness.lines();
    harness.disconnect();
    assert_eq!(harness.lines(), [""; 0]);
    harness.assert_idle();
}

#[test]
fn a_disconnect_while_opening_abandons_the_attempt() {
    let mut harness = Harness::new();
    harness.connect();
    harness.lines();
    harness.disconnect();
    assert_eq!(harness.lines(), ["close #1"]);
    harness.assert_idle();
    let mut harness = Harness::polling_only();
    harness.connect();
    harness.lines();
    harness.disconnect();
    assert_eq!(harness.lines(), ["abort #1"]);
    harness.assert_idle();
}

#[test]
fn connect_while_waiting_retries_now() {
    let mut harness = Harness::new().on_websocket();
    harness.closed(1006);
    harness.lines();
    harness.connect();
    assert_eq!(harness.lines(), ["attempt 1", "open #2 websocket node=s1"]);
}

#[test]
fn a_server_may_send_retry_after() {
    let mut harness = Harness::polling_only();
    harness.connect();
    harness.refused(503, Some(30_000));
    assert_eq!(harness.pass_to_deadline(), 31_000, "the delay comes on top");
    harness.refused(429, None);
    assert_eq!(harness.pass_to_deadline(), 2_000);
    harness.refused(503, Some(u64::MAX));
    assert_eq!(harness.pass_to_deadline(), 3_604_000, "an hour is the most");
    harness.polled(&[&handshake("x", "")]);
    harness.posted();
    harness.refused(503, Some(7_000));
    assert_eq!(harness.pass_to_deadline(), 12_000, "a session that ends so counts as well");
}

#[test]
fn clients_told_to_wait_do_not_come_back_all_at_once() {
    let delays: std::collections::BTreeSet<u64> = (0..100)
        .map(|seed| {
            let mut harness = Harness::with(|options| {
                options.transports = vec![TransportKind::Polling];
                options.random_permille = 1_000;
                options.seed = seed;
            });
            harness.connect();
            harness.refused(503, Some(30_000));
            harness.pass_to_deadline()
        })
        .collect();
    assert!(delays.len() > 80 && delays.iter().all(|ms| (30_000..=31_000).contains(ms)), "{delays:?}");
}

#[test]
fn nothing_overtakes_what_the_server_asked_for() {
    for change in [NetworkChange::Online, NetworkChange::Shown, NetworkChange::Changed] {
        let mut harness = Harness::polling_only();
        harness.connect();
        harness.refused(503, Some(30_000));
        harness.lines();
        harness.pass(1_000);
        harness.network(change);
        harness.connect();
        assert_eq!(harness.lines(), [""; 0], "{change:?}");
        assert_eq!(harness.pass_to_deadline(), 30_000, "{change:?}: with the delay on top");
        assert_eq!(harness.lines()[0], "attempt 1");
    }
}

#[test]
fn disconnect_and_connect_do_not_overtake_it_either() {
    let mut harness = Harness::polling_only();
    harness.connect();
    harness.refused(503, Some(30_000));
    harness.disconnect();
    harness.lines();
    harness.connect();
    assert_eq!(harness.lines(), [""; 0]);
    assert_eq!(harness.pass_to_deadline(), 30_000);
    assert_eq!(harness.lines(), ["get #2 polling"]);

    let mut harness = Harness::with(|options| {
        options.transports = vec![TransportKind::Polling];
        options.reconnection = false;
    });
    harness.connect();
    harness.refused(503, Some(30_000));
    harness.lines();
    harness.assert_idle();
    harness.connect();
    assert_eq!(harness.pass_to_deadline(), 30_000, "nor who does so by hand");
}
