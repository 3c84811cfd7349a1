//! Servers of the old design in the same cluster: Node.js with `socket.io`, all subscribed to the public channel.
//!
//! Owns the messages that may be for them, and what each sender has used of its allowance. A message for a socket
//! that no moorline node has goes out once on the public channel, in the old form; the old server that has the socket
//! delivers it. Redis tells whether a node has it: nobody listens on the channel of a node that does not exist. A
//! message from an old server arrives as any message of a backend does. It never publishes; moves do.
//!
//! Invariant: bounded, and bounded per sender, since every old server receives every such message. Nobody publishes
//! again what it received here.

use crate::words::{ids::SocketId, numbers::Ticket, target::Source, time::Time};
use alloc::{collections::BTreeMap, collections::VecDeque, string::String, vec::Vec};

/// The most messages, and the most bytes of them, that may wait for Redis to say whether a node has their target.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 16 << 20;

/// Messages that may be for the old cluster.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    waiting: BTreeMap<Ticket, Waiting>,
    waiting_bytes: usize,
    /// The current second, and how much each sender sent to the old cluster in it.
    second: u64,
    used: BTreeMap<SocketId, usize>,
}

/// A message of which Redis has not said yet who listens on each of its channels.
#[derive(Debug)]
pub(crate) struct Waiting {
    sender: SocketId,
    /// The old form without its target; none for a message with attachments, which that form cannot carry.
    rest: Option<String>,
    /// For each channel, in the order they are published to, the targets that go out if nobody listens on it.
    channels: VecDeque<Vec<SocketId>>,
    /// Bytes that may still go out.
    bytes_left: usize,
}

impl Waiting {
    /// A message of `sender`. `channels` holds, for each channel it is published to, the targets that may be old ones.
    pub(crate) fn new(
        sender: SocketId,
        rest: Option<String>,
        channels: VecDeque<Vec<SocketId>>,
        bytes_max: usize,
    ) -> Waiting {
        Waiting { sender, rest, channels, bytes_left: bytes_max }
    }

    pub(crate) fn sender(&self) -> SocketId {
        self.sender
    }

    /// The old form without its target; none for a message with attachments.
    pub(crate) fn rest(&self) -> Option<&str> {
        self.rest.as_deref()
    }

    /// The targets on the next of its channels.
    pub(crate) fn next_channel(&mut self) -> Vec<SocketId> {
        self.channels.pop_front().unwrap_or_default()
    }

    /// Whether Redis has still to say who listens on a channel.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Takes one more copy from the bytes that may go out, and returns it; `None` when it is too large for the rest of
    /// them.
    pub(crate) fn spend(&mut self) -> Option<&str> {
        self.bytes_left = self.bytes_left.checked_sub(self.len_bytes())?;
        self.rest.as_deref()
    }

    fn len_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, String::len)
    }
}

impl Legacy {
    /// Counts one more message of this sender; returns whether it may go out.
    pub(crate) fn allow(&mut self, sender: SocketId, now: Time, per_second_max: usize) -> bool {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            self.second = second;
            self.used.clear();
        }
        let used = self.used.entry(sender).or_default();
        *used += 1;
        *used <= per_second_max
    }

    /// Lets a message wait; false when too much waits already.
    pub(crate) fn insert(&mut self, ticket: Ticket, waiting: Waiting) -> bool {
        let bytes = self.waiting_bytes + waiting.len_bytes();
        if self.waiting.len() >= WAITING_MAX || bytes > WAITING_BYTES_MAX {
            return false;
        }
        self.waiting_bytes = bytes;
        self.waiting.insert(ticket, waiting);
        true
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        self.waiting_bytes -= waiting.len_bytes();
        Some(waiting)
    }

    /// Panics when the bytes that wait do not add up.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let bytes: usize = self.waiting.values().map(Waiting::len_bytes).sum();
        assert_eq!(self.waiting_bytes, bytes, "the bytes that wait for Redis add up");
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }
}

/// The part of the old form that follows the target's id. An old server reads `response`, a moorline node `args`.
pub(crate) fn write_rest(source: &Source<'_>) -> String {
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

/// The old form of a message to this target.
pub(crate) fn write_message(target: SocketId, rest: &str) -> String {
    ["{\"socketId\":\"", target.text().as_str(), rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{boxed::Box, vec};
    use serde_json::value::RawValue;

    fn socket() -> SocketId {
        SocketId::parse("abcdefghijABCDEF-_09").unwrap()
    }

    fn waiting(bytes: usize) -> Waiting {
        let channels = VecDeque::from([vec![socket()]]);
        Waiting::new(socket(), Some("x".repeat(bytes)), channels, 100)
    }

    #[test]
    fn an_old_server_reads_the_first_argument_and_a_node_all_of_them() {
        let args: [Box<RawValue>; 2] = ["1", "[2]"].map(|json| serde_json::from_str(json).unwrap());
        let args = [&*args[0], &*args[1]];
        let source = Source { name: "\"e\"", from: "{}", args: &args };
        assert_eq!(
            write_message(socket(), &write_rest(&source)),
            r#"{"socketId":"abcdefghijABCDEF-_09","event":"e","response":1,"args":[{},1,[2]]}"#
        );
        let source = Source { args: &[], ..source };
        assert!(write_rest(&source).ends_with(r#""response":null,"args":[{}]}"#));
    }

    #[test]
    fn a_sender_has_an_allowance_for_each_second() {
        let (mut legacy, second) = (Legacy::default(), Time::from_micros(1_000_000));
        let allowed = [Time::ZERO, Time::ZERO, Time::ZERO, second].map(|now| legacy.allow(socket(), now, 2));
        assert_eq!(allowed, [true, true, false, true]);
    }

    #[test]
    fn a_message_goes_out_as_often_as_its_bytes_allow() {
        let mut waiting = waiting(40);
        assert_eq!([(); 3].map(|()| waiting.spend().is_some()), [true, true, false]);
        assert!(waiting.is_waiting() && waiting.next_channel() == [socket()] && !waiting.is_waiting());
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_bytes() {
        let mut legacy = Legacy::default();
        assert!(legacy.insert(Ticket::new(1), waiting(WAITING_BYTES_MAX)));
        assert!(!legacy.insert(Ticket::new(2), waiting(1)));
        assert!(legacy.remove(Ticket::new(1)).is_some() && legacy.remove(Ticket::new(1)).is_none());
        assert!((0..4096).all(|number| legacy.insert(Ticket::new(number), waiting(1))));
        assert!(!legacy.insert(Ticket::new(5000), waiting(0)));
        legacy.clear();
        assert!(legacy.insert(Ticket::new(5000), waiting(1)));
        assert_eq!(legacy.waiting_bytes, 1);
    }
}
