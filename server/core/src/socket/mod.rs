//! Sockets: one client in one namespace each, the rooms they are in, and the packets they send.

pub(crate) mod delivery;
pub(crate) mod holds;
pub(crate) mod moves;
pub(crate) mod namespaces;
pub(crate) mod packets;
pub(crate) mod rooms;
pub(crate) mod sockets;
