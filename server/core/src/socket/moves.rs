//! Moves of sockets: rooms they join and leave, messages that reach them, and their end.
//!
//! Owns finding the recipients of a message and handing it to them: to those on this node at once, to others through
//! the bus. It never reads a packet.
//!
//! Invariants: a socket receives a message once however many targets name it, and a sender never its own. Local
//! delivery never waits for the bus. Sessions end here and nowhere else.

use crate::{
    acks::{
        clients::{Asker, Request, Requester},
        collectors::Collector,
        counts::{Count, Reach},
        moves::{await_clients, await_count, remove_waits},
    },
    cluster::{
        bus::{RemoteChannel, RemoteChannels},
        node_message::{Head, write_message},
        subscriptions::{Subscription, parse_room_channel},
    },
    deadlines::timers::TimerKind,
    session::moves::close_connections,
    state::{Ended, State},
    words::{
        cause::DropCause,
        code::Code,
        completion::{Completion, JoinOutcome, Joined},
        ids::SocketId,
        keys::{KeySet, NamespaceKey, RoomKey, SessionKey, SocketKey},
        message::Message,
        numbers::{RequestId, Sequence},
        output::Output,
        pending_ack::PendingAck,
        target::{Outgoing, Receipt, Sent, Target, Wants},
    },
};
use alloc::{collections::BTreeSet, vec, vec::Vec};
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

// Delivery.

/// Sends a message to others in a namespace.
///
/// # Errors
/// [`Code::NotMember`] when the socket that waits is gone, [`Code::TooMany`] at a limit.
pub(crate) fn send(
    state: &mut State,
    namespace: NamespaceKey,
    outgoing: &Outgoing<'_>,
) -> Result<Sent, Code> {
    if let Some(receipt) = outgoing.receipt {
        let waiting = state.sockets.find(receipt.ack.socket).ok_or(Code::NotMember)?;
        if state.sockets[waiting].pending_acks() >= state.config.limits.pending_acks_max {
            return Err(Code::TooMany);
        }
    }
    let channels = remote_channels(state, outgoing.targets);
    if outgoing.message.len_bytes() * channels.len() > state.config.limits.fanout_bytes_max {
        return Err(Code::TooMany);
    }
    let sequence = state.bus.sequences.next();
    let mut recipients = resolve(state, Some(namespace), outgoing.targets, outgoing.sender);
    let (expected, request) = match outgoing.receipt {
        Some(Receipt { ack, wants: Wants::Responses }) => {
            let requester = Requester::Node(Asker::Socket(ack.socket), sequence.ticket());
            let everyone = vec![(recipients, outgoing.message.clone())];
            deliver_request(state, requester, everyone).ok_or(Code::TooMany)?
        }
        Some(Receipt { wants: Wants::Count, .. }) | None => {
            (deliver(state, &mut recipients, &outgoing.message), None)
        }
    };
    state.stats.deliveries_local += expected;
    count_unknown(state, namespace, outgoing.targets);
    Ok(send_remote(state, namespace, outgoing, &channels, Local { sequence, expected, request }))
}

/// The part of a message that this node did by itself.
#[derive(Clone, Copy)]
struct Local {
    sequence: Sequence,
    expected: u64,
    /// The id its recipients were asked under.
    request: Option<RequestId>,
}

fn send_remote(
    state: &mut State,
    namespace: NamespaceKey,
    outgoing: &Outgoing<'_>,
    channels: &RemoteChannels<'_>,
    local: Local,
) -> Sent {
    let Local { sequence, expected, request } = local;
    let is_cut = !channels.is_empty() && !state.bus.is_up();
    if is_cut {
        state.stats.drop(DropCause::BusDown);
    } else if !channels.is_empty() {
        publish_message(state, namespace, outgoing, sequence, channels);
    }
    let reach = Reach {
        publications: if is_cut { 0 } else { channels.len() },
        is_unicast: channels.iter().all(|channel| matches!(channel, RemoteChannel::Node(_))),
        is_cut,
    };
    let is_gathering = outgoing.receipt.is_some_and(|receipt| receipt.wants == Wants::Responses);
    match outgoing.receipt {
        Some(receipt) if reach.publications > 0 || is_gathering && expected > 0 => {
            let collector = is_gathering.then(|| Collector::new(request));
            await_count(state, sequence.ticket(), Count::new(receipt.ack, expected, reach, collector));
            Sent::Waiting
        }
        _ if is_cut => Sent::BusDown { expected },
        _ => Sent::Now { expected },
    }
}

fn publish_message(
    state: &mut State,
    namespace: NamespaceKey,
    outgoing: &Outgoing<'_>,
    sequence: Sequence,
    channels: &RemoteChannels<'_>,
) {
    let is_awaited = note_legacy(state, outgoing, sequence, channels);
    let wants = outgoing.receipt.map(|receipt| receipt.wants);
    let ticket = (is_awaited || wants.is_some()).then_some(sequence.ticket());
    for remote in channels {
        let (channel, channel_sequence) = match *remote {
            RemoteChannel::Node(tag) => (state.node_channel(tag), state.bus.sequences.next_to(tag)),
            RemoteChannel::Room(name) => {
                (state.room_channel(namespace, name), state.rooms.next_sequence(namespace, name))
            }
        };
        let head = Head {
            origin: state.tag,
            sequence,
            channel_sequence,
            wants,
            asker: outgoing.receipt.map(|receipt| receipt.ack.socket),
            namespace: &state.namespaces[namespace],
            targets: outgoing.targets,
        };
        let payload = write_message(&head, &outgoing.message);
        if let Some(channel) = channel {
            state.publish(channel, payload, ticket);
        }
    }
}

