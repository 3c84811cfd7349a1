//! What an application is to a node: hooks it is called on, and commands it may give while it is.
//!
//! Hooks are synchronous and must return quickly: the node serves nobody else meanwhile. An answer that takes other
//! nodes comes later, as a [`Completion`].

use crate::{
    AckId, DropCause,
    args::Args,
    backend_asks::{Entry, joined, quoted},
    code::Code,
    delivery::{Outgoing, Sent, Target, Wants},
    ids::{SessionId, SocketId},
    message::Message,
    rooms::Joined,
    state::State,
};
use alloc::{borrow::Cow, rc::Rc, string::String, vec::Vec};
use moorline_protocol::{
    Frame, Reason, json,
    socket::{self, packet::Envelope},
};
use serde_json::value::RawValue;

/// An application. Every hook but `event` has a sensible default.
pub trait App {
    /// A client asks to join a namespace. It receives nothing before this hook has let it in.
    ///
    /// # Errors
    /// A refusal is final for a stock client: it does not try again by itself.
    fn connect(&mut self, _context: &mut Context<'_>, _connect: &Connect<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// A client was let in and has been told so: what is sent to it from now on arrives.
    fn connected(&mut self, _context: &mut Context<'_>, _connect: &Connect<'_>) {}

    /// A client sent an event.
    fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>);

    /// What was asked for earlier is done.
    fn completed(&mut self, _context: &mut Context<'_>, _completion: &Completion) {}

    /// A socket has ended; its id addresses nobody any more.
    fn disconnect(&mut self, _context: &mut Context<'_>, _disconnect: &Disconnect) {}

    /// A message of a session that speaks Engine.IO alone.
    fn message(&mut self, _context: &mut Context<'_>, _session: SessionId, _data: Data<'_>) {}
}

/// A client that asks to join a namespace.
#[derive(Debug)]
pub struct Connect<'a> {
    /// The id it will have.
    pub socket: SocketId,
    /// The namespace.
    pub namespace: &'a str,
    /// The auth payload, a JSON object, if it sent one.
    pub auth: Option<&'a RawValue>,
}

/// A message of a session that speaks Engine.IO alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

/// An event of the application itself.
#[derive(Debug, Clone, Copy)]
pub struct Emit<'a> {
    /// The namespace whose sockets receive it.
    pub namespace: &'a str,
    /// Whom it is for, on whichever node.
    pub targets: &'a [Target<'a>],
    /// Who does not receive it, though a target names it.
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

/// A socket that has ended.
#[derive(Debug)]
pub struct Disconnect {
    /// The id it had.
    pub socket: SocketId,
    /// The namespace it was in.
    pub namespace: Rc<str>,
    /// Why it ended.
    pub reason: Reason,
    pub(crate) space: usize,
}

/// Why a client may not join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The client's `err.message`.
    pub message: String,
    /// JSON for the client's `err.data`, or empty.
    pub data: String,
}

impl Refusal {
    /// A refusal with nothing but its message.
    pub fn new(message: &str) -> Refusal {
        Refusal { message: message.into(), data: String::new() }
    }
}

/// An event from a client.
#[derive(Debug)]
pub struct Event<'a> {
    /// Who sent it.
    pub socket: SocketId,
    /// The namespace it was sent in.
    pub namespace: &'a str,
    /// Its name; a number as its digits. Never a reserved name.
    pub name: Cow<'a, str>,
    /// Its arguments, each valid JSON of bounded depth.
    pub args: &'a [&'a RawValue],
    /// The binary attachments that placeholders in the arguments point at.
    pub attachments: &'a [Frame],
    /// The acknowledgement the client wants, if any.
    pub ack: Option<PendingAck>,
}

/// One acknowledgement that a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingAck {
    /// Who waits.
    pub socket: SocketId,
    /// The client's number for it.
    pub id: AckId,
}

