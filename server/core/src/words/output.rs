//! The things a node wants done.
//!
//! Owns the plain types, and which close code tells a client what a reason means. The shell turns them into system
//! calls.

use crate::words::{conn::ConnId, numbers::Ticket};
use alloc::{string::String, vec::Vec};
use moorline_protocol::Reason;

/// One thing to do, in the order given. Exhaustive on purpose: a shell that leaves one undone breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The outbox of this connection is no longer empty: pull from it until it is. A held GET is answered with what one
    /// pull gives.
    Flush(ConnId),
    /// Answer a request, or a test of a WebSocket, with something that is in no outbox.
    Answer {
        /// The connection.
        conn: ConnId,
        /// The answer.
        answer: RequestAnswer,
    },
    /// Messages on this connection are wanted again.
    Resume(ConnId),
    /// Send what the outbox still holds, then close. A held GET is answered with that and the end of its session.
    Close {
        /// The connection.
        conn: ConnId,
        /// The cause.
        reason: Reason,
    },
    /// Subscribe to a channel, and say when it is confirmed.
    Subscribe(String),
    /// Unsubscribe from a channel.
    Unsubscribe(String),
    /// Publish a message.
    Publish(Publication),
    /// The bus is silent though it seems to be there: give its links up and make new ones. It counts as down.
    ResetBus,
}

/// An answer that comes from no outbox. Exhaustive on purpose: a request that gets none hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestAnswer {
    /// To a POST: it was taken.
    Taken,
    /// To a POST whose packets are still to come: the same. They go on to come on this connection, which takes no other
    /// request.
    TakenEarly,
    /// To a POST whose packets are all still to come, behind those of an earlier one: it was taken. They come on the
    /// connection of that one, after its own; this one takes its next request.
    TakenBehind(ConnId),
    /// To a held GET: nothing, ask again.
    Noop,
    /// To the ping that tests a WebSocket: `3probe`, on that WebSocket.
    Probed,
    /// To a GET or POST: no.
    Refused(RequestError),
}

/// The reason for which a request is refused. Exhaustive on purpose: each has an answer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// No live session of this node has that id.
    SessionUnknown,
    /// The session does not take such a request now.
    BadRequest,
    /// There are as many sessions as there may be.
    Overloaded,
}

/// A message for the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The channel or the stream it goes to.
    pub destination: Destination,
    /// The message.
    pub payload: Vec<u8>,
    /// With a ticket, the node wants a report on it.
    pub ticket: Option<Ticket>,
}

/// The destination of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To everyone who is subscribed to this channel now.
    Channel(String),
    /// Onto the stream that backends read, where it stays until one has.
    Stream,
}
