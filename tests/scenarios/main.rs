//! Stories about moorline, told in a simulated world; each file is named for a behaviour.

mod asking;
mod backend_channel;
mod backend_questions;
mod backend_stream;
mod backend_world;
mod bad_packets;
mod binary_events;
mod bus_away;
mod codec;
mod counting;
mod determinism;
mod draining;
mod eavesdropping;
mod handshake;
mod heartbeat;
mod hostile_placeholders;
mod legacy_peers;
mod limits;
mod long_polling;
mod no_neighbour_harmed;
mod private_messages;
mod rooms_across_nodes;
mod silent_link;
mod slot_reuse;
mod slow_consumer;
mod upgrading;
