//! Engine.IO v4: the layer that keeps a session alive over its transports.

pub mod handshake;
pub mod packet;
pub mod payload;

pub use handshake::{Handshake, Opened};
pub use packet::{Packet, close, decode, message, noop, ping, pong, probe, probe_answer, upgrade};
pub use payload::{Part, Payload};
