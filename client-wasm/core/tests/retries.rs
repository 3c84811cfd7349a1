//! Events that are sent until they are acknowledged: one at a time, in order, so often and no more.

use crate::harness::{Harness, SERVER};
use moorline_client_core::{Emission, Options, SendError, SocketOptions};

/// Two tries more, a second for each.
fn bare() -> Harness {
    let mut options = Options::new(SERVER.into());
    options.random_permille = 0;
    let mut harness = Harness::bare(options);
    harness.client.add_socket("/".into(), SocketOptions { retries: Some(2), ack_timeout_ms: Some(1_000) });
    harness
}

#[test]
fn one_goes_at_a_time_and_the_next_with_the_ack() {
    let mut harness = bare().on_websocket();
    let first = harness.emit_with_ack("1", None);
    harness.emit("2");
    let third = harness.emit_with_ack("3", None);
    assert_eq!(harness.sent(), ["420[1]"]);
    harness.text("430[true]");
    assert_eq!(harness.lines(), [format!("ack {first}: [true]"), "#1 421[2]".into()]);
    harness.text("431[]");
    assert_eq!(harness.sent(), ["422[3]"]);
    harness.text("432[]");
    assert_eq!(harness.lines(), [format!("ack {third}: []")]);
}

#[test]
fn an_event_without_ack_goes_again_and_is_given_up_in_the_end() {
    let mut harness = bare().on_websocket();
    let ack = harness.emit_with_ack("1", None);
    harness.emit("2");
    for id in 0..3 {
        assert_eq!(harness.lines(), [format!("#1 42{id}[1]")]);
        harness.pass(1_000);
    }
    assert_eq!(harness.lines(), [format!("ack {ack} failed: timeout"), "#1 423[2]".into()]);
    harness.pass(3_000);
    assert_eq!(harness.sent().len(), 2, "it goes again though nobody awaits its ack");
    harness.pass(60_000);
    assert!(!harness.lines().iter().any(|line| line.starts_with("ack")));
}

#[test]
fn an_ack_of_an_earlier_try_does_not_count() {
    let mut harness = bare().on_websocket();
    let ack = harness.emit_with_ack("1", None);
    harness.pass(1_000);
    harness.lines();
    harness.text("430[]");
    assert_eq!(harness.lines(), [""; 0]);
    harness.text("431[]");
    assert_eq!(harness.lines(), [format!("ack {ack}: []")]);
}

#[test]
fn a_timeout_of_its_own_counts_for_every_try() {
    let mut harness = bare().on_websocket();
    harness.emit_with_ack("1", Some(100));
    harness.pass(250);
    assert_eq!(harness.sent(), ["420[1]", "421[1]", "422[1]"]);
}

#[test]
fn the_queue_waits_for_the_connection_and_goes_on_with_the_next() {
    let mut harness = bare();
    let first = harness.emit_with_ack("1", None);
    let second = harness.emit_with_ack("2", None);
    harness.connect();
    harness.opens_session();
    harness.pass(5_000);
    harness.lines();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(harness.sent(), ["420[1]"], "the time runs from when it was sent");
    harness.closed(1006);
    assert!(!harness.lines().iter().any(|line| line.starts_with("ack")));
    harness.pass(1_000);
    harness.opens_session();
    harness.lines();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(harness.sent(), ["421[1]"]);
    harness.text("431[]");
    harness.text("432[]");
    let received = harness.lines();
    assert_eq!(received[0], format!("ack {first}: []"));
    assert_eq!(received[2], format!("ack {second}: []"));
}

#[test]
fn connections_that_are_lost_count_as_tries() {
    let mut harness = bare().on_websocket();
    let ack = harness.emit_with_ack("1", None);
    for _ in 0..3 {
        assert!(!harness.lines().contains(&format!("ack {ack} failed: disconnected")));
        harness.closed(1006);
        let received = harness.lines();
        harness.pass(5_000);
        if received.contains(&format!("ack {ack} failed: disconnected")) {
            return;
        }
        harness.lines();
        harness.opens_session();
        harness.text(r#"40{"sid":"me"}"#);
    }
    panic!("it was never given up");
}

#[test]
fn the_queue_is_bounded_like_everything_that_waits() {
    let mut options = Options::new(SERVER.into());
    options.send_packets_max = 2;
    let mut harness = Harness::bare(options);
    harness.client.add_socket("/".into(), SocketOptions { retries: Some(1), ack_timeout_ms: Some(1_000) });
    harness.emit("1");
    harness.emit("2");
    let third = Emission { json: "3".into(), ..Emission::default() };
    assert_eq!(harness.emit_from(harness.main(), third), Err(SendError::BufferFull));
}

#[test]
fn an_event_that_turns_out_too_big_makes_way_for_the_next() {
    let mut harness = bare();
    let too_big = format!("\"{}\"", "x".repeat(2_000));
    let ack = harness.emit_with_ack(&too_big, None);
    harness.emit(&too_big);
    harness.emit("1");
    harness.connect();
    harness.opens_session();
    harness.lines();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(
        harness.lines(),
        [
            format!("ack {ack} failed: too_big"),
            "0 dropped: too_big".into(),
            "#1 420[1]".into(),
            "0 connected: me".into()
        ]
    );
}

#[test]
fn a_volatile_event_goes_past_the_queue() {
    let mut harness = bare().on_websocket();
    harness.emit("1");
    harness.volatile("2", 0);
    assert_eq!(harness.sent(), ["420[1]", "42[2]"]);
}

#[test]
fn no_retries_is_no_queue() {
    let mut harness = Harness::bare(Options::new(SERVER.into()));
    harness.client.add_socket("/".into(), SocketOptions { retries: Some(0), ack_timeout_ms: Some(1_000) });
    let mut harness = harness.on_websocket();
    harness.emit("1");
    harness.emit("2");
    assert_eq!(harness.sent(), ["42[1]", "42[2]"]);
}

#[test]
fn a_timeout_of_zero_is_a_moment() {
    let mut harness = Harness::bare(Options::new(SERVER.into()));
    harness.client.add_socket("/".into(), SocketOptions { retries: Some(3), ack_timeout_ms: Some(0) });
    let mut harness = harness.on_websocket();
    let ack = harness.emit_with_ack("1", None);
    harness.pass(4);
    assert_eq!(harness.lines().pop(), Some(format!("ack {ack} failed: timeout")));
}
