//! Pings answered, silence noticed, and timers that come late: in the background, or after the machine slept.

use crate::bench::{Bench, MAIN};
use moorline_client_core::NetworkChange;

#[test]
fn a_ping_is_answered() {
    let mut bench = Bench::new().on_websocket();
    bench.text("2");
    assert_eq!(bench.lines(), ["#1 3"]);
    let mut bench = Bench::polling_only().on_polling("");
    bench.polled(&["2"]);
    assert_eq!(bench.lines(), ["post #5 3", "get #6 polling sid=s1.x"]);
}

#[test]
fn pings_that_cannot_be_answered_yet_do_not_pile_up() {
    let mut bench = Bench::polling_only().on_polling("");
    for _ in 0..100 {
        bench.polled(&["2"; 100]);
    }
    bench.posted();
    bench.posted();
    assert_eq!(bench.said(), ["3", "3"]);
}

#[test]
fn whatever_is_heard_is_a_sign_of_life() {
    let mut bench = Bench::new().on_websocket();
    for text in ["2", "6", "3", r#"42["e"]"#] {
        bench.pass(44_999);
        bench.text(text);
    }
    assert_eq!(bench.pass_to_deadline(), 45_000);
}

#[test]
fn silence_is_the_end() {
    let mut bench = Bench::new().on_websocket();
    bench.pass(44_999);
    assert_eq!(bench.lines(), [""; 0]);
    bench.pass(1);
    assert_eq!(bench.lines(), ["close #1", "link closed: ping timeout", "0 disconnected: ping timeout"]);
    assert_eq!(bench.pass_to_deadline(), 1_000);
    assert_eq!(bench.lines(), ["attempt 1", "open #2 websocket node=s1"], "the node may be well");
}

#[test]
fn silence_over_polling_is_the_end_too() {
    let mut bench = Bench::polling_only().on_polling("");
    bench.pass(45_000);
    assert_eq!(bench.lines(), ["abort #4", "link closed: ping timeout", "0 disconnected: ping timeout"]);
}

#[test]
fn a_timer_that_is_a_little_late_is_still_right() {
    let mut bench = Bench::new().on_websocket();
    bench.sleep(46_000);
    assert_eq!(bench.lines()[1], "link closed: ping timeout");
}

#[test]
fn a_timer_that_is_late_may_be_wrong() {
    let mut bench = Bench::new().on_websocket();
    bench.sleep(46_001);
    assert_eq!(bench.lines(), [""; 0]);
    assert_eq!(bench.pass_to_deadline(), 2_000);
}

#[test]
fn after_a_sleep_what_came_meanwhile_is_heard_first() {
    let mut bench = Bench::new().on_websocket();
    bench.sleep(3_600_000);
    assert_eq!(bench.lines(), [""; 0]);
    bench.pass(1_999);
    bench.text("2");
    assert_eq!(bench.lines(), ["#1 3"]);
    assert_eq!(bench.pass_to_deadline(), 45_000);
}

#[test]
fn after_a_sleep_silence_is_the_end_soon() {
    let mut bench = Bench::new().on_websocket();
    bench.sleep(3_600_000);
    assert_eq!(bench.pass_to_deadline(), 2_000);
    assert_eq!(bench.lines()[1], "link closed: ping timeout");
}

#[test]
fn a_grace_that_is_held_up_as_well_is_not_given_twice() {
    let mut bench = Bench::new().on_websocket();
    bench.sleep(60_000);
    bench.sleep(60_000);
    assert_eq!(bench.lines()[1], "link closed: ping timeout");
}

#[test]
fn a_page_that_is_seen_again_after_a_sleep_has_the_same_grace() {
    let mut bench = Bench::new().on_websocket();
    bench.now_ms += 3_600_000;
    bench.network(NetworkChange::Shown);
    assert_eq!(bench.lines(), [""; 0]);
    assert_eq!(bench.pass_to_deadline(), 2_000);
    assert_eq!(bench.lines()[1], "link closed: ping timeout");
}

#[test]
fn what_is_sent_while_in_doubt_is_kept_and_goes_out_in_order() {
    let mut bench = Bench::new().on_websocket();
    bench.emit("1");
    bench.now_ms += 100_000;
    bench.emit("2");
    bench.timer();
    bench.emit("3");
    assert_eq!(bench.said(), ["42[1]"]);
    bench.text(r#"42["e"]"#);
    bench.emit("4");
    assert_eq!(bench.said(), ["42[2]", "42[3]", "42[4]"]);
}

#[test]
fn what_is_sent_while_in_doubt_survives_the_end() {
    let mut bench = Bench::new().on_websocket();
    bench.sleep(100_000);
    bench.emit("1");
    let ack = bench.ask("2", None);
    bench.volatile("3", 0);
    bench.pass(2_000);
    bench.pass(1_000);
    assert!(!bench.lines().iter().any(|line| line.starts_with("ack")), "it was never sent");
    bench.opened();
    bench.text(&crate::bench::handshake("s1.y", ""));
    bench.text(r#"40{"sid":"me"}"#);
    bench.emit("4");
    assert_eq!(bench.said(), ["40", "42[1]", "420[2]", "42[4]"]);
    bench.text("430[7]");
    assert_eq!(bench.lines(), [format!("ack {ack}: [7]")]);
}

#[test]
fn a_queue_goes_on_when_it_is_heard_again() {
    let mut bench = Bench::bare(moorline_client_core::Options::new(crate::bench::SERVER.into()));
    bench.client.add_socket("/".into(), Some(1), Some(1_000));
    let mut bench = bench.on_websocket();
    assert_eq!(MAIN.0, 0);
    bench.sleep(100_000);
    bench.emit("1");
    assert_eq!(bench.said(), [""; 0]);
    bench.text("2");
    assert_eq!(bench.said(), ["3", "420[1]"]);
}
