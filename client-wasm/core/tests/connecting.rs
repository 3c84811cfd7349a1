//! From nothing to a connected socket: the handshake, auth, CONNECT and the replies to it.

use crate::harness::{Harness, UPGRADE, handshake};
use moorline_client_core::SocketOptions;
use moorline_protocol::TransportKind;

#[test]
fn a_socket_connects_by_websocket() {
    let mut harness = Harness::new();
    harness.assert_idle();
    harness.connect();
    assert_eq!(harness.lines(), ["open #1 websocket"]);
    harness.opened();
    assert_eq!(harness.lines(), [""; 0]);
    harness.text(&handshake("s1.x", ""));
    assert_eq!(harness.lines(), ["link opened: websocket", "#1 40"]);
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(harness.lines(), ["0 connected: me"]);
    assert_eq!(harness.client.node(), Some("s1"));
    assert_eq!(harness.client.transport(), Some(TransportKind::WebSocket));
    assert!(harness.client.is_active(harness.main()) && !harness.client.is_idle());
}

#[test]
fn a_socket_connects_by_polling() {
    let mut harness = Harness::polling_only();
    harness.connect();
    assert_eq!(harness.lines(), ["get #1 polling"]);
    harness.polled(&[&handshake("s1.x", "")]);
    assert_eq!(harness.lines(), ["get #2 polling sid=s1.x", "link opened: polling", "post #3 40"]);
    harness.posted();
    harness.polled(&[r#"40{"sid":"me"}"#, r#"42["early"]"#]);
    assert_eq!(harness.lines(), ["get #4 polling sid=s1.x", "0 connected: me", r#"0 receives ["early"]"#]);
    assert_eq!(harness.client.transport(), Some(TransportKind::Polling));
}

#[test]
fn every_namespace_joins_over_one_connection() {
    let mut harness = Harness::new();
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect();
    harness.connect_socket(admin);
    harness.opens_session();
    assert_eq!(harness.sent(), ["40", "40/admin,"]);
    harness.text(r#"40/admin,{"sid":"b"}"#);
    harness.text(r#"40{"sid":"a"}"#);
    harness.text(r#"42/admin,["e"]"#);
    assert_eq!(harness.lines(), ["1 connected: b", "0 connected: a", r#"1 receives ["e"]"#]);
    // A third comes later.
    let late = harness.client.add_socket("/late".into(), SocketOptions::default());
    harness.connect_socket(late);
    assert_eq!(harness.sent(), ["40/late,"]);
    assert_eq!(harness.client.node(), None, "this id names none");
}

#[test]
fn to_connect_twice_changes_nothing() {
    let mut harness = Harness::new().on_websocket();
    harness.connect();
    assert_eq!(harness.lines(), [""; 0]);
}

#[test]
fn auth_is_asked_for_at_every_connection() {
    let mut harness = Harness::new();
    harness.gives_auth = true;
    harness.connect();
    harness.opened();
    harness.lines();
    harness.text(&handshake("x", ""));
    assert_eq!(harness.lines(), ["link opened: websocket", "auth of 0 wanted: 1"]);
    harness.authorize(harness.main(), harness.ticket(1), r#"{"token":1}"#);
    assert_eq!(harness.sent(), [r#"40{"token":1}"#]);
    harness.authorize(harness.main(), harness.ticket(1), r#"{"token":1}"#);
    assert_eq!(harness.sent(), [""; 0], "once is enough");
    harness.closed(1006);
    harness.pass(1_000);
    harness.lines();
    harness.opened();
    harness.text(&handshake("y", ""));
    assert!(harness.lines().contains(&"auth of 0 wanted: 2".to_string()));
    harness.authorize(harness.main(), harness.ticket(1), "{}");
    assert_eq!(harness.sent(), [""; 0], "that was for the connection of before");
    harness.authorize(harness.main(), harness.ticket(2), "{}");
    assert_eq!(harness.sent(), ["40{}"]);
}

#[test]
fn auth_for_a_disconnected_socket_is_ignored() {
    let mut harness = Harness::new();
    harness.gives_auth = true;
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect();
    harness.connect_socket(admin);
    harness.opens_session();
    harness.lines();
    harness.disconnect();
    harness.authorize(harness.main(), harness.ticket(1), "{}");
    assert_eq!(harness.lines(), [""; 0]);
    harness.connect();
    assert_eq!(harness.lines(), ["auth of 0 wanted: 3"]);
    harness.authorize(harness.main(), harness.ticket(1), "{}");
    assert_eq!(harness.lines(), [""; 0]);
    harness.authorize(harness.main(), harness.ticket(3), "{}");
    assert_eq!(harness.sent(), ["40{}"]);
}

#[test]
fn auth_that_could_not_be_had_is_asked_for_again() {
    let mut harness = Harness::new();
    harness.gives_auth = true;
    harness.connect();
    harness.opens_session();
    harness.lines();
    for (ticket, ms) in [(1, 1_000), (2, 2_000), (3, 4_000), (4, 5_000)] {
        harness.auth_failed(harness.main(), harness.ticket(ticket));
        harness.auth_failed(harness.main(), harness.ticket(ticket));
        assert_eq!(harness.pass_to_deadline(), ms);
        assert_eq!(harness.lines(), [format!("auth of 0 wanted: {}", ticket + 1)]);
    }
    harness.auth_failed(harness.main(), harness.ticket(5));
    harness.connect();
    assert_eq!(harness.lines(), ["auth of 0 wanted: 6"], "connect asks at once");
    harness.pass(5_000);
    assert_eq!(harness.lines(), [""; 0]);
}

#[test]
fn a_refusal_is_final() {
    let mut harness = Harness::new();
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect();
    harness.connect_socket(admin);
    harness.opens_session();
    harness.text(r#"40{"sid":"a"}"#);
    harness.lines();
    harness.text(r#"44/admin,{"message":"no","data":{"a":1}}"#);
    assert_eq!(
        harness.lines(),
        [r#"1 not connected: refused by the server {"message":"no","data":{"a":1}}"#]
    );
    assert!(!harness.client.is_active(admin));
    harness.pass(20_000);
    assert_eq!(harness.lines(), [""; 0]);
    harness.connect_socket(admin);
    assert_eq!(harness.sent(), ["40/admin,"], "it may be asked for again");
}

#[test]
fn a_refusal_of_the_only_socket_ends_the_connection() {
    let mut harness = Harness::new();
    harness.connect();
    harness.opens_session();
    harness.lines();
    harness.text(r#"44{"message":"no"}"#);
    assert_eq!(
        harness.lines(),
        [
            r#"0 not connected: refused by the server {"message":"no"}"#,
            "close #1",
            "link closed: io client disconnect"
        ]
    );
    harness.assert_idle();
}

#[test]
fn a_server_of_the_old_protocol_is_named() {
    let mut harness = Harness::new();
    harness.connect();
    harness.opens_session();
    harness.lines();
    harness.text("40");
    let received = harness.lines();
    assert!(received[0].contains("older Socket.IO (v2)"), "{received:?}");
    harness.assert_idle();
}

#[test]
fn a_server_that_does_not_answer_connect_times_out() {
    let mut harness = Harness::new();
    harness.connect();
    harness.opens_session();
    harness.lines();
    assert_eq!(harness.pass_to_deadline(), 20_000);
    assert_eq!(harness.lines(), ["close #1", "link closed: transport error", "0 not connected: timeout"]);
    assert_eq!(harness.pass_to_deadline(), 1_000);
    assert_eq!(harness.lines(), ["attempt 1", "open #2 websocket"]);
}

#[test]
fn one_namespace_without_a_connect_reply_is_given_up_and_the_others_stay() {
    let mut harness = Harness::new().on_websocket();
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect_socket(admin);
    assert_eq!(harness.lines(), ["#1 40/admin,"]);
    harness.pass(20_000);
    // Had the server taken it after all, it would take no second CONNECT.
    assert_eq!(harness.lines(), ["1 not connected: timeout"]);
    assert!(!harness.client.is_active(admin) && harness.client.is_active(harness.main()));
    harness.text(r#"40/admin,{"sid":"b"}"#);
    assert_eq!(harness.lines(), ["#1 41/admin,"], "nobody wants it any more");
    harness.connect_socket(admin);
    harness.text(r#"40/admin,{"sid":"c"}"#);
    assert_eq!(harness.lines(), ["#1 40/admin,", "1 connected: c"]);
}

#[test]
fn a_connect_reply_that_never_comes_does_not_block_the_namespace() {
    let mut harness = Harness::new().on_websocket();
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect_socket(admin);
    harness.pass(20_000);
    harness.text("2");
    harness.lines();
    harness.connect_socket(admin);
    assert_eq!(harness.lines(), [""; 0], "it may still be on its way");
    harness.pass(20_000);
    assert_eq!(harness.lines(), ["#1 40/admin,"]);
    harness.text(r#"40/admin,{"sid":"b"}"#);
    assert_eq!(harness.lines(), ["1 connected: b"]);
}

#[test]
fn the_end_of_an_unfinished_connection_is_a_connect_error() {
    let mut harness = Harness::new();
    harness.connect();
    harness.opens_session();
    harness.lines();
    harness.closed(1006);
    assert_eq!(
        harness.lines(),
        ["close #1", "link closed: transport close", "0 not connected: websocket connection closed (1006)"]
    );
}

#[test]
fn a_malformed_handshake_ends_the_attempt() {
    for text in ["", "1", "2", "40", "0", "0{}", r#"0{"sid":"x"}"#, "x", "6", "3"] {
        let mut harness = Harness::with(|options| options.transports = vec![TransportKind::WebSocket]);
        harness.connect();
        harness.opened();
        harness.lines();
        harness.text(text);
        let received = harness.lines();
        assert_eq!(received[0], "close #1", "{text}");
        assert!(received[1].starts_with("0 not connected: "), "{text}: {received:?}");
        assert_eq!(harness.pass_to_deadline(), 1_000);
    }
    let mut harness = Harness::polling_only();
    harness.connect();
    harness.polled(&["b"]);
    assert_eq!(harness.lines()[1..], ["0 not connected: binary data before the handshake"]);
    harness.pass_to_deadline();
    harness.polled(&[&handshake("x", UPGRADE), &handshake("y", "")]);
    assert!(harness.lines().contains(&"link closed: parse error".to_string()), "one is enough");
}
