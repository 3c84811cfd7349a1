//! From polling to a WebSocket: the probe, each of its steps, each way it fails, and what travels meanwhile.

use crate::harness::{CarrierKind, Harness, UPGRADE};
use moorline_client_core::Input;
use moorline_protocol::TransportKind;

/// On polling, with a probe that is not open yet. GET #5 is under way, the probe is #3.
fn polling() -> Harness {
    let harness =
        Harness::with(|options| options.transports = vec![TransportKind::Polling, TransportKind::WebSocket]);
    harness.on_polling(UPGRADE)
}

#[test]
fn a_session_upgrades_once_its_probe_succeeded() {
    let mut harness = Harness::with(|options| options.last_transport = Some(TransportKind::Polling));
    harness.connect();
    harness.polled(&[&crate::harness::handshake("s1.x", UPGRADE)]);
    assert_eq!(
        harness.lines(),
        [
            "get #1 polling",
            "open #2 websocket sid=s1.x",
            "get #3 polling sid=s1.x",
            "link opened: polling",
            "post #4 40"
        ]
    );
    harness.posted();
    harness.opened();
    assert_eq!(harness.lines(), ["#2 2probe"]);
    harness.text("3probe");
    assert_eq!(harness.lines(), [""; 0], "a GET is under way");
    harness.polled(&[r#"40{"sid":"me"}"#]);
    assert_eq!(harness.lines(), ["#2 5", "0 connected: me", "link upgraded: websocket"]);
    assert_eq!(harness.client.transport(), Some(TransportKind::WebSocket));
    assert_eq!(harness.client.last_transport(), Some(TransportKind::WebSocket));
    harness.text(r#"42["e"]"#);
    harness.emit(r#""f""#);
    assert_eq!(harness.lines(), [r#"0 receives ["e"]"#, r#"#2 42["f"]"#]);
    harness.closed(1006);
    assert_eq!(
        harness.lines(),
        ["close #2", "link closed: transport close", "0 disconnected: transport close"]
    );
}

#[test]
fn no_websocket_is_tried_that_is_not_wanted_or_not_offered() {
    let mut unwanted = Harness::with(|options| {
        options.transports = vec![TransportKind::Polling, TransportKind::WebSocket];
        options.upgrade = false;
    });
    unwanted.connect();
    unwanted.polled(&[&crate::harness::handshake("x", UPGRADE)]);
    assert!(unwanted.lines().iter().all(|line| !line.starts_with("open")));
    let mut only_polling = Harness::polling_only();
    only_polling.connect();
    only_polling.polled(&[&crate::harness::handshake("x", UPGRADE)]);
    assert!(only_polling.lines().iter().all(|line| !line.starts_with("open")));
    let mut not_offered = Harness::with(|options| options.last_transport = Some(TransportKind::Polling));
    not_offered.connect();
    not_offered.polled(&[&crate::harness::handshake("x", "")]);
    assert!(not_offered.lines().iter().all(|line| !line.starts_with("open")));
}

#[test]
fn nothing_is_lost_or_reordered_by_the_upgrade() {
    let mut harness = polling();
    harness.opened();
    harness.emit("1");
    harness.emit("2");
    assert_eq!(harness.sent(), ["2probe", "42[1]"], "one POST at a time");
    harness.text("3probe");
    harness.emit("3");
    harness.posted();
    assert_eq!(harness.sent(), [""; 0], "no new request while it comes to rest");
    harness.polled(&["2", r#"42["received"]"#]);
    assert_eq!(
        harness.lines(),
        ["#2 5", "#2 42[2]", "#2 42[3]", "#2 3", r#"0 receives ["received"]"#, "link upgraded: websocket"]
    );
    harness.emit("4");
    assert_eq!(harness.sent(), ["42[4]"]);
}

#[test]
fn the_upgrade_waits_for_a_post_under_way() {
    let mut harness = polling();
    harness.opened();
    harness.emit("1");
    harness.text("3probe");
    harness.lines();
    harness.polled(&["6"]);
    assert_eq!(harness.lines(), [""; 0]);
    harness.posted();
    assert_eq!(harness.lines(), ["#2 5", "link upgraded: websocket"]);
}

#[test]
fn a_session_goes_on_polling_when_its_websocket_fails_at_any_step() {
    for steps in 0..3 {
        let fail: [fn(&mut Harness); 6] = [
            |harness| harness.closed(1006),
            |harness| harness.text("3"),
            |harness| harness.text("42[1]"),
            |harness| harness.binary(&[1]),
            |harness| harness.handle(Input::TooBig(harness.last(CarrierKind::WebSocket))),
            |harness| harness.pass(10_000),
        ];
        for (at, fail) in fail.into_iter().enumerate() {
            let mut harness = polling();
            if steps > 0 {
                harness.opened();
            }
            if steps > 1 {
                harness.text("3probe");
                harness.emit("1");
            }
            harness.lines();
            fail(&mut harness);
            let received = harness.lines();
            assert_eq!(received[0], "close #2", "{steps} {at}");
            if steps > 1 {
                assert_eq!(received[1..], ["post #6 42[1]"], "{steps} {at}: held packets go by POST");
                harness.posted();
            }
            harness.polled(&[r#"42["e"]"#]);
            assert!(harness.lines().contains(&r#"0 receives ["e"]"#.to_string()));
            assert_eq!(harness.client.transport(), Some(TransportKind::Polling));
            assert_eq!(harness.pass_to_deadline(), 45_000, "the heartbeat only");
        }
    }
}

#[test]
fn a_failure_after_the_get_has_ended_begins_another() {
    let mut harness = polling();
    harness.opened();
    harness.emit("1");
    harness.text("3probe");
    harness.polled(&["6"]);
    harness.lines();
    harness.closed(1006);
    assert_eq!(harness.lines(), ["close #2", "get #7 polling sid=s1.x"], "the POST is still under way");
    harness.emit("2");
    harness.posted();
    assert_eq!(harness.sent(), ["42[2]"]);
}

#[test]
fn the_end_of_a_session_ends_its_probe() {
    for steps in 0..3 {
        let mut harness = polling();
        if steps > 0 {
            harness.opened();
        }
        if steps > 1 {
            harness.text("3probe");
        }
        harness.lines();
        harness.failed();
        assert_eq!(
            harness.lines(),
            ["close #2", "abort #5", "link closed: transport error", "0 disconnected: transport error"],
            "{steps}"
        );
    }
}

#[test]
fn a_volatile_event_is_not_kept_for_the_upgrade() {
    let mut harness = polling();
    harness.opened();
    harness.text("3probe");
    harness.volatile("1", 0);
    harness.lines();
    harness.polled(&["6"]);
    assert_eq!(harness.sent(), ["5"]);
}

#[test]
fn an_event_and_its_attachments_are_not_torn_apart() {
    let mut harness = polling();
    harness.opened();
    let emission = moorline_client_core::Emission {
        json: r#""b",{"_placeholder":true,"num":0}"#.into(),
        attachments: vec![vec![1, 2, 3, 4]],
        ..Default::default()
    };
    harness.text("3probe");
    harness.lines();
    harness.emit_from(harness.main(), emission.clone()).expect("it is taken");
    harness.polled(&["6"]);
    let packet = r#"451-["b",{"_placeholder":true,"num":0}]"#;
    assert_eq!(harness.sent(), ["5", packet, "b[1, 2, 3, 4]"]);
    let mut harness = polling();
    harness.lines();
    harness.emit_from(harness.main(), emission).expect("it is taken");
    assert_eq!(harness.sent(), [packet, "bAQIDBA=="]);
}
