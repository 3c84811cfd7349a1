//! The Engine.IO v4 and Socket.IO v5 wire: packets to text and back, one codec for server and client.
//!
//! Owns the grammar of the two protocols and the encoded form of a packet ([`Frame`]). It never reads a socket or a
//! clock, holds no session state and parses no JSON beyond its outermost bracket: the browser has its own JSON.
//!
//! Invariant: decoding never panics, and what the encoders write, the decoders read back unchanged.
#![no_std]

extern crate alloc;

mod cause;
mod encoded;
pub mod engine;
mod error;
pub mod json;
mod reason;
pub mod socket;
mod transport;

pub use cause::{Cause, Tally};
pub use encoded::Frame;
pub use error::DecodeError;
pub use reason::Reason;
pub use transport::TransportKind;
