//! The goodbye: what was sent still goes out, the server is told, and nothing is left behind.

use crate::bench::{Bench, LineKind, UPGRADE};
use moorline_client_core::{Input, TransportKind};

#[test]
fn a_websocket_is_closed_after_what_it_was_given() {
    let mut bench = Bench::new().on_websocket();
    bench.emit("1");
    bench.disconnect();
    assert_eq!(
        bench.lines(),
        [
            "#1 42[1]",
            "#1 41",
            "0 disconnected: io client disconnect",
            "close #1",
            "link closed: io client disconnect"
        ]
    );
    bench.assert_idle();
}

#[test]
fn one_of_two_namespaces_leaves_alone() {
    let mut bench = Bench::new().on_websocket();
    let admin = bench.client.add_socket("/admin".into(), None, None);
    bench.connect_socket(admin);
    bench.text(r#"40/admin,{"sid":"b"}"#);
    bench.lines();
    bench.disconnect_socket(admin);
    assert_eq!(bench.lines(), ["#1 41/admin,", "1 disconnected: io client disconnect"]);
    bench.text(r#"42/admin,["late"]"#);
    assert_eq!(bench.lines(), [""; 0]);
    bench.connect_socket(admin);
    assert_eq!(bench.lines(), ["#1 40/admin,"]);
}

#[test]
fn a_session_that_polls_posts_its_goodbye_and_then_ends_its_get() {
    let mut bench = Bench::polling_only().on_polling("");
    bench.disconnect();
    assert_eq!(
        bench.lines(),
        ["post #5 41", "0 disconnected: io client disconnect", "link closed: io client disconnect"]
    );
    assert!(!bench.client.is_idle());
    bench.posted();
    assert_eq!(bench.lines(), ["post #6 1"], "the close packet waited for the POST under way");
    bench.posted();
    assert_eq!(bench.lines(), ["abort #4"]);
    bench.assert_idle();
}

#[test]
fn a_goodbye_waits_for_everything_that_was_sent() {
    let mut bench = Bench::polling_only().on_polling("");
    for number in 0..3 {
        bench.emit(&number.to_string());
    }
    bench.disconnect();
    bench.lines();
    bench.polled(&["6"]);
    assert_eq!(bench.lines(), [""; 0], "no other GET");
    bench.posted();
    assert_eq!(bench.said(), ["42[1]", "42[2]", "41", "1"]);
    bench.posted();
    bench.assert_idle();
}

#[test]
fn a_goodbye_that_fails_or_is_not_answered_is_over() {
    let mut bench = Bench::polling_only().on_polling("");
    bench.disconnect();
    bench.lines();
    let post = bench.last(LineKind::Post);
    bench.tell(Input::Failed(post));
    assert_eq!(bench.lines(), ["abort #4"]);
    bench.assert_idle();
    let mut bench = Bench::polling_only().on_polling("");
    bench.disconnect();
    bench.lines();
    assert_eq!(bench.pass_to_deadline(), 5_000);
    assert_eq!(bench.lines(), ["abort #4", "abort #5"]);
    bench.assert_idle();
}

#[test]
fn a_probe_is_closed_and_what_it_held_is_posted() {
    for steps in 0..3 {
        let mut bench = Bench::with(|options| {
            options.transports = vec![TransportKind::Polling, TransportKind::WebSocket];
        })
        .on_polling(UPGRADE);
        if steps > 0 {
            bench.opened();
        }
        if steps > 1 {
            bench.text("3probe");
            bench.emit("1");
        }
        bench.lines();
        bench.disconnect();
        let said = bench.said();
        bench.posted();
        let rest = bench.said();
        let all: Vec<String> = said.into_iter().chain(rest).collect();
        assert_eq!(all.last().map(String::as_str), Some("1"), "{steps}: {all:?}");
        assert_eq!(all.contains(&"42[1]".to_string()), steps > 1);
        bench.pass(5_000);
        bench.assert_idle();
    }
}

#[test]
fn who_comes_back_at_once_does_not_wait_for_the_goodbye() {
    let mut bench = Bench::polling_only().on_polling("");
    bench.disconnect();
    bench.connect();
    let heard = bench.lines();
    assert_eq!(heard.last().map(String::as_str), Some("get #6 polling node=s1"), "{heard:?}");
    bench.polled(&[&crate::bench::handshake("s1.y", "")]);
    bench.pass(5_000);
    assert!(bench.client.transport().is_some());
}

#[test]
fn only_so_many_goodbyes_are_under_way() {
    let mut bench = Bench::polling_only();
    for turn in 0..10 {
        bench = bench.on_polling_as(&format!("s1.{turn}"), "");
        bench.disconnect();
        let live = bench.channels.values().filter(|line| line.is_live()).count();
        assert!(live <= 8, "a GET and a POST of each of four: {live}");
    }
    bench.lines();
    bench.pass(5_000);
    bench.assert_idle();
}

#[test]
fn the_time_of_an_answer_that_came_or_cannot_come_is_not_waited_for() {
    for ending in ["430[]", "41"] {
        let mut bench = Bench::new().on_websocket();
        bench.ask("1", Some(600_000));
        bench.text(ending);
        bench.disconnect();
        bench.assert_idle();
    }
}