/// An answer that other nodes, or other clients, had a part in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// A join is done.
    Joined {
        /// Who waits for it.
        ack: PendingAck,
        /// How far it reaches.
        outcome: JoinOutcome,
    },
    /// A question to a backend got no answer.
    Unanswered {
        /// Who waits for it.
        ack: PendingAck,
        /// Why.
        code: Code,
    },
    /// A message's recipients are counted.
    Counted {
        /// Who waits for it.
        ack: PendingAck,
        /// How many recipients are known.
        expected: u64,
        /// Whether those are all.
        outcome: CountOutcome,
    },
    /// The recipients of a message have answered, or had their time.
    Gathered {
        /// Who waits for it.
        ack: PendingAck,
        /// How many recipients are known.
        expected: u64,
        /// The first argument of each answer, in the order they came.
        responses: Args,
        /// Answers that came and are not among the responses, since one answer holds no more.
        more: u64,
        /// Whether all recipients are known.
        outcome: CountOutcome,
    },
}

/// How far a join reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinOutcome {
    /// Nothing sent to the room from now on is missed.
    Everywhere,
    /// Other nodes cannot be heard now; they will be once the bus is back.
    HereOnly,
    /// The bus did not confirm in time.
    Unconfirmed,
}

/// Whether a count is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountOutcome {
    /// Every node concerned has counted.
    Complete,
    /// The bus was lost meanwhile.
    BusDown,
    /// A node did not answer in time.
    Timeout,
}

/// The commands an application may give while one of its hooks runs.
pub struct Context<'a> {
    state: &'a mut State,
}

