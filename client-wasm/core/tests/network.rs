//! Changes of the machine's network and of the page, in every state of the connection.

use crate::harness::Harness;
use moorline_client_core::NetworkChange::{Absent, Changed, Offline, Online, Shown};

#[test]
fn without_anything_to_do_nothing_is_done() {
    let mut harness = Harness::new();
    for change in [Offline, Changed, Shown, Online, Changed, Shown] {
        harness.network(change);
        assert_eq!(harness.lines(), [""; 0]);
        harness.assert_idle();
    }
}

#[test]
fn no_attempt_is_made_while_offline() {
    let mut harness = Harness::new();
    harness.network(Offline);
    harness.connect();
    assert_eq!(harness.client.poll_timeout(), None);
    assert!(!harness.client.is_idle());
    for change in [Changed, Shown, Offline] {
        harness.network(change);
        harness.pass(100_000);
        harness.timer();
    }
    harness.connect();
    assert_eq!(harness.lines(), [""; 0]);
    harness.network(Online);
    assert_eq!(harness.lines(), ["open #1 websocket"]);
}

#[test]
fn an_attempt_ends_with_the_network_and_begins_again_with_it() {
    let mut harness = Harness::new();
    harness.connect();
    harness.lines();
    harness.network(Offline);
    assert_eq!(harness.lines(), ["close #1"]);
    harness.pass(60_000);
    harness.network(Online);
    assert_eq!(harness.lines(), ["open #2 websocket"], "it is no retry: nothing has failed");
}

#[test]
fn a_connection_ends_with_the_network() {
    let mut harness = Harness::new().on_websocket();
    harness.network(Offline);
    assert_eq!(
        harness.lines(),
        ["close #1", "link closed: transport close", "0 disconnected: transport close"]
    );
    assert_eq!(harness.client.poll_timeout(), None);
    harness.pass(3_600_000);
    assert_eq!(harness.lines(), [""; 0]);
    harness.network(Online);
    assert_eq!(harness.lines(), ["attempt 1", "open #2 websocket node=s1"]);
}

#[test]
fn an_attempt_that_waits_when_the_network_goes_waits_for_it() {
    let mut harness = Harness::new().on_websocket();
    harness.closed(1006);
    harness.lines();
    harness.network(Offline);
    harness.pass(10_000);
    assert_eq!(harness.lines(), [""; 0]);
    harness.network(Online);
    assert_eq!(harness.lines()[0], "attempt 1");
}

#[test]
fn an_attempt_that_waits_is_made_at_once_when_something_changes() {
    for change in [Online, Changed, Shown] {
        let mut harness = Harness::new().on_websocket();
        harness.closed(1006);
        harness.lines();
        harness.network(change);
        assert_eq!(harness.lines(), ["attempt 1", "open #2 websocket node=s1"], "{change:?}");
    }
}

#[test]
fn an_attempt_over_the_network_of_before_begins_anew() {
    let mut harness = Harness::new();
    harness.connect();
    harness.pass(4_000);
    harness.lines();
    harness.network(Online);
    assert_eq!(harness.lines(), ["close #1", "open #2 websocket"]);
    assert_eq!(harness.pass_to_deadline(), 5_000);
    for change in [Changed, Shown] {
        let mut harness = Harness::new();
        harness.connect();
        harness.lines();
        harness.network(change);
        assert_eq!(harness.lines(), [""; 0], "{change:?} may be the same network");
    }
}

#[test]
fn a_connection_outlives_changes_that_do_not_concern_it() {
    let mut harness = Harness::new().on_websocket();
    for change in [Online, Changed, Shown] {
        harness.network(change);
    }
    assert_eq!(harness.lines(), [""; 0]);
    harness.emit("1");
    assert_eq!(harness.sent(), ["42[1]"]);
}

#[test]
fn a_page_that_is_seen_again_does_first_what_was_due() {
    let mut harness = Harness::new();
    harness.connect();
    harness.lines();
    harness.now_ms += 60_000;
    harness.network(Shown);
    let received = harness.lines();
    assert_eq!(received.last().map(String::as_str), Some("open #2 websocket"), "{received:?}");
    assert!(received.contains(&"attempt 1".to_string()));
}

#[test]
fn attempts_that_the_network_ended_are_no_failures() {
    let mut harness = Harness::with(|options| options.attempts_max = Some(2)).on_websocket();
    harness.closed(1006);
    harness.pass(1_000);
    for _ in 0..3 {
        harness.network(Offline);
        harness.network(Online);
    }
    harness.lines();
    harness.closed(1006);
    assert_eq!(harness.lines().len(), 2, "the other transport");
    harness.failed();
    assert!(!harness.lines().contains(&"no more attempts".to_string()), "that was one attempt");
    harness.pass(5_000);
    assert_eq!(harness.lines()[0], "attempt 2");
}

#[test]
fn this_machine_is_reached_without_any_network() {
    for url in
        ["http://localhost:3000/socket.io/", "http://127.0.0.1/socket.io/", "http://[::1]:1/socket.io/"]
    {
        let mut harness = Harness::with(|options| options.url = url.into());
        harness.network(Absent);
        harness.connect();
        harness.opens_session();
        harness.network(Absent);
        assert!(harness.client.transport().is_some(), "{url}");
        assert!(harness.lines().iter().all(|line| !line.starts_with("close")));
    }
    for url in ["http://localhost.example.org/socket.io/", "http://127.0.0.1.example.org/"] {
        let mut harness = Harness::with(|options| options.url = url.into());
        harness.network(Absent);
        harness.connect();
        assert_eq!(harness.lines(), [""; 0], "{url}");
        harness.network(Online);
        assert_eq!(harness.lines(), ["open #1 websocket"], "{url}");
    }
}

#[test]
fn a_network_that_goes_away_counts_for_this_machine_too() {
    let mut harness =
        Harness::with(|options| options.url = "http://localhost:3000/socket.io/".into()).on_websocket();
    harness.network(Offline);
    assert_eq!(harness.lines()[0], "close #1");
    harness.pass(60_000);
    assert_eq!(harness.lines(), [""; 0]);
    harness.network(Online);
    assert_eq!(harness.lines(), ["attempt 1", "open #2 websocket node=s1"]);
}
