//! Time: the first ping, its answers and their absence, and the time a client has to CONNECT.

use moorline_core::{Config, Time};
use moorline_protocol::Reason;
use moorline_tests::sim::World;
use std::{collections::BTreeSet, time::Duration};

const INTERVAL: Duration = Duration::from_secs(25);
const TIMEOUT: Duration = Duration::from_secs(20);
const MICROSECOND: Duration = Duration::from_micros(1);

fn steady(config: &mut Config) {
    config.limits.ping_jitter = false;
}

#[test]
fn first_ping_comes_at_a_random_point_in_the_second_half_of_the_interval() {
    let mut points = BTreeSet::new();
    let mut world = World::alone();
    for _ in 0..300 {
        let (opened, client) = (world.now(), world.client(0));
        world.advance(INTERVAL - MICROSECOND);
        let pings = world.pings(client).to_vec();
        assert_eq!(pings.len(), 1);
        assert!(pings[0] - opened >= INTERVAL / 2);
        points.insert(pings[0] - opened);
        world.leave(client);
    }
    let (first, last) = (*points.first().unwrap(), *points.last().unwrap());
    assert!(points.len() > 100 && last - first > INTERVAL * 2 / 5, "{} points", points.len());
}

#[test]
fn without_jitter_pings_come_at_the_interval_to_the_microsecond() {
    for mut world in World::each_way(|| World::alone_with(1, steady)) {
        let (opened, client) = (world.now(), world.client(0));
        world.advance(INTERVAL - MICROSECOND);
        assert_eq!(world.pings(client), [] as [Time; 0]);
        world.advance(INTERVAL * 2 + MICROSECOND);
        let expected = [1, 2, 3].map(|beat| opened + INTERVAL * beat);
        assert_eq!(world.pings(client), expected, "each answered at once");
        assert!(world.is_open(client));
    }
}

#[test]
fn the_interval_starts_again_at_the_pong() {
    for mut world in World::each_way(|| World::alone_with(1, steady)) {
        let (opened, client) = (world.now(), world.client(0));
        world.stop_pongs(client);
        world.advance(INTERVAL + TIMEOUT - MICROSECOND);
        world.say(client, "3");
        world.advance(INTERVAL);
        assert_eq!(world.pings(client), [opened + INTERVAL, opened + (INTERVAL * 2 + TIMEOUT - MICROSECOND)]);
    }
}

#[test]
fn a_pong_nobody_asked_for_moves_nothing() {
    for mut world in World::each_way(|| World::alone_with(1, steady)) {
        let (opened, client) = (world.now(), world.client(0));
        world.advance(INTERVAL / 2);
        world.say(client, "3");
        world.advance(INTERVAL / 2);
        assert_eq!(world.pings(client), [opened + INTERVAL]);
    }
}

#[test]
fn other_packets_are_no_pong() {
    for mut world in World::each_way(|| World::alone_with(1, steady)) {
        let (opened, client) = (world.now(), world.client(0));
        world.stop_pongs(client);
        world.advance(INTERVAL + TIMEOUT / 2);
        world.emit(client, r#"["@whoami"]"#);
        world.advance(TIMEOUT / 2);
        assert_eq!(world.ending(client).unwrap().at, opened + INTERVAL + TIMEOUT);
    }
}

#[test]
fn without_a_pong_the_session_ends_at_the_ping_timeout() {
    for mut world in World::each_way(|| World::alone_with(1, steady)) {
        let (opened, client) = (world.now(), world.client(0));
        let neighbour = world.client(0);
        world.stop_pongs(client);
        world.advance(INTERVAL + TIMEOUT - MICROSECOND);
        assert!(world.is_open(client));
        world.advance(MICROSECOND);
        let ending = world.ending(client).unwrap();
        assert_eq!((ending.reason, ending.at), (Reason::PingTimeout, opened + INTERVAL + TIMEOUT));
        assert!(world.is_open(neighbour));
        assert_eq!(world.stats(0).sessions_closed.get(Reason::PingTimeout), 1);
        world.leave(neighbour);
        world.assert_empty(0);
    }
}

#[test]
fn a_session_that_joins_no_namespace_ends_at_the_connect_timeout() {
    for mut world in World::each_way(World::alone) {
        let opened = world.now();
        let (silent, refused, joined) = (world.open(0), world.open(0), world.client(0));
        world.say(refused, "40/random");
        world.advance(Duration::from_secs(10) - MICROSECOND);
        assert!(world.is_open(silent) && world.is_open(refused));
        world.advance(Duration::from_secs(50));
        for client in [silent, refused] {
            let ending = world.ending(client).unwrap();
            assert_eq!((ending.reason, ending.code), (Reason::ConnectTimeout, 1008));
            assert_eq!(ending.at, opened + Duration::from_secs(10));
        }
        assert!(world.is_open(joined));
    }
}

#[test]
fn a_client_that_left_its_last_namespace_is_not_hurried() {
    for mut world in World::each_way(World::alone) {
        let client = world.client(0);
        world.say(client, "41");
        world.advance(Duration::from_secs(120));
        assert!(world.is_open(client));
        world.connect(client, "/");
    }
}

#[test]
fn pings_go_out_before_connect_too() {
    let slow_connect = |config: &mut Config| {
        config.limits.ping_interval = Duration::from_millis(300);
        config.limits.connect_timeout = Duration::from_secs(1);
    };
    let mut world = World::alone_with(1, slow_connect);
    let client = world.open(0);
    world.advance(Duration::from_millis(999));
    assert!(world.is_open(client));
    assert!(world.pings(client).len() >= 3);
    world.advance(Duration::from_millis(1));
    assert!(!world.is_open(client));
}
