//! Moves of sockets: rooms they join and leave, and their end.
//!
//! Owns the ways in and out of a room, and what goes with a socket or a session that ends. It never delivers a message.
//!
//! Invariant: sessions end here and nowhere else.

use crate::{
    acks::moves::remove_waits,
    cluster::subscriptions::{Subscription, parse_room_channel},
    deadlines::timers::TimerKind,
    session::moves::close_connections,
    socket::delivery::release_hold,
    state::{Ended, State},
    words::{
        code::Code,
        completion::{Completion, JoinOutcome, Joined},
        keys::{NamespaceKey, RoomKey, SessionKey, SocketKey},
        output::Output,
        pending_ack::PendingAck,
    },
};
use alloc::vec::Vec;
use core::mem;
use moorline_protocol::{Reason, socket};

// Rooms.

/// Puts a socket into a room. Being in it already is no error.
///
/// # Errors
/// [`Code::TooMany`] at a limit.
pub(crate) fn join(
    state: &mut State,
    socket: SocketKey,
    name: &str,
    ack: Option<PendingAck>,
) -> Result<Joined, Code> {
    let limits = &state.config.limits;
    let member = &state.sockets[socket];
    let found = state.rooms.find(member.namespace, name);
    let is_member = found.is_some_and(|room| state.rooms[room].members().contains(socket));
    let is_full = !is_member && member.rooms().len() >= limits.rooms_max;
    if is_full || ack.is_some() && member.pending_acks() >= limits.pending_acks_max {
        return Err(Code::TooMany);
    }
    let namespace = member.namespace;
    let room = found.unwrap_or_else(|| insert_room(state, namespace, name));
    if !is_member {
        state.rooms.insert_member(room, socket);
        state.sockets.insert_room(socket, room);
    }
    let joined = await_channel(state, socket, room, ack);
    schedule_room(state, room);
    Ok(joined)
}

/// Tells how far a join reaches now. One whose channel is unconfirmed waits for it.
fn await_channel(state: &mut State, socket: SocketKey, room: RoomKey, ack: Option<PendingAck>) -> Joined {
    match state.rooms[room].subscription() {
        Subscription::None | Subscription::Confirmed => Joined::Now(JoinOutcome::Everywhere),
        Subscription::Pending if !state.bus.is_up() => Joined::Now(JoinOutcome::HereOnly),
        Subscription::Pending => {
            if let Some(ack) = ack {
                let by = state.now + state.config.limits.ack_timeout;
                state.sockets.start_ack(socket);
                state.rooms.push_waiting(room, ack, by);
            }
            Joined::Waiting
        }
    }
}

fn insert_room(state: &mut State, namespace: NamespaceKey, name: &str) -> RoomKey {
    let channel = state.room_channel(namespace, name);
    state.stats.work += u64::from(channel.is_some());
    let subscription = if channel.is_some() { Subscription::Pending } else { Subscription::None };
    state.outputs.extend(channel.map(Output::Subscribe));
    state.rooms.insert(namespace, name, subscription)
}

/// Takes a socket out of a room. Not being in it is no error.
pub(crate) fn leave(state: &mut State, socket: SocketKey, name: &str) {
    if let Some(room) = state.rooms.find(state.sockets[socket].namespace, name) {
        state.sockets.remove_room(socket, room);
        remove_member(state, room, socket);
    }
}

fn remove_member(state: &mut State, room: RoomKey, socket: SocketKey) {
    let is_last = state.rooms.remove_member(room, socket, state.now);
    if is_last && state.rooms[room].subscription() == Subscription::None {
        return remove_room(state, room);
    }
    schedule_room(state, room);
}

fn remove_room(state: &mut State, key: RoomKey) {
    end_joins(state, key, JoinOutcome::HereOnly);
    let mut room = state.rooms.remove(key);
    state.timers.set(TimerKind::Room(key), &mut room.timer, None);
    let channel = state.room_channel(room.namespace, &room.name);
    state.outputs.extend(channel.map(Output::Unsubscribe));
}

/// The room whose channel this is, if it is still here.
pub(crate) fn room_of_channel(state: &State, channel: &str) -> Option<RoomKey> {
    let (namespace, name) = parse_room_channel(state.config.cluster.as_ref()?, channel)?;
    state.rooms.find(state.namespaces.find(namespace)?, name)
}

