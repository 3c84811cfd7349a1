//! The counters and gauges of a node.
//!
//! Owns plain numbers. It never names a client; the shell turns the numbers into metrics.

use crate::words::{cause::DropCause, cause::PauseCause, code::Code};
use core::time::Duration;
use moorline_protocol::{Reason, Tally};

/// Counters since the start, and the last measured lag.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Events that clients sent.
    pub events_in: u64,
    /// Events and acknowledgements put into outboxes.
    pub events_out: u64,
    /// Recipients reached here by senders on this node.
    pub deliveries_local: u64,
    /// Recipients reached here by other nodes and by backends.
    pub deliveries_remote: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions that moved from polling to a WebSocket.
    pub upgrades: u64,
    /// Sessions ended, by reason.
    pub sessions_closed: Tally<Reason>,
    /// Messages not delivered and packets not understood, by cause.
    pub drops: Tally<DropCause>,
    /// Relay requests refused, by code.
    pub refusals: Tally<Code>,
    /// Units of work: one for each packet of a client, each recipient and each publication or subscription. Larger
    /// messages count more per recipient.
    pub work: u64,
    /// Times a client's input had to wait, by cause.
    pub pauses: Tally<PauseCause>,
    /// Messages that came in from the bus.
    pub bus_in: u64,
    /// Messages handed to the bus.
    pub bus_out: u64,
    /// Messages of other nodes that did not arrive, as the numbers of later ones show.
    pub bus_missed: u64,
    /// Times the bus was given up because nothing came in on it.
    pub bus_resets: u64,
    /// Time the last message to ourselves took through the bus.
    pub bus_lag: Option<Duration>,
}

impl Stats {
    /// Counts something that was dropped.
    pub(crate) fn drop(&mut self, cause: DropCause) {
        self.drops.add(cause);
    }

    /// Counts a refused request.
    pub(crate) fn refuse(&mut self, code: Code) {
        self.refusals.add(code);
    }
}

/// The sizes of a node's tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauges {
    /// Engine.IO sessions.
    pub sessions: usize,
    /// Sockets in all namespaces.
    pub sockets: usize,
    /// Rooms with members, or lingering.
    pub rooms: usize,
    /// Deadlines.
    pub timers: usize,
}
