//! Servers of the old design in the same cluster: Node.js with `socket.io`, all subscribed to the public channel.
//!
//! A message for a socket that no moorline node has goes out once on the public channel, in the old form; whichever old
//! server has the socket delivers it. Whether a node has it is known from Redis: nobody listens on the channel of a node
//! that is none. What comes the other way is an ordinary message of a backend.
//!
//! Invariant: off unless configured; bounded per sender, since every old server hears every such message. Nobody
//! publishes again what it heard here.

use crate::{
    DropCause,
    delivery::{Elsewhere, Outgoing, Target},
    ids::SocketId,
    state::State,
    time::Time,
};
use alloc::{collections::BTreeMap, collections::BTreeSet, collections::VecDeque, string::String, vec::Vec};
use serde_json::value::RawValue;

/// How many messages may wait for Redis to say whether a node has their target, and how many bytes of them.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 16 << 20;

/// The parts an event was encoded from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The name, as a JSON string.
    pub name: &'a str,
    /// What the relay puts first among the arguments, as JSON.
    pub from: &'a str,
    /// The sender's own arguments, as JSON.
    pub args: &'a [&'a RawValue],
}

/// Messages that may be for the old cluster.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    waiting: BTreeMap<u64, Waiting>,
    waiting_bytes: usize,
    /// The current second, and what each sender sent to the old cluster in it.
    second: u64,
    used: BTreeMap<SocketId, usize>,
}

/// A message of which Redis has not said yet who listens on each of its channels.
#[derive(Debug)]
struct Waiting {
    sender: SocketId,
    /// The old form without its target; none for a message with attachments, which that form cannot carry.
    rest: Option<String>,
    /// For each channel, in the order they are published to, the targets that go out if nobody listens on it.
    channels: VecDeque<Vec<SocketId>>,
    /// What may still go out, in bytes.
    bytes_left: usize,
}

impl Waiting {
    fn len_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, String::len)
    }
}

impl Legacy {
    /// Counts one more message of this sender; returns whether it may go out.
    fn allow(&mut self, sender: SocketId, now: Time, per_second_max: usize) -> bool {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            self.second = second;
            self.used.clear();
        }
        let used = self.used.entry(sender).or_default();
        *used += 1;
        *used <= per_second_max
    }

    fn insert(&mut self, ticket: u64, waiting: Waiting) {
        self.waiting_bytes += waiting.len_bytes();
        self.waiting.insert(ticket, waiting);
    }

    fn remove(&mut self, ticket: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        self.waiting_bytes -= waiting.len_bytes();
        Some(waiting)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.waiting.len() < WAITING_MAX && self.waiting_bytes + bytes <= WAITING_BYTES_MAX
    }
}

impl State {
    /// Remembers a message to ids that may belong to the old cluster. Returns whether Redis's word on it is awaited.
    pub(crate) fn note_legacy(
        &mut self,
        ticket: u64,
        outgoing: &Outgoing<'_>,
        elsewhere: &BTreeSet<Elsewhere<'_>>,
    ) -> bool {
        let (Some(source), Some(sender)) = (&outgoing.source, outgoing.sender) else { return false };
        if !self.config.has_legacy_peers {
            return false;
        }
        let strangers = |channel: &Elsewhere<'_>| match channel {
            Elsewhere::Node(tag) if !self.bus.heard.contains_key(tag) => {
                let is_there = |target: &Target<'_>| match *target {
                    Target::Socket(id) if id.tag() == *tag => Some(id),
                    _ => None,
                };
                outgoing.targets.iter().filter_map(is_there).collect()
            }
            _ => Vec::new(),
        };
        let channels: VecDeque<Vec<SocketId>> = elsewhere.iter().map(strangers).collect();
        if channels.iter().all(Vec::is_empty) {
            return false;
        }
        let rest = outgoing.message.attachments().is_empty().then(|| write_rest(source));
        let bytes_left = self.config.limits.fanout_bytes_max;
        let waiting = Waiting { sender, rest, channels, bytes_left };
        if !self.bus.legacy.has_room(waiting.len_bytes()) {
            self.stats.drop(DropCause::LegacyBusy);
            return false;
        }
        self.bus.legacy.insert(ticket, waiting);
        true
    }

    /// Redis said how many listened on the next of the message's channels.
    pub(crate) fn legacy_receivers_known(&mut self, ticket: u64, receivers: u32) {
        let Some(mut waiting) = self.bus.legacy.remove(ticket) else { return };
        let targets = waiting.channels.pop_front().unwrap_or_default();
        if receivers == 0 {
            self.publish_legacy(&mut waiting, &targets);
        } else if let Some(id) = targets.first() {
            // A node listens there: its sockets are not the old cluster's, now or later.
            self.remember(id.tag(), 0);
        }
        if !waiting.channels.is_empty() {
            self.bus.legacy.insert(ticket, waiting);
        }
    }

    /// Sends a message to each target in the old form, as far as the sender's allowance and the bound on one message go.
    fn publish_legacy(&mut self, waiting: &mut Waiting, targets: &[SocketId]) {
        let (now, max) = (self.now, self.config.limits.legacy_per_second_max);
        let Some(public) = self.config.cluster.as_ref().map(|channels| channels.public.clone()) else {
            return;
        };
        for target in targets {
            let Some(rest) = &waiting.rest else {
                self.stats.drop(DropCause::LegacyBinary);
                continue;
            };
            if !self.bus.legacy.allow(waiting.sender, now, max) {
                self.stats.drop(DropCause::LegacyRate);
            } else if rest.len() > waiting.bytes_left {
                self.stats.drop(DropCause::LegacySize);
            } else {
                waiting.bytes_left -= rest.len();
                let payload = ["{\"socketId\":\"", target.text().as_str(), rest].concat();
                self.publish(public.clone(), payload.into_bytes(), None);
            }
        }
    }

    pub(crate) fn forget_legacy(&mut self, ticket: u64) {
        self.bus.legacy.remove(ticket);
    }

    /// The bus is away: what waited for its word is as lost as the rest.
    pub(crate) fn bus_left_legacy(&mut self) {
        self.bus.legacy.waiting.clear();
        self.bus.legacy.waiting_bytes = 0;
    }
}

/// The old form behind the target's id. `response` is what an old server reads, `args` what a moorline node would.
fn write_rest(source: &Source<'_>) -> String {
    let response = source.args.first().map_or("null", |arg| arg.get());
    let parts = ["\",\"event\":", source.name, ",\"response\":", response, ",\"args\":[", source.from];
    let mut text = parts.concat();
    for arg in source.args {
        text.push(',');
        text.push_str(arg.get());
    }
    text.push_str("]}");
    text
}
