//! From nothing to a connected socket: the handshake, auth, CONNECT and its answers.

use crate::bench::{Bench, MAIN, UPGRADE, handshake};
use moorline_client_core::{SocketIndex, Ticket, TransportKind};

const ADMIN: SocketIndex = SocketIndex(1);

#[test]
fn a_socket_connects_by_websocket() {
    let mut bench = Bench::new();
    bench.assert_idle();
    bench.connect();
    assert_eq!(bench.lines(), ["open #1 websocket"]);
    bench.opened();
    assert_eq!(bench.lines(), [""; 0]);
    bench.text(&handshake("s1.x", ""));
    assert_eq!(bench.lines(), ["link opened: websocket", "#1 40"]);
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(bench.lines(), ["0 connected: me"]);
    assert_eq!(bench.client.node(), Some("s1"));
    assert_eq!(bench.client.transport(), Some(TransportKind::WebSocket));
    assert!(bench.client.is_active(MAIN) && !bench.client.is_idle());
}

#[test]
fn a_socket_connects_by_polling() {
    let mut bench = Bench::polling_only();
    bench.connect();
    assert_eq!(bench.lines(), ["get #1 polling"]);
    bench.polled(&[&handshake("s1.x", "")]);
    assert_eq!(bench.lines(), ["get #2 polling sid=s1.x", "link opened: polling", "post #3 40"]);
    bench.posted();
    bench.polled(&[r#"40{"sid":"me"}"#, r#"42["early"]"#]);
    assert_eq!(bench.lines(), ["get #4 polling sid=s1.x", "0 connected: me", r#"0 receives ["early"]"#]);
    assert_eq!(bench.client.transport(), Some(TransportKind::Polling));
}

#[test]
fn every_namespace_joins_over_one_connection() {
    let mut bench = Bench::new();
    bench.client.add_socket("/admin".into(), None, None);
    bench.connect();
    bench.connect_socket(ADMIN);
    bench.opens_session();
    assert_eq!(bench.said(), ["40", "40/admin,"]);
    bench.text(r#"40/admin,{"sid":"b"}"#);
    bench.text(r#"40{"sid":"a"}"#);
    bench.text(r#"42/admin,["e"]"#);
    assert_eq!(bench.lines(), ["1 connected: b", "0 connected: a", r#"1 receives ["e"]"#]);
    // A third comes later.
    let late = bench.client.add_socket("/late".into(), None, None);
    bench.connect_socket(late);
    assert_eq!(bench.said(), ["40/late,"]);
    assert_eq!(bench.client.node(), None, "this id names none");
}

#[test]
fn to_connect_twice_changes_nothing() {
    let mut bench = Bench::new().on_websocket();
    bench.connect();
    assert_eq!(bench.lines(), [""; 0]);
}

#[test]
fn auth_is_asked_for_at_every_connection() {
    let mut bench = Bench::new();
    bench.gives_auth = true;
    bench.connect();
    bench.opened();
    bench.lines();
    bench.text(&handshake("x", ""));
    assert_eq!(bench.lines(), ["link opened: websocket", "auth of 0 wanted: 1"]);
    bench.authorize(MAIN, Ticket(1), r#"{"token":1}"#);
    assert_eq!(bench.said(), [r#"40{"token":1}"#]);
    bench.authorize(MAIN, Ticket(1), r#"{"token":1}"#);
    assert_eq!(bench.said(), [""; 0], "once is enough");
    bench.closed(1006);
    bench.pass(1_000);
    bench.lines();
    bench.opened();
    bench.text(&handshake("y", ""));
    assert!(bench.lines().contains(&"auth of 0 wanted: 2".to_string()));
    bench.authorize(MAIN, Ticket(1), "{}");
    assert_eq!(bench.said(), [""; 0], "that was for the connection of before");
    bench.authorize(MAIN, Ticket(2), "{}");
    assert_eq!(bench.said(), ["40{}"]);
}

#[test]
fn auth_for_a_socket_that_has_left_is_for_nobody() {
    let mut bench = Bench::new();
    bench.gives_auth = true;
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.connect();
    bench.connect_socket(admin);
    bench.opens_session();
    bench.lines();
    bench.disconnect();
    bench.authorize(MAIN, Ticket(1), "{}");
    assert_eq!(bench.lines(), [""; 0]);
    bench.connect();
    assert_eq!(bench.lines(), ["auth of 0 wanted: 3"]);
    bench.authorize(MAIN, Ticket(1), "{}");
    assert_eq!(bench.lines(), [""; 0]);
    bench.authorize(MAIN, Ticket(3), "{}");
    assert_eq!(bench.said(), ["40{}"]);
}

#[test]
fn auth_that_could_not_be_had_is_asked_for_again() {
    let mut bench = Bench::new();
    bench.gives_auth = true;
    bench.connect();
    bench.opens_session();
    bench.lines();
    for (ticket, ms) in [(1, 1_000), (2, 2_000), (3, 4_000), (4, 5_000)] {
        bench.auth_failed(MAIN, Ticket(ticket));
        bench.auth_failed(MAIN, Ticket(ticket));
        assert_eq!(bench.pass_to_deadline(), ms);
        assert_eq!(bench.lines(), [format!("auth of 0 wanted: {}", ticket + 1)]);
    }
    bench.auth_failed(MAIN, Ticket(5));
    bench.connect();
    assert_eq!(bench.lines(), ["auth of 0 wanted: 6"], "who asks now does not want to wait");
    bench.pass(5_000);
    assert_eq!(bench.lines(), [""; 0]);
}

#[test]
fn a_refusal_is_final() {
    let mut bench = Bench::new();
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.connect();
    bench.connect_socket(admin);
    bench.opens_session();
    bench.text(r#"40{"sid":"a"}"#);
    bench.lines();
    bench.text(r#"44/admin,{"message":"no","data":{"a":1}}"#);
    assert_eq!(bench.lines(), [r#"1 not connected: refused by the server {"message":"no","data":{"a":1}}"#]);
    assert!(!bench.client.is_active(admin));
    bench.pass(20_000);
    assert_eq!(bench.lines(), [""; 0]);
    bench.connect_socket(admin);
    assert_eq!(bench.said(), ["40/admin,"], "it may be asked for again");
}

#[test]
fn a_refusal_of_the_only_socket_ends_the_connection() {
    let mut bench = Bench::new();
    bench.connect();
    bench.opens_session();
    bench.lines();
    bench.text(r#"44{"message":"no"}"#);
    assert_eq!(
        bench.lines(),
        [
            r#"0 not connected: refused by the server {"message":"no"}"#,
            "close #1",
            "link closed: io client disconnect"
        ]
    );
    bench.assert_idle();
}

#[test]
fn a_server_of_the_old_protocol_is_named() {
    let mut bench = Bench::new();
    bench.connect();
    bench.opens_session();
    bench.lines();
    bench.text("40");
    let heard = bench.lines();
    assert!(heard[0].contains("older Socket.IO (v2)"), "{heard:?}");
    bench.assert_idle();
}

#[test]
fn a_server_that_does_not_answer_connect_is_left() {
    let mut bench = Bench::new();
    bench.connect();
    bench.opens_session();
    bench.lines();
    assert_eq!(bench.pass_to_deadline(), 20_000);
    assert_eq!(bench.lines(), ["close #1", "link closed: transport error", "0 not connected: timeout"]);
    assert_eq!(bench.pass_to_deadline(), 1_000);
    assert_eq!(bench.lines(), ["attempt 1", "open #2 websocket"]);
}

#[test]
fn one_namespace_without_an_answer_is_given_up_and_the_others_stay() {
    let mut bench = Bench::new().on_websocket();
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.connect_socket(admin);
    assert_eq!(bench.lines(), ["#1 40/admin,"]);
    bench.pass(20_000);
    // Had the server taken it after all, it would take no second CONNECT.
    assert_eq!(bench.lines(), ["1 not connected: timeout"]);
    assert!(!bench.client.is_active(admin) && bench.client.is_active(MAIN));
    bench.text(r#"40/admin,{"sid":"b"}"#);
    assert_eq!(bench.lines(), ["#1 41/admin,"], "nobody wants it any more");
    bench.connect_socket(admin);
    bench.text(r#"40/admin,{"sid":"c"}"#);
    assert_eq!(bench.lines(), ["#1 40/admin,", "1 connected: c"]);
}

#[test]
fn an_answer_to_connect_that_never_comes_does_not_block_the_namespace() {
    let mut bench = Bench::new().on_websocket();
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.connect_socket(admin);
    bench.pass(20_000);
    bench.text("2");
    bench.lines();
    bench.connect_socket(admin);
    assert_eq!(bench.lines(), [""; 0], "it may still be on its way");
    bench.pass(20_000);
    assert_eq!(bench.lines(), ["#1 40/admin,"]);
    bench.text(r#"40/admin,{"sid":"b"}"#);
    assert_eq!(bench.lines(), ["1 connected: b"]);
}

#[test]
fn the_end_of_an_unfinished_connection_is_told_to_who_wanted_it() {
    let mut bench = Bench::new();
    bench.connect();
    bench.opens_session();
    bench.lines();
    bench.closed(1006);
    assert_eq!(
        bench.lines(),
        ["close #1", "link closed: transport close", "0 not connected: websocket connection closed (1006)"]
    );
}

#[test]
fn what_is_no_handshake_ends_the_attempt() {
    for text in ["", "1", "2", "40", "0", "0{}", r#"0{"sid":"x"}"#, "x", "6", "3"] {
        let mut bench = Bench::with(|options| options.transports = vec![TransportKind::WebSocket]);
        bench.connect();
        bench.opened();
        bench.lines();
        bench.text(text);
        let heard = bench.lines();
        assert_eq!(heard[0], "close #1", "{text}");
        assert!(heard[1].starts_with("0 not connected: "), "{text}: {heard:?}");
        assert_eq!(bench.pass_to_deadline(), 1_000);
    }
    let mut bench = Bench::polling_only();
    bench.connect();
    bench.polled(&["b"]);
    assert_eq!(bench.lines()[1..], ["0 not connected: binary data before the handshake"]);
    bench.pass_to_deadline();
    bench.polled(&[&handshake("x", UPGRADE), &handshake("y", "")]);
    assert!(bench.lines().contains(&"link closed: parse error".to_string()), "one is enough");
}
