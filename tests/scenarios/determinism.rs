//! Equal inputs, equal times and equal seeds give equal outputs, byte for byte.

use moorline_tests::sim::{Client, Seed, Seeded, Travel, World, to};
use std::time::Duration;

/// A busy life of three nodes, written down: everything the nodes did.
fn life(world_seed: u64, script_seed: u64) -> String {
    let mut world = World::cluster_with(Seed(world_seed), 3, |_| {});
    world.record();
    let mut random = Seeded::new(script_seed);
    let mut clients: Vec<(Client, String)> = Vec::new();
    for _ in 0..1500 {
        match random.below(12) {
            0..2 => clients.push(world.client_by(Travel::ALL[random.below(3)], random.below(3))),
            2 if clients.len() > 5 => world.leave(clients.swap_remove(random.below(clients.len())).0),
            3 => world.advance(Duration::from_millis(random.below(500) as u64)),
            4 => _ = world.publish("socket", br#"{"socketId":["r1","r2"],"event":"news","response":1}"#),
            5 if random.below(40) == 0 => flap(&mut world, random.below(3)),
            _ if clients.is_empty() => {}
            choice => chat(&mut world, &mut random, &clients, choice),
        }
    }
    world.drain(1, Duration::from_secs(1));
    world.advance(Duration::from_secs(60));
    world.trace().to_owned()
}

fn flap(world: &mut World, node: usize) {
    world.link_down(node);
    world.advance(Duration::from_millis(20));
    world.link_up(node);
}

fn chat(world: &mut World, random: &mut Seeded, clients: &[(Client, String)], choice: usize) {
    let (client, _) = clients[random.below(clients.len())];
    if !world.is_open(client) {
        return;
    }
    let room = format!("r{}", random.below(4));
    let (_, id) = &clients[random.below(clients.len())];
    match choice {
        6 => world.emit(client, &format!(r#"["@leave","{room}"]"#)),
        7..9 => _ = world.request(client, &format!(r#"["@join","{room}"]"#)),
        9 => world.emit(client, &to(&format!("\"{id}\""), r#""e",1"#)),
        _ => _ = world.request(client, &to(&format!(r#"["{room}","{id}"]"#), r#""e",[2]"#)),
    }
}

#[test]
fn the_same_life_twice_is_the_same_to_the_byte() {
    let first = life(1, 2);
    assert!(first.len() > 100_000, "something happened: {} bytes", first.len());
    assert_eq!(first, life(1, 2));
}

#[test]
fn another_seed_is_another_life() {
    assert_ne!(life(1, 2), life(2, 2));
}
