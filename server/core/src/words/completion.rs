//! Outcomes that come later than the command they belong to: joins, counts and gathered acknowledgements.
//!
//! Owns the plain types. The tables of acknowledgements and of rooms hold who waits for an outcome.

use crate::words::{args::Args, code::Code, pending_ack::PendingAck};

/// An outcome that other nodes, other clients or backends had a part in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completion {
    /// A join is done.
    Joined {
        /// The acknowledgement that waits for it.
        ack: PendingAck,
        /// How far it reaches.
        outcome: JoinOutcome,
    },
    /// A backend did not acknowledge an event, or a message that had to wait could not be sent after all.
    NotAcknowledged {
        /// The acknowledgement that waits for it.
        ack: PendingAck,
        /// The cause.
        code: Code,
    },
    /// A message's recipients are counted.
    Counted {
        /// The acknowledgement that waits for it.
        ack: PendingAck,
        /// How many recipients are known.
        expected: u64,
        /// Whether those are all.
        outcome: CountOutcome,
    },
    /// The recipients of a message have acknowledged it, or had their time.
    Gathered {
        /// The acknowledgement that waits for it.
        ack: PendingAck,
        /// How many recipients are known.
        expected: u64,
        /// The first argument of each acknowledgement, in the order they came.
        responses: Args,
        /// Acknowledgements that came and are not among the responses, since one message holds no more.
        more: u64,
        /// Whether all recipients are known.
        outcome: CountOutcome,
    },
}

/// The outcome of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Joined {
    /// The socket is in the room.
    Now(JoinOutcome),
    /// The socket is in the room here. If an acknowledgement waits, a completion says when messages of other nodes
    /// reach it, too.
    Waiting,
}

/// The reach of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinOutcome {
    /// Nothing sent to the room from now on is missed.
    Everywhere,
    /// Messages of other nodes do not arrive now; they will once the bus is back.
    HereOnly,
    /// The bus did not confirm in time.
    Unconfirmed,
}

/// Whether a count is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CountOutcome {
    /// Every node concerned has counted.
    Complete,
    /// The bus was lost meanwhile.
    BusDown,
    /// A node did not answer in time.
    Timeout,
    /// Every node has counted, and recipients on other nodes are behind with reading.
    Busy,
}
