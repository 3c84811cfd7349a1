//! moorline's client as a value: told what happened and when, it says what it outputs done.
//!
//! Owns everything a client decides: which transport, when to reconnect and where, what waits to be sent, what an
//! answer belongs to. It never reads a clock, opens a socket or calls a browser, so all of it is tested without one.
//!
//! [`Client`] has the four kinds of methods that the server's `Node` has: commands, `handle` for what happened,
//! `poll_output` for what it outputs, and getters. Inputs never fail: what a server does wrong becomes the end of the
//! connection with a reason. Equal inputs give equal outputs.
#![no_std]

extern crate alloc;

mod backoff;
mod client;
mod engine;
mod input;

mod options;
mod output;
mod output_queue;
mod socket;
mod time;
mod url;

pub use client::Client;
pub use input::{Channel, Emission, Input, NetworkChange, SocketIndex, Ticket};
pub use moorline_protocol::{Frame, TransportKind};
pub use options::Options;
pub use output::{AckError, AwaitedAck, Context, Details, Output, OwedAck, SendError};
pub use time::Time;
