//! Shares of the answers a node may await: of one socket that asks, on whichever node, and of backends.

use crate::{
    asking_world::{acknowledge, members},
    backend_world::{publish, stream, with_backend},
};
use moorline_core::{Config, DropCause};
use moorline_tests::sim::{Client, Seed, World, ask};

/// A node awaits 256 answers: 192 of them for clients, and 32 for one socket.
fn cluster(nodes: usize) -> World {
    World::cluster_with(Seed(1), nodes, |config: &mut Config| {
        with_backend(config);
        config.is_open = true;
        config.limits.awaited_answers_max = 256;
    })
}

/// Ten members of `r` who do not answer.
fn mutes(world: &mut World, node: usize) -> [Client; 10] {
    members(world, [node; 10])
}

/// Asks everyone in `r`; returns the ack's number.
fn question(world: &mut World, client: Client) -> u64 {
    world.request(client, &ask("\"r\"", r#""q""#))
}

/// Asks everyone in `r` until that is refused; returns how often it was not.
fn ask_until_refused(world: &mut World, client: Client) -> usize {
    let refused = (0..1000).find(|_| {
        let ack = question(world, client);
        world.take_ack(client, ack).is_some_and(|acked| acked == r#"{"error":"too_many"}"#)
    });
    refused.expect("nobody may ask for ever")
}

/// Forgets what these were sent so far; returns how many messages the first of them had.
fn forget(world: &mut World, clients: &[Client]) -> usize {
    let counts: Vec<usize> = clients.iter().map(|client| world.received(*client).len()).collect();
    counts[0]
}

#[test]
fn three_who_ask_all_they_can_leave_room_for_another() {
    for mut world in World::each_way(|| cluster(1)) {
        let mutes = mutes(&mut world, 0);
        for _ in 0..3 {
            let client = world.client(0);
            assert_eq!(ask_until_refused(&mut world, client), 3, "30 answers of the 32 it may await");
        }
        assert_eq!(forget(&mut world, &mutes), 9);
        let another = world.client(0);
        let ack = question(&mut world, another);
        world.settle();
        mutes.into_iter().for_each(|client| acknowledge(&mut world, client, "1"));
        let expected = format!(r#"{{"expected":10,"responses":[{}]}}"#, ["1"; 10].join(","));
        assert_eq!(world.take_ack(another, ack), Some(expected));
    }
}

#[test]
fn a_socket_that_goes_gives_its_share_back_and_so_does_an_answer() {
    let mut world = cluster(1);
    let mutes = mutes(&mut world, 0);
    let asker = world.client(0);
    assert_eq!(ask_until_refused(&mut world, asker), 3);
    let questions = world.received(mutes[0]);
    for question in &questions {
        let id = &question[2..question.find('[').unwrap()];
        world.say(mutes[0], &format!("43{id}[]"));
    }
    assert_eq!(ask_until_refused(&mut world, asker), 0, "5 places of its own for 10");
    world.leave(mutes[1]);
    mutes[2..7].iter().for_each(|client| world.leave(*client));
    assert_eq!(ask_until_refused(&mut world, asker), 5, "of 32 it awaits 9, and each question takes 4");
}

#[test]
fn backends_still_ask_when_clients_have_used_all_of_theirs() {
    for mut world in World::each_way(|| cluster(1)) {
        let mutes = mutes(&mut world, 0);
        let asked: usize = (0..10)
            .map(|_| {
                let client = world.client(0);
                ask_until_refused(&mut world, client)
            })
            .sum();
        assert_eq!((asked, forget(&mut world, &mutes)), (18, 18), "180 answers of the 192 for clients");
        stream(&mut world);
        publish(&mut world, r#"{"socketId":"r","event":"q","ack":5}"#);
        assert_eq!(forget(&mut world, &mutes), 1);
        assert_eq!(stream(&mut world), Vec::<String>::new(), "nobody was too much");
    }
}

#[test]
fn who_asks_from_another_node_has_a_share_of_its_own_there() {
    for mut world in World::each_way(|| cluster(2)) {
        let mutes = mutes(&mut world, 1);
        let (greedy, modest) = (world.client(0), world.client(0));
        let acks: Vec<u64> = (0..4).map(|_| question(&mut world, greedy)).collect();
        world.settle();
        assert_eq!(forget(&mut world, &mutes), 3);
        assert_eq!(world.drops(1, DropCause::TooManyRequests), 1);
        let acked = acks.into_iter().map(|ack| world.take_ack(greedy, ack)).collect::<Vec<_>>();
        let nobody = Some(r#"{"expected":0,"responses":[]}"#.into());
        assert_eq!(acked, [None, None, None, nobody], "three are waited for");
        let ack = question(&mut world, modest);
        world.settle();
        mutes.into_iter().for_each(|client| acknowledge(&mut world, client, "1"));
        world.settle();
        let expected = format!(r#"{{"expected":10,"responses":[{}]}}"#, ["1"; 10].join(","));
        assert_eq!(world.take_ack(modest, ack), Some(expected));
        assert!(world.stats(1).drops.get(DropCause::UnknownTarget) == 0, "the name of who asks is no target");
    }
}

/// A node from before its successors named who asks: all of its sockets together have the share of one.
#[test]
fn an_older_node_is_understood_and_counts_as_one_who_asks() {
    let mut world = cluster(1);
    let mutes = mutes(&mut world, 0);
    let channel = format!("moorline:node:{}", world.node(0).tag());
    let mut asks = |tag: &str, number: u64| {
        world.redis().take_published();
        let text = format!("ask1 [\"{tag}\",{number},{number},true,\"/\",[\"r\"],[]]\n2[\"q\"]");
        world.publish(&channel, text.as_bytes());
        let published = world.redis().take_published();
        let count = published.into_iter().find(|message| message.text.starts_with("count1"));
        let count = count.expect("the older node is told how many were asked");
        assert_eq!(count.channel, format!("moorline:node:{tag}"));
        count.text
    };
    let counts = [1, 2, 3, 4].map(|number| asks("00c0ffee", number));
    let expected = ["count1 [1,10]\n", "count1 [2,10]\n", "count1 [3,10]\n", "count1 [4,0]\n"];
    assert_eq!(counts, expected, "30 answers of the 32 it may await");
    assert_eq!(asks("0000beef", 1), "count1 [1,10]\n");
    assert_eq!(world.drops(0, DropCause::TooManyRequests), 1);
    assert_eq!(forget(&mut world, &mutes), 4);
}

/// An older node takes the name of who asks for a room. So does a node of today where no name is due.
#[test]
fn the_name_of_who_asks_is_an_empty_room_to_a_node_that_does_not_know_it() {
    let mut world = cluster(1);
    let mutes = mutes(&mut world, 0);
    let channel = format!("moorline:node:{}", world.node(0).tag());
    let text = "to1 [\"00c0ffee\",1,1,true,\"/\",[\"r\",\"@from:abcdefghijABCDEF-_09\"],[]]\n2[\"q\"]";
    world.publish(&channel, text.as_bytes());
    assert_eq!(forget(&mut world, &mutes), 1);
    assert!(world.stats(0).drops.is_empty(), "{:?}", world.stats(0).drops);
}

#[test]
fn a_node_that_may_await_one_answer_asks_one() {
    for nodes in [1, 2] {
        let mut world = World::cluster_with(Seed(1), nodes, |config| config.limits.awaited_answers_max = 1);
        let (alice, (bob, bob_id)) = (world.client(0), world.client_with_id(nodes - 1));
        let ack = world.request(alice, &ask(&format!("\"{bob_id}\""), r#""q""#));
        world.settle();
        acknowledge(&mut world, bob, "1");
        world.settle();
        assert_eq!(world.take_ack(alice, ack).unwrap(), r#"{"expected":1,"responses":[1]}"#);
    }
}
