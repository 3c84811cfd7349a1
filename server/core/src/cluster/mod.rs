//! Other nodes: messages to and from them, subscriptions, the canary, and servers of the old design.

pub(crate) mod bus;
pub(crate) mod canary;
pub(crate) mod legacy;
pub(crate) mod moves;
pub(crate) mod node_message;
pub(crate) mod sequences;
pub(crate) mod subscriptions;
