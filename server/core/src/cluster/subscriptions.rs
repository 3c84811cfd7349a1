//! Channels between nodes: their names, and how far a subscription to one has come.
//!
//! Owns the names and the states. It never subscribes; moves put that among a node's outputs.

use crate::words::{config::Channels, ids::NodeTag};
use alloc::{format, string::String};

/// The state of this node's subscription to a room's channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscription {
    /// This node is alone: there is no channel.
    None,
    /// Asked for, not yet confirmed.
    Pending,
    /// Everything published from here on arrives.
    Confirmed,
}

/// The channel on which the node `tag` receives what is for it alone.
pub(crate) fn node_channel(channels: &Channels, tag: NodeTag) -> String {
    format!("{}:node:{tag}", channels.prefix)
}

/// The channel of a room. A namespace holds no comma, so the name is unambiguous.
pub(crate) fn room_channel(channels: &Channels, namespace: &str, room: &str) -> String {
    format!("{}:room:{namespace},{room}", channels.prefix)
}

/// The namespace and the room that a channel is for, if it is one of a room.
pub(crate) fn parse_room_channel<'a>(channels: &Channels, channel: &'a str) -> Option<(&'a str, &'a str)> {
    channel.strip_prefix(channels.prefix.as_str())?.strip_prefix(":room:")?.split_once(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_channel_reads_back_whatever_the_room_is_called() {
        let channels = Channels { prefix: "m".into(), public: "socket".into() };
        let channel = room_channel(&channels, "/admin", "a,b:room:c");
        assert_eq!(channel, "m:room:/admin,a,b:room:c");
        assert_eq!(parse_room_channel(&channels, &channel), Some(("/admin", "a,b:room:c")));
        let tag = NodeTag::parse("00c0ffee").unwrap();
        assert_eq!(node_channel(&channels, tag), "m:node:00c0ffee");
        for other in ["socket", "m:node:00c0ffee", "n:room:/,a", "m:room:/"] {
            assert_eq!(parse_room_channel(&channels, other), None, "{other}");
        }
    }
}
