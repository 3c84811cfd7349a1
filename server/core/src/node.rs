//! A node: told what happened and when, it says what it wants done.
//!
//! Four kinds of methods that never mix: getters; `handle*`, which take what happened; `poll_*`, which give what is
//! wanted; `pull`, which gives frames to whoever can send them.
//!
//! Invariant: no input fails or does unbounded work; a peer that breaks the protocol is closed and counted, and nobody
//! else notices.

use crate::{
    DropCause,
    app::{App, Connect, Context, Data, Disconnect, Event, PendingAck},
    backend::parse_string,
    code::Code,
    config::Config,
    conn::{Carried, ConnId},
    ids::{Entropy, NodeTag, SessionId},
    input::{Dialect, Input},
    message::Assembly,
    output::Output,
    placeholder::has_fitting_placeholders,
    session::Due,
    state::{Ended, State, slot},
    stats::Stats,
    time::Time,
    timer::TimerKind,
    transport::TransportKind,
};
use alloc::{borrow::Cow, boxed::Box, vec::Vec};
use moorline_protocol::{
    Frame, Reason,
    engine::{self, Packet},
    json,
    socket::{self, Kind},
};
use serde_json::value::RawValue;

/// One node with its application.
pub struct Node<A> {
    app: A,
    state: State,
}

impl<A: App> Node<A> {
    /// A new incarnation, at `now`.
    pub fn new(config: Config, app: A, entropy: Box<dyn Entropy>, now: Time) -> Node<A> {
        Node { app, state: State::new(config, entropy, now) }
    }

