//! Engine.IO v4: the layer that keeps a session alive over its transports.

mod handshake;
mod packet;
mod payload;

pub use handshake::{Handshake, Opened, decode_handshake};
pub use packet::{Packet, close, decode, message, noop, ping, pong, probe, probe_answer, upgrade};
pub use payload::{Part, Payload, encode_payload};
