//! A moorline node as a value: told what happened and when, it says what it wants done.
//!
//! Owns every truth of a running node: sessions, sockets, rooms, what is awaited from other nodes. It never does I/O,
//! never reads a clock and never starts a thread; in `no_std` there is none to reach for.
//!
//! Invariant: equal inputs at equal times, with equal entropy, give equal outputs byte for byte.
#![no_std]

extern crate alloc;

mod answers;
mod app;
mod args;
mod backend;
mod backend_asks;
mod bus;
mod cause;
mod code;
mod config;
mod conn;
mod counts;
mod crossing;
mod delivery;
mod drain;
mod ids;
mod input;
mod legacy;
mod message;
mod node;
mod outbox;
mod output;
mod parcel;
mod placeholder;
mod relay;
mod rooms;
mod session;
mod state;
mod stats;
mod time;
mod timer;
mod transport;

pub use app::{
    App, Completion, Connect, Context, CountOutcome, Data, Disconnect, Emit, Event, JoinOutcome, PendingAck,
    Refusal,
};
pub use args::Args;
pub use cause::{Cause, DropCause, Tally};
pub use code::Code;
pub use config::{Channels, Config, Limits, NAMESPACE_BYTES_MAX};
pub use conn::ConnId;
pub use delivery::{Outgoing, Sent, Target, Wants};
pub use ids::{AckId, Entropy, NodeTag, SessionId, SocketId, Ticket};
pub use input::{BusEvent, Dialect, Input};
pub use legacy::Source;
pub use message::Message;
pub use node::{Gauges, Node};
pub use output::{Destination, Output, Publication, RequestAnswer, RequestError, close_code};
pub use relay::Relay;
pub use rooms::Joined;
pub use stats::Stats;
pub use time::Time;
pub use timer::TimerKind;
pub use transport::TransportKind;
