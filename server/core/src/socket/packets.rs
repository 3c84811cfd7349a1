//! Packets of clients, from the text of a message to the hook of the application.
//!
//! Owns the dispatch: which packet may come in which state, what makes one malformed, and what an event holds. It never
//! delivers an event; the application says what becomes of it.
//!
//! Invariant: a client that breaks the protocol is closed and counted, and nobody else notices.

use crate::{
    acks::moves::client_acked,
    app::{context::Context, hooks::App},
    session::{
        assembly::Assembly,
        connections::Carried,
        meter::Load,
        moves::{closed_by_client, pong, probe_text, refuse_packet, refuse_probe},
        pausing::charge,
    },
    socket::moves::{close_socket, remove_refused},
    state::State,
    words::{
        cause::DropCause,
        config::NAMESPACE_BYTES_MAX,
        conn::ConnId,
        event::{Connect, Data, Event},
        input::Dialect,
        json::parse_string,
        keys::{NamespaceKey, SessionKey, SocketKey},
        numbers::AckId,
        pending_ack::PendingAck,
        placeholder::has_fitting_placeholders,
    },
};
use alloc::{borrow::Cow, boxed::Box, vec::Vec};
use moorline_protocol::{
    Frame, Reason,
    engine::{self, Packet},
    json,
    socket::{self, Kind},
};
use serde_json::value::RawValue;

/// A text message of a connection, or a text packet of a POST.
pub(crate) fn text<A: App>(app: &mut A, state: &mut State, conn: ConnId, text: &str) {
    match state.connections.get(conn) {
        Some(&(Carried::Session(session) | Carried::Post(session) | Carried::Rest(session))) => {
            charged(state, session, text.len(), |state| packet(app, state, session, text));
        }
        Some(&Carried::Probe(session)) => {
            state.stats.work += 1;
            probe_text(state, session, conn, text);
        }
        Some(Carried::Poll(_) | Carried::Closing(_)) | None => {}
    }
}

/// Does what a packet of so many bytes asks for, and charges its client for all of it: a fan-out that has begun is
/// finished, and its cost is a debt.
fn charged(state: &mut State, session: SessionKey, bytes: usize, take: impl FnOnce(&mut State)) {
    let before = state.stats.work;
    state.stats.work += 1;
    take(state);
    let work = state.stats.work - before;
    charge(state, session, Load { events: 1, bytes: bytes as u64, work });
}

fn packet<A: App>(app: &mut A, state: &mut State, session: SessionKey, text: &str) {
    match engine::decode(text) {
        Ok(Packet::Message(text)) if state.sessions[session].dialect() == Dialect::EngineIo => {
            message(app, state, session, Data::Text(text));
        }
        Ok(Packet::Message(_)) if state.sessions[session].is_assembling() => {
            refuse_packet(state, session, DropCause::MissingAttachment);
        }
        Ok(Packet::Message(packet)) => socket_packet(app, state, session, packet, &[]),
        Ok(Packet::Pong(_)) => pong(state, session),
        Ok(Packet::Close) => closed_by_client(state, session),
        Ok(Packet::Open(_) | Packet::Ping(_) | Packet::Upgrade | Packet::Noop) => {
            refuse_packet(state, session, DropCause::UnexpectedPacket);
        }
        Err(error) => refuse_packet(state, session, error.into()),
    }
}

/// A binary message of a connection, or a binary packet of a POST.
pub(crate) fn binary<A: App>(app: &mut A, state: &mut State, conn: ConnId, bytes: &[u8]) {
    match state.connections.get(conn) {
        Some(&(Carried::Session(session) | Carried::Post(session) | Carried::Rest(session))) => {
            charged(state, session, bytes.len(), |state| match state.sessions[session].dialect() {
                Dialect::SocketIo => attachment(app, state, session, bytes),
                Dialect::EngineIo => message(app, state, session, Data::Binary(bytes)),
            });
        }
        Some(&Carried::Probe(session)) => refuse_probe(state, session),
        Some(Carried::Poll(_) | Carried::Closing(_)) | None => {}
    }
}

/// A message of a session that speaks Engine.IO alone.
fn message<A: App>(app: &mut A, state: &mut State, session: SessionKey, data: Data<'_>) {
    state.stats.events_in += 1;
    let id = state.sessions.id(session);
    app.message(&mut Context::new(state), id, data);
}

/// The next attachment of a binary packet.
fn attachment<A: App>(app: &mut A, state: &mut State, session: SessionKey, bytes: &[u8]) {
    let bytes_max = state.config.limits.payload_bytes_max;
    let Some(mut assembly) = state.sessions[session].take_assembly() else {
        return refuse_packet(state, session, DropCause::UnexpectedBinary);
    };
    match assembly.push(bytes, bytes_max) {
        None => refuse_packet(state, session, DropCause::AttachmentsTooBig),
        Some(false) => state.sessions[session].start_assembly(assembly),
        Some(true) => {
            let (packet, attachments) = assembly.into_parts();
            socket_packet(app, state, session, &packet, &attachments);
        }
    }
}

