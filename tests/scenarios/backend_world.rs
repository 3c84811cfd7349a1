//! Shared by the stories about backends: a cluster whose nodes write a stream, and the form of its entries.

use moorline_core::Config;
use moorline_tests::sim::{Client, Seed, World};

pub(crate) fn with_backend(config: &mut Config) {
    config.has_backend = true;
    config.namespaces = vec!["/".into(), "/admin".into()];
}

pub(crate) fn cluster(nodes: usize) -> World {
    World::cluster_with(Seed(1), nodes, with_backend)
}

/// A client whose connect entry was read already.
pub(crate) fn client(world: &mut World, node: usize) -> (Client, String) {
    let client = world.client_with_id(node);
    world.settle();
    world.redis().take_stream();
    client
}

/// The entries on the stream since the last look.
pub(crate) fn stream(world: &mut World) -> Vec<String> {
    world.settle();
    world.redis().take_stream()
}

/// An entry about the socket `id` on `s1` in `/`; `event` and `ack` are JSON.
pub(crate) fn entry(kind: &str, id: &str, event: &str, args: &str, ack: &str) -> String {
    format!(
        r#"{{"type":"{kind}","socketId":"{id}","node":"s1","namespace":"/","event":{event},"args":{args},"ack":{ack}}}"#
    )
}

pub(crate) fn publish(world: &mut World, message: &str) {
    world.publish("socket", message.as_bytes());
}
