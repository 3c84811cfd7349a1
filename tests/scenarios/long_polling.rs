//! A session that polls: GETs that are held, POSTs that are taken, and the ways it ends.

use moorline_core::{DropCause, RequestError, TransportKind};
use moorline_protocol::Reason;
use moorline_tests::sim::{Desk, Outcome};
use std::time::Duration;

const REFUSED: Option<Outcome> = Some(Outcome::Refused(RequestError::BadRequest));
const UNKNOWN: Option<Outcome> = Some(Outcome::Refused(RequestError::SessionUnknown));

fn desk() -> Desk {
    Desk::new(1, |_| {})
}

fn packets(packets: &[&str]) -> Option<Outcome> {
    Some(Outcome::packets(packets))
}

#[test]
fn a_poll_is_held_until_there_is_something_to_say() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let (bob, bob_id) = desk.connect_websocket();
    let poll = desk.poll(&sid);
    assert_eq!(desk.outcome(poll), None);
    desk.say(bob, &format!(r#"42["@to","{id}","hi",1]"#));
    let event = format!(r#"42["hi",{{"from":"{bob_id}"}},1]"#);
    assert_eq!(desk.outcome(poll), packets(&[&event]));
}

#[test]
fn what_came_between_two_polls_is_one_answer_in_order() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let (bob, _) = desk.connect_websocket();
    for number in 1..=3 {
        desk.say(bob, &format!(r#"42["@to","{id}","n",{number}]"#));
    }
    desk.say(bob, &format!(r#"451-["@to","{id}","n",{{"_placeholder":true,"num":0}}]"#));
    desk.say_binary(bob, &[1, 2, 3, 4]);
    let Some(Outcome::Packets(received)) = desk.get(&sid) else { panic!("nothing came") };
    let ends: Vec<&str> = received.iter().map(|packet| packet.rsplit("},").next().unwrap()).collect();
    assert_eq!(
        ends,
        ["1]", "2]", "3]", r#"{"_placeholder":true,"num":0}]"#, "bAQIDBA=="],
        "an attachment follows its packet"
    );
    assert_eq!(desk.get(&sid), None, "everything was said");
}

#[test]
fn a_client_that_takes_few_packets_at_once_gets_the_rest_with_its_next_polls() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let (bob, _) = desk.connect_websocket();
    for number in 0..40 {
        desk.say(bob, &format!(r#"42["@to","{id}","n",{number}]"#));
    }
    let mut got = Vec::new();
    for expected in [16, 16, 8] {
        let poll = desk.poll_for(&sid, 16);
        let Some(Outcome::Packets(packets)) = desk.outcome(poll) else { panic!("nothing came") };
        assert_eq!(packets.len(), expected);
        got.extend(packets);
    }
    let numbers: Vec<&str> = got.iter().map(|text| text.rsplit(',').next().unwrap()).collect();
    assert_eq!(numbers, (0..40).map(|number| format!("{number}]")).collect::<Vec<_>>());
}

#[test]
fn packets_of_a_post_are_taken_in_order_before_it_is_answered() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let (bob, bob_id) = desk.connect_websocket();
    let body = format!(
        "42[\"@to\",\"{bob_id}\",\"a\"]\x1e451-[\"@to\",\"{bob_id}\",\"b\",{{\"_placeholder\":true,\"num\":0}}]\x1ebAQI=\x1e421[\"@whoami\"]"
    );
    assert_eq!(desk.post(&sid, &body), Some(Outcome::Taken));
    let from = format!(r#"{{"from":"{id}"}}"#);
    assert_eq!(
        desk.received(bob),
        [
            format!(r#"42["a",{from}]"#),
            format!(r#"451-["b",{from},{{"_placeholder":true,"num":0}}]"#),
            "b[1, 2]".into()
        ]
    );
    let whoami = format!(r#"431[{{"id":"{id}","node":"s1","user":null}}]"#);
    assert_eq!(desk.get(&sid), packets(&[&whoami]));
}

#[test]
fn a_packet_and_its_attachments_may_come_in_two_posts() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let (bob, bob_id) = desk.connect_websocket();
    let packet = format!("452-[\"@to\",\"{bob_id}\",\"b\",{{\"_placeholder\":true,\"num\":1}}]");
    assert_eq!(desk.post(&sid, &packet), Some(Outcome::Taken));
    assert_eq!(desk.post(&sid, "bAQ=="), Some(Outcome::Taken));
    assert_eq!(desk.received(bob), Vec::<String>::new());
    assert_eq!(desk.post(&sid, "bAg=="), Some(Outcome::Taken));
    assert_eq!(desk.received(bob).len(), 3);
}

#[test]
fn a_second_poll_ends_the_session() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let first = desk.poll(&sid);
    assert_eq!(desk.get(&sid), REFUSED);
    assert_eq!(desk.outcome(first), packets(&["1"]));
    assert_eq!(desk.get(&sid), UNKNOWN);
    assert_eq!(desk.drops(DropCause::SecondPoll), 1);
}

#[test]
fn a_second_post_ends_the_session() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let poll = desk.poll(&sid);
    let first = desk.start_post(&sid);
    assert_eq!(desk.post(&sid, "3"), REFUSED);
    assert_eq!((desk.outcome(first), desk.outcome(poll)), (REFUSED, packets(&["1"])));
    assert!(!desk.is_alive(&sid));
    assert_eq!(desk.drops(DropCause::SecondPost), 1);
}

#[test]
fn a_poll_whose_connection_goes_away_ends_the_session() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let poll = desk.poll(&sid);
    desk.drop_connection(poll);
    assert_eq!(desk.get(&sid), UNKNOWN);
    assert_eq!(desk.node().stats().sessions_closed.get(Reason::TransportClose), 1);
}

#[test]
fn a_post_whose_connection_goes_away_ends_the_session() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let post = desk.start_post(&sid);
    desk.drop_connection(post);
    assert_eq!(desk.get(&sid), UNKNOWN);
}

#[test]
fn a_connection_that_goes_away_after_its_answer_ends_nothing() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    desk.post(&sid, r#"421["@whoami"]"#);
    let poll = desk.poll(&sid);
    assert!(desk.outcome(poll).is_some());
    desk.drop_connection(poll);
    assert!(desk.is_alive(&sid));
}

#[test]
fn a_client_that_ends_its_session_gets_good_answers() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let poll = desk.poll(&sid);
    assert_eq!(desk.post(&sid, "1"), Some(Outcome::Taken));
    assert_eq!(desk.outcome(poll), packets(&["6"]));
    assert_eq!(desk.get(&sid), UNKNOWN);
    assert_eq!(desk.node().stats().sessions_closed.get(Reason::TransportClose), 1);
}

#[test]
fn a_poll_that_crosses_the_end_on_the_way_is_no_error_and_only_one_does() {
    for (wait_ms, expected) in [(0, packets(&["6"])), (999, packets(&["6"])), (1_000, UNKNOWN)] {
        let mut desk = desk();
        let (sid, _) = desk.connect_polling();
        assert_eq!(desk.post(&sid, "1"), Some(Outcome::Taken));
        assert_eq!(desk.post(&sid, "3"), UNKNOWN, "there is nothing to post to");
        desk.advance(Duration::from_millis(wait_ms));
        assert_eq!(desk.get(&sid), expected);
        assert_eq!(desk.get(&sid), UNKNOWN);
    }
}

#[test]
fn packets_behind_the_end_are_for_nobody() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let (bob, bob_id) = desk.connect_websocket();
    let body = format!("1\x1e42[\"@to\",\"{bob_id}\",\"late\"]");
    assert_eq!(desk.post(&sid, &body), Some(Outcome::Taken));
    assert_eq!(desk.received(bob), Vec::<String>::new());
}

#[test]
fn a_bad_packet_in_a_post_ends_the_session_and_its_requests() {
    for body in ["abc", "", "4", "42[", "2", "0", "5", "6", "3\x1e", "42[\"connect\"]", "bAQ=="] {
        let mut desk = desk();
        let (sid, _) = desk.connect_polling();
        let poll = desk.poll(&sid);
        assert_eq!(desk.post(&sid, body), REFUSED, "{body:?}");
        assert_eq!(desk.outcome(poll), packets(&["1"]), "{body:?}");
        assert_eq!(desk.get(&sid), UNKNOWN, "{body:?}");
        assert_eq!(desk.node().stats().sessions_closed.get(Reason::ParseError), 1, "{body:?}");
    }
}

#[test]
fn what_was_still_to_say_comes_before_the_end() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let poll = desk.poll(&sid);
    assert_eq!(desk.post(&sid, "421[\"@whoami\"]\x1eabc"), REFUSED);
    let Some(Outcome::Packets(received)) = desk.outcome(poll) else { panic!("no answer") };
    assert!(received[0].starts_with("431["), "{received:?}");
}

#[test]
fn heartbeats_travel_by_polls_and_posts() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    for _ in 0..3 {
        let poll = desk.poll(&sid);
        desk.advance(Duration::from_secs(25));
        assert_eq!(desk.outcome(poll), packets(&["2"]));
        desk.advance(Duration::from_secs(19));
        assert_eq!(desk.post(&sid, "3"), Some(Outcome::Taken));
    }
    assert!(desk.is_alive(&sid));
}

#[test]
fn a_session_that_polls_no_more_ends_to_the_microsecond() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    desk.advance(Duration::from_micros(44_999_999));
    assert!(desk.is_alive(&sid));
    desk.advance(Duration::from_micros(1));
    assert_eq!(desk.get(&sid), UNKNOWN);
    assert_eq!(desk.node().stats().sessions_closed.get(Reason::PingTimeout), 1);
}

