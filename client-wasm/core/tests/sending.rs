//! Events from the page: sent at once, kept for later within bounds, with acknowledgements, or not taken at all.

use crate::harness::Harness;
use moorline_client_core::{Emission, Options, SendError, SocketOptions};
use moorline_protocol::TransportKind;

fn event(json: &str) -> Emission {
    Emission { json: json.into(), ..Emission::default() }
}

fn with_attachments(count: usize) -> Emission {
    Emission { json: r#""b""#.into(), attachments: vec![vec![7; 10]; count], ..Emission::default() }
}

#[test]
fn events_before_the_connection_go_out_in_order() {
    let mut harness = Harness::new();
    harness.emit(r#""a",1"#);
    let ack = harness.emit_with_ack(r#""b""#, None);
    harness.emit(r#""c""#);
    harness.connect();
    harness.opens_session();
    assert_eq!(harness.sent(), ["40"]);
    harness.text(r#"40{"sid":"me"}"#);
    harness.emit(r#""d""#);
    assert_eq!(harness.sent(), [r#"42["a",1]"#, r#"420["b"]"#, r#"42["c"]"#, r#"42["d"]"#]);
    harness.text("430[true]");
    assert_eq!(harness.lines(), [format!("ack {ack}: [true]")]);
}

#[test]
fn a_buffer_takes_so_many_messages_and_no_more() {
    let mut harness = Harness::with(|options| options.send_packets_max = 3);
    for number in 0..3 {
        harness.emit(&number.to_string());
    }
    assert_eq!(harness.emit_from(harness.main(), event("3")), Err(SendError::BufferFull));
    harness.volatile("4", 0);
    let mut harness = harness.on_websocket();
    harness.emit("5");
    harness.closed(1006);
    harness.emit("6");
    harness.pass(1_000);
    harness.opens_session();
    harness.lines();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(harness.sent(), ["42[6]"]);
}

#[test]
fn a_buffer_takes_so_many_bytes_and_no_more() {
    // A frame of `42["…"]` with 93 letters: 100 bytes, and a header of 2.
    let hundred = format!("\"{}\"", "x".repeat(94));
    let mut harness = Harness::with(|options| options.send_bytes_max = 306);
    for _ in 0..3 {
        harness.emit(&hundred);
    }
    assert_eq!(harness.emit_from(harness.main(), event("1")), Err(SendError::BufferFull));
    let mut harness = Harness::with(|options| options.send_bytes_max = 305);
    harness.emit(&hundred);
    harness.emit(&hundred);
    assert_eq!(harness.emit_from(harness.main(), event(&hundred)), Err(SendError::BufferFull));
}

#[test]
fn attachments_and_other_sockets_count_as_well() {
    let mut harness = Harness::with(|options| options.send_bytes_max = 100);
    let admin = harness.client.add_socket("/admin".into(), SocketOptions::default());
    harness.emit_from(admin, with_attachments(4)).expect("it is taken");
    assert_eq!(harness.emit_from(harness.main(), with_attachments(3)), Err(SendError::BufferFull));
}

#[test]
fn the_backlog_of_a_slow_websocket_counts_as_well() {
    let mut harness = Harness::with(|options| options.send_bytes_max = 1_000).on_websocket();
    let full = Emission { unsent_bytes: 994, ..event("1") };
    assert_eq!(harness.emit_from(harness.main(), Emission { unsent_bytes: 993, ..event("1") }), Ok(None));
    assert_eq!(harness.emit_from(harness.main(), full), Err(SendError::BufferFull));
    assert_eq!(harness.sent(), ["42[1]"]);
}

#[test]
fn the_backlog_of_a_post_counts_as_well() {
    let mut harness = Harness::with(|options| {
        options.transports = vec![TransportKind::Polling];
        options.send_bytes_max = 16;
    })
    .on_polling("");
    // The first is under way, two wait.
    for _ in 0..3 {
        harness.emit("1");
    }
    assert_eq!(harness.emit_from(harness.main(), event("1")), Err(SendError::BufferFull));
    harness.posted();
    harness.emit("2");
    assert_eq!(harness.sent(), ["42[1]", "42[1]", "42[1]"]);
    harness.posted();
    assert_eq!(harness.sent(), ["42[2]"]);
}

#[test]
fn a_body_holds_no_more_than_the_server_takes() {
    let mut harness = Harness::polling_only().on_polling("");
    let long = format!("\"{}\"", "x".repeat(300));
    harness.emit("0");
    for _ in 0..6 {
        harness.emit(&long);
    }
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(harness.sent().len());
        harness.posted();
    }
    assert_eq!(counts, [1, 3, 3], "three times 306 bytes and what stands between them");
}

#[test]
fn a_body_may_be_as_large_as_the_server_takes() {
    for (letters, bodies) in [(493, 1), (494, 2)] {
        let mut harness = Harness::polling_only().on_polling("");
        harness.emit("0");
        harness.emit(&format!("\"{}\"", "x".repeat(494)));
        harness.emit(&format!("\"{}\"", "x".repeat(letters)));
        harness.posted();
        harness.posted();
        let count = harness.lines().iter().filter(|line| line.starts_with("post")).count();
        assert_eq!(count, 1 + bodies, "{letters}");
    }
}

#[test]
fn an_event_larger_than_the_server_takes_is_an_error() {
    // The server takes 1,000 bytes.
    let (fits, too_big) = (format!("\"{}\"", "x".repeat(994)), format!("\"{}\"", "x".repeat(995)));
    let mut harness = Harness::new().on_websocket();
    harness.emit(&fits);
    assert_eq!(harness.emit_from(harness.main(), event(&too_big)), Err(SendError::TooBig));
    let attached = |bytes| Emission { attachments: vec![vec![1; bytes]], ..event(r#""b""#) };
    assert_eq!(harness.emit_from(harness.main(), attached(1_000)), Ok(None));
    assert_eq!(harness.emit_from(harness.main(), attached(1_001)), Err(SendError::TooBig));
    let mut harness = Harness::polling_only().on_polling("");
    assert_eq!(harness.emit_from(harness.main(), attached(747)), Ok(None), "997 bytes in base64");
    assert_eq!(harness.emit_from(harness.main(), attached(750)), Err(SendError::TooBig));
}

#[test]
fn an_event_that_turns_out_too_big_is_an_error() {
    let too_big = format!("\"{}\"", "x".repeat(2_000));
    let mut harness = Harness::new();
    harness.emit("1");
    harness.emit(&too_big);
    let ack = harness.emit_with_ack(&too_big, None);
    harness.emit("2");
    harness.connect();
    harness.opens_session();
    harness.lines();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(
        harness.lines(),
        [
            "#1 42[1]".to_string(),
            "0 dropped: too_big".into(),
            format!("ack {ack} failed: too_big"),
            "#1 42[2]".into(),
            "0 connected: me".into()
        ]
    );
}

#[test]
fn a_server_that_names_no_bound_takes_anything() {
    let open = r#"0{"sid":"x","pingInterval":25000,"pingTimeout":20000"#;
    for text in [format!("{open}}}"), format!("{open},\"maxPayload\":0}}")] {
        let mut harness = Harness::new();
        harness.connect();
        harness.opened();
        harness.text(&text);
        harness.text(r#"40{"sid":"me"}"#);
        harness.emit(&"1".repeat(1_000_000));
    }
}

#[test]
fn attachments_follow_their_packet_and_are_bounded() {
    let mut harness = Harness::new().on_websocket();
    harness.emit_from(harness.main(), with_attachments(2)).expect("it is taken");
    let bytes = format!("b{:?}", [7; 10]);
    assert_eq!(harness.sent(), [r#"452-["b"]"#.to_string(), bytes.clone(), bytes]);
    assert_eq!(harness.emit_from(harness.main(), with_attachments(10)), Ok(None));
    assert_eq!(harness.emit_from(harness.main(), with_attachments(11)), Err(SendError::TooManyAttachments));
}

#[test]
fn acks_are_awaited_so_long_and_no_longer() {
    let mut harness = Harness::bare(Options::new(crate::harness::SERVER.into()));
    harness
        .client
        .add_socket("/".into(), SocketOptions { ack_timeout_ms: Some(3_000), ..Default::default() });
    let mut harness = harness.on_websocket();
    let (own, given) = (harness.emit_with_ack("1", None), harness.emit_with_ack("2", Some(500)));
    harness.lines();
    harness.pass(500);
    assert_eq!(harness.lines(), [format!("ack {given} failed: timeout")]);
    harness.text("431[1]");
    assert_eq!(harness.lines(), [""; 0], "too late");
    harness.pass(2_499);
    assert_eq!(harness.lines(), [""; 0]);
    harness.pass(1);
    assert_eq!(harness.lines(), [format!("ack {own} failed: timeout")]);
}

#[test]
fn a_message_whose_time_is_over_is_not_sent_any_more() {
    let mut harness = Harness::new();
    harness.emit("1");
    let ack = harness.emit_with_ack("2", Some(500));
    harness.emit("3");
    harness.pass(500);
    assert_eq!(harness.lines(), [format!("ack {ack} failed: timeout")]);
    harness.connect();
    harness.opens_session();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(harness.sent(), ["40", "42[1]", "42[3]"]);
}

#[test]
fn a_disconnect_fails_what_was_sent_and_keeps_what_was_not() {
    let mut harness = Harness::new().on_websocket();
    let sent = harness.emit_with_ack("1", None);
    harness.closed(1006);
    let held = harness.emit_with_ack("2", None);
    assert!(harness.lines().contains(&format!("ack {sent} failed: disconnected")));
    harness.pass(1_000);
    harness.opens_session();
    harness.closed(1006);
    harness.disconnect();
    assert!(!harness.lines().iter().any(|line| line.starts_with("ack")));
    harness.connect();
    harness.opens_session();
    harness.text(r#"40{"sid":"me"}"#);
    assert_eq!(harness.sent(), ["40", "421[2]"]);
    harness.text("431[]");
    assert_eq!(harness.lines(), [format!("ack {held}: []")]);
}

#[test]
fn an_ack_counts_once_and_only_if_it_is_awaited() {
    let mut harness = Harness::new().on_websocket();
    let ack = harness.emit_with_ack("1", None);
    harness.lines();
    for text in ["437[0]", "430[1]", "430[2]"] {
        harness.text(text);
    }
    assert_eq!(harness.lines(), [format!("ack {ack}: [1]")]);
    let ack = harness.emit_with_ack("2", None);
    harness.lines();
    harness.text(r#"461-1[{"_placeholder":true,"num":0}]"#);
    harness.binary(&[1, 2]);
    assert_eq!(harness.lines(), [format!(r#"ack {ack}: [{{"_placeholder":true,"num":0}}] [1, 2]"#)]);
}

#[test]
fn so_many_acks_are_awaited_at_a_time() {
    let mut harness = Harness::with(|options| options.acks_max = 2).on_websocket();
    harness.emit_with_ack("1", None);
    harness.emit_with_ack("2", None);
    let third = Emission { wants_ack: true, ..event("3") };
    assert_eq!(harness.emit_from(harness.main(), third.clone()), Err(SendError::TooManyAcks));
    harness.emit("4");
    harness.text("430[]");
    assert!(harness.emit_from(harness.main(), third).is_ok());
}

#[test]
fn a_volatile_event_is_sent_now_or_not_at_all() {
    let mut harness = Harness::new();
    harness.volatile("1", 0);
    let mut harness = harness.on_websocket();
    harness.volatile("2", 0);
    harness.volatile("3", 64 << 10);
    harness.volatile("4", (64 << 10) + 1);
    assert_eq!(harness.sent(), ["42[2]", "42[3]"]);
    harness.sleep(100_000);
    harness.volatile("5", 0);
    harness.text("2");
    assert_eq!(harness.sent(), ["3"]);
    let mut harness = Harness::polling_only().on_polling("");
    harness.volatile("6", 0);
    harness.volatile("7", 0);
    assert_eq!(harness.sent(), ["42[6]"]);
    harness.posted();
    assert_eq!(harness.sent(), [""; 0]);
}

#[test]
fn the_ack_of_a_volatile_event_fails_when_it_cannot_come() {
    let volatile = |timeout_ms| Emission { is_volatile: true, wants_ack: true, timeout_ms, ..event("1") };
    let mut harness = Harness::new();
    let ack = harness.emit_from(harness.main(), volatile(None)).expect("it is taken").expect("an ack");
    assert_eq!(harness.lines(), [""; 0], "its owner has to note it first");
    harness.pass(1);
    assert_eq!(harness.lines(), [format!("ack {} failed: timeout", ack.number())]);
    let ack = harness.emit_from(harness.main(), volatile(Some(50))).expect("it is taken").expect("an ack");
    assert_eq!(harness.lines(), [""; 0]);
    harness.pass(50);
    assert_eq!(harness.lines(), [format!("ack {} failed: timeout", ack.number())]);
    harness.assert_idle();
}

#[test]
fn a_socket_that_does_not_exist_takes_nothing() {
    let mut harness = Harness::new();
    let nobody = Harness::new().client.add_socket("/another client".into(), SocketOptions::default());
    assert_eq!(harness.emit_from(nobody, event("1")), Ok(None));
    harness.connect_socket(nobody);
    harness.disconnect_socket(nobody);
    assert_eq!(harness.lines(), [""; 0]);
}
