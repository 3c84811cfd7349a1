//! The choice of a transport: order, time for each, and the memory of the last one that connected.

use crate::harness::{Harness, handshake};
use moorline_protocol::TransportKind::{Polling, WebSocket};

#[test]
fn polling_is_tried_when_a_websocket_cannot_be_opened() {
    let mut harness = Harness::new();
    harness.connect();
    harness.lines();
    harness.closed(1006);
    assert_eq!(harness.lines(), ["close #1", "get #2 polling"], "nobody is told");
    harness.polled(&[&handshake("x", "")]);
    assert_eq!(harness.lines()[1], "link opened: polling");
}

#[test]
fn polling_is_tried_when_a_websocket_says_nothing() {
    let mut harness = Harness::new();
    harness.connect();
    harness.opened();
    harness.lines();
    assert_eq!(harness.pass_to_deadline(), 5_000, "a quarter of the attempt's time");
    assert_eq!(harness.lines(), ["close #1", "get #2 polling"]);
    assert_eq!(harness.pass_to_deadline(), 15_000, "the rest of it");
    assert_eq!(harness.lines(), ["abort #2", "0 not connected: timeout"]);
    assert_eq!(harness.pass_to_deadline(), 1_000);
}

#[test]
fn messages_of_an_abandoned_websocket_are_ignored() {
    let mut harness = Harness::new();
    harness.connect();
    harness.opened();
    let given_up = harness.last(crate::harness::CarrierKind::WebSocket);
    harness.pass(5_000);
    harness.lines();
    let late = moorline_client_core::Input::Text(given_up, handshake("late", ""));
    harness.handle(late);
    harness.closed(1006);
    assert_eq!(harness.lines(), [""; 0]);
    harness.polled(&[&handshake("x", "")]);
    assert_eq!(harness.lines()[1], "link opened: polling");
}

#[test]
fn the_last_transport_comes_first() {
    let mut harness = Harness::new();
    harness.connect();
    harness.closed(1006);
    harness.polled(&[&handshake("x", "")]);
    assert_eq!(harness.client.last_transport(), Some(Polling));
    harness.failed();
    harness.lines();
    harness.pass(1_000);
    assert_eq!(harness.lines(), ["attempt 1", "get #5 polling"]);
    harness.failed();
    assert_eq!(harness.lines(), ["abort #5", "open #6 websocket"], "what did not may by now");
    harness.opens_session();
    harness.closed(1006);
    harness.lines();
    harness.pass(2_000);
    assert_eq!(harness.lines(), ["attempt 1", "open #7 websocket"]);
}

#[test]
fn another_client_may_be_given_the_last_transport() {
    let mut harness = Harness::with(|options| options.last_transport = Some(Polling));
    harness.connect();
    assert_eq!(harness.lines(), ["get #1 polling"]);
    // A transport that may not be used is not tried, though it connected last.
    let mut harness = Harness::with(|options| {
        options.last_transport = Some(Polling);
        options.transports = vec![WebSocket];
    });
    harness.connect();
    assert_eq!(harness.lines(), ["open #1 websocket"]);
}

#[test]
fn transports_are_tried_in_the_order_of_the_option() {
    let mut harness = Harness::with(|options| options.transports = vec![Polling, WebSocket]);
    harness.connect();
    assert_eq!(harness.lines(), ["get #1 polling"]);
    harness.failed();
    assert_eq!(harness.lines(), ["abort #1", "open #2 websocket"]);
    harness.closed(1006);
    assert_eq!(harness.lines(), ["close #2", "0 not connected: websocket error (1006)"]);

    let mut harness = Harness::with(|options| options.transports = vec![WebSocket]);
    harness.connect();
    harness.closed(1006);
    assert_eq!(harness.lines(), ["open #1 websocket", "close #1", "0 not connected: websocket error (1006)"]);

    let mut harness = Harness::with(|options| options.transports.clear());
    harness.connect();
    assert_eq!(harness.lines(), ["open #1 websocket"], "none at all is the first one");
}

#[test]
fn a_server_without_polling_is_reached_by_websocket() {
    // It polled before, and the server does not know polling any more: nothing else would ever be tried.
    for status in [400, 404, 405] {
        let mut harness = Harness::with(|options| options.last_transport = Some(Polling));
        harness.connect();
        harness.lines();
        harness.refused(status, None);
        assert_eq!(harness.lines(), ["abort #1", "open #2 websocket"], "{status}");
    }
}

#[test]
fn a_busy_server_is_not_tried_by_another_transport() {
    for (status, retry_after_ms) in [(503, None), (429, None), (500, Some(1_000))] {
        let mut harness = Harness::with(|options| options.transports = vec![Polling, WebSocket]);
        harness.connect();
        harness.lines();
        harness.refused(status, retry_after_ms);
        assert_eq!(
            harness.lines(),
            ["abort #1".to_string(), format!("0 not connected: polling error ({status})")]
        );
    }
}

#[test]
fn addresses_carry_the_page_s_own_query() {
    let mut harness = Harness::with(|options| options.query = "a=1".into());
    harness.connect();
    assert_eq!(harness.lines(), ["open #1 websocket a=1"]);
}

#[test]
fn a_post_that_fails_ends_the_connection() {
    let mut harness = Harness::polling_only().on_polling("");
    harness.emit(r#""e""#);
    let post = harness.last(crate::harness::CarrierKind::Post);
    harness.lines();
    harness.handle(moorline_client_core::Input::Failed(post));
    assert_eq!(
        harness.lines(),
        ["abort #4", "abort #5", "link closed: transport error", "0 disconnected: transport error"]
    );
}