    /// Takes in one thing that happened.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        self.state.now = now;
        match input {
            Input::Text { conn, text } => self.text(conn, text),
            Input::Binary { conn, bytes } => self.binary(conn, bytes),
            Input::Bus(bus) => self.state.bus_input(bus),
            Input::Open { conn, transport, dialect } => self.state.open(conn, transport, dialect),
            Input::Poll { conn, sid, packets_max } => self.state.poll(conn, sid, packets_max),
            Input::Post { conn, sid } => self.state.post(conn, sid),
            Input::Posted { conn } => self.state.posted(conn),
            Input::Upgrade { conn, sid } => self.state.upgrade(conn, sid),
            Input::Closed { conn, reason } => self.state.connection_closed(conn, reason),
            Input::Drain { over } => self.state.start_drain(over),
        }
        self.settle();
    }

    /// Handles at most `budget` deadlines that are due. Returns whether more are.
    pub fn handle_timeout(&mut self, now: Time, budget: usize) -> bool {
        self.state.now = now;
        for _ in 0..budget {
            let Some(kind) = self.state.timers.pop_due(now) else { return false };
            match kind {
                TimerKind::Session(key) => self.state.session_due(key),
                TimerKind::Room(key) => self.state.room_due(key),
                TimerKind::Count(ticket) => self.state.count_due(ticket),
                TimerKind::Ask(ticket) => self.state.finish_ask(ticket, Code::Timeout),
                TimerKind::Answer(id) => self.state.answer_due(id),
                TimerKind::Drain => self.state.drain_due(),
                TimerKind::Beat => self.state.beat_due(),
            }
            self.settle();
        }
        self.state.timers.next().is_some_and(|(at, _)| at <= now)
    }

    /// Ends what this input doomed and tells the application what it has not heard yet, until nothing is left.
    fn settle(&mut self) {
        let Node { app, state } = self;
        loop {
            state.expel();
            state.close_doomed();
            if let Some(Ended { socket, space, reason }) = state.ended.pop() {
                let namespace = state.spaces[space].name.clone();
                app.disconnect(&mut Context::new(state), &Disconnect { socket, namespace, reason, space });
            } else if !state.completions.is_empty() {
                for completion in core::mem::take(&mut state.completions) {
                    app.completed(&mut Context::new(state), &completion);
                }
            } else if state.doomed.is_empty() {
                return;
            }
        }
    }

    fn text(&mut self, conn: ConnId, text: &str) {
        match self.state.conns.get(conn) {
            Some(&Carried::Session(session) | &Carried::Post(session)) => self.packet(session, text),
            Some(&Carried::Probe(session)) => self.state.probe_text(session, conn, text),
            Some(Carried::Poll(_) | Carried::Farewell(_)) | None => {}
        }
    }

    fn packet(&mut self, session: usize, text: &str) {
        match engine::decode(text) {
            Ok(Packet::Message(text)) if self.state.sessions[session].dialect == Dialect::EngineIo => {
                self.message(session, Data::Text(text));
            }
            Ok(Packet::Message(_)) if self.state.sessions[session].assembly.is_some() => {
                self.state.refuse_packet(session, DropCause::MissingAttachment);
            }
            Ok(Packet::Message(packet)) => self.socket_packet(session, packet, &[]),
            Ok(Packet::Pong(_)) => {
                let interval = self.state.config.limits.ping_interval;
                self.state.sessions[session].take_pong(self.state.now, interval);
                self.state.schedule(session);
            }
            Ok(Packet::Close) => self.state.closed_by_client(session),
            Ok(Packet::Open(_) | Packet::Ping(_) | Packet::Upgrade | Packet::Noop) => {
                self.state.refuse_packet(session, DropCause::UnexpectedPacket);
            }
            Err(error) => self.state.refuse_packet(session, error.into()),
        }
    }

    fn binary(&mut self, conn: ConnId, bytes: &[u8]) {
        match self.state.conns.get(conn) {
            Some(&Carried::Session(session) | &Carried::Post(session)) => {
                match self.state.sessions[session].dialect {
                    Dialect::SocketIo => self.attachment(session, bytes),
                    Dialect::EngineIo => self.message(session, Data::Binary(bytes)),
                }
            }
            Some(&Carried::Probe(session)) => self.state.refuse_probe(session),
            Some(Carried::Poll(_) | Carried::Farewell(_)) | None => {}
        }
    }

    /// A message of a session that speaks Engine.IO alone.
    fn message(&mut self, key: usize, data: Data<'_>) {
        self.state.stats.events_in += 1;
        let session = SessionId { slot: slot(key), secret: self.state.sessions[key].secret };
        self.app.message(&mut Context::new(&mut self.state), session, data);
    }

    /// The next attachment of a binary packet.
    fn attachment(&mut self, session: usize, bytes: &[u8]) {
        let bytes_max = self.state.config.limits.payload_bytes_max;
        let Some(mut assembly) = self.state.sessions[session].assembly.take() else {
            return self.state.refuse_packet(session, DropCause::UnexpectedBinary);
        };
        match assembly.push(bytes, bytes_max) {
            None => self.state.refuse_packet(session, DropCause::AttachmentsTooBig),
            Some(false) => self.state.sessions[session].assembly = Some(assembly),
            Some(true) => self.socket_packet(session, &assembly.packet, &assembly.attachments),
        }
    }

    /// A whole packet, or one whose attachments are still to come.
    fn socket_packet(&mut self, session: usize, text: &str, attachments: &[Frame]) {
        let packet = match socket::decode(text) {
            Ok(packet) => packet,
            Err(error) => return self.state.refuse_packet(session, error.into()),
        };
        if packet.kind == Kind::Connect {
            return self.connect(session, packet.namespace, packet.data);
        }
        let space = self.state.find_space(packet.namespace);
        let joined = space.and_then(|space| self.state.sessions[session].socket_in(space));
        let Some(socket) = joined else { return self.state.refuse_packet(session, DropCause::NotConnected) };
        match packet.kind {
            Kind::BinaryEvent { attachments: due } | Kind::BinaryAck { attachments: due }
                if attachments.len() < due as usize =>
            {
                self.state.await_attachments(session, text, due as usize);
            }
            Kind::Event | Kind::BinaryEvent { .. } => self.event(session, socket, &packet, attachments),
            Kind::Ack | Kind::BinaryAck { .. } => self.state.ack(session, socket, &packet, attachments),
            Kind::Disconnect => self.state.disconnect(session, socket),
            Kind::Connect | Kind::ConnectError => {
                self.state.refuse_packet(session, DropCause::UnexpectedPacket);
            }
        }
    }

    fn connect(&mut self, session: usize, namespace: &str, auth: &str) {
        let auth = match parse_auth(auth, self.state.config.limits.json_depth_max) {
            Ok(auth) => auth,
            Err(kind) => return self.state.refuse_packet(session, kind),
        };
        if namespace.len() > crate::config::NAMESPACE_BYTES_MAX {
            return self.state.refuse_packet(session, DropCause::LongNamespace);
        }
        let Some(space) = self.state.find_space(namespace) else {
            let frame = socket::packet::connect_error(namespace, "Invalid namespace", "");
            self.state.enqueue(session, &frame.into());
            return;
        };
        let joined = &self.state.sessions[session];
        if joined.socket_in(space).is_some()
            || joined.sockets.len() >= self.state.config.limits.namespaces_max
        {
            return self.state.refuse_packet(session, DropCause::UnexpectedConnect);
        }
        let id = self.state.insert_socket(session, space);
        let connect = Connect { socket: id, namespace, auth };
        let verdict = self.app.connect(&mut Context::new(&mut self.state), &connect);
        let frame = match verdict {
            Ok(()) => socket::packet::connected(namespace, id.text().as_str()),
            Err(refusal) => {
                self.state.withdraw(session, id.slot() as usize);
                socket::packet::connect_error(namespace, &refusal.message, &refusal.data)
            }
        };
        let is_told = self.state.enqueue(session, &frame.into());
        let Some(socket) = self.state.find_socket(id).filter(|_| is_told) else { return };
        self.state.sockets[socket].is_connected = true;
        self.state.sessions[session].connect_by = None;
        self.state.schedule(session);
        self.app.connected(&mut Context::new(&mut self.state), &connect);
    }

    fn event(&mut self, session: usize, socket: usize, packet: &socket::Packet<'_>, attachments: &[Frame]) {
        let items = parse_items(packet.data, self.state.config.limits.json_depth_max, attachments.len());
        let parsed = items.and_then(|items| event_name(&items).map(|name| (name, items)));
        let (name, args) = match parsed {
            Ok(event) => event,
            Err(kind) => return self.state.refuse_packet(session, kind),
        };
        self.state.stats.events_in += 1;
        let (id, space) = (self.state.sockets[socket].id, self.state.sockets[socket].space);
        let namespace = self.state.spaces[space].name.clone();
        let ack = packet.ack.map(|number| PendingAck { socket: id, id: crate::AckId::new(number) });
        let event = Event { socket: id, namespace: &namespace, name, args: &args[1..], attachments, ack };
        self.app.event(&mut Context::new(&mut self.state), &event);
    }

    /// The next thing this node wants done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.state.outputs.pop_front()
    }

    /// When this node next wants `handle_timeout`, and what for.
    pub fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        self.state.timers.next()
    }

    /// Moves about `bytes` of frames for this connection to `frames`. Returns whether more remain. For a held GET it is
    /// as much as its client takes at once, and if there was anything, that GET is answered with it.
    pub fn pull(&mut self, conn: ConnId, bytes: usize, frames: &mut Vec<Frame>) -> bool {
        let State { conns, sessions, .. } = &mut self.state;
        match conns.get_mut(conn) {
            Some(Carried::Session(key)) => sessions[*key].outbox.pull(bytes, frames),
            Some(Carried::Farewell(outbox)) => outbox.pull(bytes, frames),
            Some(&mut Carried::Poll(key)) => {
                self.state.pull_poll(key, frames);
                false
            }
            Some(Carried::Post(_) | Carried::Probe(_)) | None => false,
        }
    }

    /// By which transport this node takes requests for `sid` at `now`, if it knows it.
    pub fn transport(&self, sid: &str, now: Time) -> Option<TransportKind> {
        self.state.transport_of(sid, now)
    }

    /// Whether what comes in on this connection still reaches a session.
    pub fn carries(&self, conn: ConnId) -> bool {
        matches!(
            self.state.conns.get(conn),
            Some(Carried::Session(_) | Carried::Post(_) | Carried::Poll(_) | Carried::Probe(_))
        )
    }

    /// Whether this node takes no new sessions.
    pub fn is_draining(&self) -> bool {
        self.state.drain.is_some()
    }

    /// Whether draining has come to its end.
    pub fn is_drained(&self) -> bool {
        self.is_draining() && self.state.sessions.is_empty()
    }

    /// Whether the bus can be used; `None` for a node that is alone.
    pub fn bus_is_up(&self) -> Option<bool> {
        self.state.config.cluster.as_ref().map(|_| self.state.bus.is_up)
    }

    /// Whether everything this node needs was there at least once.
    pub fn is_ready(&self) -> bool {
        self.state.config.cluster.is_none() || self.state.bus.has_been_up
    }

    /// This incarnation's tag.
    pub fn tag(&self) -> NodeTag {
        self.state.tag
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.state.stats
    }

    /// How many sessions, sockets and rooms there are.
    pub fn gauges(&self) -> Gauges {
        let State { sessions, sockets, rooms, timers, .. } = &self.state;
        Gauges { sessions: sessions.len(), sockets: sockets.len(), rooms: rooms.len(), timers: timers.len() }
    }
}

