//! Shared by the stories about questions: how clients are asked, how they acknowledge, and a room of them.

use moorline_tests::sim::{Client, World};
use std::time::Duration;

pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// The event a client was sent since the last look, and the number it was asked under.
pub(crate) fn asked(world: &mut World, client: Client) -> (u64, String) {
    let received = world.received(client);
    let [event] = received.as_slice() else { panic!("one event, not {received:?}") };
    let at = event.find('[').expect("an event");
    let head = event[2..at].rsplit(',').next().unwrap_or_default();
    (head.parse().expect("a question has a number"), event[at..].into())
}

/// A client acknowledges what it was asked last; `args` is the JSON of its arguments.
pub(crate) fn acknowledge(world: &mut World, client: Client, args: &str) {
    let (id, _) = asked(world, client);
    world.say(client, &format!("43{id}[{args}]"));
}

/// Members of the room `r` on these nodes.
pub(crate) fn members<const N: usize>(world: &mut World, nodes: [usize; N]) -> [Client; N] {
    nodes.map(|node| {
        let client = world.client(node);
        world.join(client, "r");
        client
    })
}
