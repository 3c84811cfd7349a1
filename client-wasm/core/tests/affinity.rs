//! The node of a tab: read from the session's id, asked for at the next connection, forgotten once it is unusable.

use crate::harness::{Harness, handshake};
use moorline_protocol::TransportKind;

/// The attempt after the end of a connection to `s1`.
fn attempt_after(end: impl FnOnce(&mut Harness)) -> String {
    let mut harness =
        Harness::with(|options| options.transports = vec![TransportKind::WebSocket]).on_websocket();
    end(&mut harness);
    harness.lines();
    harness.pass(1_000);
    harness.lines().pop().expect("an attempt")
}

#[test]
fn the_node_is_asked_for_again() {
    assert_eq!(attempt_after(|harness| harness.closed(1006)), "open #2 websocket node=s1");
    assert_eq!(attempt_after(|harness| harness.closed(1000)), "open #2 websocket node=s1");
    assert_eq!(attempt_after(|harness| harness.text("nonsense")), "open #2 websocket node=s1");
    assert_eq!(attempt_after(|harness| harness.pass(45_000)), "open #2 websocket node=s1");
}

#[test]
fn a_node_that_goes_away_is_not() {
    for code in [1012, 1001] {
        assert_eq!(attempt_after(|harness| harness.closed(code)), "open #2 websocket", "{code}");
    }
    assert_eq!(attempt_after(|harness| harness.text("1")), "open #2 websocket");
}

#[test]
fn a_node_that_fails_or_does_not_know_the_session_is_not() {
    let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
    for (status, body) in [(500, ""), (502, ""), (503, ""), (400, unknown)] {
        let mut harness = Harness::polling_only().on_polling("");
        harness.refused_with(status, None, body);
        harness.pass(1_000);
        assert_eq!(harness.lines().pop().as_deref(), Some("get #5 polling"), "{status}");
    }
    // As when a browser repeats a poll whose connection broke, while the node still holds the first.
    for (status, body) in [(400, ""), (400, r#"{"code":3,"message":"Bad request"}"#)] {
        let mut harness = Harness::polling_only().on_polling("");
        harness.refused_with(status, None, body);
        harness.pass(1_000);
        assert_eq!(harness.lines().pop().as_deref(), Some("get #5 polling node=s1"), "{status} {body}");
    }
    let mut harness = Harness::polling_only().on_polling("");
    harness.polled(&["1"]);
    harness.pass(1_000);
    assert_eq!(harness.lines().pop().as_deref(), Some("get #5 polling"), "it sent a close packet");
    let mut harness = Harness::polling_only().on_polling("");
    harness.failed();
    harness.pass(1_000);
    assert_eq!(
        harness.lines().pop().as_deref(),
        Some("get #5 polling node=s1"),
        "the network failed, not the node"
    );
}

#[test]
fn one_failure_is_enough_to_forget_it() {
    let mut harness = Harness::new().on_websocket();
    harness.closed(1006);
    harness.pass(1_000);
    harness.lines();
    harness.closed(1006);
    assert_eq!(harness.lines(), ["close #2", "get #3 polling"]);
    harness.failed();
    harness.pass(2_000);
    assert_eq!(harness.lines().pop().as_deref(), Some("open #4 websocket"));
}

#[test]
fn a_new_node_takes_its_place() {
    let mut harness = Harness::new().on_websocket();
    harness.closed(1006);
    harness.pass(1_000);
    harness.accept_websocket("s2.x");
    assert_eq!(harness.client.node(), Some("s2"));
    harness.closed(1006);
    assert_eq!(harness.client.node(), None);
    harness.pass(5_000);
    assert!(harness.lines().contains(&"open #3 websocket node=s2".to_string()));
}

#[test]
fn it_is_asked_for_again_after_a_disconnect() {
    let mut harness = Harness::new().on_websocket();
    harness.disconnect();
    harness.connect();
    assert_eq!(harness.lines().pop().as_deref(), Some("open #2 websocket node=s1"));
}

#[test]
fn a_page_may_name_a_node_to_begin_with() {
    let mut harness = Harness::with(|options| options.node = Some("s9".into()));
    harness.connect();
    assert_eq!(harness.lines(), ["open #1 websocket node=s9"]);
    harness.closed(1006);
    assert_eq!(harness.lines(), ["close #1", "get #2 polling"]);
    harness.polled(&[&handshake("plain", "")]);
    harness.failed();
    harness.pass(1_000);
    assert_eq!(harness.lines().pop().as_deref(), Some("get #5 polling"));
}

#[test]
fn within_a_session_the_id_names_the_node() {
    let mut harness = Harness::with(|options| {
        options.node = Some("s1".into());
        options.last_transport = Some(TransportKind::Polling);
    });
    harness.connect();
    assert_eq!(harness.lines(), ["get #1 polling node=s1"]);
    harness.polled(&[&handshake("s1.x", crate::harness::UPGRADE)]);
    assert_eq!(harness.lines()[..2], ["open #2 websocket sid=s1.x", "get #3 polling sid=s1.x"]);
}