/// How much of everything a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl State {
    /// Ends a session whose client broke the protocol, and counts how.
    fn refuse_packet(&mut self, session: usize, cause: DropCause) {
        self.stats.drop(cause);
        self.doom(session, Reason::ParseError);
    }

    /// Keeps a binary packet until its attachments are there.
    fn await_attachments(&mut self, session: usize, packet: &str, attachments: usize) {
        if attachments > self.config.limits.attachments_max {
            return self.refuse_packet(session, DropCause::TooManyAttachments);
        }
        let due = self.now + self.config.limits.assembly_timeout;
        self.sessions[session].assembly = Some(Box::new(Assembly::new(packet, attachments, due)));
        self.schedule(session);
    }

    fn ack(&mut self, session: usize, socket: usize, packet: &socket::Packet<'_>, attachments: &[Frame]) {
        match parse_items(packet.data, self.config.limits.json_depth_max, attachments.len()) {
            Ok(args) => self.client_answered(socket, packet.ack.unwrap_or_default(), &args, attachments),
            Err(kind) => self.refuse_packet(session, kind),
        }
    }

    fn session_due(&mut self, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.timer = None;
        match session.take_due(self.now, self.config.limits.ping_timeout) {
            Due::Nothing => {}
            Due::Ping => _ = self.enqueue(key, &engine::ping().into()),
            Due::Probe => self.probe_due(key),
            Due::End(reason) => {
                if self.sessions[key].is_assembly_late(self.now) {
                    self.stats.drop(DropCause::LateAttachment);
                }
                return self.doom(key, reason);
            }
        }
        self.schedule(key);
    }

    /// The client left a namespace; its other sockets and the session go on.
    fn disconnect(&mut self, session: usize, socket: usize) {
        self.take_socket(session, socket, Reason::ClientNamespaceDisconnect);
    }

    fn take_socket(&mut self, session: usize, socket: usize, reason: Reason) {
        self.sessions[session].sockets.retain(|(_, at)| *at != socket);
        self.remove_socket(socket, reason);
    }

    /// Ends the sockets that the application wants gone. Their sessions go on.
    fn expel(&mut self) {
        for id in core::mem::take(&mut self.expelled) {
            let Some(key) = self.find_socket(id) else { continue };
            let (session, space) = (self.sockets[key].session, self.sockets[key].space);
            let frame = socket::packet::disconnect(&self.spaces[space].name);
            self.enqueue(session, &frame.into());
            self.take_socket(session, key, Reason::ServerNamespaceDisconnect);
        }
    }

    /// Undoes a socket that the application refused: it never was, so nobody hears of its end.
    fn withdraw(&mut self, session: usize, socket: usize) {
        self.disconnect(session, socket);
        self.ended.pop();
    }
}

