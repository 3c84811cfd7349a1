//! Engine.IO v4: the layer that keeps a session alive over its transports.

pub mod handshake;
pub mod packet;

pub use handshake::Handshake;
pub use packet::{Packet, decode, message, ping};
