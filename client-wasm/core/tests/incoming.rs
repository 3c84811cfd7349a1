//! Packets from a server: handed on whole and in order, or the end of the connection; never more than the bounds allow.

use crate::harness::{CarrierKind, Harness, handshake};
use moorline_client_core::{Input, Output, OwedAck, SocketOptions};

fn joining() -> Harness {
    let mut harness = Harness::new();
    harness.connect();
    harness.opened();
    harness.text(&handshake("s1.x", ""));
    harness.lines();
    harness
}

fn owed_ack(harness: &Harness) -> OwedAck {
    let owed = harness.outputs.iter().find_map(|output| match output {
        Output::Event { owed_ack, .. } => *owed_ack,
        _ => None,
    });
    owed.expect("an event that wants an ack")
}

fn ack(harness: &mut Harness, owed: OwedAck) {
    harness.client.ack(harness.main(), owed, "1", &[], 0).expect("it is taken");
    harness.take_outputs();
}

#[test]
fn events_are_handed_on() {
    let mut harness = Harness::new().on_websocket();
    harness.text(r#"42["a",{"b":[1]}]"#);
    harness.text(r#"4212["c"]"#);
    assert_eq!(harness.lines(), [r#"0 receives ["a",{"b":[1]}]"#, r#"0 receives ["c"] wants ack 12"#]);
}

#[test]
fn an_event_is_handed_on_with_its_attachments() {
    let mut harness = Harness::new().on_websocket();
    harness.text(r#"452-5["a"]"#);
    harness.binary(&[1]);
    assert_eq!(harness.lines(), [""; 0]);
    harness.binary(&[]);
    harness.text(r#"450-["none"]"#);
    assert_eq!(harness.lines(), [r#"0 receives ["a"] [1] [] wants ack 5"#, r#"0 receives ["none"]"#]);
    let mut harness = Harness::polling_only().on_polling("");
    harness.polled(&[r#"451-["a"]"#]);
    harness.polled(&["bAQI=", r#"42["b"]"#]);
    let received = harness.lines();
    assert_eq!(received[2..], [r#"0 receives ["a"] [1, 2]"#, r#"0 receives ["b"]"#], "{received:?}");
}

#[test]
fn events_before_the_connect_reply_wait_for_it() {
    let mut harness = joining();
    harness.text(r#"42["a"]"#);
    harness.text(r#"451-3["b"]"#);
    harness.binary(&[1]);
    assert_eq!(harness.lines(), [""; 0]);
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(
        harness.lines(),
        [r#"0 receives ["a"]"#, r#"0 receives ["b"] [1] wants ack 3"#, "0 connected: me"]
    );
}

#[test]
fn the_receive_buffer_is_bounded() {
    let mut harness = Harness::with(|options| options.message_bytes_max = 1_000);
    harness.connect();
    harness.opens_session();
    harness.lines();
    // Each packet is small enough; its attachments count as well.
    for _ in 0..3 {
        if harness.client.transport().is_some() {
            harness.text(r#"451-["a"]"#);
            harness.binary(&[0; 500]);
        }
    }
    assert_eq!(harness.lines()[1], "link closed: parse error");
    // The memory of the packet itself counts too, however short its text is.
    harness.pass(1_000);
    harness.opens_session();
    harness.lines();
    for _ in 0..100 {
        if harness.client.transport().is_some() {
            harness.text("42[]");
        }
    }
    assert_eq!(harness.lines()[1], "link closed: parse error");
}

#[test]
fn the_receive_buffer_is_lost_with_its_connection() {
    let mut harness = joining();
    harness.text(r#"42["old"]"#);
    harness.closed(1006);
    harness.pass(1_000);
    harness.opened();
    harness.text(&handshake("s1.y", ""));
    harness.lines();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(harness.lines(), ["0 connected: me"]);
}

#[test]
fn every_bad_packet_ends_the_connection_and_nothing_else() {
    let deep = format!("42[{}{}]", "[".repeat(64), "]".repeat(64));
    let long = format!("42[\"{}\"]", "x".repeat(10_000_000));
    let bad = [
        "",
        "7",
        "x",
        "é",
        "5",
        "0{}",
        "4",
        "47",
        "42",
        "42{}",
        "42\"e\"",
        "43[]",
        "431",
        "46[1]",
        "45[1]",
        "45-[1]",
        "4511-[1]",
        "4599999999999-[1]",
        "461-[1]",
        "41{}",
        "401",
        "4299999999999999999999[1]",
        "44",
        &deep,
        &long,
    ];
    for text in bad {
        let mut harness = Harness::new().on_websocket();
        harness.text(text);
        let head = text.get(..20).unwrap_or(text);
        assert_eq!(
            harness.lines(),
            ["close #1", "link closed: parse error", "0 disconnected: parse error"],
            "{head:?}"
        );
        assert_eq!(harness.pass_to_deadline(), 1_000, "{head:?}");
    }
    for text in ["bé", "b*", "b"] {
        let mut harness = Harness::polling_only().on_polling("");
        harness.polled(&[text]);
        assert!(harness.lines().contains(&"link closed: parse error".to_string()), "{text:?}");
    }
}

#[test]
fn bounds_are_what_may_just_be() {
    let mut harness = Harness::with(|options| {
        options.message_bytes_max = 100;
        options.depth_max = 3;
        options.attachments_max = 2;
    })
    .on_websocket();
    harness.text(&format!("42[\"{}\"]", "x".repeat(95)));
    harness.text("42[[[1]]]");
    harness.text(r#"452-["b"]"#);
    harness.binary(&[0; 50]);
    harness.binary(&[0; 42]);
    assert_eq!(harness.lines().len(), 3);
    let over: [fn(&mut Harness); 4] = [
        |harness| harness.text(&format!("42[\"{}\"]", "x".repeat(96))),
        |harness| harness.text("42[[[[1]]]]"),
        |harness| harness.text(r#"453-["b"]"#),
        |harness| {
            harness.text(r#"451-["b"]"#);
            harness.binary(&[0; 93]);
        },
    ];
    for over in over {
        over(&mut harness);
        assert!(harness.lines().contains(&"0 disconnected: parse error".to_string()));
        harness.pass(5_000);
        harness.accept_websocket("s1.x");
    }
}

#[test]
fn text_and_attachments_come_when_they_are_due() {
    let mut harness = Harness::new().on_websocket();
    harness.binary(&[1]);
    assert_eq!(harness.lines()[1], "link closed: parse error");
    let mut harness = Harness::new().on_websocket();
    harness.text(r#"451-["b"]"#);
    harness.text("2");
    assert_eq!(harness.lines(), ["#1 3"], "a heartbeat is no message");
    harness.text(r#"42["e"]"#);
    assert_eq!(harness.lines()[1], "link closed: parse error");
    harness.pass(1_000);
    harness.accept_websocket("s1.y");
    harness.text(r#"42["e"]"#);
    assert_eq!(harness.lines(), [r#"0 receives ["e"]"#], "nothing is left of the half of before");
}

#[test]
fn a_message_too_big_to_be_copied_ends_the_connection() {
    for kind in [CarrierKind::WebSocket, CarrierKind::Get] {
        let mut harness = match kind {
            CarrierKind::WebSocket => Harness::new().on_websocket(),
            _ => Harness::polling_only().on_polling(""),
        };
        let channel = harness.last(kind);
        harness.handle(Input::TooBig(channel));
        assert!(harness.lines().contains(&"link closed: parse error".to_string()));
    }
}

#[test]
fn a_message_the_page_cannot_read_ends_the_connection() {
    let mut harness = Harness::new().on_websocket();
    harness.text("42[nonsense]");
    harness.lines();
    harness.handle(Input::Unreadable);
    assert_eq!(harness.lines(), ["close #1", "link closed: parse error", "0 disconnected: parse error"]);
    harness.handle(Input::Unreadable);
    assert_eq!(harness.lines(), [""; 0]);
    harness.pass(1_000);
    harness.lines();
    harness.handle(Input::Unreadable);
    assert_eq!(harness.lines(), [""; 0], "an attempt has handed nothing out");
}

#[test]
fn packets_of_unknown_namespaces_are_ignored() {
    let mut harness = Harness::new().on_websocket();
    for text in [
        r#"42/other,["e"]"#,
        r#"40/other,{"sid":"x"}"#,
        r#"44/other,{"message":"no"}"#,
        "41/other,",
        r#"40{"sid":"again"}"#,
        r#"44{"message":"late"}"#,
    ] {
        harness.text(text);
        assert_eq!(harness.lines(), [""; 0], "{text}");
    }
    assert!(harness.client.is_active(harness.main()));
}

#[test]
fn a_server_that_disconnects_a_socket_means_it() {
    let mut harness = Harness::new().on_websocket();
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect_socket(admin);
    harness.text(r#"40/admin,{"sid":"b"}"#);
    let ack = harness.emit_with_ack("1", None);
    harness.lines();
    harness.text("41");
    assert_eq!(
        harness.lines(),
        ["0 disconnected: io server disconnect".into(), format!("ack {ack} failed: disconnected")]
    );
    assert!(!harness.client.is_active(harness.main()) && harness.client.is_active(admin));
    harness.text("41/admin,");
    assert_eq!(
        harness.lines(),
        ["1 disconnected: io server disconnect", "close #1", "link closed: io client disconnect"]
    );
    harness.assert_idle();
}

#[test]
fn an_ack_goes_to_the_connection_of_its_event() {
    let mut harness = Harness::new().on_websocket();
    harness.text(r#"427["q"]"#);
    let owed = owed_ack(&harness);
    harness.lines();
    ack(&mut harness, owed);
    assert_eq!(harness.lines(), ["#1 437[1]"]);
    harness.closed(1006);
    ack(&mut harness, owed);
    harness.pass(1_000);
    harness.accept_websocket("s1.y");
    ack(&mut harness, owed);
    assert_eq!(harness.sent(), [""; 0], "another connection counts anew");
}

#[test]
fn an_ack_does_not_outlive_its_epoch() {
    let mut harness = Harness::new().on_websocket();
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect_socket(admin);
    harness.text(r#"40/admin,{"sid":"b"}"#);
    harness.text(r#"427["q"]"#);
    let owed = owed_ack(&harness);
    harness.disconnect();
    harness.connect();
    harness.text(r#"40{"sid":"again"}"#);
    harness.lines();
    ack(&mut harness, owed);
    assert_eq!(harness.sent(), [""; 0], "the server sent this socket no such event");
}

#[test]
fn the_reply_to_an_abandoned_connect_is_ignored() {
    let mut harness = joining();
    harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect_socket(harness.socket(1));
    harness.disconnect();
    harness.connect();
    harness.text(r#"42["old"]"#);
    harness.lines();
    harness.text(r#"40{"sid":"old"}"#);
    let received = harness.lines();
    assert!(!received.contains(&"0 connected: old".to_string()), "{received:?}");
    harness.text(r#"40{"sid":"new"}"#);
    assert_eq!(harness.lines(), ["0 connected: new"]);
}

#[test]
fn a_disconnect_before_the_connect_reply_keeps_the_connection() {
    // A server closes the whole connection when it is told of a namespace that was not joined.
    let mut harness = joining();
    harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect_socket(harness.socket(1));
    harness.lines();
    harness.disconnect();
    assert_eq!(harness.lines(), [""; 0]);
    harness.text(r#"44{"message":"no"}"#);
    assert_eq!(harness.lines(), [""; 0]);
    harness.connect();
    assert_eq!(harness.lines(), ["#1 40"]);
    harness.disconnect();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(harness.lines(), ["#1 41"]);
    harness.connect();
    assert_eq!(harness.lines(), ["#1 40"]);
}

#[test]
fn a_disconnect_sent_before_a_connect_belongs_to_the_epoch_before() {
    let mut harness = Harness::new().on_websocket();
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.connect_socket(admin);
    harness.text(r#"40/admin,{"sid":"b"}"#);
    harness.disconnect();
    harness.connect();
    harness.lines();
    harness.text("41");
    assert_eq!(harness.lines(), [""; 0]);
    assert!(harness.client.is_active(harness.main()));
    harness.text(r#"40{"sid":"again"}"#);
    assert_eq!(harness.lines(), ["0 connected: again"]);
}
