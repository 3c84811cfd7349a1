//! The simulated world: real nodes, a modelled Redis, clients that speak the wire, one virtual clock and one seed.
//!
//! It plays the part of the shells: carries inputs in and outputs out, one at a time, and jumps the clock from one
//! thing that is due to the next. Clients poll, move to a WebSocket or begin on one, and get on by themselves; a
//! story may also make each request and WebSocket itself. Every node is held to its contract all the while: nothing
//! happens a microsecond before a deadline, after the deadlines of a moment the next lies in the future, a request is
//! answered once, and the node's gauges fit what the world knows of it.
//!
//! Invariant: the same seed and the same calls give the same run.

mod calls;
mod client;
mod conn;
mod driver;
mod entropy;
mod network;
mod node_slot;
mod redis;
mod requests;
mod seeds;
pub mod stock;
mod text;
mod words;
mod world;

pub use client::{Ending, Part, Travel};
pub use conn::Outcome;
pub use entropy::{Seed, Seeded};
pub use redis::{Published, Redis};
pub use seeds::{Seeds, soak};
pub use text::{ask, event_from, to, to_binary};
pub use words::{Client, Conn, Received};
pub use world::World;
