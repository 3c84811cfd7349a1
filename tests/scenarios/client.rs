//! moorline's own client against moorline's own node: both cores as they are, and a network between them.

use crate::client_tab::Tab;
use moorline_protocol::TransportKind::{self, Polling, WebSocket};
use moorline_tests::sim::{Seeded, Seeds, World};
use std::time::Duration;

const STEP: Duration = Duration::from_millis(20);

fn world() -> World {
    World::alone_with(1, |config| config.limits.ping_jitter = false)
}

/// Carries everything there is, and lets a second pass in which more may come.
fn settle(world: &mut World, tabs: &mut [&mut Tab]) {
    let mut random = Seeded::new(7);
    for _ in 0..50 {
        while tabs.iter_mut().any(|tab| tab.carry_one(world, &mut random)) {}
        world.advance(STEP);
        tabs.iter_mut().for_each(|tab| tab.advance(STEP));
    }
}

fn connected(world: &mut World, transports: &[TransportKind]) -> Tab {
    let mut tab = Tab::new(1, transports);
    settle(world, &mut [&mut tab]);
    assert!(tab.id.is_some(), "it is connected");
    tab
}

fn to(id: &str, number: usize) -> String {
    format!(r#""@to","{id}","n",{number}"#)
}

/// The numbers that a tab received.
fn numbers(tab: &Tab) -> Vec<usize> {
    let number = |text: &String| {
        let (json, _) = text.split_once(' ').expect("attachments");
        let rest = json.split_once("},").expect("who it is from").1;
        rest.split([',', ']']).next().expect("a number").parse().expect("a number")
    };
    tab.received.iter().map(number).collect()
}

#[test]
fn it_connects_by_every_transport_and_knows_its_node() {
    for (transports, kind, upgrades) in [
        (&[WebSocket][..], WebSocket, 0),
        (&[Polling], Polling, 0),
        (&[WebSocket, Polling], WebSocket, 0),
        (&[Polling, WebSocket], WebSocket, 1),
    ] {
        let mut world = world();
        let tab = connected(&mut world, transports);
        assert_eq!((tab.client.transport(), tab.upgrades), (Some(kind), upgrades), "{transports:?}");
        assert_eq!(tab.client.node(), Some("s1"));
        assert_eq!(world.node(0).stats().upgrades, u64::from(upgrades > 0));
    }
}

#[test]
fn it_stays_connected_while_nothing_happens() {
    for transports in [&[WebSocket][..], &[Polling]] {
        let mut world = world();
        let mut tab = connected(&mut world, transports);
        for _ in 0..200 {
            settle(&mut world, &mut [&mut tab]);
        }
        assert_eq!(tab.closed, [""; 0], "{transports:?}");
        assert_eq!(tab.queries.len(), 1);
    }
}

#[test]
fn a_disconnect_leaves_nothing_on_the_node() {
    for transports in [&[WebSocket][..], &[Polling], &[Polling, WebSocket]] {
        let mut world = world();
        let mut tab = connected(&mut world, transports);
        tab.disconnect();
        settle(&mut world, &mut [&mut tab]);
        assert_eq!(world.node(0).gauges().sessions, 0, "{transports:?}");
        assert!(tab.client.is_idle());
    }
}

#[test]
fn events_before_a_disconnect_arrive() {
    for transports in [&[WebSocket][..], &[Polling]] {
        let mut world = world();
        let (mut alice, mut bob) = (connected(&mut world, transports), connected(&mut world, &[WebSocket]));
        let id = bob.id.clone().expect("an id");
        (0..5).for_each(|number| alice.emit(to(&id, number), Vec::new()));
        alice.disconnect();
        settle(&mut world, &mut [&mut alice, &mut bob]);
        assert_eq!(numbers(&bob), [0, 1, 2, 3, 4], "{transports:?}");
    }
}

#[test]
fn a_disconnect_before_the_connection_leaves_nothing_behind() {
    for steps in 0..40 {
        for transports in [&[WebSocket][..], &[Polling], &[Polling, WebSocket]] {
            let (mut world, mut random) = (world(), Seeded::new(steps));
            let mut tab = Tab::new(1, transports);
            for _ in 0..steps {
                tab.carry_one(&mut world, &mut random);
            }
            tab.disconnect();
            for _ in 0..100 {
                settle(&mut world, &mut [&mut tab]);
            }
            assert_eq!(world.node(0).gauges().sessions, 0, "{steps} {transports:?}");
            assert!(tab.client.is_idle(), "{steps} {transports:?}");
        }
    }
}

#[test]
fn a_node_that_drains_is_not_asked_for_again() {
    for transports in [&[WebSocket][..], &[Polling], &[Polling, WebSocket]] {
        let mut world = world();
        let mut tab = connected(&mut world, transports);
        world.drain(0, Duration::ZERO);
        settle(&mut world, &mut [&mut tab]);
        assert_eq!(tab.closed[0], "transport close", "{transports:?}");
        let mut other = World::alone_with(2, |config| config.name = "s2".into());
        tab.lose_everything();
        for _ in 0..10 {
            settle(&mut other, &mut [&mut tab]);
        }
        assert_eq!(tab.client.node(), Some("s2"), "{transports:?}");
        assert!(tab.queries.iter().all(|query| !query.contains("node=s1")), "{:?}", tab.queries);
    }
}

#[test]
fn a_node_that_died_is_asked_for_once_and_events_sent_meanwhile_arrive() {
    for transports in [&[WebSocket][..], &[Polling], &[Polling, WebSocket]] {
        let mut first = world();
        let mut tab = connected(&mut first, transports);
        tab.lose_everything();
        drop(first);
        assert!(tab.closed.len() == 1 && tab.id.is_none());
        let mut second = World::alone_with(2, |config| config.name = "s2".into());
        let mut bob = connected(&mut second, &[WebSocket]);
        let id = bob.id.clone().expect("an id");
        (0..5).for_each(|number| tab.emit(to(&id, number), Vec::new()));
        for _ in 0..3 {
            settle(&mut second, &mut [&mut tab, &mut bob]);
        }
        assert_eq!(tab.client.node(), Some("s2"), "{transports:?}");
        assert_eq!(
            tab.queries.iter().filter(|query| query.contains("node=s1")).count(),
            1,
            "{:?}",
            tab.queries
        );
        assert_eq!(numbers(&bob), [0, 1, 2, 3, 4], "{transports:?}");
    }
}

#[test]
fn nothing_is_lost_doubled_or_reordered_while_no_connection_breaks() {
    let mut upgrades = 0;
    let seeds = Seeds::of("client::nothing_is_lost", 100);
    let is_one = seeds.is_one();
    for seed in seeds {
        let (mut world, mut random) =
            (World::alone_with(seed, |config| config.limits.ping_jitter = false), Seeded::new(!seed));
        let all = [&[WebSocket][..], &[Polling], &[Polling, WebSocket], &[Polling, WebSocket]];
        let mut tabs = [0, 1].map(|at| Tab::new(seed + at, all[random.below(all.len())]));
        let mut sent = [0, 0];
        while tabs.iter().any(|tab| tab.id.is_none()) {
            step(&mut world, &mut tabs, &mut random);
        }
        for _ in 0..400 {
            let (from, to_whom) = if random.below(2) == 0 { (0, 1) } else { (1, 0) };
            if random.below(3) == 0 {
                let id = tabs[to_whom].id.clone().expect("nothing breaks");
                let (json, attachments) = event(&id, sent[from], random.below(4) == 0);
                tabs[from].emit(json, attachments);
                sent[from] += 1;
            }
            step(&mut world, &mut tabs, &mut random);
        }
        let [alice, bob] = &mut tabs;
        settle(&mut world, &mut [alice, bob]);
        assert_eq!(numbers(bob), (0..sent[0]).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(numbers(alice), (0..sent[1]).collect::<Vec<_>>(), "seed {seed}");
        assert!(tabs.iter().all(|tab| tab.closed.is_empty() && tab.queries.len() == 1), "seed {seed}");
        upgrades += tabs.iter().map(|tab| tab.upgrades).sum::<usize>();
    }
    assert!(is_one || upgrades > 66, "{upgrades} upgrades");
}

fn event(id: &str, number: usize, has_attachment: bool) -> (String, Vec<Vec<u8>>) {
    if has_attachment {
        let json = to(id, number) + r#",{"_placeholder":true,"num":0}"#;
        (json, vec![vec![1, 2, 3]])
    } else {
        (to(id, number), Vec::new())
    }
}

/// One tab's network carries one thing, or a moment passes.
fn step(world: &mut World, tabs: &mut [Tab; 2], random: &mut Seeded) {
    let tab = &mut tabs[random.below(2)];
    if random.below(8) > 0 {
        tab.carry_one(world, random);
        return;
    }
    let time = Duration::from_millis(u64::try_from(random.below(60)).expect("a short time"));
    world.advance(time);
    tabs.iter_mut().for_each(|tab| tab.advance(time));
}
