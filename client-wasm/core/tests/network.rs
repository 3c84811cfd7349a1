//! What the machine's network and the page do, in every state of the connection.

use crate::bench::Bench;
use moorline_client_core::NetworkChange::{Absent, Changed, Offline, Online, Shown};

#[test]
fn without_anything_to_do_nothing_is_done() {
    let mut bench = Bench::new();
    for change in [Offline, Changed, Shown, Online, Changed, Shown] {
        bench.network(change);
        assert_eq!(bench.lines(), [""; 0]);
        bench.assert_idle();
    }
}

#[test]
fn no_attempt_is_made_while_offline() {
    let mut bench = Bench::new();
    bench.network(Offline);
    bench.connect();
    assert_eq!(bench.client.poll_timeout(), None);
    assert!(!bench.client.is_idle());
    for change in [Changed, Shown, Offline] {
        bench.network(change);
        bench.pass(100_000);
        bench.timer();
    }
    bench.connect();
    assert_eq!(bench.lines(), [""; 0]);
    bench.network(Online);
    assert_eq!(bench.lines(), ["open #1 websocket"]);
}

#[test]
fn an_attempt_ends_with_the_network_and_begins_again_with_it() {
    let mut bench = Bench::new();
    bench.connect();
    bench.lines();
    bench.network(Offline);
    assert_eq!(bench.lines(), ["close #1"]);
    bench.pass(60_000);
    bench.network(Online);
    assert_eq!(bench.lines(), ["open #2 websocket"], "it is no retry: nothing has failed");
}

#[test]
fn a_connection_ends_with_the_network() {
    let mut bench = Bench::new().on_websocket();
    bench.network(Offline);
    assert_eq!(
        bench.lines(),
        ["close #1", "link closed: transport close", "0 disconnected: transport close"]
    );
    assert_eq!(bench.client.poll_timeout(), None);
    bench.pass(3_600_000);
    assert_eq!(bench.lines(), [""; 0]);
    bench.network(Online);
    assert_eq!(bench.lines(), ["attempt 1", "open #2 websocket node=s1"]);
}

#[test]
fn who_waits_when_the_network_goes_waits_for_it() {
    let mut bench = Bench::new().on_websocket();
    bench.closed(1006);
    bench.lines();
    bench.network(Offline);
    bench.pass(10_000);
    assert_eq!(bench.lines(), [""; 0]);
    bench.network(Online);
    assert_eq!(bench.lines()[0], "attempt 1");
}

#[test]
fn who_waits_goes_at_once_when_something_changes() {
    for change in [Online, Changed, Shown] {
        let mut bench = Bench::new().on_websocket();
        bench.closed(1006);
        bench.lines();
        bench.network(change);
        assert_eq!(bench.lines(), ["attempt 1", "open #2 websocket node=s1"], "{change:?}");
    }
}

#[test]
fn an_attempt_over_the_network_of_before_begins_anew() {
    let mut bench = Bench::new();
    bench.connect();
    bench.pass(4_000);
    bench.lines();
    bench.network(Online);
    assert_eq!(bench.lines(), ["close #1", "open #2 websocket"]);
    assert_eq!(bench.pass_to_deadline(), 5_000);
    for change in [Changed, Shown] {
        let mut bench = Bench::new();
        bench.connect();
        bench.lines();
        bench.network(change);
        assert_eq!(bench.lines(), [""; 0], "{change:?} may be the same network");
    }
}

#[test]
fn a_connection_outlives_what_does_not_concern_it() {
    let mut bench = Bench::new().on_websocket();
    for change in [Online, Changed, Shown] {
        bench.network(change);
    }
    assert_eq!(bench.lines(), [""; 0]);
    bench.emit("1");
    assert_eq!(bench.said(), ["42[1]"]);
}

#[test]
fn a_page_that_is_seen_again_does_first_what_was_due() {
    let mut bench = Bench::new();
    bench.connect();
    bench.lines();
    bench.now_ms += 60_000;
    bench.network(Shown);
    let heard = bench.lines();
    assert_eq!(heard.last().map(String::as_str), Some("open #2 websocket"), "{heard:?}");
    assert!(heard.contains(&"attempt 1".to_string()));
}

#[test]
fn attempts_that_the_network_ended_are_no_failures() {
    let mut bench = Bench::with(|options| options.attempts_max = Some(2)).on_websocket();
    bench.closed(1006);
    bench.pass(1_000);
    for _ in 0..3 {
        bench.network(Offline);
        bench.network(Online);
    }
    bench.lines();
    bench.closed(1006);
    assert_eq!(bench.lines().len(), 2, "the other transport");
    bench.failed();
    assert!(!bench.lines().contains(&"no more attempts".to_string()), "that was one attempt");
    bench.pass(5_000);
    assert_eq!(bench.lines()[0], "attempt 2");
}

#[test]
fn this_machine_is_reached_without_any_network() {
    for url in
        ["http://localhost:3000/socket.io/", "http://127.0.0.1/socket.io/", "http://[::1]:1/socket.io/"]
    {
        let mut bench = Bench::with(|options| options.url = url.into());
        bench.network(Absent);
        bench.connect();
        bench.opens_session();
        bench.network(Absent);
        assert!(bench.client.transport().is_some(), "{url}");
        assert!(bench.lines().iter().all(|line| !line.starts_with("close")));
    }
    for url in ["http://localhost.example.org/socket.io/", "http://127.0.0.1.example.org/"] {
        let mut bench = Bench::with(|options| options.url = url.into());
        bench.network(Absent);
        bench.connect();
        assert_eq!(bench.lines(), [""; 0], "{url}");
        bench.network(Online);
        assert_eq!(bench.lines(), ["open #1 websocket"], "{url}");
    }
}

#[test]
fn a_network_that_goes_away_counts_for_this_machine_too() {
    let mut bench =
        Bench::with(|options| options.url = "http://localhost:3000/socket.io/".into()).on_websocket();
    bench.network(Offline);
    assert_eq!(bench.lines()[0], "close #1");
    bench.pass(60_000);
    assert_eq!(bench.lines(), [""; 0]);
    bench.network(Online);
    assert_eq!(bench.lines(), ["attempt 1", "open #2 websocket node=s1"]);
}
