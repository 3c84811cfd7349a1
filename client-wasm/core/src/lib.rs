//! moorline's client as a value: told what happened and when, it says what it wants done.
//!
//! Owns every decision of a client: the transport, when to reconnect and to which node, what waits to be sent, which
//! event an acknowledgement belongs to. It never reads a clock, opens a socket or calls a browser, so all of it is
//! tested without one.
//!
//! [`Client`] has four kinds of methods, like the server's `Node`: commands, `handle` for inputs, `poll_output` for
//! outputs, and getters. Its documentation is the contract with a shell and shows a whole run loop.
//!
//! The modules, from the inside out: `socket` is one namespace, `engine` one Engine.IO session, `link` the state of the
//! connection, `client` all of them together.
#![no_std]

extern crate alloc;

mod backoff;
mod channel;
mod client;
mod engine;
mod input;
mod link;
mod options;
mod output;
mod output_queue;
mod reason;
mod socket;
mod sockets;
mod time;
mod url;

pub use channel::Channel;
pub use client::Client;
pub use input::{Emission, Input, NetworkChange};
pub use options::{Options, SocketOptions};
pub use output::{AckError, Context, Details, Output, SendError};
pub use reason::{DisconnectReason, Failure};
pub use socket::{AwaitedAck, OwedAck, OwedAckNumbers, Ticket};
pub use sockets::SocketKey;
pub use time::Time;
