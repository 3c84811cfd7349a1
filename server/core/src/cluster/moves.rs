//! Moves of the bus: links that come and go, messages of other nodes, and the canary.
//!
//! Owns what each event of the bus does. A message goes to the channel of the one node that owns a socket, or to the
//! channel of a room. A node that receives one message on two channels delivers it once: the messages of one node are
//! numbered and arrive in order, so a number not above the last one was received before. It never publishes again
//! what it received.

use crate::{
    acks::{
        clients::{Asker, Requester},
        moves::{
            bus_lost_backend_acks, bus_lost_counts, finish_backend_ack, finish_count, node_busy,
            node_counted, receivers_known, recipients_left, response,
        },
    },
    backend::moves::backend_message,
    cluster::{
        canary::INTERVAL,
        legacy,
        node_message::{self, NodeMessage},
    },
    deadlines::timers::TimerKind,
    socket::{
        delivery::{Origin, count_unknown, deliver, deliver_request, resolve},
        moves::{bus_lost_rooms, channel_subscribed, room_of_channel},
    },
    state::State,
    words::{
        cause::DropCause,
        code::Code,
        completion::CountOutcome,
        ids::SocketId,
        input::BusEvent,
        keys::SocketKey,
        message::Message,
        numbers::{ChannelSequence, Sequence, Ticket},
        output::Output,
        target::{Target, Wants},
    },
};
use alloc::{vec, vec::Vec};
use moorline_protocol::{Frame, engine};

/// Something happened on the bus.
pub(crate) fn bus_event(state: &mut State, event: &BusEvent) {
    match event {
        BusEvent::Up => bus_up(state),
        BusEvent::Down => bus_down(state),
        BusEvent::SubscriptionsLost => state.rooms.lose_subscriptions(),
        BusEvent::Subscribed { channel } => channel_subscribed(state, channel),
        BusEvent::Message { channel, payload } => bus_message(state, channel, payload),
        BusEvent::Published { ticket, receivers } => {
            legacy_receivers_known(state, *ticket, *receivers);
            receivers_known(state, *ticket, *receivers);
        }
        BusEvent::Lost { ticket } => publication_lost(state, *ticket),
    }
}

fn bus_up(state: &mut State) {
    state.bus.mark_up();
    schedule_canary(state);
}

fn bus_down(state: &mut State) {
    state.bus.mark_down();
    state.stats.bus_lag = None;
    state.timers.set(TimerKind::Canary, &mut state.bus.canary.timer, None);
    bus_lost_counts(state);
    state.bus.legacy.clear();
    bus_lost_backend_acks(state);
    bus_lost_rooms(state);
}

fn bus_message(state: &mut State, channel: &str, payload: &[u8]) {
    state.stats.bus_in += 1;
    state.bus.canary.reset();
    if state.config.cluster.as_ref().is_some_and(|channels| channels.public == channel) {
        return backend_message(state, payload);
    }
    match node_message::parse(payload) {
        Some(NodeMessage::Message(message)) => receive(state, channel, &message),
        Some(NodeMessage::Count { ticket, count }) => node_counted(state, ticket, count),
        Some(NodeMessage::Busy { ticket }) => node_busy(state, ticket),
        Some(NodeMessage::Ack { ticket, json, attachments }) => {
            let attachments: Vec<Frame> = attachments.into_iter().map(Frame::binary).collect();
            response(state, ticket, json, &attachments);
        }
        Some(NodeMessage::Left { ticket, count }) => recipients_left(state, ticket, count),
        Some(NodeMessage::Canary { sent }) => state.stats.bus_lag = Some(state.now - sent),
        None => state.stats.drop(DropCause::MalformedNodeMessage),
    }
}

/// A message of another node, or our own coming back. Each subscriber sends one count per message received; the
/// sender's node counts itself too.
fn receive(state: &mut State, channel: &str, message: &node_message::Message<'_>) {
    let ticket = message.sequence.ticket();
    if message.origin == state.tag {
        if message.wants.is_some() {
            node_counted(state, ticket, 0);
        }
        return;
    }
    let is_new = state.bus.sequences.receive(message.origin, message.sequence, state.now);
    note_gap(state, channel, message);
    let Delivered { count, is_busy } =
        if is_new { deliver_message(state, message) } else { Delivered::default() };
    if message.wants.is_some() && state.bus.is_up() {
        if is_busy {
            state.publish_to_node(message.origin, node_message::write_busy(ticket));
        }
        state.publish_to_node(message.origin, node_message::write_count(ticket, count));
    }
}

/// The fate of a message of another node here.
#[derive(Debug, Clone, Copy, Default)]
struct Delivered {
    count: u64,
    /// Whether recipients are behind with reading. Their own node cannot make a sender elsewhere wait; it can tell it.
    is_busy: bool,
}

