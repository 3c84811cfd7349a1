//! The node's side of the bus: what it is subscribed to, and what it hears there.
//!
//! A message goes to the channel of the one node that owns a socket, or to the channel of a room. A node that hears one
//! message on two channels delivers it once: the messages of one node are numbered and arrive in order, so a number not
//! above the last one was heard before. Nobody publishes again what it heard.

use crate::{
    DropCause, Ticket,
    answers::Asker,
    app::{Completion, CountOutcome, PendingAck},
    code::Code,
    delivery::Target,
    ids::NodeTag,
    input::BusEvent,
    legacy::Legacy,
    message::Message,
    output::{Destination, Output, Publication},
    parcel::{self, Parcel, Wanted},
    state::State,
    time::Time,
    timer::TimerKind,
};
use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::time::Duration;
use moorline_protocol::Frame;

/// How often a node sends itself a message: the canary that shows whether the bus carries anything, and its lag.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How many beats may be due with nothing at all heard since before the links are given up: within 5 s. Beats and not
/// time, since a node that was stopped itself (a suspended machine) has not listened either.
const UNHEARD_BEATS_MAX: u32 = 4;
/// How many other nodes are remembered by their last number; far more than a cluster has.
const HEARD_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Bus {
    /// The channel for this node alone; `None` for a node that is alone itself.
    own_channel: Option<String>,
    pub(crate) is_up: bool,
    pub(crate) has_been_up: bool,
    /// The number of the last message this node sent.
    sequence: u64,
    /// What was heard from each node.
    pub(crate) heard: BTreeMap<NodeTag, Heard>,
    /// Messages sent to each node alone.
    sent: BTreeMap<NodeTag, u64>,
    /// Messages that go to the old cluster if no node of this one has their target.
    pub(crate) legacy: Legacy,
    beat: Option<Time>,
    /// Beats sent since anything was heard.
    unheard_beats: u32,
}

/// What was heard from another node.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The number of its last message.
    sequence: u64,
    /// The number of its last message on this node's own channel.
    direct: u64,
    at: Time,
}

impl State {
    pub(crate) fn subscribe_own_channels(&mut self) {
        let public = self.config.cluster.as_ref().map(|channels| channels.public.clone());
        self.bus.own_channel = self.node_channel(self.tag);
        let own = [self.bus.own_channel.clone(), public];
        self.outputs.extend(own.into_iter().flatten().map(Output::Subscribe));
    }

    pub(crate) fn bus_input(&mut self, input: &BusEvent) {
        match input {
            BusEvent::Up => self.bus_up(),
            BusEvent::Down => self.bus_down(),
            BusEvent::SubscriptionsLost => self.rooms_unsubscribed(),
            BusEvent::Subscribed { channel } => self.channel_subscribed(channel),
            BusEvent::Message { channel, payload } => self.bus_message(channel, payload),
            BusEvent::Published { ticket, receivers } => self.receivers_known(ticket.number(), *receivers),
            BusEvent::Lost { ticket } => self.publication_lost(ticket.map(Ticket::number)),
        }
    }

    fn bus_up(&mut self) {
        self.bus.is_up = true;
        self.bus.has_been_up = true;
        self.bus.unheard_beats = 0;
        self.timers.set(TimerKind::Beat, &mut self.bus.beat, Some(self.now + BEAT_INTERVAL));
    }

    fn bus_down(&mut self) {
        self.bus.is_up = false;
        self.stats.bus_lag = None;
        self.timers.set(TimerKind::Beat, &mut self.bus.beat, None);
        self.bus_left_counts();
        self.bus_left_legacy();
        self.bus_left_asks();
        self.bus_left_rooms();
    }

    fn bus_message(&mut self, channel: &str, payload: &[u8]) {
        self.stats.bus_in += 1;
        self.bus.unheard_beats = 0;
        if self.config.cluster.as_ref().is_some_and(|channels| channels.public == channel) {
            return self.backend_message(payload);
        }
        match parcel::parse(payload) {
            Some(Parcel::Message(message)) => self.hear(channel, &message),
            Some(Parcel::Count { ticket, count }) => self.count_answered(ticket, count),
            Some(Parcel::Answer { ticket, json, attachments }) => {
                let attachments: Vec<Frame> = attachments.into_iter().map(Frame::binary).collect();
                self.response(ticket, json, &attachments);
            }
            Some(Parcel::Left { ticket, count }) => self.recipients_left(ticket, count),
            Some(Parcel::Beat { sent }) => self.stats.bus_lag = Some(self.now - sent),
            None => self.stats.drop(DropCause::MalformedNodeMessage),
        }
    }

    /// A message of another node, or the echo of our own.
    fn hear(&mut self, channel: &str, message: &parcel::Message<'_>) {
        if message.origin == self.tag {
            if message.wants != Wanted::Nothing {
                self.count_answered(message.sequence, 0);
            }
            return;
        }
        let is_new = self.remember(message.origin, message.sequence);
        self.note_gap(channel, message);
        let count = if is_new { self.deliver_parcel(message) } else { 0 };
        if message.wants != Wanted::Nothing && self.bus.is_up {
            let payload = parcel::write_count(message.sequence, count);
            self.publish_to_node(message.origin, payload);
        }
    }

