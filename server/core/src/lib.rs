//! A moorline node as a value: told what happened and when, it says what it wants done.
//!
//! Owns every truth of a running node: sessions, sockets, rooms, what is awaited from other nodes. It never does I/O,
//! never reads a clock and never starts a thread; in `no_std` there is none to reach for.
//!
//! Start at [`Node`], whose documentation is the contract and a whole run loop, and at [`App`] for an application of
//! your own; [`Relay`] is the built-in one.
//!
//! The folders, from the types that everybody may name to the API:
//!
//! * `words`, `rights`: plain types; the names that may be used, and who may send to whom
//! * `session`, `socket`, `acks`, `cluster`, `backend`, `deadlines`: tables that own their fields, and the moves that
//!   touch several of them (`moves.rs`, one a folder)
//! * `state.rs`: the tables together
//! * `app`: the hooks of an application and the commands it gives
//! * `node.rs`: the API
//!
//! Invariant: equal calls at equal times, with equal entropy, give equal outputs byte for byte.
#![no_std]
// The check of the invariants looks at every table, and only checked builds have it.
#![cfg_attr(not(debug_assertions), allow(dead_code))]

extern crate alloc;

mod acks;
mod app;
mod backend;
mod cluster;
mod deadlines;
#[cfg(debug_assertions)]
mod invariants;
mod node;
mod rights;
mod session;
mod socket;
mod state;
mod words;

pub use app::{context::Context, hooks::App, relay::Relay};
pub use deadlines::timers::TimerKind;
pub use node::Node;
pub use rights::{
    names::{check_event_name, check_room_name},
    sending::permitted_targets,
};
pub use words::{
    args::Args,
    cause::{DropCause, PauseCause},
    code::Code,
    completion::{Completion, CountOutcome, JoinOutcome, Joined},
    config::{Channels, Config, Limits, NAMESPACE_BYTES_MAX},
    conn::ConnId,
    event::{Connect, Data, Disconnect, Event, Refusal},
    ids::{Entropy, NodeTag, SessionId, SocketId, SocketIdText},
    input::{BusEvent, Dialect, Input, Intake},
    json::{parse_string, parse_targets},
    keys::{RoomKey, SessionKey},
    message::Message,
    numbers::{AckId, RequestId, Ticket},
    output::{Destination, Output, Publication, RequestAnswer, RequestError},
    pending_ack::PendingAck,
    stats::{Gauges, Stats},
    target::{Emit, Outgoing, Receipt, Sent, Source, Target, Wants},
    time::Time,
};
