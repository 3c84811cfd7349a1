//! Events that are sent until they are acknowledged: one at a time, in order, so often and no more.

use crate::bench::{Bench, MAIN, SERVER};
use moorline_client_core::{Emission, Options, SendError};

/// Two tries more, a second for each.
fn bare() -> Bench {
    let mut options = Options::new(SERVER.into());
    options.random_permille = 0;
    let mut bench = Bench::bare(options);
    bench.client.add_socket("/".into(), Some(2), Some(1_000));
    bench
}

#[test]
fn one_goes_at_a_time_and_the_next_with_the_answer() {
    let mut bench = bare().on_websocket();
    let first = bench.ask("1", None);
    bench.emit("2");
    let third = bench.ask("3", None);
    assert_eq!(bench.said(), ["420[1]"]);
    bench.text("430[true]");
    assert_eq!(bench.lines(), [format!("ack {first}: [true]"), "#1 421[2]".into()]);
    bench.text("431[]");
    assert_eq!(bench.said(), ["422[3]"]);
    bench.text("432[]");
    assert_eq!(bench.lines(), [format!("ack {third}: []")]);
}

#[test]
fn what_is_not_answered_goes_again_and_is_given_up_in_the_end() {
    let mut bench = bare().on_websocket();
    let ack = bench.ask("1", None);
    bench.emit("2");
    for id in 0..3 {
        assert_eq!(bench.lines(), [format!("#1 42{id}[1]")]);
        bench.pass(1_000);
    }
    assert_eq!(bench.lines(), [format!("ack {ack} failed: timeout"), "#1 423[2]".into()]);
    bench.pass(3_000);
    assert_eq!(bench.said().len(), 2, "it goes again without anybody who awaits it");
    bench.pass(60_000);
    assert!(!bench.lines().iter().any(|line| line.starts_with("ack")));
}

#[test]
fn an_answer_to_an_earlier_try_is_no_answer() {
    let mut bench = bare().on_websocket();
    let ack = bench.ask("1", None);
    bench.pass(1_000);
    bench.lines();
    bench.text("430[]");
    assert_eq!(bench.lines(), [""; 0]);
    bench.text("431[]");
    assert_eq!(bench.lines(), [format!("ack {ack}: []")]);
}

#[test]
fn a_time_of_its_own_counts_for_every_try() {
    let mut bench = bare().on_websocket();
    bench.ask("1", Some(100));
    bench.pass(250);
    assert_eq!(bench.said(), ["420[1]", "421[1]", "422[1]"]);
}

#[test]
fn the_queue_waits_for_the_connection_and_goes_on_with_the_next() {
    let mut bench = bare();
    let first = bench.ask("1", None);
    let second = bench.ask("2", None);
    bench.connect();
    bench.opens_session();
    bench.pass(5_000);
    bench.lines();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(bench.said(), ["420[1]"], "the time runs from when it was sent");
    bench.closed(1006);
    assert!(!bench.lines().iter().any(|line| line.starts_with("ack")));
    bench.pass(1_000);
    bench.opens_session();
    bench.lines();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(bench.said(), ["421[1]"]);
    bench.text("431[]");
    bench.text("432[]");
    let heard = bench.lines();
    assert_eq!(heard[0], format!("ack {first}: []"));
    assert_eq!(heard[2], format!("ack {second}: []"));
}

#[test]
fn connections_that_are_lost_count_as_tries() {
    let mut bench = bare().on_websocket();
    let ack = bench.ask("1", None);
    for _ in 0..3 {
        assert!(!bench.lines().contains(&format!("ack {ack} failed: disconnected")));
        bench.closed(1006);
        let heard = bench.lines();
        bench.pass(5_000);
        if heard.contains(&format!("ack {ack} failed: disconnected")) {
            return;
        }
        bench.lines();
        bench.opens_session();
        bench.text(r#"40{"sid":"me"}"#);
    }
    panic!("it was never given up");
}

#[test]
fn the_queue_is_bounded_like_everything_that_waits() {
    let mut options = Options::new(SERVER.into());
    options.send_packets_max = 2;
    let mut bench = Bench::bare(options);
    bench.client.add_socket("/".into(), Some(1), Some(1_000));
    bench.emit("1");
    bench.emit("2");
    let third = Emission { json: "3".into(), ..Emission::default() };
    assert_eq!(bench.emit_from(MAIN, third), Err(SendError::BufferFull));
}

#[test]
fn what_turns_out_to_be_too_big_makes_way_for_the_next() {
    let mut bench = bare();
    let too_big = format!("\"{}\"", "x".repeat(2_000));
    let ack = bench.ask(&too_big, None);
    bench.emit(&too_big);
    bench.emit("1");
    bench.connect();
    bench.opens_session();
    bench.lines();
    bench.text(r#"40{"sid":"me"}"#);
    assert_eq!(
        bench.lines(),
        [
            format!("ack {ack} failed: too_big"),
            "0 dropped: too_big".into(),
            "#1 420[1]".into(),
            "0 connected: me".into()
        ]
    );
}

#[test]
fn what_is_volatile_goes_past_the_queue() {
    let mut bench = bare().on_websocket();
    bench.emit("1");
    bench.volatile("2", 0);
    assert_eq!(bench.said(), ["420[1]", "42[2]"]);
}

#[test]
fn no_retries_is_no_queue() {
    let mut bench = Bench::bare(Options::new(SERVER.into()));
    bench.client.add_socket("/".into(), Some(0), Some(1_000));
    let mut bench = bench.on_websocket();
    bench.emit("1");
    bench.emit("2");
    assert_eq!(bench.said(), ["42[1]", "42[2]"]);
}

#[test]
fn a_time_of_nothing_is_a_moment() {
    let mut bench = Bench::bare(Options::new(SERVER.into()));
    bench.client.add_socket("/".into(), Some(3), Some(0));
    let mut bench = bench.on_websocket();
    let ack = bench.ask("1", None);
    bench.pass(4);
    assert_eq!(bench.lines().pop(), Some(format!("ack {ack} failed: timeout")));
}
