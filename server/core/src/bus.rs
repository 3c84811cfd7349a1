//! The node's side of the bus: what it is subscribed to, what it hears there, and the counts it waits for.
//!
//! A message goes to the channel of the one node that owns a socket, or to the channel of a room. A node that hears one
//! message on two channels delivers it once: the messages of one node are numbered and arrive in order, so a number not
//! above the last one was heard before. Nobody publishes again what it heard.
//!
//! Counting: Redis says how many subscribers got each publication, and each of them answers each hearing, the sender's
//! own echo included. The count is complete when as many answers came as there were receivers.

use crate::{
    app::{Completion, CountOutcome, Reply},
    delivery::Target,
    ids::Tag,
    input::{BusInput, node_channel},
    output::{Output, Publication},
    parcel::{self, Parcel},
    state::State,
    time::Time,
    timer::TimerKind,
};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

/// How often a node sends itself a message, to measure the lag of the bus.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How many other nodes are remembered by their last number; far more than a cluster has.
const HEARD_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Bus {
    pub(crate) is_up: bool,
    pub(crate) has_been_up: bool,
    /// The number of the last message this node sent.
    sequence: u64,
    /// The last number heard from each node, and when.
    heard: BTreeMap<Tag, (u64, Time)>,
    counts: BTreeMap<u64, Count>,
    beat: Option<Time>,
}

/// A count in the making.
#[derive(Debug)]
struct Count {
    reply: Reply,
    expected: u64,
    /// Publications whose receivers Redis has not named yet.
    unconfirmed: usize,
    receivers: u64,
    answers: u64,
    /// Whether it went to single nodes only, so that no receiver means an id that nobody has.
    is_unicast: bool,
    timer: Option<Time>,
}

impl Count {
    fn is_complete(&self) -> bool {
        self.unconfirmed == 0 && self.answers >= self.receivers
    }
}

impl State {
    pub(crate) fn subscribe_own_channels(&mut self) {
        let Some(channels) = &self.config.cluster else { return };
        self.outputs.push_back(Output::Subscribe(node_channel(&channels.prefix, self.tag)));
        self.outputs.push_back(Output::Subscribe(channels.public.clone()));
    }

    pub(crate) fn bus_input(&mut self, input: BusInput<'_>) {
        match input {
            BusInput::Up => self.bus_up(),
            BusInput::Down => self.bus_down(),
            BusInput::SubscriptionsLost => self.rooms_unsubscribed(),
            BusInput::Subscribed { channel } => self.channel_subscribed(channel),
            BusInput::Message { channel, payload } => self.bus_message(channel, payload),
            BusInput::Published { ticket, receivers } => self.receivers_known(ticket, receivers),
            BusInput::Lost { ticket } => self.publication_lost(ticket),
        }
    }

    fn bus_up(&mut self) {
        self.bus.is_up = true;
        self.bus.has_been_up = true;
        self.timers.set(TimerKind::Beat, &mut self.bus.beat, Some(self.now + BEAT_INTERVAL));
    }

    fn bus_down(&mut self) {
        self.bus.is_up = false;
        self.stats.bus_lag = None;
        self.timers.set(TimerKind::Beat, &mut self.bus.beat, None);
        let tickets: Vec<u64> = self.bus.counts.keys().copied().collect();
        for ticket in tickets {
            self.finish_count(ticket, CountOutcome::BusDown);
        }
        self.bus_left_rooms();
    }

    fn channel_subscribed(&mut self, channel: &str) {
        let Some(channels) = &self.config.cluster else { return };
        let room =
            channel.strip_prefix(channels.prefix.as_str()).and_then(|rest| rest.strip_prefix(":room:"));
        if let Some((space, name)) = room.and_then(|room| room.split_once(',')) {
            self.room_subscribed(space, name);
        }
    }

    fn bus_message(&mut self, channel: &str, payload: &[u8]) {
        self.stats.bus_in += 1;
        if self.config.cluster.as_ref().is_some_and(|channels| channels.public == channel) {
            return self.backend_message(payload);
        }
        match parcel::parse(payload) {
            Some(Parcel::Message(message)) => self.hear(&message),
            Some(Parcel::Count { ticket, count }) => self.count_answered(ticket, count),
            Some(Parcel::Beat { sent }) => self.stats.bus_lag = Some(self.now - sent),
            None => self.stats.drop("malformed_parcel"),
        }
    }

    /// A message of another node, or the echo of our own.
    fn hear(&mut self, message: &parcel::Message<'_>) {
        if message.origin == self.tag {
            if message.is_counted {
                self.count_answered(message.sequence, 0);
            }
            return;
        }
        let is_new = self.remember(message.origin, message.sequence);
        let count = if is_new { self.deliver_parcel(message) } else { 0 };
        if message.is_counted && self.bus.is_up {
            let payload = parcel::write_count(message.sequence, count);
            self.publish_to_node(message.origin, payload, None);
        }
    }

