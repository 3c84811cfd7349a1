//! Disconnecting: sent packets still go out, the server gets a DISCONNECT, and nothing is left behind.

use crate::harness::{CarrierKind, Harness, UPGRADE};
use moorline_client_core::{Input, SocketOptions};
use moorline_protocol::TransportKind;

#[test]
fn a_websocket_is_closed_after_what_it_was_given() {
    let mut harness = Harness::new().on_websocket();
    harness.emit("1");
    harness.disconnect();
    assert_eq!(
        harness.lines(),
        [
            "#1 42[1]",
            "#1 41",
            "0 disconnected: io client disconnect",
            "close #1",
            "link closed: io client disconnect"
        ]
    );
    harness.assert_idle();
}

#[test]
fn one_of_two_namespaces_disconnects_alone() {
    let mut harness = Harness::new().on_websocket();
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect_socket(admin);
    harness.text(r#"40/admin,{"sid":"b"}"#);
    harness.lines();
    harness.disconnect_socket(admin);
    assert_eq!(harness.lines(), ["#1 41/admin,", "1 disconnected: io client disconnect"]);
    harness.text(r#"42/admin,["late"]"#);
    assert_eq!(harness.lines(), [""; 0]);
    harness.connect_socket(admin);
    assert_eq!(harness.lines(), ["#1 40/admin,"]);
}

#[test]
fn a_polling_session_posts_its_close_packet_and_then_ends_its_get() {
    let mut harness = Harness::polling_only().on_polling("");
    harness.disconnect();
    assert_eq!(
        harness.lines(),
        ["post #5 41", "0 disconnected: io client disconnect", "link closed: io client disconnect"]
    );
    assert!(!harness.client.is_idle());
    harness.posted();
    assert_eq!(harness.lines(), ["post #6 1"], "the close packet waited for the POST under way");
    harness.posted();
    assert_eq!(harness.lines(), ["abort #4"]);
    harness.assert_idle();
}

#[test]
fn the_close_packet_comes_after_everything_that_was_sent() {
    let mut harness = Harness::polling_only().on_polling("");
    for number in 0..3 {
        harness.emit(&number.to_string());
    }
    harness.disconnect();
    harness.lines();
    harness.polled(&["6"]);
    assert_eq!(harness.lines(), [""; 0], "no other GET");
    harness.posted();
    assert_eq!(harness.sent(), ["42[1]", "42[2]", "41", "1"]);
    harness.posted();
    harness.assert_idle();
}

#[test]
fn a_closing_session_ends_when_its_post_fails_or_times_out() {
    let mut harness = Harness::polling_only().on_polling("");
    harness.disconnect();
    harness.lines();
    let post = harness.last(CarrierKind::Post);
    harness.handle(Input::Failed(post));
    assert_eq!(harness.lines(), ["abort #4"]);
    harness.assert_idle();
    let mut harness = Harness::polling_only().on_polling("");
    harness.disconnect();
    harness.lines();
    assert_eq!(harness.pass_to_deadline(), 5_000);
    assert_eq!(harness.lines(), ["abort #4", "abort #5"]);
    harness.assert_idle();
}

#[test]
fn a_disconnect_closes_the_probe_and_posts_the_packets_held_for_it() {
    for steps in 0..3 {
        let mut harness = Harness::with(|options| {
            options.transports = vec![TransportKind::Polling, TransportKind::WebSocket];
        })
        .on_polling(UPGRADE);
        if steps > 0 {
            harness.opened();
        }
        if steps > 1 {
            harness.text("3probe");
            harness.emit("1");
        }
        harness.lines();
        harness.disconnect();
        let sent = harness.sent();
        harness.posted();
        let rest = harness.sent();
        let all: Vec<String> = sent.into_iter().chain(rest).collect();
        assert_eq!(all.last().map(String::as_str), Some("1"), "{steps}: {all:?}");
        assert_eq!(all.contains(&"42[1]".to_string()), steps > 1);
        harness.pass(5_000);
        harness.assert_idle();
    }
}

#[test]
fn a_reconnect_does_not_wait_for_a_closing_session() {
    let mut harness = Harness::polling_only().on_polling("");
    harness.disconnect();
    harness.connect();
    let received = harness.lines();
    assert_eq!(received.last().map(String::as_str), Some("get #6 polling node=s1"), "{received:?}");
    harness.polled(&[&crate::harness::handshake("s1.y", "")]);
    harness.pass(5_000);
    assert!(harness.client.transport().is_some());
}

#[test]
fn closing_sessions_are_bounded_in_number() {
    let mut harness = Harness::polling_only();
    for turn in 0..10 {
        harness = harness.on_polling_as(&format!("s1.{turn}"), "");
        harness.disconnect();
        let live = harness.channels.values().filter(|carrier| carrier.is_live()).count();
        assert!(live <= 8, "a GET and a POST of each of four: {live}");
    }
    harness.lines();
    harness.pass(5_000);
    harness.assert_idle();
}

#[test]
fn no_timer_runs_for_an_ack_that_came_or_cannot_come() {
    for ending in ["430[]", "41"] {
        let mut harness = Harness::new().on_websocket();
        harness.emit_with_ack("1", Some(600_000));
        harness.text(ending);
        harness.disconnect();
        harness.assert_idle();
    }
}
