//! What a page sends: at once, kept for later within bounds, asked for answers, or not taken at all.

use crate::bench::{Bench, MAIN};
use moorline_client_core::{Emission, Options, SendError};

fn event(json: &str) -> Emission {
    Emission { json: json.into(), ..Emission::default() }
}

fn with_attachments(count: usize) -> Emission {
    Emission { json: r#""b""#.into(), attachments: vec![vec![7; 10]; count], ..Emission::default() }
}

#[test]
fn what_is_sent_before_the_connection_goes_out_in_order() {
    let mut bench = Bench::new();
    bench.emit(r#""a",1"#);
    let ack = bench.ask(r#""b""#, None);
    bench.emit(r#""c""#);
    bench.connect();
    bench.opens_session();
    assert_eq!(bench.said(), ["40"]);
    bench.text(r#"40{"sid":"me"}"#);
    bench.emit(r#""d""#);
    assert_eq!(bench.said(), [r#"42["a",1]"#, r#"420["b"]"#, r#"42["c"]"#, r#"42["d"]"#]);
    bench.text("430[true]");
    assert_eq!(bench.lines(), [format!("ack {ack}: [true]")]);
}

#[test]
fn a_buffer_takes_so_many_messages_and_no_more() {
    let mut bench = Bench::with(|options| options.send_packets_max = 3);
    for number in 0..3 {
        bench.emit(&number.to_string());
    }
    assert_eq!(bench.emit_from(MAIN, event("3")), Err(SendError::BufferFull));
    bench.volatile("4", 0);
    let mut bench = bench.on_websocket();
    bench.emit("5");
    bench.closed(1006);
    bench.emit("6");
    bench.pass(1_000);
    bench.opens_session();
    bench.lines();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(bench.said(), ["42[6]"]);
}

#[test]
fn a_buffer_takes_so_many_bytes_and_no_more() {
    // A frame of `42["…"]` with 93 letters: 100 bytes, and a header of 2.
    let hundred = format!("\"{}\"", "x".repeat(94));
    let mut bench = Bench::with(|options| options.send_bytes_max = 306);
    for _ in 0..3 {
        bench.emit(&hundred);
    }
    assert_eq!(bench.emit_from(MAIN, event("1")), Err(SendError::BufferFull));
    let mut bench = Bench::with(|options| options.send_bytes_max = 305);
    bench.emit(&hundred);
    bench.emit(&hundred);
    assert_eq!(bench.emit_from(MAIN, event(&hundred)), Err(SendError::BufferFull));
}

#[test]
fn attachments_and_other_sockets_count_as_well() {
    let mut bench = Bench::with(|options| options.send_bytes_max = 100);
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.emit_from(admin, with_attachments(4)).expect("it is taken");
    assert_eq!(bench.emit_from(MAIN, with_attachments(3)), Err(SendError::BufferFull));
}

#[test]
fn what_a_slow_websocket_has_not_sent_counts_as_well() {
    let mut bench = Bench::with(|options| options.send_bytes_max = 1_000).on_websocket();
    let full = Emission { unsent_bytes: 994, ..event("1") };
    assert_eq!(bench.emit_from(MAIN, Emission { unsent_bytes: 993, ..event("1") }), Ok(None));
    assert_eq!(bench.emit_from(MAIN, full), Err(SendError::BufferFull));
    assert_eq!(bench.said(), ["42[1]"]);
}

#[test]
fn what_waits_for_a_post_counts_as_well() {
    let mut bench = Bench::with(|options| {
        options.transports = vec![moorline_client_core::TransportKind::Polling];
        options.send_bytes_max = 16;
    })
    .on_polling("");
    // The first is under way, two wait.
    for _ in 0..3 {
        bench.emit("1");
    }
    assert_eq!(bench.emit_from(MAIN, event("1")), Err(SendError::BufferFull));
    bench.posted();
    bench.emit("2");
    assert_eq!(bench.said(), ["42[1]", "42[1]", "42[1]"]);
    bench.posted();
    assert_eq!(bench.said(), ["42[2]"]);
}

#[test]
fn a_body_holds_no_more_than_the_server_takes() {
    let mut bench = Bench::polling_only().on_polling("");
    let long = format!("\"{}\"", "x".repeat(300));
    bench.emit("0");
    for _ in 0..6 {
        bench.emit(&long);
    }
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(bench.said().len());
        bench.posted();
    }
    assert_eq!(counts, [1, 3, 3], "three times 306 bytes and what stands between them");
}

#[test]
fn a_body_may_be_as_large_as_the_server_takes() {
    for (letters, bodies) in [(493, 1), (494, 2)] {
        let mut bench = Bench::polling_only().on_polling("");
        bench.emit("0");
        bench.emit(&format!("\"{}\"", "x".repeat(494)));
        bench.emit(&format!("\"{}\"", "x".repeat(letters)));
        bench.posted();
        bench.posted();
        let count = bench.lines().iter().filter(|line| line.starts_with("post")).count();
        assert_eq!(count, 1 + bodies, "{letters}");
    }
}

#[test]
fn what_the_server_does_not_take_is_an_error() {
    // The server takes 1,000 bytes.
    let (fits, too_big) = (format!("\"{}\"", "x".repeat(994)), format!("\"{}\"", "x".repeat(995)));
    let mut bench = Bench::new().on_websocket();
    bench.emit(&fits);
    assert_eq!(bench.emit_from(MAIN, event(&too_big)), Err(SendError::TooBig));
    let attached = |bytes| Emission { attachments: vec![vec![1; bytes]], ..event(r#""b""#) };
    assert_eq!(bench.emit_from(MAIN, attached(1_000)), Ok(None));
    assert_eq!(bench.emit_from(MAIN, attached(1_001)), Err(SendError::TooBig));
    let mut bench = Bench::polling_only().on_polling("");
    assert_eq!(bench.emit_from(MAIN, attached(747)), Ok(None), "997 bytes in base64");
    assert_eq!(bench.emit_from(MAIN, attached(750)), Err(SendError::TooBig));
}

#[test]
fn what_turns_out_to_be_too_big_is_told() {
    let too_big = format!("\"{}\"", "x".repeat(2_000));
    let mut bench = Bench::new();
    bench.emit("1");
    bench.emit(&too_big);
    let ack = bench.ask(&too_big, None);
    bench.emit("2");
    bench.connect();
    bench.opens_session();
    bench.lines();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(
        bench.lines(),
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
        let mut bench = Bench::new();
        bench.connect();
        bench.opened();
        bench.text(&text);
        bench.text(r#"40{"sid":"me"}"#);
        bench.emit(&"1".repeat(1_000_000));
    }
}

#[test]
fn attachments_follow_their_packet_and_are_bounded() {
    let mut bench = Bench::new().on_websocket();
    bench.emit_from(MAIN, with_attachments(2)).expect("it is taken");
    let bytes = format!("b{:?}", [7; 10]);
    assert_eq!(bench.said(), [r#"452-["b"]"#.to_string(), bytes.clone(), bytes]);
    assert_eq!(bench.emit_from(MAIN, with_attachments(10)), Ok(None));
    assert_eq!(bench.emit_from(MAIN, with_attachments(11)), Err(SendError::TooManyAttachments));
}

#[test]
fn answers_are_awaited_so_long_and_no_longer() {
    let mut bench = Bench::bare(Options::new(crate::bench::SERVER.into()));
    bench.client.add_socket("/".into(), None, Some(3_000));
    let mut bench = bench.on_websocket();
    let (own, given) = (bench.ask("1", None), bench.ask("2", Some(500)));
    bench.lines();
    bench.pass(500);
    assert_eq!(bench.lines(), [format!("ack {given} failed: timeout")]);
    bench.text("431[1]");
    assert_eq!(bench.lines(), [""; 0], "too late");
    bench.pass(2_499);
    assert_eq!(bench.lines(), [""; 0]);
    bench.pass(1);
    assert_eq!(bench.lines(), [format!("ack {own} failed: timeout")]);
}

#[test]
fn a_message_whose_time_is_over_is_not_sent_any_more() {
    let mut bench = Bench::new();
    bench.emit("1");
    let ack = bench.ask("2", Some(500));
    bench.emit("3");
    bench.pass(500);
    assert_eq!(bench.lines(), [format!("ack {ack} failed: timeout")]);
    bench.connect();
    bench.opens_session();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(bench.said(), ["40", "42[1]", "42[3]"]);
}

#[test]
fn a_disconnect_fails_what_was_sent_and_keeps_what_was_not() {
    let mut bench = Bench::new().on_websocket();
    let sent = bench.ask("1", None);
    bench.closed(1006);
    let held = bench.ask("2", None);
    assert!(bench.lines().contains(&format!("ack {sent} failed: disconnected")));
    bench.pass(1_000);
    bench.opens_session();
    bench.closed(1006);
    bench.disconnect();
    assert!(!bench.lines().iter().any(|line| line.starts_with("ack")));
    bench.connect();
    bench.opens_session();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(bench.said(), ["40", "421[2]"]);
    bench.text("431[]");
    assert_eq!(bench.lines(), [format!("ack {held}: []")]);
}

#[test]
fn an_answer_counts_once_and_only_if_it_was_asked_for() {
    let mut bench = Bench::new().on_websocket();
    let ack = bench.ask("1", None);
    bench.lines();
    for text in ["437[0]", "430[1]", "430[2]"] {
        bench.text(text);
    }
    assert_eq!(bench.lines(), [format!("ack {ack}: [1]")]);
    let ack = bench.ask("2", None);
    bench.lines();
    bench.text(r#"461-1[{"_placeholder":true,"num":0}]"#);
    bench.binary(&[1, 2]);
    assert_eq!(bench.lines(), [format!(r#"ack {ack}: [{{"_placeholder":true,"num":0}}] [1, 2]"#)]);
}

#[test]
fn so_many_answers_are_awaited_at_a_time() {
    let mut bench = Bench::with(|options| options.acks_max = 2).on_websocket();
    bench.ask("1", None);
    bench.ask("2", None);
    let third = Emission { wants_ack: true, ..event("3") };
    assert_eq!(bench.emit_from(MAIN, third.clone()), Err(SendError::TooManyAcks));
    bench.emit("4");
    bench.text("430[]");
    assert!(bench.emit_from(MAIN, third).is_ok());
}

#[test]
fn what_is_volatile_is_sent_now_or_not_at_all() {
    let mut bench = Bench::new();
    bench.volatile("1", 0);
    let mut bench = bench.on_websocket();
    bench.volatile("2", 0);
    bench.volatile("3", 64 << 10);
    bench.volatile("4", (64 << 10) + 1);
    assert_eq!(bench.said(), ["42[2]", "42[3]"]);
    bench.sleep(100_000);
    bench.volatile("5", 0);
    bench.text("2");
    assert_eq!(bench.said(), ["3"]);
    let mut bench = Bench::polling_only().on_polling("");
    bench.volatile("6", 0);
    bench.volatile("7", 0);
    assert_eq!(bench.said(), ["42[6]"]);
    bench.posted();
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn an_answer_to_what_was_volatile_fails_when_it_cannot_come() {
    let volatile = |timeout_ms| Emission { is_volatile: true, wants_ack: true, timeout_ms, ..event("1") };
    let mut bench = Bench::new();
    let ack = bench.emit_from(MAIN, volatile(None)).expect("it is taken").expect("an ack");
    assert_eq!(bench.lines(), [""; 0], "its owner has to note it first");
    bench.pass(1);
    assert_eq!(bench.lines(), [format!("ack {} failed: timeout", ack.0)]);
    let ack = bench.emit_from(MAIN, volatile(Some(50))).expect("it is taken").expect("an ack");
    assert_eq!(bench.lines(), [""; 0]);
    bench.pass(50);
    assert_eq!(bench.lines(), [format!("ack {} failed: timeout", ack.0)]);
    bench.assert_idle();
}

#[test]
fn a_socket_that_does_not_exist_takes_nothing() {
    let mut bench = Bench::new();
    let nobody = moorline_client_core::SocketIndex(7);
    assert_eq!(bench.emit_from(nobody, event("1")), Ok(None));
    bench.connect_socket(nobody);
    bench.disconnect_socket(nobody);
    assert_eq!(bench.lines(), [""; 0]);
}
