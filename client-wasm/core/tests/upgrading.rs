//! From polling to a WebSocket: the probe, each of its steps, each way it fails, and what travels meanwhile.

use crate::bench::{Bench, LineKind, UPGRADE};
use moorline_client_core::{Input, TransportKind};

/// On polling, with a probe that is not open yet. GET #5 is under way, the probe is #3.
fn polling() -> Bench {
    let bench =
        Bench::with(|options| options.transports = vec![TransportKind::Polling, TransportKind::WebSocket]);
    bench.on_polling(UPGRADE)
}

#[test]
fn a_session_moves_once_its_websocket_has_proved_itself() {
    let mut bench = Bench::with(|options| options.last_transport = Some(TransportKind::Polling));
    bench.connect();
    bench.polled(&[&crate::bench::handshake("s1.x", UPGRADE)]);
    assert_eq!(
        bench.lines(),
        [
            "get #1 polling",
            "open #2 websocket sid=s1.x",
            "get #3 polling sid=s1.x",
            "link opened: polling",
            "post #4 40"
        ]
    );
    bench.posted();
    bench.opened();
    assert_eq!(bench.lines(), ["#2 2probe"]);
    bench.text("3probe");
    assert_eq!(bench.lines(), [""; 0], "a GET is under way");
    bench.polled(&[r#"40{"sid":"me"}"#]);
    assert_eq!(bench.lines(), ["#2 5", "0 connected: me", "link upgraded: websocket"]);
    assert_eq!(bench.client.transport(), Some(TransportKind::WebSocket));
    assert_eq!(bench.client.last_transport(), Some(TransportKind::WebSocket));
    bench.text(r#"42["e"]"#);
    bench.emit(r#""f""#);
    assert_eq!(bench.lines(), [r#"0 receives ["e"]"#, r#"#2 42["f"]"#]);
    bench.closed(1006);
    assert_eq!(
        bench.lines(),
        ["close #2", "link closed: transport close", "0 disconnected: transport close"]
    );
}

#[test]
fn no_websocket_is_tried_that_is_not_wanted_or_not_offered() {
    let mut unwanted = Bench::with(|options| {
        options.transports = vec![TransportKind::Polling, TransportKind::WebSocket];
        options.upgrade = false;
    });
    unwanted.connect();
    unwanted.polled(&[&crate::bench::handshake("x", UPGRADE)]);
    assert!(unwanted.lines().iter().all(|line| !line.starts_with("open")));
    let mut only_polling = Bench::polling_only();
    only_polling.connect();
    only_polling.polled(&[&crate::bench::handshake("x", UPGRADE)]);
    assert!(only_polling.lines().iter().all(|line| !line.starts_with("open")));
    let mut not_offered = Bench::with(|options| options.last_transport = Some(TransportKind::Polling));
    not_offered.connect();
    not_offered.polled(&[&crate::bench::handshake("x", "")]);
    assert!(not_offered.lines().iter().all(|line| !line.starts_with("open")));
}

#[test]
fn nothing_is_lost_or_reordered_by_the_move() {
    let mut bench = polling();
    bench.opened();
    bench.emit("1");
    bench.emit("2");
    assert_eq!(bench.said(), ["2probe", "42[1]"], "one POST at a time");
    bench.text("3probe");
    bench.emit("3");
    bench.posted();
    assert_eq!(bench.said(), [""; 0], "no new request while it comes to rest");
    bench.polled(&["2", r#"42["heard"]"#]);
    assert_eq!(
        bench.lines(),
        ["#2 5", "#2 42[2]", "#2 42[3]", "#2 3", r#"0 receives ["heard"]"#, "link upgraded: websocket"]
    );
    bench.emit("4");
    assert_eq!(bench.said(), ["42[4]"]);
}

#[test]
fn the_move_waits_for_a_post_under_way() {
    let mut bench = polling();
    bench.opened();
    bench.emit("1");
    bench.text("3probe");
    bench.lines();
    bench.polled(&["6"]);
    assert_eq!(bench.lines(), [""; 0]);
    bench.posted();
    assert_eq!(bench.lines(), ["#2 5", "link upgraded: websocket"]);
}

#[test]
fn a_session_goes_on_polling_when_its_websocket_fails_at_any_step() {
    for steps in 0..3 {
        let fail: [fn(&mut Bench); 6] = [
            |bench| bench.closed(1006),
            |bench| bench.text("3"),
            |bench| bench.text("42[1]"),
            |bench| bench.binary(&[1]),
            |bench| bench.tell(Input::TooBig(bench.last(LineKind::WebSocket))),
            |bench| bench.pass(10_000),
        ];
        for (at, fail) in fail.into_iter().enumerate() {
            let mut bench = polling();
            if steps > 0 {
                bench.opened();
            }
            if steps > 1 {
                bench.text("3probe");
                bench.emit("1");
            }
            bench.lines();
            fail(&mut bench);
            let heard = bench.lines();
            assert_eq!(heard[0], "close #2", "{steps} {at}");
            if steps > 1 {
                assert_eq!(heard[1..], ["post #6 42[1]"], "{steps} {at}: what was held goes by POST");
                bench.posted();
            }
            bench.polled(&[r#"42["e"]"#]);
            assert!(bench.lines().contains(&r#"0 receives ["e"]"#.to_string()));
            assert_eq!(bench.client.transport(), Some(TransportKind::Polling));
            assert_eq!(bench.pass_to_deadline(), 45_000, "the heartbeat only");
        }
    }
}

#[test]
fn a_failure_after_the_get_has_ended_begins_another() {
    let mut bench = polling();
    bench.opened();
    bench.emit("1");
    bench.text("3probe");
    bench.polled(&["6"]);
    bench.lines();
    bench.closed(1006);
    assert_eq!(bench.lines(), ["close #2", "get #7 polling sid=s1.x"], "the POST is still under way");
    bench.emit("2");
    bench.posted();
    assert_eq!(bench.said(), ["42[2]"]);
}

#[test]
fn the_end_of_a_session_ends_its_probe() {
    for steps in 0..3 {
        let mut bench = polling();
        if steps > 0 {
            bench.opened();
        }
        if steps > 1 {
            bench.text("3probe");
        }
        bench.lines();
        bench.failed();
        assert_eq!(
            bench.lines(),
            ["close #2", "abort #5", "link closed: transport error", "0 disconnected: transport error"],
            "{steps}"
        );
    }
}

#[test]
fn what_is_volatile_is_not_kept_for_the_move() {
    let mut bench = polling();
    bench.opened();
    bench.text("3probe");
    bench.volatile("1", 0);
    bench.lines();
    bench.polled(&["6"]);
    assert_eq!(bench.said(), ["5"]);
}

#[test]
fn an_event_and_its_attachments_are_not_torn_apart() {
    let mut bench = polling();
    bench.opened();
    let emission = moorline_client_core::Emission {
        json: r#""b",{"_placeholder":true,"num":0}"#.into(),
        attachments: vec![vec![1, 2, 3, 4]],
        ..Default::default()
    };
    bench.text("3probe");
    bench.lines();
    bench.emit_from(crate::bench::MAIN, emission.clone()).expect("it is taken");
    bench.polled(&["6"]);
    let packet = r#"451-["b",{"_placeholder":true,"num":0}]"#;
    assert_eq!(bench.said(), ["5", packet, "b[1, 2, 3, 4]"]);
    let mut bench = polling();
    bench.lines();
    bench.emit_from(crate::bench::MAIN, emission).expect("it is taken");
    assert_eq!(bench.said(), [packet, "bAQIDBA=="]);
}
