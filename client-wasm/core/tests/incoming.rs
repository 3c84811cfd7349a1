//! What a server sends: handed on whole and in order, or the end of the connection; never more than the bounds allow.

use crate::bench::{Bench, LineKind, MAIN, handshake};
use moorline_client_core::{Input, Output, OwedAck, SocketIndex};

fn joining() -> Bench {
    let mut bench = Bench::new();
    bench.connect();
    bench.opened();
    bench.text(&handshake("s1.x", ""));
    bench.lines();
    bench
}

fn asked(bench: &Bench) -> OwedAck {
    let asked = bench.outputs.iter().find_map(|output| match output {
        Output::Event { owed_ack, .. } => *owed_ack,
        _ => None,
    });
    asked.expect("an event that asks")
}

fn answer(bench: &mut Bench, asked: OwedAck) {
    bench.client.ack(MAIN, asked, "1", &[], 0).expect("it is taken");
    bench.take_outputs();
}

#[test]
fn events_are_handed_on() {
    let mut bench = Bench::new().on_websocket();
    bench.text(r#"42["a",{"b":[1]}]"#);
    bench.text(r#"4212["c"]"#);
    assert_eq!(bench.lines(), [r#"0 receives ["a",{"b":[1]}]"#, r#"0 receives ["c"] wants ack 12"#]);
}

#[test]
fn an_event_is_handed_on_with_its_attachments() {
    let mut bench = Bench::new().on_websocket();
    bench.text(r#"452-5["a"]"#);
    bench.binary(&[1]);
    assert_eq!(bench.lines(), [""; 0]);
    bench.binary(&[]);
    bench.text(r#"450-["none"]"#);
    assert_eq!(bench.lines(), [r#"0 receives ["a"] [1] [] wants ack 5"#, r#"0 receives ["none"]"#]);
    let mut bench = Bench::polling_only().on_polling("");
    bench.polled(&[r#"451-["a"]"#]);
    bench.polled(&["bAQI=", r#"42["b"]"#]);
    let heard = bench.lines();
    assert_eq!(heard[2..], [r#"0 receives ["a"] [1, 2]"#, r#"0 receives ["b"]"#], "{heard:?}");
}

#[test]
fn events_before_the_answer_to_connect_wait_for_it() {
    let mut bench = joining();
    bench.text(r#"42["a"]"#);
    bench.text(r#"451-3["b"]"#);
    bench.binary(&[1]);
    assert_eq!(bench.lines(), [""; 0]);
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(
        bench.lines(),
        [r#"0 receives ["a"]"#, r#"0 receives ["b"] [1] wants ack 3"#, "0 connected: me"]
    );
}

#[test]
fn so_much_may_come_before_it_and_no_more() {
    let mut bench = Bench::with(|options| options.message_bytes_max = 1_000);
    bench.connect();
    bench.opens_session();
    bench.lines();
    // Each is small enough; what belongs to it counts as well.
    for _ in 0..3 {
        if bench.client.transport().is_some() {
            bench.text(r#"451-["a"]"#);
            bench.binary(&[0; 500]);
        }
    }
    assert_eq!(bench.lines()[1], "link closed: parse error");
    // As does what holds it, however little is in it.
    bench.pass(1_000);
    bench.opens_session();
    bench.lines();
    for _ in 0..100 {
        if bench.client.transport().is_some() {
            bench.text("42[]");
        }
    }
    assert_eq!(bench.lines()[1], "link closed: parse error");
}

#[test]
fn what_came_early_is_lost_with_its_connection() {
    let mut bench = joining();
    bench.text(r#"42["old"]"#);
    bench.closed(1006);
    bench.pass(1_000);
    bench.opened();
    bench.text(&handshake("s1.y", ""));
    bench.lines();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(bench.lines(), ["0 connected: me"]);
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
        let mut bench = Bench::new().on_websocket();
        bench.text(text);
        let head = text.get(..20).unwrap_or(text);
        assert_eq!(
            bench.lines(),
            ["close #1", "link closed: parse error", "0 disconnected: parse error"],
            "{head:?}"
        );
        assert_eq!(bench.pass_to_deadline(), 1_000, "{head:?}");
    }
    for text in ["bé", "b*", "b"] {
        let mut bench = Bench::polling_only().on_polling("");
        bench.polled(&[text]);
        assert!(bench.lines().contains(&"link closed: parse error".to_string()), "{text:?}");
    }
}

#[test]
fn bounds_are_what_may_just_be() {
    let mut bench = Bench::with(|options| {
        options.message_bytes_max = 100;
        options.depth_max = 3;
        options.attachments_max = 2;
    })
    .on_websocket();
    bench.text(&format!("42[\"{}\"]", "x".repeat(95)));
    bench.text("42[[[1]]]");
    bench.text(r#"452-["b"]"#);
    bench.binary(&[0; 50]);
    bench.binary(&[0; 42]);
    assert_eq!(bench.lines().len(), 3);
    let over: [fn(&mut Bench); 4] = [
        |bench| bench.text(&format!("42[\"{}\"]", "x".repeat(96))),
        |bench| bench.text("42[[[[1]]]]"),
        |bench| bench.text(r#"453-["b"]"#),
        |bench| {
            bench.text(r#"451-["b"]"#);
            bench.binary(&[0; 93]);
        },
    ];
    for over in over {
        over(&mut bench);
        assert!(bench.lines().contains(&"0 disconnected: parse error".to_string()));
        bench.pass(5_000);
        bench.accept_websocket("s1.x");
    }
}

#[test]
fn text_and_attachments_come_when_they_are_due() {
    let mut bench = Bench::new().on_websocket();
    bench.binary(&[1]);
    assert_eq!(bench.lines()[1], "link closed: parse error");
    let mut bench = Bench::new().on_websocket();
    bench.text(r#"451-["b"]"#);
    bench.text("2");
    assert_eq!(bench.lines(), ["#1 3"], "a heartbeat is no message");
    bench.text(r#"42["e"]"#);
    assert_eq!(bench.lines()[1], "link closed: parse error");
    bench.pass(1_000);
    bench.accept_websocket("s1.y");
    bench.text(r#"42["e"]"#);
    assert_eq!(bench.lines(), [r#"0 receives ["e"]"#], "nothing is left of the half of before");
}

#[test]
fn what_is_too_big_to_be_copied_ends_the_connection() {
    for kind in [LineKind::WebSocket, LineKind::Get] {
        let mut bench = match kind {
            LineKind::WebSocket => Bench::new().on_websocket(),
            _ => Bench::polling_only().on_polling(""),
        };
        let channel = bench.last(kind);
        bench.tell(Input::TooBig(channel));
        assert!(bench.lines().contains(&"link closed: parse error".to_string()));
    }
}

#[test]
fn what_the_page_cannot_read_ends_the_connection() {
    let mut bench = Bench::new().on_websocket();
    bench.text("42[nonsense]");
    bench.lines();
    bench.tell(Input::Unreadable);
    assert_eq!(bench.lines(), ["close #1", "link closed: parse error", "0 disconnected: parse error"]);
    bench.tell(Input::Unreadable);
    assert_eq!(bench.lines(), [""; 0]);
    bench.pass(1_000);
    bench.lines();
    bench.tell(Input::Unreadable);
    assert_eq!(bench.lines(), [""; 0], "an attempt has handed nothing out");
}

#[test]
fn packets_for_others_are_for_nobody() {
    let mut bench = Bench::new().on_websocket();
    for text in [
        r#"42/other,["e"]"#,
        r#"40/other,{"sid":"x"}"#,
        r#"44/other,{"message":"no"}"#,
        "41/other,",
        r#"40{"sid":"again"}"#,
        r#"44{"message":"late"}"#,
    ] {
        bench.text(text);
        assert_eq!(bench.lines(), [""; 0], "{text}");
    }
    assert!(bench.client.is_active(MAIN));
}

#[test]
fn a_server_that_disconnects_a_socket_means_it() {
    let mut bench = Bench::new().on_websocket();
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.connect_socket(admin);
    bench.text(r#"40/admin,{"sid":"b"}"#);
    let ack = bench.ask("1", None);
    bench.lines();
    bench.text("41");
    assert_eq!(
        bench.lines(),
        ["0 disconnected: io server disconnect".into(), format!("ack {ack} failed: disconnected")]
    );
    assert!(!bench.client.is_active(MAIN) && bench.client.is_active(admin));
    bench.text("41/admin,");
    assert_eq!(
        bench.lines(),
        ["1 disconnected: io server disconnect", "close #1", "link closed: io client disconnect"]
    );
    bench.assert_idle();
}

#[test]
fn an_answer_goes_where_it_was_asked() {
    let mut bench = Bench::new().on_websocket();
    bench.text(r#"427["q"]"#);
    let question = asked(&bench);
    bench.lines();
    answer(&mut bench, question);
    assert_eq!(bench.lines(), ["#1 437[1]"]);
    bench.closed(1006);
    answer(&mut bench, question);
    bench.pass(1_000);
    bench.accept_websocket("s1.y");
    answer(&mut bench, question);
    assert_eq!(bench.said(), [""; 0], "another connection counts anew");
}

#[test]
fn an_answer_does_not_outlive_its_time_in_the_namespace() {
    let mut bench = Bench::new().on_websocket();
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.connect_socket(admin);
    bench.text(r#"40/admin,{"sid":"b"}"#);
    bench.text(r#"427["q"]"#);
    let question = asked(&bench);
    bench.disconnect();
    bench.connect();
    bench.text(r#"40{"sid":"again"}"#);
    bench.lines();
    answer(&mut bench, question);
    assert_eq!(bench.said(), [""; 0], "to this socket of the server it was never put");
}

#[test]
fn an_answer_to_a_connect_of_before_is_for_nobody() {
    let mut bench = joining();
    bench.client.add_socket("/admin".into(), None, None);
    bench.connect_socket(SocketIndex(1));
    bench.disconnect();
    bench.connect();
    bench.text(r#"42["old"]"#);
    bench.lines();
    bench.text(r#"40{"sid":"old"}"#);
    let heard = bench.lines();
    assert!(!heard.contains(&"0 connected: old".to_string()), "{heard:?}");
    bench.text(r#"40{"sid":"new"}"#);
    assert_eq!(bench.lines(), ["0 connected: new"]);
}

#[test]
fn who_leaves_before_the_answer_to_connect_harms_nobody() {
    // A server closes the whole connection when it is told of a namespace that was not joined.
    let mut bench = joining();
    bench.client.add_socket("/admin".into(), None, None);
    bench.connect_socket(SocketIndex(1));
    bench.lines();
    bench.disconnect();
    assert_eq!(bench.lines(), [""; 0]);
    bench.text(r#"44{"message":"no"}"#);
    assert_eq!(bench.lines(), [""; 0]);
    bench.connect();
    assert_eq!(bench.lines(), ["#1 40"]);
    bench.disconnect();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(bench.lines(), ["#1 41"]);
    bench.connect();
    assert_eq!(bench.lines(), ["#1 40"]);
}

#[test]
fn a_disconnect_sent_before_a_connect_belongs_to_the_epoch_before() {
    let mut bench = Bench::new().on_websocket();
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.connect_socket(admin);
    bench.text(r#"40/admin,{"sid":"b"}"#);
    bench.disconnect();
    bench.connect();
    bench.lines();
    bench.text("41");
    assert_eq!(bench.lines(), [""; 0]);
    assert!(bench.client.is_active(MAIN));
    bench.text(r#"40{"sid":"again"}"#);
    assert_eq!(bench.lines(), ["0 connected: again"]);
}
