//! Messages that go out from this node: whom they are for, and what their sender is told of them.
//!
//! Owns the plain types. Finding recipients and delivering are moves of the sockets.

use crate::words::{args::Args, ids::SocketId, message::Message, pending_ack::PendingAck};
use serde_json::value::RawValue;

/// One name a message is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// One socket, anywhere.
    Socket(SocketId),
    /// Everyone in a room of the sender's namespace.
    Room(&'a str),
}

impl<'a> Target<'a> {
    /// Reads a target as clients and backends write it: text that is not a socket id names a room.
    pub fn parse(text: &'a str) -> Target<'a> {
        SocketId::parse(text).map_or(Target::Room(text), Target::Socket)
    }
}

/// An encoded message that goes out from this node.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The socket that sends it and does not receive it; `None` for the application itself.
    pub sender: Option<SocketId>,
    /// The recipients, by name.
    pub targets: &'a [Target<'a>],
    /// The encoded event with its attachments.
    pub message: Message,
    /// The parts it was encoded from, for servers that read another form; `None` if those are not to have it.
    pub source: Option<Source<'a>>,
    /// The answer its sender gets, if any.
    pub receipt: Option<Receipt>,
}

/// The parts an event was encoded from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The name, as a JSON string.
    pub name: &'a str,
    /// The argument that the relay puts first, as JSON.
    pub from: &'a str,
    /// The sender's own arguments, as JSON.
    pub args: &'a [&'a RawValue],
}

/// The answer that the sender of a message gets, and the acknowledgement it comes as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The acknowledgement that waits for it.
    pub ack: PendingAck,
    /// How much it says.
    pub wants: Wants,
}

/// The answer that the sender of a message wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wants {
    /// How many recipients there are.
    Count,
    /// That, and each recipient's acknowledgement. The message must carry no acknowledgement id yet.
    Responses,
}

/// An event of the application itself.
#[derive(Debug, Clone, Copy)]
pub struct Emit<'a> {
    /// The namespace whose sockets receive it.
    pub namespace: &'a str,
    /// The recipients, on whichever node.
    pub targets: &'a [Target<'a>],
    /// A socket that does not receive it, though a target names it.
    pub except: Option<SocketId>,
    /// The event's name.
    pub event: &'a str,
    /// Its arguments.
    pub args: &'a Args,
}

impl<'a> Emit<'a> {
    /// An event for everyone that `targets` names.
    pub fn new(namespace: &'a str, targets: &'a [Target<'a>], event: &'a str, args: &'a Args) -> Emit<'a> {
        Emit { namespace, targets, except: None, event, args }
    }
}

/// The fate of an [`Outgoing`] message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sent {
    /// All recipients are known.
    Now {
        /// How many there are.
        expected: u64,
    },
    /// Others are counting or answering; the outcome comes as a [`Completion`](crate::Completion).
    Waiting,
    /// Other nodes cannot be reached; the recipients on this node were.
    BusDown {
        /// How many those are.
        expected: u64,
    },
}