fn parse_auth(data: &str, depth_max: usize) -> Result<Option<&RawValue>, DropCause> {
    if data.is_empty() {
        return Ok(None);
    }
    if !json::nests_within(data, depth_max) {
        return Err(DropCause::DeepJson);
    }
    serde_json::from_str(data).map(Some).map_err(|_| DropCause::BadJson)
}

/// Splits an array into its items, all borrowed. What passes is safe to send on.
fn parse_items(data: &str, depth_max: usize, attachments: usize) -> Result<Vec<&RawValue>, DropCause> {
    if !json::nests_within(data, depth_max) {
        return Err(DropCause::DeepJson);
    }
    let items = serde_json::from_str(data).map_err(|_| DropCause::BadJson)?;
    if attachments > 0 && !has_fitting_placeholders(data, attachments) {
        return Err(DropCause::BadPlaceholder);
    }
    Ok(items)
}

/// The first item of an event: a name that is not reserved, or a number.
fn event_name<'a>(items: &[&'a RawValue]) -> Result<Cow<'a, str>, DropCause> {
    let name = items.first().ok_or(DropCause::BadEventName)?.get();
    match parse_string(name) {
        Some(name) if socket::is_reserved(&name) => Err(DropCause::ReservedEvent),
        Some(name) => Ok(name),
        None if name.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            Ok(Cow::Borrowed(name))
        }
        None => Err(DropCause::BadEventName),
    }
}
