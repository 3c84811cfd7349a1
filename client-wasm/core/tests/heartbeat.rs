//! Pings answered, silence noticed, and timers that come late: in the background, or after the machine slept.

use crate::harness::Harness;
use moorline_client_core::{NetworkChange, SocketOptions};

#[test]
fn a_ping_is_answered() {
    let mut harness = Harness::new().on_websocket();
    harness.text("2");
    assert_eq!(harness.lines(), ["#1 3"]);
    let mut harness = Harness::polling_only().on_polling("");
    harness.polled(&["2"]);
    assert_eq!(harness.lines(), ["post #5 3", "get #6 polling sid=s1.x"]);
}

#[test]
fn pings_that_cannot_be_answered_yet_do_not_pile_up() {
    let mut harness = Harness::polling_only().on_polling("");
    for _ in 0..100 {
        harness.polled(&["2"; 100]);
    }
    harness.posted();
    harness.posted();
    assert_eq!(harness.sent(), ["3", "3"]);
}

#[test]
fn every_message_counts_as_a_heartbeat() {
    let mut harness = Harness::new().on_websocket();
    for text in ["2", "6", "3", r#"42["e"]"#] {
        harness.pass(44_999);
        harness.text(text);
    }
    assert_eq!(harness.pass_to_deadline(), 45_000);
}

#[test]
fn silence_is_the_end() {
    let mut harness = Harness::new().on_websocket();
    harness.pass(44_999);
    assert_eq!(harness.lines(), [""; 0]);
    harness.pass(1);
    assert_eq!(harness.lines(), ["close #1", "link closed: ping timeout", "0 disconnected: ping timeout"]);
    assert_eq!(harness.pass_to_deadline(), 1_000);
    assert_eq!(harness.lines(), ["attempt 1", "open #2 websocket node=s1"], "the node may be well");
}

#[test]
fn silence_over_polling_is_the_end_too() {
    let mut harness = Harness::polling_only().on_polling("");
    harness.pass(45_000);
    assert_eq!(harness.lines(), ["abort #4", "link closed: ping timeout", "0 disconnected: ping timeout"]);
}

#[test]
fn a_timer_that_is_a_little_late_is_still_right() {
    let mut harness = Harness::new().on_websocket();
    harness.sleep(46_000);
    assert_eq!(harness.lines()[1], "link closed: ping timeout");
}

#[test]
fn a_timer_that_is_late_may_be_wrong() {
    let mut harness = Harness::new().on_websocket();
    harness.sleep(46_001);
    assert_eq!(harness.lines(), [""; 0]);
    assert_eq!(harness.pass_to_deadline(), 2_000);
}

#[test]
fn after_a_sleep_messages_that_came_meanwhile_are_received_first() {
    let mut harness = Harness::new().on_websocket();
    harness.sleep(3_600_000);
    assert_eq!(harness.lines(), [""; 0]);
    harness.pass(1_999);
    harness.text("2");
    assert_eq!(harness.lines(), ["#1 3"]);
    assert_eq!(harness.pass_to_deadline(), 45_000);
}

#[test]
fn after_a_sleep_silence_is_the_end_soon() {
    let mut harness = Harness::new().on_websocket();
    harness.sleep(3_600_000);
    assert_eq!(harness.pass_to_deadline(), 2_000);
    assert_eq!(harness.lines()[1], "link closed: ping timeout");
}

#[test]
fn a_grace_that_is_held_up_as_well_is_not_given_twice() {
    let mut harness = Harness::new().on_websocket();
    harness.sleep(60_000);
    harness.sleep(60_000);
    assert_eq!(harness.lines()[1], "link closed: ping timeout");
}

#[test]
fn a_page_that_is_seen_again_after_a_sleep_has_the_same_grace() {
    let mut harness = Harness::new().on_websocket();
    harness.now_ms += 3_600_000;
    harness.network(NetworkChange::Shown);
    assert_eq!(harness.lines(), [""; 0]);
    assert_eq!(harness.pass_to_deadline(), 2_000);
    assert_eq!(harness.lines()[1], "link closed: ping timeout");
}

#[test]
fn messages_sent_while_in_doubt_are_kept_and_go_out_in_order() {
    let mut harness = Harness::new().on_websocket();
    harness.emit("1");
    harness.now_ms += 100_000;
    harness.emit("2");
    harness.timer();
    harness.emit("3");
    assert_eq!(harness.sent(), ["42[1]"]);
    harness.text(r#"42["e"]"#);
    harness.emit("4");
    assert_eq!(harness.sent(), ["42[2]", "42[3]", "42[4]"]);
}

#[test]
fn messages_sent_while_in_doubt_survive_the_end() {
    let mut harness = Harness::new().on_websocket();
    harness.sleep(100_000);
    harness.emit("1");
    let ack = harness.emit_with_ack("2", None);
    harness.volatile("3", 0);
    harness.pass(2_000);
    harness.pass(1_000);
    assert!(!harness.lines().iter().any(|line| line.starts_with("ack")), "it was never sent");
    harness.opened();
    harness.text(&crate::harness::handshake("s1.y", ""));
    harness.text(r#"40{"sid":"me"}"#);
    harness.emit("4");
    assert_eq!(harness.sent(), ["40", "42[1]", "420[2]", "42[4]"]);
    harness.text("430[7]");
    assert_eq!(harness.lines(), [format!("ack {ack}: [7]")]);
}

#[test]
fn a_queue_goes_on_after_silence() {
    let mut harness = Harness::bare(moorline_client_core::Options::new(crate::harness::SERVER.into()));
    harness.client.add_socket("/".into(), SocketOptions { retries: Some(1), ack_timeout_ms: Some(1_000) });
    let mut harness = harness.on_websocket();
    harness.sleep(100_000);
    harness.emit("1");
    assert_eq!(harness.sent(), [""; 0]);
    harness.text("2");
    assert_eq!(harness.sent(), ["3", "420[1]"]);
}
