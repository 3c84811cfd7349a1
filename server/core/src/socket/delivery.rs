//! Moves of delivery: messages that reach sockets, and messages that wait until a recipient has room.
//!
//! Owns finding the recipients of a message and handing it to them: to those on this node at once, to others through
//! the bus. It never reads a packet.
//!
//! Invariants: a socket receives a message once however many targets name it, and a sender never its own. Local
//! delivery never waits for the bus. A message waits before anybody has received it, never half delivered.

use crate::{
    acks::{
        clients::{Asker, Request, Requester},
        collectors::Collector,
        counts::{Count, Reach},
        moves::{await_clients, await_count},
    },
    cluster::{
        bus::{RemoteChannel, RemoteChannels},
        node_message::{Head, write_message},
    },
    deadlines::timers::TimerKind,
    session::{
        meter::Load,
        pausing::{charge, pause_held, resume_held},
    },
    socket::holds::HeldMessage,
    state::State,
    words::{
        args::Args,
        cause::DropCause,
        code::Code,
        completion::{Completion, CountOutcome},
        ids::SocketId,
        keys::{KeySet, NamespaceKey, SessionKey, SocketKey},
        message::Message,
        numbers::{RequestId, Sequence},
        target::{Outgoing, Receipt, Sent, Target, Wants},
    },
};
use alloc::{collections::BTreeSet, vec, vec::Vec};
use moorline_protocol::{Reason, socket};

/// The bytes that an acknowledgement id adds to an event.
const ACK_ID_BYTES: usize = 16;
/// So many bytes for one recipient are a unit of work more.
const BYTES_PER_UNIT: u64 = 16 << 10;

/// The place of a sender. One on this node can be made to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Here,
    /// Another node, or a backend.
    Elsewhere,
}

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
    let mut recipients = resolve(state, Some(namespace), outgoing.targets, outgoing.sender);
    let full = recipients_without_room(state, &recipients, outgoing);
    if !full.is_empty() {
        hold(state, &full, namespace, outgoing);
        return Ok(Sent::Waiting);
    }
    let sequence = state.bus.sequences.next();
    let (expected, request) = match outgoing.receipt {
        Some(Receipt { ack, wants: Wants::Responses }) => {
            let requester = Requester::Node(Asker::Socket(ack.socket), sequence.ticket());
            let everyone = vec![(recipients, outgoing.message.clone())];
            deliver_request(state, requester, everyone, Origin::Here).ok_or(Code::TooMany)?
        }
        Some(Receipt { wants: Wants::Count, .. }) | None => {
            (deliver(state, &mut recipients, &outgoing.message, Origin::Here), None)
        }
    };
    state.stats.deliveries_local += expected;
    count_unknown(state, namespace, outgoing.targets);
    Ok(send_remote(state, namespace, outgoing, &channels, Local { sequence, expected, request }))
}

/// The sessions of recipients here that this message has to wait for: their outboxes take no more, and they may still
/// make others wait. Only a client waits, since its connection can be left unread meanwhile.
fn recipients_without_room(
    state: &State,
    recipients: &[SocketKey],
    outgoing: &Outgoing<'_>,
) -> Vec<SessionKey> {
    let limits = &state.config.limits;
    let wanted_bytes = outgoing.message.len_bytes() + ACK_ID_BYTES;
    // While nobody is behind, nobody lacks room for a message that is not large itself.
    let is_roomy = !state.sessions.has_crowded() && wanted_bytes <= limits.outbox_bytes_max / 4;
    if is_roomy || outgoing.sender.and_then(|sender| state.sockets.find(sender)).is_none() {
        return Vec::new();
    }
    let sessions = recipients.iter().map(|key| state.sockets[*key].session);
    let full = sessions.filter(|key| {
        let session = &state.sessions[*key];
        let is_full = !session.outbox.is_empty() && session.room_bytes(limits) < wanted_bytes;
        is_full && !session.is_closing() && state.holds.allows(*key, state.now)
    });
    full.collect()
}

/// Keeps a message until the first of these recipients has room for it. Its sender is not read from meanwhile. The time
/// of all of them runs: one after the other, many would make it wait for that many seconds.
fn hold(state: &mut State, full: &[SessionKey], namespace: NamespaceKey, outgoing: &Outgoing<'_>) {
    let Some(recipient) = full.first().copied() else { return };
    let Some((id, sender)) = outgoing.sender.and_then(|id| Some((id, state.sockets.find(id)?))) else {
        return;
    };
    if let Some(waiting) = outgoing.receipt.and_then(|receipt| state.sockets.find(receipt.ack.socket)) {
        state.sockets.start_ack(waiting);
    }
    let session = state.sockets[sender].session;
    let from = (id, state.sessions.id(session));
    let message = HeldMessage::new(namespace, from, outgoing, state.config.has_legacy_peers);
    let bytes = message.len_bytes() + ACK_ID_BYTES;
    state.holds.push(recipient, message);
    for key in full {
        let hold = state.holds.start(*key, bytes, state.now);
        let due = hold.due();
        state.timers.set(TimerKind::Hold(*key), &mut hold.timer, due);
    }
    pause_held(state, session);
}