/// A whole packet, or one whose attachments are still to come.
fn socket_packet<A: App>(
    app: &mut A,
    state: &mut State,
    session: SessionKey,
    text: &str,
    attachments: &[Frame],
) {
    let packet = match socket::decode(text) {
        Ok(packet) => packet,
        Err(error) => return refuse_packet(state, session, error.into()),
    };
    if packet.kind == Kind::Connect {
        return connect(app, state, session, &packet);
    }
    let namespace = state.namespaces.find(packet.namespace);
    let joined = namespace.and_then(|namespace| state.sessions[session].socket_in(namespace));
    let Some(socket) = joined else { return refuse_packet(state, session, DropCause::NotConnected) };
    match packet.kind {
        Kind::BinaryEvent { attachments: due } | Kind::BinaryAck { attachments: due }
            if attachments.len() < due as usize =>
        {
            await_attachments(state, session, text, due as usize);
        }
        Kind::Event | Kind::BinaryEvent { .. } => event(app, state, socket, &packet, attachments),
        Kind::Ack | Kind::BinaryAck { .. } => ack(state, socket, &packet, attachments),
        Kind::Disconnect => close_socket(state, socket, Reason::ClientNamespaceDisconnect),
        Kind::Connect | Kind::ConnectError => refuse_packet(state, session, DropCause::UnexpectedPacket),
    }
}

/// Keeps a binary packet until its attachments are there.
fn await_attachments(state: &mut State, session: SessionKey, packet: &str, attachments: usize) {
    if attachments > state.config.limits.attachments_max {
        return refuse_packet(state, session, DropCause::TooManyAttachments);
    }
    let due = state.now + state.config.limits.assembly_timeout;
    state.sessions[session].start_assembly(Box::new(Assembly::new(packet, attachments, due)));
    state.schedule_session(session);
}

fn connect<A: App>(app: &mut A, state: &mut State, session: SessionKey, packet: &socket::Packet<'_>) {
    let (name, auth) = (packet.namespace, parse_auth(packet.data, state.config.limits.json_depth_max));
    let auth = match auth {
        Ok(auth) => auth,
        Err(cause) => return refuse_packet(state, session, cause),
    };
    if name.len() > NAMESPACE_BYTES_MAX {
        return refuse_packet(state, session, DropCause::LongNamespace);
    }
    let Some(namespace) = state.namespaces.find(name) else {
        let frame = socket::connect_error(name, "Invalid namespace", "");
        state.enqueue_answer(session, &frame.into());
        return;
    };
    let joined = &state.sessions[session];
    let is_full = joined.sockets().len() >= state.config.limits.namespaces_max;
    if is_full || joined.socket_in(namespace).is_some() {
        return refuse_packet(state, session, DropCause::UnexpectedConnect);
    }
    let socket = insert_socket(state, session, namespace);
    let id = state.sockets[socket].id;
    let connect = Connect { socket: id, namespace: name, auth };
    let verdict = app.connect(&mut Context::new(state), &connect);
    let frame = match verdict {
        Ok(()) => socket::connected(name, id.text().as_str()),
        Err(refusal) => {
            remove_refused(state, socket);
            socket::connect_error(name, &refusal.message, &refusal.data)
        }
    };
    let is_told = state.enqueue_answer(session, &frame.into());
    let Some(socket) = state.sockets.find(id).filter(|_| is_told) else { return };
    state.sockets.mark_connected(socket);
    state.sessions[session].mark_connected();
    state.schedule_session(session);
    app.connected(&mut Context::new(state), &connect);
}

fn insert_socket(state: &mut State, session: SessionKey, namespace: NamespaceKey) -> SocketKey {
    let State { sockets, sessions, entropy, tag, .. } = state;
    let socket = sockets.insert(*tag, session, namespace, &mut **entropy);
    sessions[session].insert_socket(namespace, socket);
    socket
}

fn event<A: App>(
    app: &mut A,
    state: &mut State,
    socket: SocketKey,
    packet: &socket::Packet<'_>,
    attachments: &[Frame],
) {
    let items = parse_items(packet.data, state.config.limits.json_depth_max, attachments.len());
    let parsed = items.and_then(|items| event_name(&items).map(|name| (name, items)));
    let (id, session, namespace) = {
        let socket = &state.sockets[socket];
        (socket.id, socket.session, socket.namespace)
    };
    let (name, args) = match parsed {
        Ok(event) => event,
        Err(cause) => return refuse_packet(state, session, cause),
    };
    state.stats.events_in += 1;
    let namespace = state.namespaces[namespace].clone();
    let ack = packet.ack.map(|number| PendingAck { socket: id, id: AckId::new(number) });
    let event = Event { socket: id, namespace: &namespace, name, args: &args[1..], attachments, ack };
    app.event(&mut Context::new(state), &event);
}

fn ack(state: &mut State, socket: SocketKey, packet: &socket::Packet<'_>, attachments: &[Frame]) {
    let id = AckId::new(packet.ack.unwrap_or_default());
    match parse_items(packet.data, state.config.limits.json_depth_max, attachments.len()) {
        Ok(args) => client_acked(state, socket, id, &args, attachments),
        Err(cause) => refuse_packet(state, state.sockets[socket].session, cause),
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

/// Splits an array into its items, all borrowed. The items are safe to send on.
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
