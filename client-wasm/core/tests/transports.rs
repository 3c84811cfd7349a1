//! Which transport is tried, for how long, and what is remembered of it.

use crate::bench::{Bench, handshake};
use moorline_client_core::TransportKind::{Polling, WebSocket};

#[test]
fn polling_is_tried_when_a_websocket_cannot_be_opened() {
    let mut bench = Bench::new();
    bench.connect();
    bench.lines();
    bench.closed(1006);
    assert_eq!(bench.lines(), ["close #1", "get #2 polling"], "nobody hears of it");
    bench.polled(&[&handshake("x", "")]);
    assert_eq!(bench.lines()[1], "link opened: polling");
}

#[test]
fn polling_is_tried_when_a_websocket_says_nothing() {
    let mut bench = Bench::new();
    bench.connect();
    bench.opened();
    bench.lines();
    assert_eq!(bench.pass_to_deadline(), 5_000, "a quarter of the attempt's time");
    assert_eq!(bench.lines(), ["close #1", "get #2 polling"]);
    assert_eq!(bench.pass_to_deadline(), 15_000, "the rest of it");
    assert_eq!(bench.lines(), ["abort #2", "0 not connected: timeout"]);
    assert_eq!(bench.pass_to_deadline(), 1_000);
}

#[test]
fn what_a_websocket_says_after_it_was_given_up_is_for_nobody() {
    let mut bench = Bench::new();
    bench.connect();
    bench.opened();
    let given_up = bench.last(crate::bench::LineKind::WebSocket);
    bench.pass(5_000);
    bench.lines();
    let late = moorline_client_core::Input::Text(given_up, handshake("late", ""));
    bench.tell(late);
    bench.closed(1006);
    assert_eq!(bench.lines(), [""; 0]);
    bench.polled(&[&handshake("x", "")]);
    assert_eq!(bench.lines()[1], "link opened: polling");
}

#[test]
fn the_last_transport_comes_first() {
    let mut bench = Bench::new();
    bench.connect();
    bench.closed(1006);
    bench.polled(&[&handshake("x", "")]);
    assert_eq!(bench.client.last_transport(), Some(Polling));
    bench.failed();
    bench.lines();
    bench.pass(1_000);
    assert_eq!(bench.lines(), ["attempt 1", "get #5 polling"]);
    bench.failed();
    assert_eq!(bench.lines(), ["abort #5", "open #6 websocket"], "what did not may by now");
    bench.opens_session();
    bench.closed(1006);
    bench.lines();
    bench.pass(2_000);
    assert_eq!(bench.lines(), ["attempt 1", "open #7 websocket"]);
}

#[test]
fn another_client_may_be_given_the_last_transport() {
    let mut bench = Bench::with(|options| options.last_transport = Some(Polling));
    bench.connect();
    assert_eq!(bench.lines(), ["get #1 polling"]);
    // What may not be used is no help.
    let mut bench = Bench::with(|options| {
        options.last_transport = Some(Polling);
        options.transports = vec![WebSocket];
    });
    bench.connect();
    assert_eq!(bench.lines(), ["open #1 websocket"]);
}

#[test]
fn transports_are_tried_in_the_order_of_the_option() {
    let mut bench = Bench::with(|options| options.transports = vec![Polling, WebSocket]);
    bench.connect();
    assert_eq!(bench.lines(), ["get #1 polling"]);
    bench.failed();
    assert_eq!(bench.lines(), ["abort #1", "open #2 websocket"]);
    bench.closed(1006);
    assert_eq!(bench.lines(), ["close #2", "0 not connected: websocket error (1006)"]);

    let mut bench = Bench::with(|options| options.transports = vec![WebSocket]);
    bench.connect();
    bench.closed(1006);
    assert_eq!(bench.lines(), ["open #1 websocket", "close #1", "0 not connected: websocket error (1006)"]);

    let mut bench = Bench::with(|options| options.transports.clear());
    bench.connect();
    assert_eq!(bench.lines(), ["open #1 websocket"], "none at all is the first one");
}

#[test]
fn a_server_without_polling_is_reached_by_websocket() {
    // It polled before, and the server does not know polling any more: nothing else would ever be tried.
    for status in [400, 404, 405] {
        let mut bench = Bench::with(|options| options.last_transport = Some(Polling));
        bench.connect();
        bench.lines();
        bench.refused(status, None);
        assert_eq!(bench.lines(), ["abort #1", "open #2 websocket"], "{status}");
    }
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_not_asked_by_another_transport() {
    for (status, retry_after_ms) in [(503, None), (429, None), (500, Some(1_000))] {
        let mut bench = Bench::with(|options| options.transports = vec![Polling, WebSocket]);
        bench.connect();
        bench.lines();
        bench.refused(status, retry_after_ms);
        assert_eq!(
            bench.lines(),
            ["abort #1".to_string(), format!("0 not connected: polling error ({status})")]
        );
    }
}

#[test]
fn addresses_carry_the_page_s_own_query() {
    let mut bench = Bench::with(|options| options.query = "a=1".into());
    bench.connect();
    assert_eq!(bench.lines(), ["open #1 websocket a=1"]);
}

#[test]
fn a_post_that_fails_ends_the_connection() {
    let mut bench = Bench::polling_only().on_polling("");
    bench.emit(r#""e""#);
    let post = bench.last(crate::bench::LineKind::Post);
    bench.lines();
    bench.tell(moorline_client_core::Input::Failed(post));
    assert_eq!(
        bench.lines(),
        ["abort #4", "abort #5", "link closed: transport error", "0 disconnected: transport error"]
    );
}