/// A recipient that others wait for took something, or its time is over. It is too slow if it made others wait for too
/// long; not if this node itself has not come to write to it.
pub(crate) fn hold_due(state: &mut State, recipient: SessionKey) {
    let Some(hold) = state.holds.get_mut(recipient) else { return };
    hold.timer.mark_fired();
    if hold.is_over(state.now) {
        if state.sessions[recipient].stalled_since().is_some() {
            state.stats.drop(DropCause::SlowConsumer);
            return state.sessions.mark_closing(recipient, Reason::SlowConsumer);
        }
        hold.forgive(state.now);
    }
    while let Some(held) = take_held(state, recipient) {
        send_held(state, &held);
    }
    let session = &state.sessions[recipient];
    let (is_empty, room_bytes) = (session.outbox.is_empty(), session.room_bytes(&state.config.limits));
    let State { holds, timers, now, .. } = state;
    if let Some(hold) = holds.get_mut(recipient) {
        if hold.is_wanted_no_more(if is_empty { usize::MAX } else { room_bytes }) {
            hold.end(*now);
        }
        let due = hold.due();
        timers.set(TimerKind::Hold(recipient), &mut hold.timer, due);
    }
}

/// The next message that waits for this recipient, if there is room for it now.
fn take_held(state: &mut State, recipient: SessionKey) -> Option<HeldMessage> {
    let session = &state.sessions[recipient];
    let (is_empty, room_bytes) = (session.outbox.is_empty(), session.room_bytes(&state.config.limits));
    let hold = state.holds.get_mut(recipient)?;
    let has_room = is_empty || hold.first()?.len_bytes() + ACK_ID_BYTES <= room_bytes;
    has_room.then(|| hold.pop(state.now)).flatten()
}

/// Sends a message that had to wait. Whoever waits for its outcome may be gone meanwhile, and so may its sender.
fn send_held(state: &mut State, held: &HeldMessage) {
    let waiting = |state: &State, receipt: Receipt| state.sockets.find(receipt.ack.socket);
    let receipt = held.receipt.filter(|receipt| waiting(state, *receipt).is_some());
    if let Some(key) = receipt.and_then(|receipt| waiting(state, receipt)) {
        state.sockets.end_ack(key);
    }
    let before = state.stats.work;
    let sent = held.send(receipt, |outgoing| send(state, held.namespace, outgoing));
    // The session outlives a socket that was closed meanwhile.
    if let Some(session) = state.sessions.find(held.session) {
        // The packet itself was charged when it came.
        let work = state.stats.work - before;
        charge(state, session, Load { events: 0, bytes: 0, work });
        resume_held(state, session);
    }
    let Some(Receipt { ack, wants }) = receipt else { return };
    let (expected, outcome) = match sent {
        Ok(Sent::Waiting) => return,
        Ok(Sent::Now { expected }) => (expected, CountOutcome::Complete),
        Ok(Sent::BusDown { expected }) => (expected, CountOutcome::BusDown),
        Err(code) => return state.completions.push(Completion::NotAcknowledged { ack, code }),
    };
    state.completions.push(match wants {
        Wants::Count => Completion::Counted { ack, expected, outcome },
        Wants::Responses => Completion::Gathered { ack, expected, responses: Args::new(), more: 0, outcome },
    });
}

/// A session has ended: what waited for it goes out to the others.
pub(crate) fn release_hold(state: &mut State, recipient: SessionKey) {
    let Some(mut hold) = state.holds.remove(recipient) else { return };
    state.timers.set(TimerKind::Hold(recipient), &mut hold.timer, None);
    while let Some(held) = hold.pop(state.now) {
        send_held(state, &held);
    }
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
pub(crate) fn deliver(
    state: &mut State,
    recipients: &mut Vec<SocketKey>,
    message: &Message,
    from: Origin,
) -> u64 {
    let visited = recipients.len() as u64;
    recipients.retain(|key| {
        let session = state.sockets[*key].session;
        match from {
            Origin::Here => state.enqueue(session, message),
            Origin::Elsewhere => state.enqueue_from_elsewhere(session, message),
        }
    });
    let count = recipients.len() as u64;
    state.stats.work += visited * (1 + message.len_bytes() as u64 / BYTES_PER_UNIT);
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
    from: Origin,
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
        count += deliver(state, &mut recipients, &with_ack_id(&message, id), from);
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
