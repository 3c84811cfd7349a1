//! A session that polls: GETs that are held, POSTs that are taken, and the ways it ends.

use moorline_core::{DropCause, RequestError};
use moorline_protocol::{Reason, TransportKind};
use moorline_tests::sim::{Outcome, Received, World};
use std::time::Duration;

const REFUSED: Option<Outcome> = Some(Outcome::Refused(RequestError::BadRequest));
const UNKNOWN: Option<Outcome> = Some(Outcome::Refused(RequestError::SessionUnknown));

fn world() -> World {
    World::alone_with(1, |config| config.limits.ping_jitter = false)
}

fn packets(packets: &[&str]) -> Option<Outcome> {
    Some(Outcome::packets(packets))
}

#[test]
fn a_poll_is_held_until_there_is_something_to_say() {
    let mut world = world();
    let (sid, id) = world.connect_polling(0);
    let (bob, bob_id) = world.client_with_id(0);
    let poll = world.poll(&sid);
    assert_eq!(world.outcome(poll), None);
    world.say(bob, &format!(r#"42["@to","{id}","hi",1]"#));
    let event = format!(r#"42["hi",{{"from":"{bob_id}"}},1]"#);
    assert_eq!(world.outcome(poll), packets(&[&event]));
}

#[test]
fn what_came_between_two_polls_is_one_answer_in_order() {
    let mut world = world();
    let (sid, id) = world.connect_polling(0);
    let (bob, _) = world.client_with_id(0);
    for number in 1..=3 {
        world.say(bob, &format!(r#"42["@to","{id}","n",{number}]"#));
    }
    world.say(bob, &format!(r#"451-["@to","{id}","n",{{"_placeholder":true,"num":0}}]"#));
    world.say_binary(bob, &[1, 2, 3, 4]);
    let Some(Outcome::Packets(received)) = world.get(&sid) else { panic!("nothing came") };
    let ends: Vec<&str> = received.iter().map(|packet| packet.rsplit("},").next().unwrap()).collect();
    assert_eq!(
        ends,
        ["1]", "2]", "3]", r#"{"_placeholder":true,"num":0}]"#, "bAQIDBA=="],
        "an attachment follows its packet"
    );
    assert_eq!(world.get(&sid), None, "everything was said");
}

#[test]
fn a_client_that_takes_few_packets_at_once_gets_the_rest_with_its_next_polls() {
    let mut world = world();
    let (sid, id) = world.connect_polling(0);
    let (bob, _) = world.client_with_id(0);
    for number in 0..40 {
        world.say(bob, &format!(r#"42["@to","{id}","n",{number}]"#));
    }
    let mut got = Vec::new();
    for expected in [16, 16, 8] {
        let poll = world.poll_for(&sid, 16);
        let Some(Outcome::Packets(packets)) = world.outcome(poll) else { panic!("nothing came") };
        assert_eq!(packets.len(), expected);
        got.extend(packets);
    }
    let numbers: Vec<&str> = got.iter().map(|text| text.rsplit(',').next().unwrap()).collect();
    assert_eq!(numbers, (0..40).map(|number| format!("{number}]")).collect::<Vec<_>>());
}

#[test]
fn packets_of_a_post_are_taken_in_order_before_it_is_answered() {
    let mut world = world();
    let (sid, id) = world.connect_polling(0);
    let (bob, bob_id) = world.client_with_id(0);
    let body = format!(
        "42[\"@to\",\"{bob_id}\",\"a\"]\x1e451-[\"@to\",\"{bob_id}\",\"b\",{{\"_placeholder\":true,\"num\":0}}]\x1ebAQI=\x1e421[\"@whoami\"]"
    );
    assert_eq!(world.post(&sid, &body), Some(Outcome::Taken));
    let from = format!(r#"{{"from":"{id}"}}"#);
    assert_eq!(
        world.received_all(bob),
        [
            Received::Text(format!(r#"42["a",{from}]"#)),
            Received::Text(format!(r#"451-["b",{from},{{"_placeholder":true,"num":0}}]"#)),
            Received::Binary(vec![1, 2]),
        ]
    );
    let whoami = format!(r#"431[{{"id":"{id}","node":"s1","user":null}}]"#);
    assert_eq!(world.get(&sid), packets(&[&whoami]));
}

#[test]
fn a_packet_and_its_attachments_may_come_in_two_posts() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let (bob, bob_id) = world.client_with_id(0);
    let packet = format!("452-[\"@to\",\"{bob_id}\",\"b\",{{\"_placeholder\":true,\"num\":1}}]");
    assert_eq!(world.post(&sid, &packet), Some(Outcome::Taken));
    assert_eq!(world.post(&sid, "bAQ=="), Some(Outcome::Taken));
    assert_eq!(world.received(bob), Vec::<String>::new());
    assert_eq!(world.post(&sid, "bAg=="), Some(Outcome::Taken));
    assert_eq!(world.received_all(bob).len(), 3);
}

#[test]
fn a_second_poll_ends_the_session() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let first = world.poll(&sid);
    assert_eq!(world.get(&sid), REFUSED);
    assert_eq!(world.outcome(first), packets(&["1"]));
    assert_eq!(world.get(&sid), UNKNOWN);
    assert_eq!(world.drops(0, DropCause::SecondPoll), 1);
}

#[test]
fn a_second_post_ends_the_session() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let poll = world.poll(&sid);
    let first = world.start_post(&sid);
    assert_eq!(world.post(&sid, "3"), REFUSED);
    assert_eq!((world.outcome(first), world.outcome(poll)), (REFUSED, packets(&["1"])));
    assert!(!world.is_alive(&sid));
    assert_eq!(world.drops(0, DropCause::SecondPost), 1);
}

#[test]
fn a_poll_whose_connection_goes_away_ends_the_session() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let poll = world.poll(&sid);
    world.drop_connection(poll);
    assert_eq!(world.get(&sid), UNKNOWN);
    assert_eq!(world.node(0).stats().sessions_closed.get(Reason::TransportClose), 1);
}

#[test]
fn a_post_whose_connection_goes_away_ends_the_session() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let post = world.start_post(&sid);
    world.drop_connection(post);
    assert_eq!(world.get(&sid), UNKNOWN);
}

#[test]
fn a_connection_that_goes_away_after_its_answer_ends_nothing() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    world.post(&sid, r#"421["@whoami"]"#);
    let poll = world.poll(&sid);
    assert!(world.outcome(poll).is_some());
    world.drop_connection(poll);
    assert!(world.is_alive(&sid));
}

#[test]
fn a_client_that_ends_its_session_gets_good_answers() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let poll = world.poll(&sid);
    assert_eq!(world.post(&sid, "1"), Some(Outcome::Taken));
    assert_eq!(world.outcome(poll), packets(&["6"]));
    assert_eq!(world.get(&sid), UNKNOWN);
    assert_eq!(world.node(0).stats().sessions_closed.get(Reason::TransportClose), 1);
}

#[test]
fn a_poll_that_crosses_the_end_on_the_way_is_no_error_and_only_one_does() {
    for (wait_ms, expected) in [(0, packets(&["6"])), (999, packets(&["6"])), (1_000, UNKNOWN)] {
        let mut world = world();
        let (sid, _) = world.connect_polling(0);
        assert_eq!(world.post(&sid, "1"), Some(Outcome::Taken));
        assert_eq!(world.post(&sid, "3"), UNKNOWN, "there is nothing to post to");
        world.advance(Duration::from_millis(wait_ms));
        assert_eq!(world.get(&sid), expected);
        assert_eq!(world.get(&sid), UNKNOWN);
    }
}

#[test]
fn packets_behind_the_end_are_for_nobody() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let (bob, bob_id) = world.client_with_id(0);
    let body = format!("1\x1e42[\"@to\",\"{bob_id}\",\"late\"]");
    assert_eq!(world.post(&sid, &body), Some(Outcome::Taken));
    assert_eq!(world.received(bob), Vec::<String>::new());
}

#[test]
fn a_bad_packet_in_a_post_ends_the_session_and_its_requests() {
    for body in ["abc", "", "4", "42[", "2", "0", "5", "6", "3\x1e", "42[\"connect\"]", "bAQ=="] {
        let mut world = world();
        let (sid, _) = world.connect_polling(0);
        let poll = world.poll(&sid);
        assert_eq!(world.post(&sid, body), REFUSED, "{body:?}");
        assert_eq!(world.outcome(poll), packets(&["1"]), "{body:?}");
        assert_eq!(world.get(&sid), UNKNOWN, "{body:?}");
        assert_eq!(world.node(0).stats().sessions_closed.get(Reason::ParseError), 1, "{body:?}");
    }
}

#[test]
fn what_was_still_to_say_comes_before_the_end() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let poll = world.poll(&sid);
    assert_eq!(world.post(&sid, "421[\"@whoami\"]\x1eabc"), REFUSED);
    let Some(Outcome::Packets(received)) = world.outcome(poll) else { panic!("no answer") };
    assert!(received[0].starts_with("431["), "{received:?}");
}

#[test]
fn heartbeats_travel_by_polls_and_posts() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    for _ in 0..3 {
        let poll = world.poll(&sid);
        world.advance(Duration::from_secs(25));
        assert_eq!(world.outcome(poll), packets(&["2"]));
        world.advance(Duration::from_secs(19));
        assert_eq!(world.post(&sid, "3"), Some(Outcome::Taken));
    }
    assert!(world.is_alive(&sid));
}

#[test]
fn a_session_that_polls_no_more_ends_to_the_microsecond() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    world.advance(Duration::from_micros(44_999_999));
    assert!(world.is_alive(&sid));
    world.advance(Duration::from_micros(1));
    assert_eq!(world.get(&sid), UNKNOWN);
    assert_eq!(world.node(0).stats().sessions_closed.get(Reason::PingTimeout), 1);
}

#[test]
fn who_joins_no_namespace_in_time_is_told_so_in_its_poll() {
    let mut world = world();
    let sid = world.open_polling(0);
    let poll = world.poll(&sid);
    world.advance(Duration::from_secs(10));
    assert_eq!(world.outcome(poll), packets(&["1"]));
    assert!(!world.is_alive(&sid));
}

#[test]
fn a_drain_tells_who_polls_at_once_and_who_does_not_at_its_next_poll() {
    let mut world = world();
    let (sids, ids): (Vec<String>, Vec<String>) = (0..4).map(|_| world.connect_polling(0)).unzip();
    let (bob, bob_id) = world.client_with_id(0);
    let polls = [world.poll(&sids[0]), world.poll(&sids[1])];
    world.drain(0, Duration::from_secs(1));
    world.say(bob, &format!(r#"42["@to","{}","e"]"#, ids[2]));
    world.advance(Duration::from_secs(1));
    for poll in polls {
        assert_eq!(world.outcome(poll), packets(&["1"]));
    }
    assert!(!world.node(0).is_drained());
    let event = format!(r#"42["e",{{"from":"{bob_id}"}}]"#);
    assert_eq!(world.post(&sids[2], "3"), Some(Outcome::Taken), "it is served until then");
    assert_eq!(world.get(&sids[2]), packets(&[&event, "1"]));
    assert_eq!(world.get(&sids[2]), UNKNOWN);

    assert!(world.is_alive(&sids[3]) && !world.node(0).is_drained());
    world.advance(Duration::from_secs(2));
    assert!(world.node(0).is_drained(), "who stays away is not waited for");
    assert_eq!(world.node(0).stats().sessions_closed.get(Reason::ServerShuttingDown), 5);
}

#[test]
fn who_polls_too_rarely_is_closed_when_its_outbox_is_full() {
    let mut world = World::alone_with(1, |config| config.limits.outbox_bytes_max = 500_000);
    let (sid, id) = world.connect_polling(0);
    let (bob, _) = world.client_with_id(0);
    let text = "x".repeat(100_000);
    for _ in 0..11 {
        world.say(bob, &format!(r#"42["@to","{id}","e","{text}"]"#));
    }
    assert!(world.is_alive(&sid), "between two polls it has twice as much room, and its sender waits");
    world.advance(Duration::from_secs(2));
    assert_eq!(world.get(&sid), UNKNOWN);
    assert_eq!(world.drops(0, DropCause::SlowConsumer), 1);
    assert!(world.is_open(bob), "the sender goes on");
}

#[test]
fn a_full_node_refuses_newcomers_until_somebody_has_been_away() {
    let mut world = World::alone_with(1, |config| config.sessions_max = 3);
    let sids: Vec<String> = (0..3).map(|_| world.connect_polling(0).0).collect();
    let held = world.poll(&sids[0]);
    let newcomer = || Some(Outcome::Refused(RequestError::Overloaded));
    assert_eq!(world.try_open_polling(0), newcomer());
    world.advance(Duration::from_micros(1_999_999));
    assert_eq!(world.try_open_polling(0), newcomer(), "everyone was here a moment ago");
    world.post(&sids[1], "421[\"@whoami\"]");
    assert!(world.get(&sids[1]).is_some());
    world.advance(Duration::from_micros(1));
    assert!(matches!(world.try_open_polling(0), Some(Outcome::Packets(_))));
    assert_eq!(world.get(&sids[2]), UNKNOWN, "who was away longest made room");
    assert_eq!((world.outcome(held), world.drops(0, DropCause::SessionEvicted)), (None, 1));
    assert!(world.is_alive(&sids[0]) && world.is_alive(&sids[1]));
    world.client_with_id(0);
}

#[test]
fn ids_that_were_never_given_out_are_unknown() {
    let mut world = world();
    let (sid, _) = world.connect_polling(0);
    let last = if sid.ends_with('A') { "B" } else { "A" };
    let guess = format!("{}{last}", &sid[..sid.len() - 1]);
    for sid in ["", "s1.", "s2.AAAAAAAAAAAAAAAAAAAAAAAAAAA", &guess, &sid[1..]] {
        assert_eq!((world.get(sid), world.post(sid, "3")), (UNKNOWN, UNKNOWN), "{sid}");
    }
    assert_eq!(world.transport(&sid), Some(TransportKind::Polling));
}

/// More than it takes would end its session before the last packet was read.
#[test]
fn a_drain_leaves_nothing_unsaid_to_a_client_that_takes_few_packets_at_once() {
    let mut world = world();
    let (sid, id) = world.connect_polling(0);
    let (bob, _) = world.client_with_id(0);
    for number in 0..40 {
        world.say(bob, &format!(r#"42["@to","{id}","n",{number}]"#));
    }
    world.drain(0, Duration::ZERO);
    let mut numbers = Vec::new();
    for expected in [16, 16, 9] {
        let poll = world.poll_for(&sid, 16);
        let Some(Outcome::Packets(packets)) = world.outcome(poll) else { panic!("nothing came") };
        assert_eq!(packets.len(), expected);
        numbers.extend(packets.iter().map(|text| text.rsplit(',').next().unwrap().to_owned()));
    }
    let told: Vec<String> = (0..40).map(|number| format!("{number}]")).chain(["1".into()]).collect();
    assert_eq!(numbers, told);
    assert!(!world.is_alive(&sid));
}