    fn deliver_parcel(&mut self, message: &parcel::Message<'_>) -> u64 {
        let Some(space) = self.spaces.iter().position(|space| *space.name == *message.namespace) else {
            self.stats.drop("unknown_namespace");
            return 0;
        };
        let targets: Vec<Target<'_>> = message.targets.iter().map(|target| Target::parse(target)).collect();
        self.count_unknown(space, &targets);
        let frame = moorline_protocol::engine::message(message.packet);
        let recipients = self.resolve(Some(space), &targets, None);
        let count = self.deliver(&recipients, &frame);
        self.stats.deliveries_remote += count;
        count
    }

    /// Notes the number of a message; returns whether it was not heard before.
    fn remember(&mut self, origin: Tag, sequence: u64) -> bool {
        let now = self.now;
        if self.bus.heard.len() >= HEARD_MAX && !self.bus.heard.contains_key(&origin) {
            let oldest = self.bus.heard.iter().min_by_key(|(_, (_, at))| *at).map(|(tag, _)| *tag);
            oldest.and_then(|tag| self.bus.heard.remove(&tag));
        }
        let last = self.bus.heard.entry(origin).or_insert((0, now));
        let is_new = sequence > last.0;
        *last = (last.0.max(sequence), now);
        is_new
    }

    /// Numbers a message of this node.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.bus.sequence += 1;
        self.bus.sequence
    }

    pub(crate) fn publish_to_node(&mut self, tag: Tag, payload: Vec<u8>, ticket: Option<u64>) {
        let Some(channels) = &self.config.cluster else { return };
        let channel = node_channel(&channels.prefix, tag);
        self.publish(channel, payload, ticket);
    }

    pub(crate) fn publish(&mut self, channel: String, payload: Vec<u8>, ticket: Option<u64>) {
        self.stats.bus_out += 1;
        self.outputs.push_back(Output::Publish(Publication { channel, payload, ticket }));
    }

    /// Waits for the receivers of `publications` publications to count.
    pub(crate) fn await_count(
        &mut self,
        ticket: u64,
        reply: Reply,
        expected: u64,
        publications: usize,
        is_unicast: bool,
    ) {
        let (unconfirmed, receivers, answers) = (publications, 0, 0);
        let mut count = Count { reply, expected, unconfirmed, receivers, answers, is_unicast, timer: None };
        let by = self.now + self.config.limits.ack_timeout;
        self.timers.set(TimerKind::Count(ticket), &mut count.timer, Some(by));
        self.bus.counts.insert(ticket, count);
        if let Some(key) = self.find_socket(reply.socket) {
            self.sockets[key].pending += 1;
        }
    }

    fn receivers_known(&mut self, ticket: u64, receivers: u32) {
        let Some(count) = self.bus.counts.get_mut(&ticket) else { return };
        count.unconfirmed = count.unconfirmed.saturating_sub(1);
        count.receivers += u64::from(receivers);
        if receivers == 0 && count.is_unicast {
            self.stats.drop("unknown_target");
        }
        self.finish_if_complete(ticket);
    }

    fn count_answered(&mut self, ticket: u64, answer: u64) {
        let Some(count) = self.bus.counts.get_mut(&ticket) else { return };
        count.answers += 1;
        count.expected = count.expected.saturating_add(answer);
        self.finish_if_complete(ticket);
    }

    fn finish_if_complete(&mut self, ticket: u64) {
        if self.bus.counts.get(&ticket).is_some_and(Count::is_complete) {
            self.finish_count(ticket, CountOutcome::Complete);
        }
    }

    fn publication_lost(&mut self, ticket: Option<u64>) {
        self.stats.drop("bus_lost");
        if let Some(ticket) = ticket {
            self.finish_count(ticket, CountOutcome::BusDown);
        }
    }

    pub(crate) fn count_due(&mut self, ticket: u64) {
        self.finish_count(ticket, CountOutcome::Timeout);
    }

    fn finish_count(&mut self, ticket: u64, outcome: CountOutcome) {
        let Some(mut count) = self.bus.counts.remove(&ticket) else { return };
        self.timers.set(TimerKind::Count(ticket), &mut count.timer, None);
        let (reply, expected) = (count.reply, count.expected);
        self.complete(reply, Completion::Counted { reply, expected, outcome });
    }

    /// Hands an answer to the application, unless the socket that waits for it is gone.
    pub(crate) fn complete(&mut self, reply: Reply, completion: Completion) {
        if let Some(key) = self.find_socket(reply.socket) {
            self.sockets[key].pending = self.sockets[key].pending.saturating_sub(1);
            self.completions.push(completion);
        }
    }

    pub(crate) fn beat_due(&mut self) {
        self.bus.beat = None;
        let payload = parcel::write_beat(self.now);
        self.publish_to_node(self.tag, payload, None);
        self.timers.set(TimerKind::Beat, &mut self.bus.beat, Some(self.now + BEAT_INTERVAL));
    }
}
