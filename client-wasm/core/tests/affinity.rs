//! The node this tab is on: known from the session's id, asked for again, and let go when it is no place to go.

use crate::bench::{Bench, handshake};
use moorline_client_core::TransportKind;

/// The attempt after the end of a connection to `s1`.
fn attempt_after(end: impl FnOnce(&mut Bench)) -> String {
    let mut bench = Bench::with(|options| options.transports = vec![TransportKind::WebSocket]).on_websocket();
    end(&mut bench);
    bench.lines();
    bench.pass(1_000);
    bench.lines().pop().expect("an attempt")
}

#[test]
fn the_node_is_asked_for_again() {
    assert_eq!(attempt_after(|bench| bench.closed(1006)), "open #2 websocket node=s1");
    assert_eq!(attempt_after(|bench| bench.closed(1000)), "open #2 websocket node=s1");
    assert_eq!(attempt_after(|bench| bench.text("nonsense")), "open #2 websocket node=s1");
    assert_eq!(attempt_after(|bench| bench.pass(45_000)), "open #2 websocket node=s1");
}

#[test]
fn a_node_that_leaves_is_not() {
    for code in [1012, 1001] {
        assert_eq!(attempt_after(|bench| bench.closed(code)), "open #2 websocket", "{code}");
    }
    assert_eq!(attempt_after(|bench| bench.text("1")), "open #2 websocket");
}

#[test]
fn a_node_that_takes_nobody_or_does_not_know_the_session_is_not() {
    let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
    for (status, body) in [(500, ""), (502, ""), (503, ""), (400, unknown)] {
        let mut bench = Bench::polling_only().on_polling("");
        bench.refused_with(status, None, body);
        bench.pass(1_000);
        assert_eq!(bench.lines().pop().as_deref(), Some("get #5 polling"), "{status}");
    }
    // As when a browser repeats a poll whose connection broke, while the node still holds the first.
    for (status, body) in [(400, ""), (400, r#"{"code":3,"message":"Bad request"}"#)] {
        let mut bench = Bench::polling_only().on_polling("");
        bench.refused_with(status, None, body);
        bench.pass(1_000);
        assert_eq!(bench.lines().pop().as_deref(), Some("get #5 polling node=s1"), "{status} {body}");
    }
    let mut bench = Bench::polling_only().on_polling("");
    bench.polled(&["1"]);
    bench.pass(1_000);
    assert_eq!(bench.lines().pop().as_deref(), Some("get #5 polling"), "it said goodbye");
    let mut bench = Bench::polling_only().on_polling("");
    bench.failed();
    bench.pass(1_000);
    assert_eq!(
        bench.lines().pop().as_deref(),
        Some("get #5 polling node=s1"),
        "the network failed, not the node"
    );
}

#[test]
fn one_failure_is_enough_to_let_it_go() {
    let mut bench = Bench::new().on_websocket();
    bench.closed(1006);
    bench.pass(1_000);
    bench.lines();
    bench.closed(1006);
    assert_eq!(bench.lines(), ["close #2", "get #3 polling"]);
    bench.failed();
    bench.pass(2_000);
    assert_eq!(bench.lines().pop().as_deref(), Some("open #4 websocket"));
}

#[test]
fn a_new_node_takes_its_place() {
    let mut bench = Bench::new().on_websocket();
    bench.closed(1006);
    bench.pass(1_000);
    bench.accept_websocket("s2.x");
    assert_eq!(bench.client.node(), Some("s2"));
    bench.closed(1006);
    assert_eq!(bench.client.node(), None);
    bench.pass(5_000);
    assert!(bench.lines().contains(&"open #3 websocket node=s2".to_string()));
}

#[test]
fn it_is_asked_for_after_a_disconnect_as_well() {
    let mut bench = Bench::new().on_websocket();
    bench.disconnect();
    bench.connect();
    assert_eq!(bench.lines().pop().as_deref(), Some("open #2 websocket node=s1"));
}

#[test]
fn a_page_may_name_a_node_to_begin_with() {
    let mut bench = Bench::with(|options| options.node = Some("s9".into()));
    bench.connect();
    assert_eq!(bench.lines(), ["open #1 websocket node=s9"]);
    bench.closed(1006);
    assert_eq!(bench.lines(), ["close #1", "get #2 polling"]);
    bench.polled(&[&handshake("plain", "")]);
    bench.failed();
    bench.pass(1_000);
    assert_eq!(bench.lines().pop().as_deref(), Some("get #5 polling"));
}

#[test]
fn within_a_session_the_id_names_the_node() {
    let mut bench = Bench::with(|options| {
        options.node = Some("s1".into());
        options.last_transport = Some(TransportKind::Polling);
    });
    bench.connect();
    assert_eq!(bench.lines(), ["get #1 polling node=s1"]);
    bench.polled(&[&handshake("s1.x", crate::bench::UPGRADE)]);
    assert_eq!(bench.lines()[..2], ["open #2 websocket sid=s1.x", "get #3 polling sid=s1.x"]);
}