    fn deliver_parcel(&mut self, message: &parcel::Message<'_>) -> u64 {
        let Some(space) = self.find_space(&message.namespace) else {
            self.stats.drop(DropCause::UnknownNamespace);
            return 0;
        };
        let targets: Vec<Target<'_>> = message.targets.iter().map(|target| Target::parse(target)).collect();
        self.count_unknown(space, &targets);
        let frame = moorline_protocol::engine::message(message.packet);
        let attachments = message.attachments.iter().map(|bytes| Frame::binary(bytes)).collect();
        let mut recipients = self.resolve(Some(space), &targets, None);
        let delivered = Message::new(frame, attachments);
        let count = if message.wants == Wanted::Answers {
            let asker = Asker::Node(message.origin, message.sequence);
            self.deliver_asking(asker, vec![(recipients, delivered)]).map(|(count, _)| count)
        } else {
            Some(self.deliver(&mut recipients, &delivered))
        };
        let Some(count) = count else {
            self.stats.drop(DropCause::TooManyAsks);
            return 0;
        };
        self.stats.deliveries_remote += count;
        count
    }

    /// Notes the number of a message; returns whether it was not heard before.
    pub(crate) fn remember(&mut self, origin: NodeTag, sequence: u64) -> bool {
        let now = self.now;
        let heard = &mut self.bus.heard;
        if heard.len() >= HEARD_MAX && !heard.contains_key(&origin) {
            let oldest = heard.iter().min_by_key(|(_, heard)| heard.at).map(|(tag, _)| *tag);
            oldest.and_then(|tag| heard.remove(&tag));
        }
        let last = heard.entry(origin).or_insert(Heard { sequence: 0, direct: 0, at: now });
        let is_new = sequence > last.sequence;
        last.sequence = last.sequence.max(sequence);
        last.at = now;
        is_new
    }

    /// Each node numbers its messages on each channel. A number that was skipped is a message lost on the way. A number
    /// that falls back is a sender that counts anew.
    fn note_gap(&mut self, channel: &str, message: &parcel::Message<'_>) {
        let is_direct = self.bus.own_channel.as_deref() == Some(channel);
        let last = if is_direct {
            self.bus.heard.get_mut(&message.origin).map(|heard| &mut heard.direct)
        } else {
            self.room_heard(channel, message.origin)
        };
        let Some(last) = last.filter(|_| message.number > 0) else { return };
        let is_first = *last == 0;
        let missed = message.number.saturating_sub(*last).saturating_sub(1);
        *last = message.number;
        if !is_first {
            self.stats.bus_missed += missed;
        }
    }

    /// Numbers a message to one node.
    pub(crate) fn next_node_number(&mut self, tag: NodeTag) -> u64 {
        let sent = &mut self.bus.sent;
        if sent.len() >= HEARD_MAX && !sent.contains_key(&tag) {
            // Ids of nodes that never were could fill it: start over, as if this node had.
            sent.clear();
        }
        let number = sent.entry(tag).or_default();
        *number += 1;
        *number
    }

    /// Numbers a message of this node.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.bus.sequence += 1;
        self.bus.sequence
    }

    pub(crate) fn publish_to_node(&mut self, tag: NodeTag, payload: Vec<u8>) {
        if let Some(channel) = self.node_channel(tag) {
            self.publish(channel, payload, None);
        }
    }

    /// The channel on which the node `tag` hears what is for it alone.
    pub(crate) fn node_channel(&self, tag: NodeTag) -> Option<String> {
        self.config.cluster.as_ref().map(|channels| format!("{}:node:{tag}", channels.prefix))
    }

    pub(crate) fn publish(&mut self, channel: String, payload: Vec<u8>, ticket: Option<u64>) {
        self.stats.bus_out += 1;
        let destination = Destination::Channel(channel);
        self.outputs.push_back(Output::Publish(Publication {
            destination,
            payload,
            ticket: ticket.map(Ticket::new),
        }));
    }

    fn publication_lost(&mut self, ticket: Option<u64>) {
        self.stats.drop(DropCause::BusLost);
        if let Some(ticket) = ticket {
            self.forget_legacy(ticket);
            self.finish_count(ticket, CountOutcome::BusDown);
            self.finish_ask(ticket, Code::BusDown);
        }
    }

    /// Hands an answer to the application, unless the socket that waits for it is gone.
    pub(crate) fn complete(&mut self, ack: PendingAck, completion: Completion) {
        if let Some(key) = self.find_socket(ack.socket) {
            self.sockets[key].pending = self.sockets[key].pending.saturating_sub(1);
            self.completions.push(completion);
        }
    }

    pub(crate) fn beat_due(&mut self) {
        self.bus.beat = None;
        if self.bus.unheard_beats >= UNHEARD_BEATS_MAX {
            self.stats.bus_resets += 1;
            self.outputs.push_back(Output::ResetBus);
            return self.bus_down();
        }
        self.bus.unheard_beats += 1;
        let payload = parcel::write_beat(self.now);
        self.publish_to_node(self.tag, payload);
        self.timers.set(TimerKind::Beat, &mut self.bus.beat, Some(self.now + BEAT_INTERVAL));
    }
}