#[test]
fn who_joins_no_namespace_in_time_is_told_so_in_its_poll() {
    let mut desk = desk();
    let sid = desk.open_polling();
    let poll = desk.poll(&sid);
    desk.advance(Duration::from_secs(10));
    assert_eq!(desk.outcome(poll), packets(&["1"]));
    assert!(!desk.is_alive(&sid));
}

#[test]
fn a_drain_tells_who_polls_at_once_and_who_does_not_at_its_next_poll() {
    let mut desk = desk();
    let (sids, ids): (Vec<String>, Vec<String>) = (0..4).map(|_| desk.connect_polling()).unzip();
    let (bob, bob_id) = desk.connect_websocket();
    let polls = [desk.poll(&sids[0]), desk.poll(&sids[1])];
    desk.drain(Duration::from_secs(1));
    desk.say(bob, &format!(r#"42["@to","{}","e"]"#, ids[2]));
    desk.advance(Duration::from_secs(1));
    for poll in polls {
        assert_eq!(desk.outcome(poll), packets(&["1"]));
    }
    assert!(!desk.node().is_drained());
    let event = format!(r#"42["e",{{"from":"{bob_id}"}}]"#);
    assert_eq!(desk.post(&sids[2], "3"), Some(Outcome::Taken), "it is served until then");
    assert_eq!(desk.get(&sids[2]), packets(&[&event, "1"]));
    assert_eq!(desk.get(&sids[2]), UNKNOWN);

    assert!(desk.is_alive(&sids[3]) && !desk.node().is_drained());
    desk.advance(Duration::from_secs(2));
    assert!(desk.node().is_drained(), "who stays away is not waited for");
    assert_eq!(desk.node().stats().sessions_closed.get(Reason::ServerShuttingDown), 5);
}

#[test]
fn who_polls_too_rarely_is_closed_when_its_outbox_is_full() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let (bob, _) = desk.connect_websocket();
    let text = "x".repeat(100_000);
    for _ in 0..11 {
        desk.say(bob, &format!(r#"42["@to","{id}","e","{text}"]"#));
    }
    assert_eq!(desk.get(&sid), UNKNOWN);
    assert_eq!(desk.drops(DropCause::SlowConsumer), 1);
    assert_eq!(desk.outcome(bob), None, "the sender goes on");
}

#[test]
fn a_full_node_refuses_newcomers_until_somebody_has_been_away() {
    let mut desk = Desk::new(1, |config| config.sessions_max = 3);
    let sids: Vec<String> = (0..3).map(|_| desk.connect_polling().0).collect();
    let held = desk.poll(&sids[0]);
    let newcomer = || Some(Outcome::Refused(RequestError::Overloaded));
    assert_eq!(desk.try_open_polling(), newcomer());
    desk.advance(Duration::from_micros(1_999_999));
    assert_eq!(desk.try_open_polling(), newcomer(), "everyone was here a moment ago");
    desk.post(&sids[1], "421[\"@whoami\"]");
    assert!(desk.get(&sids[1]).is_some());
    desk.advance(Duration::from_micros(1));
    assert!(matches!(desk.try_open_polling(), Some(Outcome::Packets(_))));
    assert_eq!(desk.get(&sids[2]), UNKNOWN, "who was away longest made room");
    assert_eq!((desk.outcome(held), desk.drops(DropCause::SessionEvicted)), (None, 1));
    assert!(desk.is_alive(&sids[0]) && desk.is_alive(&sids[1]));
    desk.connect_websocket();
}

#[test]
fn ids_that_were_never_given_out_are_unknown() {
    let mut desk = desk();
    let (sid, _) = desk.connect_polling();
    let last = if sid.ends_with('A') { "B" } else { "A" };
    let guess = format!("{}{last}", &sid[..sid.len() - 1]);
    for sid in ["", "s1.", "s2.AAAAAAAAAAAAAAAAAAAAAAAAAAA", &guess, &sid[1..]] {
        assert_eq!((desk.get(sid), desk.post(sid, "3")), (UNKNOWN, UNKNOWN), "{sid}");
    }
    assert_eq!(desk.transport(&sid), Some(TransportKind::Polling));
}

/// More than it takes would end its session before the last packet was read.
#[test]
fn a_drain_leaves_nothing_unsaid_to_a_client_that_takes_few_packets_at_once() {
    let mut desk = desk();
    let (sid, id) = desk.connect_polling();
    let (bob, _) = desk.connect_websocket();
    for number in 0..40 {
        desk.say(bob, &format!(r#"42["@to","{id}","n",{number}]"#));
    }
    desk.drain(Duration::ZERO);
    let mut numbers = Vec::new();
    for expected in [16, 16, 9] {
        let poll = desk.poll_for(&sid, 16);
        let Some(Outcome::Packets(packets)) = desk.outcome(poll) else { panic!("nothing came") };
        assert_eq!(packets.len(), expected);
        numbers.extend(packets.iter().map(|text| text.rsplit(',').next().unwrap().to_owned()));
    }
    let told: Vec<String> = (0..40).map(|number| format!("{number}]")).chain(["1".into()]).collect();
    assert_eq!(numbers, told);
    assert!(!desk.is_alive(&sid));
}
