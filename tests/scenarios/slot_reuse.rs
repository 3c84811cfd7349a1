//! Slots are used again and ids are not: over thousands of cycles nothing reaches the wrong socket.
//!
//! A shadow model keeps who is alive under which id; every message says whom it is for.

use moorline_core::SocketId;
use moorline_tests::sim::{Client, Seed, Seeded, World, soak, to};
use std::collections::{BTreeMap, BTreeSet};

/// The world beside a model of it.
struct Shadow {
    world: World,
    random: Seeded,
    alive: BTreeMap<String, Client>,
    dead: Vec<String>,
    slots: BTreeSet<(usize, u32)>,
    nodes: usize,
    sent: u64,
}

impl Shadow {
    fn new(seed: u64, world: World, nodes: usize) -> Shadow {
        let random = Seeded::new(seed);
        Shadow {
            world,
            random,
            alive: BTreeMap::new(),
            dead: Vec::new(),
            slots: BTreeSet::new(),
            nodes,
            sent: 0,
        }
    }

    fn open(&mut self) {
        let node = self.random.below(self.nodes);
        let (client, id) = self.world.client_with_id(node);
        self.slots.insert((node, SocketId::parse(&id).expect("an id").slot()));
        assert!(self.alive.insert(id.clone(), client).is_none(), "{id} is given out twice");
        assert!(!self.dead.contains(&id), "{id} comes back");
    }

    fn pick(&mut self) -> Option<(String, Client)> {
        if self.alive.is_empty() {
            return None;
        }
        let at = self.random.below(self.alive.len());
        self.alive.iter().nth(at).map(|(id, client)| (id.clone(), *client))
    }

    fn close(&mut self) {
        let Some((id, client)) = self.pick() else { return };
        self.alive.remove(&id);
        self.dead.push(id);
        match self.random.below(3) {
            0 => self.world.leave(client),
            1 => self.world.say(client, "1"),
            _ => self.world.say(client, "a packet that is none"),
        }
    }

    /// Leaves the namespace and joins it again, on the same connection: another socket.
    fn rejoin(&mut self) {
        let Some((id, client)) = self.pick() else { return };
        self.alive.remove(&id);
        self.dead.push(id);
        self.world.say(client, "41");
        let id = self.world.connect(client, "/");
        assert!(self.alive.insert(id, client).is_none());
    }

    fn send(&mut self) {
        let Some((sender_id, sender)) = self.pick() else { return };
        let target = match self.random.below(3) {
            0 if !self.dead.is_empty() => {
                let at = self.dead.len() - 1 - self.random.below(self.dead.len().min(50));
                self.dead[at].clone()
            }
            _ => self.pick().expect("somebody is alive").0,
        };
        self.sent += 1;
        let items = to(&format!("\"{target}\""), &format!(r#""for","{target}",{}"#, self.sent));
        let acked = self.world.ask(sender, &items);
        let expected = self.alive.get(&target).filter(|_| target != sender_id).copied();
        assert_eq!(acked, format!(r#"{{"expected":{}}}"#, usize::from(expected.is_some())));
        if let Some(recipient) = expected {
            let text = format!(r#"42["for",{{"from":"{sender_id}"}},"{target}",{}]"#, self.sent);
            assert_eq!(self.world.received(recipient), [text]);
        }
    }

    /// Each message was taken off its recipient's list when it came: nothing may be left anywhere.
    fn check_silence(&mut self) {
        for client in self.alive.values() {
            assert_eq!(self.world.received(*client), Vec::<String>::new(), "something for somebody else");
        }
    }

    fn run(&mut self, steps: u32) {
        for step in 0..steps {
            match self.random.below(10) {
                0..2 => self.open(),
                2..4 if self.alive.len() > 3 => self.close(),
                4 => self.rejoin(),
                _ => self.send(),
            }
            if step % 64 == 0 {
                self.check_silence();
            }
        }
        self.check_silence();
        assert!(self.dead.len() > 20 * self.slots.len(), "slots were used again and again");
        for client in std::mem::take(&mut self.alive).into_values() {
            self.world.leave(client);
        }
        (0..self.nodes).for_each(|node| self.world.assert_empty(node));
    }
}

#[test]
fn on_one_node() {
    for seed in [1, 2] {
        Shadow::new(seed, World::alone_with(seed, |_| {}), 1).run(7_000 * soak());
    }
}

#[test]
fn across_three_nodes() {
    for seed in [3, 4] {
        Shadow::new(seed, World::cluster_with(Seed(seed), 3, |_| {}), 3).run(10_000 * soak());
    }
}