impl<'a> Context<'a> {
    pub(crate) fn new(state: &'a mut State) -> Context<'a> {
        Context { state }
    }

    /// This node's name.
    pub fn node(&self) -> &str {
        &self.state.config.name
    }

    /// This node's configuration.
    pub fn config(&self) -> &crate::Config {
        &self.state.config
    }

    /// Puts a socket into a room.
    ///
    /// # Errors
    /// [`Code::TooMany`] at a limit; [`Code::NotMember`] for a socket that is gone.
    pub fn join(&mut self, socket: SocketId, room: &str, ack: Option<PendingAck>) -> Result<Joined, Code> {
        let key = self.state.find_socket(socket).ok_or(Code::NotMember)?;
        self.state.join(key, room, ack)
    }

    /// Takes a socket out of a room; no error if it is not in it.
    pub fn leave(&mut self, socket: SocketId, room: &str) {
        if let Some(key) = self.state.find_socket(socket) {
            self.state.leave(key, room);
        }
    }

    /// Whether a socket is in a room.
    pub fn is_member(&self, socket: SocketId, room: &str) -> bool {
        self.state.find_socket(socket).is_some_and(|key| self.state.is_member(key, room))
    }

    /// Sends an event of the application to others, on whichever node they are.
    ///
    /// # Errors
    /// [`Code::BadEvent`] for a name or arguments that would end a stock client's connection; [`Code::BadTarget`] for a
    /// namespace that is not there; [`Code::TooMany`] at a limit.
    pub fn emit(&mut self, emit: &Emit<'_>) -> Result<(), Code> {
        self.send_event(emit, Wants::Nothing).map(|_| ())
    }

    /// The same, and asks each recipient for an acknowledgement. The answers come as [`Completion::Gathered`] under
    /// `ack`, whose socket must be on this node; if nobody receives it, at once.
    ///
    /// # Errors
    /// As for [`Context::emit`], and [`Code::NotMember`] when the socket that waits is gone.
    pub fn ask(&mut self, emit: &Emit<'_>, ack: PendingAck) -> Result<Sent, Code> {
        self.send_event(emit, Wants::Answers(ack))
    }

    fn send_event(&mut self, emit: &Emit<'_>, wants: Wants) -> Result<Sent, Code> {
        let limits = &self.state.config.limits;
        if emit.args.attachments().len() > limits.attachments_max {
            return Err(Code::TooMany);
        }
        if socket::is_reserved(emit.event) || !emit.args.is_sound() {
            return Err(Code::BadEvent);
        }
        let mut name = Vec::with_capacity(emit.event.len() + 2);
        json::push_string(&mut name, emit.event);
        let name = String::from_utf8(name).unwrap_or_default();
        let attachments = emit.args.attachments();
        let envelope = Envelope { namespace: emit.namespace, ack: None, attachments: attachments.len() };
        let args = Some(emit.args.as_json()).filter(|json| !json.is_empty());
        let frame = socket::packet::event(envelope, &name, args.into_iter());
        let message = Message::new(frame, attachments.to_vec());
        let outgoing = Outgoing { sender: emit.except, targets: emit.targets, message, source: None, wants };
        self.send(emit.namespace, &outgoing)
    }

    /// Sends an encoded message to others in a namespace, on whichever node they are.
    ///
    /// # Errors
    /// [`Code::BadTarget`] for a namespace that is not there; [`Code::TooMany`] at a limit; [`Code::NotMember`] when the
    /// socket that waits for an answer is gone.
    pub fn send(&mut self, namespace: &str, outgoing: &Outgoing<'_>) -> Result<Sent, Code> {
        let space = self.state.find_space(namespace).ok_or(Code::BadTarget)?;
        self.state.send(space, outgoing)
    }

    /// Answers an acknowledgement. Nothing happens when the socket is gone. Arguments that would end a stock client's
    /// connection are counted, and `null` is the answer.
    pub fn acknowledge(&mut self, ack: PendingAck, args: &Args) {
        if args.is_sound() {
            return self.state.acknowledge(ack, args);
        }
        self.state.stats.drop(DropCause::UnsoundAnswer);
        self.state.acknowledge(ack, &Args::new().json("null"));
    }

    /// Ends a socket once the hook has returned; its client is told and does not come back by itself.
    pub fn disconnect(&mut self, socket: SocketId) {
        self.state.expelled.push(socket);
    }

    /// Sends a message to a session that speaks Engine.IO alone. Nothing happens when it has ended.
    pub fn send_message(&mut self, session: SessionId, data: Data<'_>) {
        let frame = match data {
            Data::Text(text) => moorline_protocol::engine::message(text),
            Data::Binary(bytes) => Frame::binary(bytes),
        };
        if let Some(key) = self.state.find_session_id(session)
            && self.state.enqueue(key, &frame.into())
        {
            self.state.stats.events_out += 1;
        }
    }

    /// Puts an event onto the stream that backends read. If the client wants an answer, it comes from a backend, or as a
    /// completion that says why none came.
    ///
    /// # Errors
    /// [`Code::NoHandler`] without a backend, [`Code::BusDown`] without a way to it, [`Code::TooMany`] at a limit.
    pub fn ask_backend(&mut self, event: &Event<'_>) -> Result<(), Code> {
        let Some(key) = self.state.find_socket(event.socket) else { return Ok(()) };
        let args = joined(event.args, event.attachments);
        let (socket, space, ack) =
            (event.socket, self.state.sockets[key].space, event.ack.map(|ack| ack.id.number()));
        self.state.ask_backend(&Entry {
            kind: "event",
            socket,
            space,
            event: Some(&event.name),
            args: &args,
            ack,
        })
    }

    /// Tells backends, if there are any, that a socket came.
    pub fn tell_backend_connect(&mut self, connect: &Connect<'_>) {
        let Some(key) = self.state.find_socket(connect.socket) else { return };
        let args = connect.auth.map_or("null", |auth| auth.get());
        self.tell_backend("connect", connect.socket, self.state.sockets[key].space, args);
    }

    /// Tells backends, if there are any, that a socket went.
    pub fn tell_backend_disconnect(&mut self, disconnect: &Disconnect) {
        let args = quoted(disconnect.reason.as_str());
        self.tell_backend("disconnect", disconnect.socket, disconnect.space, &args);
    }

    fn tell_backend(&mut self, kind: &str, socket: SocketId, space: usize, args: &str) {
        let entry = Entry { kind, socket, space, event: Some(kind), args, ack: None };
        // Without a backend there is nobody to tell; without a way to it the loss was counted.
        let _ = self.state.append(&entry, None);
    }

    /// Counts a refused request, for the metrics.
    pub fn count_refusal(&mut self, code: Code) {
        self.state.stats.refuse(code);
    }
}
