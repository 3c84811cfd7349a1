//! Engine.IO sessions: their transport, heartbeat and unsent frames, and the connections that carry them.

pub(crate) mod assembly;
pub(crate) mod connections;
pub(crate) mod drain;
pub(crate) mod entry;
pub(crate) mod heartbeat;
pub(crate) mod late_polls;
pub(crate) mod meter;
pub(crate) mod moves;
pub(crate) mod outbox;
pub(crate) mod pause;
pub(crate) mod pausing;
pub(crate) mod sessions;
pub(crate) mod transport;