/// Keeps a message that may be for the old cluster, if there is one. Returns whether it was kept.
fn note_legacy(
    state: &mut State,
    outgoing: &Outgoing<'_>,
    sequence: Sequence,
    channels: &RemoteChannels<'_>,
) -> bool {
    if !state.config.has_legacy_peers {
        return false;
    }
    let bytes_max = state.config.limits.fanout_bytes_max;
    let noted = state.bus.note_legacy(sequence.ticket(), outgoing, channels, bytes_max);
    noted.unwrap_or_else(|cause| {
        state.stats.drop(cause);
        false
    })
}

/// Counts ids of this node that no socket in the namespace has.
pub(crate) fn count_unknown(state: &mut State, namespace: NamespaceKey, targets: &[Target<'_>]) {
    let is_alone = state.config.cluster.is_none();
    for target in targets {
        let Target::Socket(id) = *target else { continue };
        let is_here = state.sockets.find(id).is_some_and(|key| state.sockets[key].namespace == namespace);
        if !is_here && (is_alone || id.tag() == state.tag) {
            state.stats.drop(DropCause::UnknownTarget);
        }
    }
}

/// The channels on which other nodes may receive a message to these targets.
fn remote_channels<'a>(state: &State, targets: &[Target<'a>]) -> RemoteChannels<'a> {
    if state.config.cluster.is_none() {
        return BTreeSet::new();
    }
    let channel = |target: &Target<'a>| match *target {
        Target::Socket(id) => (id.tag() != state.tag).then_some(RemoteChannel::Node(id.tag())),
        Target::Room(name) => Some(RemoteChannel::Room(name)),
    };
    targets.iter().filter_map(channel).collect()
}

/// The sockets on this node that `targets` name, each once, in the order of their places, without `except`. Without a
/// namespace, rooms are those of the first namespace, and an id finds its socket in any.
pub(crate) fn resolve(
    state: &State,
    namespace: Option<NamespaceKey>,
    targets: &[Target<'_>],
    except: Option<SocketId>,
) -> Vec<SocketKey> {
    let State { sockets, rooms, namespaces, .. } = state;
    let is_inside = |key: &SocketKey| namespace.is_none_or(|at| sockets[*key].namespace == at);
    let socket = |id| sockets.find(id).filter(is_inside);
    let namespace_of_rooms = namespace.or_else(|| namespaces.keys().next());
    let members = |name| {
        let room = namespace_of_rooms.and_then(|namespace| rooms.find(namespace, name));
        room.map(|room| rooms[room].members())
    };
    let except = except.and_then(|id| sockets.find(id));
    let is_reached = |key: &SocketKey| Some(*key) != except && sockets[*key].is_connected();
    let mut union = KeySet::default();
    let set = match targets {
        [Target::Socket(id)] => return socket(*id).into_iter().filter(is_reached).collect(),
        [Target::Room(name)] => members(name),
        _ => {
            for target in targets {
                match *target {
                    Target::Socket(id) => union.extend(socket(id)),
                    Target::Room(name) => members(name).into_iter().for_each(|set| union.union_with(set)),
                }
            }
            Some(&union)
        }
    };
    let mut recipients = Vec::with_capacity(set.map_or(0, KeySet::len));
    recipients.extend(set.into_iter().flat_map(KeySet::iter).filter(is_reached));
    recipients
}

/// Puts one message into the outbox of each recipient, and takes out of the list those that cannot take it. Returns how
/// many stay.
pub(crate) fn deliver(state: &mut State, recipients: &mut Vec<SocketKey>, message: &Message) -> u64 {
    recipients.retain(|key| state.enqueue(state.sockets[*key].session, message));
    let count = recipients.len() as u64;
    state.stats.events_out += count;
    count
}

/// Delivers an event that its recipients are to acknowledge; each group of them gets its own encoding. Returns how many
/// recipients there are, and the id they were asked under if there are any. `None` means that nobody received it, since
/// too many acknowledgements are awaited already.
pub(crate) fn deliver_request(
    state: &mut State,
    requester: Requester,
    groups: Vec<(Vec<SocketKey>, Message)>,
) -> Option<(u64, Option<RequestId>)> {
    let wanted: usize = groups.iter().map(|(recipients, _)| recipients.len()).sum();
    if wanted == 0 {
        return Some((0, None));
    }
    if !state.client_acks.has_room(requester, wanted, &state.config.limits) {
        return None;
    }
    let id = state.client_acks.next_id();
    let (mut count, mut asked) = (0, BTreeSet::new());
    for (mut recipients, message) in groups {
        count += deliver(state, &mut recipients, &with_ack_id(&message, id));
        asked.extend(recipients.iter().map(|key| state.sockets[*key].id));
    }
    if asked.is_empty() {
        return Some((0, None));
    }
    await_clients(state, id, Request::new(requester, asked));
    Some((count, Some(id)))
}

/// An event as it asks for an acknowledgement under this id.
fn with_ack_id(event: &Message, id: RequestId) -> Message {
    let bare = event.frame().as_packet().get(1..).unwrap_or_default();
    let frame = socket::with_ack(core::str::from_utf8(bare).unwrap_or_default(), u64::from(id.number()));
    Message::new(frame, event.attachments().to_vec())
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
