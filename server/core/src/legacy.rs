//! Servers of the old design in the same cluster: Node.js with `socket.io`, all subscribed to the public channel.
//!
//! A message for a socket that no moorline node has goes out once on the public channel, in the old form; whichever old
//! server has the socket delivers it. Whether a node has it is known from Redis: nobody listens on the channel of a node
//! that is none. What comes the other way is an ordinary message of a backend.
//!
//! Invariant: off unless configured; bounded per sender, since every old server hears every such message. Nobody
//! publishes again what it heard here.

use crate::{
    delivery::{Elsewhere, Outgoing, Target},
    ids::{SocketId, Tag},
    state::State,
    time::Time,
};
use alloc::{collections::BTreeSet, collections::VecDeque, format, vec::Vec};
use serde_json::value::RawValue;

/// How many messages may wait for Redis to say whether a node has their target.
const WAITING_MAX: usize = 4096;

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

/// What one sender may still send in the current second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowance {
    second: u64,
    used: usize,
}

impl Allowance {
    fn take(&mut self, now: Time, per_second_max: usize) -> bool {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            *self = Allowance { second, used: 0 };
        }
        self.used += 1;
        self.used <= per_second_max
    }
}

/// What goes out if nobody listens on a channel, for each channel of one message in the order they are published to.
pub(crate) type Waiting = VecDeque<Vec<Vec<u8>>>;

impl State {
    /// Remembers a message to ids that may belong to the old cluster. Returns whether Redis's word on it is awaited.
    pub(crate) fn note_legacy(
        &mut self,
        ticket: u64,
        outgoing: &Outgoing<'_>,
        elsewhere: &BTreeSet<Elsewhere<'_>>,
    ) -> bool {
        if !self.config.has_legacy_peers || self.bus.legacy.len() >= WAITING_MAX {
            return false;
        }
        let waiting: Waiting = elsewhere
            .iter()
            .map(|channel| match channel {
                Elsewhere::Node(tag) if !self.bus.heard.contains_key(tag) => {
                    self.write_legacy(*tag, outgoing)
                }
                _ => Vec::new(),
            })
            .collect();
        let is_awaited = waiting.iter().any(|payloads| !payloads.is_empty());
        if is_awaited {
            self.bus.legacy.insert(ticket, waiting);
        }
        is_awaited
    }

    /// The message in the old form, once for each target with this tag, as far as the sender's allowance goes.
    fn write_legacy(&mut self, tag: Tag, outgoing: &Outgoing<'_>) -> Vec<Vec<u8>> {
        let (now, max) = (self.now, self.config.limits.legacy_per_second_max);
        let Some(sender) = self.find_socket(outgoing.sender) else { return Vec::new() };
        let mut payloads = Vec::new();
        for target in outgoing.targets {
            let Target::Socket(id) = *target else { continue };
            if id.tag() != tag {
                continue;
            }
            if !outgoing.message.attachments().is_empty() {
                self.stats.drop("legacy_binary");
            } else if self.sockets[sender].legacy.take(now, max) {
                payloads.push(write(id, &outgoing.source));
            } else {
                self.stats.drop("legacy_rate");
            }
        }
        payloads
    }

    /// Redis said how many listened on the next of the message's channels.
    pub(crate) fn legacy_receivers_known(&mut self, ticket: u64, receivers: u32) {
        let Some(waiting) = self.bus.legacy.get_mut(&ticket) else { return };
        let payloads = waiting.pop_front().unwrap_or_default();
        if waiting.is_empty() {
            self.bus.legacy.remove(&ticket);
        }
        let public = self.config.cluster.as_ref().map(|channels| channels.public.clone());
        if let Some(public) = public.filter(|_| receivers == 0) {
            for payload in payloads {
                self.publish(public.clone(), payload, None);
            }
        }
    }

    pub(crate) fn forget_legacy(&mut self, ticket: u64) {
        self.bus.legacy.remove(&ticket);
    }
}

/// `response` is what an old server reads, `args` what a moorline node would.
fn write(socket: SocketId, source: &Source<'_>) -> Vec<u8> {
    let response = source.args.first().map_or("null", |arg| arg.get());
    let mut text = format!(
        "{{\"socketId\":\"{socket}\",\"event\":{},\"response\":{response},\"args\":[{}",
        source.name, source.from
    );
    for arg in source.args {
        text.push(',');
        text.push_str(arg.get());
    }
    text.push_str("]}");
    text.into_bytes()
}
