//! The moorline server: the shell around the core.
//!
//! Owns all I/O: sockets, TLS, the threads that speak to Redis, signals, the clock. It never decides what a message
//! means; that is the core's.

pub mod bus;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod embed;
pub mod log;
pub mod probe;
pub mod settings;
pub mod wire;

mod admin;
mod assets;
mod authority;
mod connection;
mod connections;
mod cors;
mod listener;
mod metrics;
mod page;
mod printable;
mod reactor;
mod route;
mod serve;
mod signal;

pub use serve::{serve, serve_app};
