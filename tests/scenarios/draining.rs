//! A node leaves: every session is closed with "restart", spread over the time given, and never a DISCONNECT.

use moorline_core::Time;
use moorline_protocol::Reason;
use moorline_tests::sim::{Client, World, to};
use std::time::Duration;

fn endings(world: &mut World, clients: &[Client]) -> Vec<Time> {
    let mut times: Vec<Time> = clients
        .iter()
        .map(|&client| {
            let ending = world.ending(client).expect("it was closed");
            assert_eq!((ending.reason, ending.code), (Reason::ServerShuttingDown, 1012));
            assert!(world.received(client).iter().all(|packet| !packet.starts_with("41")), "no DISCONNECT");
            ending.at
        })
        .collect();
    times.sort();
    times
}

#[test]
fn closings_are_spread_over_the_time_and_end_with_it() {
    let mut world = World::cluster(1);
    let clients: Vec<Client> = (0..1000).map(|_| world.client(0)).collect();
    let start = world.now();
    world.drain(0, Duration::from_secs(10));
    assert!(world.node(0).is_draining() && !world.node(0).is_drained());
    let first = clients.iter().filter(|&&client| !world.is_open(client)).count();
    assert!(first <= 20, "{first} at once");
    world.advance(Duration::from_secs(10));
    assert!(world.node(0).is_drained());
    let times = endings(&mut world, &clients);
    for (percent, at) in [(25, 250), (50, 500), (75, 750)] {
        let passed = (times[at] - start).as_millis();
        assert!(
            (percent * 100 - 500..=percent * 100 + 500).contains(&passed),
            "{at} closed after {passed} ms"
        );
    }
    assert!(times[999] - start <= Duration::from_secs(10));
    assert_eq!(world.stats(0).sessions_closed.get(Reason::ServerShuttingDown), 1000);
    world.advance(Duration::from_secs(3));
    world.assert_empty(0);
}

#[test]
fn no_batch_is_far_larger_than_the_others() {
    let mut world = World::alone();
    let clients: Vec<Client> = (0..500).map(|_| world.client(0)).collect();
    world.drain(0, Duration::from_millis(1250));
    world.advance(Duration::from_millis(1250));
    let times = endings(&mut world, &clients);
    let largest = times.chunk_by(|a, b| a == b).map(<[Time]>::len).max().unwrap();
    assert!(largest <= 60, "{largest} in one batch");
}

#[test]
fn without_time_everything_closes_at_once() {
    for mut world in World::each_way(World::alone) {
        let clients: Vec<Client> = (0..50).map(|_| world.client(0)).collect();
        let start = world.now();
        world.drain(0, Duration::ZERO);
        assert!(world.node(0).is_drained());
        assert_eq!(endings(&mut world, &clients), vec![start; 50]);
        world.assert_empty(0);
    }
}

#[test]
fn a_node_without_clients_is_drained_at_once() {
    let mut world = World::alone();
    assert!(!world.node(0).is_drained());
    world.drain(0, Duration::from_secs(10));
    assert!(world.node(0).is_drained());
    world.assert_empty(0);
}

#[test]
fn clients_that_leave_meanwhile_are_no_trouble() {
    for mut world in World::each_way(|| World::cluster(1)) {
        let clients: Vec<Client> = (0..300).map(|_| world.client(0)).collect();
        world.drain(0, Duration::from_secs(3));
        for step in 0..10 {
            let leaving: Vec<Client> =
                clients.iter().copied().filter(|client| client_leaves(*client, step)).collect();
            for client in leaving {
                if world.is_open(client) {
                    world.leave(client);
                }
            }
            world.advance(Duration::from_millis(130));
        }
        world.advance(Duration::from_millis(1700));
        assert!(world.node(0).is_drained());
        world.advance(Duration::from_secs(3));
        world.assert_empty(0);
    }
}

fn client_leaves(client: Client, step: u64) -> bool {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    format!("{client:?}").hash(&mut hasher);
    hasher.finish() % 15 == step
}

#[test]
fn who_is_not_closed_yet_is_served() {
    for mut world in World::each_way(|| World::cluster(2)) {
        let clients: Vec<Client> = (0..100).map(|_| world.client(0)).collect();
        let (far, far_id) = world.client_with_id(1);
        world.drain(0, Duration::from_secs(10));
        world.advance(Duration::from_secs(5));
        let open: Vec<Client> = clients.into_iter().filter(|&client| world.is_open(client)).collect();
        assert!(!open.is_empty());
        for &client in &open[..3] {
            assert_eq!(world.ask(client, &to(&format!("\"{far_id}\""), r#""e""#)), r#"{"expected":1}"#);
        }
        assert_eq!(world.received(far).len(), 3);
    }
}

#[test]
fn what_was_said_before_the_close_still_arrives() {
    let mut world = World::alone();
    let (alice, alice_id) = world.client_with_id(0);
    let (bob, bob_id) = world.client_with_id(0);
    world.stop_reading(bob);
    world.emit(alice, &to(&format!("\"{bob_id}\""), r#""last",1"#));
    world.drain(0, Duration::ZERO);
    assert_eq!(world.ending(bob).unwrap().code, 1012);
    world.read_again(bob);
    assert_eq!(world.received(bob), [moorline_tests::sim::event_from(&alice_id, "last", "1")]);
}

#[test]
fn asking_twice_changes_nothing() {
    for mut world in World::each_way(World::alone) {
        let clients: Vec<Client> = (0..200).map(|_| world.client(0)).collect();
        world.drain(0, Duration::from_secs(2));
        let open = clients.iter().filter(|&&client| world.is_open(client)).count();
        world.drain(0, Duration::ZERO);
        assert_eq!(clients.iter().filter(|&&client| world.is_open(client)).count(), open);
    }
}

#[test]
fn a_session_that_opens_while_draining_is_closed_too() {
    for mut world in World::each_way(World::alone) {
        let clients: Vec<Client> = (0..20).map(|_| world.client(0)).collect();
        world.drain(0, Duration::from_secs(1));
        let late = world.open(0);
        world.advance(Duration::from_secs(1));
        assert!(world.node(0).is_drained());
        assert_eq!(world.ending(late).unwrap().code, 1012);
        endings(&mut world, &clients);
    }
}

#[test]
fn a_session_that_opens_after_the_last_batch_is_closed_too() {
    for mut world in World::each_way(World::alone) {
        world.drain(0, Duration::from_secs(1));
        let late = world.open(0);
        world.advance(Duration::from_secs(5));
        assert!(world.node(0).is_drained());
        assert_eq!(world.ending(late).unwrap().code, 1012);
    }
}

#[test]
fn few_closings_are_spread_over_the_whole_time_too() {
    for mut world in World::each_way(World::alone) {
        let start = world.now();
        let clients: Vec<Client> = (0..10).map(|_| world.client(0)).collect();
        world.drain(0, Duration::from_secs(10));
        world.advance(Duration::from_secs(10));
        assert!(world.node(0).is_drained());
        let times: Vec<_> = clients.iter().map(|&client| world.ending(client).unwrap().at - start).collect();
        assert!(*times.iter().max().unwrap() >= Duration::from_secs(9), "{times:?}");
    }
}
