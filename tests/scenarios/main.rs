//! Stories about moorline, told in a simulated world; each file is named for a behaviour.

mod backend_channel;
mod bad_packets;
mod bus_away;
mod codec;
mod counting;
mod determinism;
mod draining;
mod eavesdropping;
mod handshake;
mod heartbeat;
mod limits;
mod private_messages;
mod rooms_across_nodes;
mod silent_link;
mod slot_reuse;
mod slow_consumer;