/// A channel is confirmed: everything sent to the room from now on arrives here.
pub(crate) fn channel_subscribed(state: &mut State, channel: &str) {
    let Some(key) = room_of_channel(state, channel) else { return };
    state.rooms.confirm(key);
    end_joins(state, key, JoinOutcome::Everywhere);
    schedule_room(state, key);
}

/// The bus is away: every join that waits for a confirmation is told that the room works on this node only.
pub(crate) fn bus_lost_rooms(state: &mut State) {
    let keys: Vec<RoomKey> = state.rooms.iter().map(|(key, _)| key).collect();
    for key in keys {
        end_joins(state, key, JoinOutcome::HereOnly);
        schedule_room(state, key);
    }
}

fn end_joins(state: &mut State, key: RoomKey, outcome: JoinOutcome) {
    for ack in state.rooms.take_waiting(key) {
        state.complete(ack, Completion::Joined { ack, outcome });
    }
}

/// A room's deadline: a join waited long enough, or nobody came back.
pub(crate) fn room_due(state: &mut State, key: RoomKey) {
    let Some(room) = state.rooms.get_mut(key) else { return };
    room.timer.mark_fired();
    while let Some(ack) = state.rooms.pop_overdue(key, state.now) {
        state.complete(ack, Completion::Joined { ack, outcome: JoinOutcome::Unconfirmed });
    }
    let linger = state.config.limits.room_linger;
    let until = state.rooms[key].lingers_until(state.bus.is_up(), linger);
    if until.is_some_and(|until| until <= state.now) {
        remove_room(state, key);
    } else {
        schedule_room(state, key);
    }
}

fn schedule_room(state: &mut State, key: RoomKey) {
    let (is_bus_up, linger) = (state.bus.is_up(), state.config.limits.room_linger);
    if let Some(room) = state.rooms.get_mut(key) {
        let at = room.deadline(is_bus_up, linger);
        state.timers.set(TimerKind::Room(key), &mut room.timer, at);
    }
}

// Endings.

/// Undoes a socket that the application refused: it never was, so the application is not told of its end.
pub(crate) fn remove_refused(state: &mut State, socket: SocketKey) {
    close_socket(state, socket, Reason::ClientNamespaceDisconnect);
    state.ended.pop();
}

/// Ends the sockets that the application wants to disconnect. Their sessions go on.
pub(crate) fn close_disconnecting(state: &mut State) {
    for id in mem::take(&mut state.disconnecting) {
        let Some(key) = state.sockets.find(id) else { continue };
        let socket = &state.sockets[key];
        let frame = socket::disconnect(&state.namespaces[socket.namespace]);
        state.enqueue(socket.session, &frame.into());
        close_socket(state, key, Reason::ServerNamespaceDisconnect);
    }
}

/// Closes every session that is marked.
pub(crate) fn close_marked(state: &mut State) {
    while let Some((key, reason)) = state.sessions.take_closing() {
        close_session(state, key, reason);
    }
}

fn close_session(state: &mut State, key: SessionKey, reason: Reason) {
    let mut session = state.sessions.remove(key);
    state.timers.set(TimerKind::Session(key), &mut session.timer, None);
    for &(_, socket) in session.sockets() {
        remove_socket(state, socket, reason);
    }
    state.stats.sessions_closed.add(reason);
    close_connections(state, &session.transport, session.outbox, reason);
    release_hold(state, key);
}

/// Closes one socket; its session and the other sockets of that go on.
pub(crate) fn close_socket(state: &mut State, key: SocketKey, reason: Reason) {
    state.sessions[state.sockets[key].session].remove_socket(key);
    remove_socket(state, key, reason);
}

/// Takes a socket out of its rooms and its table. The caller takes it out of its session.
fn remove_socket(state: &mut State, key: SocketKey, reason: Reason) {
    let socket = state.sockets.remove(key);
    for &room in socket.rooms() {
        remove_member(state, room, key);
    }
    state.ended.push(Ended { socket: socket.id, namespace: socket.namespace, reason });
    remove_waits(state, socket.id);
}
