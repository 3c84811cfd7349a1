//! Engine.IO v4: the layer that keeps a session alive over its transports.

pub mod handshake;
pub mod packet;
pub mod payload;

pub use handshake::Handshake;
pub use packet::{Packet, close, decode, message, noop, ping, probe_answer};
pub use payload::{Part, Payload};
