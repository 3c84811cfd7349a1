//! A moorline node as a value: told what happened and when, it says what it wants done.
//!
//! Owns every truth of a running node: sessions, sockets, rooms, what is awaited from other nodes. It never does I/O,
//! never reads a clock and never starts a thread; in `no_std` there is none to reach for.
//!
//! Invariant: equal inputs at equal times, with equal entropy, give equal outputs byte for byte.
#![no_std]

extern crate alloc;

pub mod app;
pub mod args;
pub mod code;
pub mod config;
pub mod conn;
pub mod ids;
pub mod input;
pub mod message;
pub mod node;
pub mod output;
pub mod relay;
pub mod stats;
pub mod time;
pub mod timer;

mod answers;
mod backend;
mod backend_asks;
mod bus;
mod counts;
mod crossing;
mod delivery;
mod drain;
mod legacy;
mod outbox;
mod parcel;
mod placeholder;
mod rooms;
mod session;
mod state;
mod transport;

pub use app::{App, Context};
pub use args::Args;
pub use code::Code;
pub use config::{Channels, Config, Limits};
pub use conn::ConnId;
pub use delivery::{Outgoing, Sent, Target, Wants};
pub use ids::{Entropy, SessionId, SocketId, Tag};
pub use input::{BusInput, Dialect, Input};
pub use message::Message;
pub use node::Node;
pub use output::{Answer, Outlet, Output, Publication, RequestError, close_code};
pub use relay::Relay;
pub use stats::Stats;
pub use time::Time;
pub use timer::TimerKind;
pub use transport::TransportKind;
