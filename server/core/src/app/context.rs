//! The commands an application may give a node while one of its hooks runs.
//!
//! Owns the way from a command to the moves that carry it out. It holds nothing of its own, and it checks what an
//! application could get wrong before any client is reached.

use crate::{
    acks::moves::forward_to_backend,
    backend::stream::{Entry, EntryKind, joined},
    socket::{
        delivery::send,
        moves::{join, leave},
    },
    state::State,
    words::{
        args::Args,
        cause::DropCause,
        code::Code,
        completion::Joined,
        config::Config,
        event::{Connect, Data, Disconnect, Event},
        ids::{SessionId, SocketId},
        json::quoted,
        message::Message,
        pending_ack::PendingAck,
        target::{Emit, Outgoing, Receipt, Sent, Wants},
    },
};
use alloc::vec::Vec;
use moorline_protocol::{
    Frame, engine,
    socket::{self, Envelope},
};

/// The bytes of an acknowledgement around its arguments, at most.
const ENVELOPE_BYTES: usize = 256;

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
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// Puts a socket into a room. After [`Joined::Waiting`] a completion follows if `ack` is given.
    ///
    /// # Errors
    /// [`Code::TooMany`] at a limit; [`Code::NotMember`] for a socket that is gone.
    pub fn join(&mut self, socket: SocketId, room: &str, ack: Option<PendingAck>) -> Result<Joined, Code> {
        let key = self.state.sockets.find(socket).ok_or(Code::NotMember)?;
        join(self.state, key, room, ack)
    }

    /// Takes a socket out of a room; no error if it is not in it.
    pub fn leave(&mut self, socket: SocketId, room: &str) {
        if let Some(key) = self.state.sockets.find(socket) {
            leave(self.state, key, room);
        }
    }

    /// Whether a socket is in a room.
    pub fn is_member(&self, socket: SocketId, room: &str) -> bool {
        let State { sockets, rooms, .. } = &*self.state;
        sockets.find(socket).is_some_and(|key| rooms.has_member(sockets[key].namespace, room, key))
    }

    /// Sends an event of the application to others, on whichever node they are.
    ///
    /// # Errors
    /// [`Code::BadEvent`] for a name or arguments that would end a stock client's connection; [`Code::BadTarget`] for a
    /// namespace that is not there; [`Code::TooMany`] at a limit.
    pub fn emit(&mut self, emit: &Emit<'_>) -> Result<(), Code> {
        self.send_event(emit, None).map(|_| ())
    }

    /// The same, and asks each recipient for an acknowledgement. They come as
    /// [`Completion::Gathered`](crate::Completion::Gathered) under `ack`, whose socket must be on this node.
    ///
    /// # Errors
    /// As for [`Context::emit`], and [`Code::NotMember`] when the socket that waits is gone.
    pub fn emit_with_ack(&mut self, emit: &Emit<'_>, ack: PendingAck) -> Result<Sent, Code> {
        self.send_event(emit, Some(Receipt { ack, wants: Wants::Responses }))
    }

    fn send_event(&mut self, emit: &Emit<'_>, receipt: Option<Receipt>) -> Result<Sent, Code> {
        let limits = &self.state.config.limits;
        if emit.args.attachments().len() > limits.attachments_max {
            return Err(Code::TooMany);
        }
        if socket::is_reserved(emit.event) || !emit.args.is_sound() {
            return Err(Code::BadEvent);
        }
        let name = quoted(emit.event);
        let attachments = emit.args.attachments();
        let envelope = Envelope { namespace: emit.namespace, ack: None, attachments: attachments.len() };
        let args = Some(emit.args.as_json()).filter(|json| !json.is_empty());
        let frame = socket::event(envelope, &name, args.into_iter());
        let message = Message::new(frame, attachments.to_vec());
        let outgoing =
            Outgoing { sender: emit.except, targets: emit.targets, message, source: None, receipt };
        self.send(emit.namespace, &outgoing)
    }

    /// Sends an encoded message to others in a namespace, on whichever node they are.
    ///
    /// # Errors
    /// [`Code::BadTarget`] for a namespace that is not there; [`Code::TooMany`] at a limit; [`Code::NotMember`] when
    /// the socket that waits for an answer is gone.
    pub fn send(&mut self, namespace: &str, outgoing: &Outgoing<'_>) -> Result<Sent, Code> {
        let namespace = self.state.namespaces.find(namespace).ok_or(Code::BadTarget)?;
        send(self.state, namespace, outgoing)
    }

    /// Whether the client that waits for an acknowledgement has left room for this one. Without room it is cut to
    /// [`Code::TooMany`].
    pub fn has_room(&self, ack: PendingAck, args: &Args) -> bool {
        let bytes = args.as_json().len() + args.attachments().iter().map(Frame::len_bytes).sum::<usize>();
        self.state.sockets.find(ack.socket).is_none_or(|key| {
            let session = &self.state.sessions[self.state.sockets[key].session];
            bytes + ENVELOPE_BYTES <= session.room_bytes(&self.state.config.limits)
        })
    }

    /// Sends an acknowledgement. Nothing happens when the socket is gone. In place of arguments that would end a stock
    /// client's connection, `null` is sent, and a drop is counted.
    pub fn acknowledge(&mut self, ack: PendingAck, args: &Args) {
        if args.is_sound() {
            return self.state.acknowledge(ack, args);
        }
        self.state.stats.drop(DropCause::UnsoundAck);
        self.state.acknowledge(ack, &Args::from_parts("null".into(), Vec::new()));
    }

    /// Ends a socket once the hook has returned; its client is told and does not come back by itself.
    pub fn disconnect(&mut self, socket: SocketId) {
        self.state.disconnecting.push(socket);
    }

    /// Sends a message to a session that speaks Engine.IO alone. Nothing happens when it has ended.
    pub fn send_message(&mut self, session: SessionId, data: Data<'_>) {
        let frame = match data {
            Data::Text(text) => engine::message(text),
            Data::Binary(bytes) => Frame::binary(bytes),
        };
        if let Some(key) = self.state.sessions.find(session)
            && self.state.enqueue(key, &frame.into())
        {
            self.state.stats.events_out += 1;
        }
    }

    /// Puts an event onto the stream that backends read. If the client waits for an ack, it comes from a backend, or
    /// as a completion that says why none came.
    ///
    /// # Errors
    /// [`Code::NoHandler`] without a backend, [`Code::BusDown`] without a way to it, [`Code::TooMany`] at a limit.
    pub fn forward_to_backend(&mut self, event: &Event<'_>) -> Result<(), Code> {
        let Some(key) = self.state.sockets.find(event.socket) else { return Ok(()) };
        let (namespace, args) = (self.state.sockets[key].namespace, joined(event.args, event.attachments));
        let kind = EntryKind::Event { name: &event.name, ack: event.ack.map(|ack| ack.id) };
        let entry = Entry { kind, socket: event.socket, namespace, args: &args };
        forward_to_backend(self.state, &entry, event.ack)
    }

    /// Tells backends, if there are any, that a socket came.
    pub fn tell_backend_connect(&mut self, connect: &Connect<'_>) {
        let Some(key) = self.state.sockets.find(connect.socket) else { return };
        let (socket, namespace) = (connect.socket, self.state.sockets[key].namespace);
        let args = connect.auth.map_or("null", |auth| auth.get());
        self.tell_backend(&Entry { kind: EntryKind::Connect, socket, namespace, args });
    }

    /// Tells backends, if there are any, that a socket went.
    pub fn tell_backend_disconnect(&mut self, disconnect: &Disconnect) {
        let (socket, namespace) = (disconnect.socket, disconnect.namespace_key);
        let args = quoted(disconnect.reason.as_str());
        self.tell_backend(&Entry { kind: EntryKind::Disconnect, socket, namespace, args: &args });
    }

    fn tell_backend(&mut self, entry: &Entry<'_>) {
        // Without a backend there is nobody to tell; without a way to it the loss was counted.
        let _ = self.state.append(entry, None);
    }

    /// Counts a refused request, for the metrics.
    pub fn count_refusal(&mut self, code: Code) {
        self.state.stats.refuse(code);
    }
}