fn deliver_message(state: &mut State, message: &node_message::Message<'_>) -> Delivered {
    let Some(namespace) = state.namespaces.find(&message.namespace) else {
        state.stats.drop(DropCause::UnknownNamespace);
        return Delivered::default();
    };
    let targets: Vec<Target<'_>> = message.targets.iter().map(|target| Target::parse(target)).collect();
    count_unknown(state, namespace, &targets);
    let frame = engine::message(message.packet);
    let attachments = message.attachments.iter().map(|bytes| Frame::binary(bytes)).collect();
    let mut recipients = resolve(state, Some(namespace), &targets, None);
    let is_busy = state.sessions.has_crowded() && recipients.iter().any(|key| is_behind(state, *key));
    let delivered = Message::new(frame, attachments);
    let count = if message.wants == Some(Wants::Responses) {
        let asker = message.asker.map_or(Asker::Node(message.origin), Asker::Socket);
        let requester = Requester::Node(asker, message.sequence.ticket());
        deliver_request(state, requester, vec![(recipients, delivered)], Origin::Elsewhere)
            .map(|(count, _)| count)
    } else {
        Some(deliver(state, &mut recipients, &delivered, Origin::Elsewhere))
    };
    let Some(count) = count else {
        state.stats.drop(DropCause::TooManyRequests);
        return Delivered { count: 0, is_busy };
    };
    state.stats.deliveries_remote += count;
    Delivered { count, is_busy }
}

/// Whether a recipient has much unsent, and takes none of it now.
fn is_behind(state: &State, key: SocketKey) -> bool {
    let session = &state.sessions[state.sockets[key].session];
    session.is_crowded() && session.stalled_since().is_some()
}

/// Each node numbers its messages on each channel. A number that was skipped is a message lost on the way; a number
/// that falls back is a sender that counts anew.
fn note_gap(state: &mut State, channel: &str, message: &node_message::Message<'_>) {
    let is_direct = state.bus.is_own_channel(channel);
    let last = if is_direct {
        state.bus.sequences.direct_mut(message.origin)
    } else {
        room_of_channel(state, channel).map(|room| state.rooms.received_mut(room, message.origin))
    };
    let number = message.channel_sequence;
    let Some(last) = last.filter(|_| number != ChannelSequence::NONE) else { return };
    let missed = if *last == ChannelSequence::NONE { 0 } else { number.missed_since(*last) };
    *last = number;
    state.stats.bus_missed += missed;
}

fn publication_lost(state: &mut State, ticket: Option<Ticket>) {
    state.stats.drop(DropCause::BusLost);
    if let Some(ticket) = ticket {
        state.bus.legacy.remove(ticket);
        finish_count(state, ticket, CountOutcome::BusDown);
        finish_backend_ack(state, ticket, Code::BusDown);
    }
}

/// The next message to ourselves is due. When nothing at all was received for long, the links are given up instead.
pub(crate) fn canary_due(state: &mut State) {
    state.bus.canary.timer.mark_fired();
    if !state.bus.canary.take() {
        state.stats.bus_resets += 1;
        state.outputs.push_back(Output::ResetBus);
        return bus_down(state);
    }
    let payload = node_message::write_canary(state.now);
    state.publish_to_node(state.tag, payload);
    schedule_canary(state);
}

fn schedule_canary(state: &mut State) {
    let at = state.now + INTERVAL;
    state.timers.set(TimerKind::Canary, &mut state.bus.canary.timer, Some(at));
}

/// Redis said how many listened on the next of a message's channels.
fn legacy_receivers_known(state: &mut State, ticket: Ticket, receivers: u32) {
    let Some(mut waiting) = state.bus.legacy.remove(ticket) else { return };
    let targets = waiting.next_channel();
    if receivers == 0 {
        publish_legacy(state, &mut waiting, &targets);
    } else if let Some(id) = targets.first() {
        // A node listens there: its sockets are not the old cluster's, now or later.
        state.bus.sequences.receive(id.tag(), Sequence::NONE, state.now);
    }
    if waiting.is_waiting() {
        state.bus.legacy.insert(ticket, waiting);
    }
}

/// Sends a message to each target in the old form, as far as the sender's allowance and the bound on one message go.
fn publish_legacy(state: &mut State, waiting: &mut legacy::Waiting, targets: &[SocketId]) {
    let (now, max) = (state.now, state.config.limits.legacy_per_second_max);
    let Some(public) = state.config.cluster.as_ref().map(|channels| channels.public.clone()) else { return };
    for target in targets {
        if waiting.rest().is_none() {
            state.stats.drop(DropCause::LegacyBinary);
        } else if !state.bus.legacy.allow(waiting.sender(), now, max) {
            state.stats.drop(DropCause::LegacyRate);
        } else if let Some(rest) = waiting.spend() {
            let payload = legacy::write_message(*target, rest);
            state.publish(public.clone(), payload.into_bytes(), None);
        } else {
            state.stats.drop(DropCause::LegacySize);
        }
    }
}
