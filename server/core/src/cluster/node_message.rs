//! Messages between nodes: one line of head, then the finished packet.
//!
//! Owns their form. The packet travels as the sender encoded it, so a receiving node wraps it into a frame and never
//! builds it again. The head is a word and JSON, readable in `redis-cli`; the word is the version, so a future form
//! can stand beside it. It never sends or receives anything.
//!
//! Each node counts what one socket asks of its clients, so `ask1` names the socket that asks. Its head has no place
//! for that, and older nodes read it strictly: the name travels as one more target at the end, `@from:` and the id. To
//! an older node it is a room without members, since no client can join a room whose name starts with `@`. An `ask1`
//! without it comes from such a node.
//!
//! Invariant: what one node writes, every node of the same version reads back; anything else is `None`, never a panic.

use crate::words::{
    ids::{NodeTag, SocketId},
    message,
    numbers::{ChannelSequence, Sequence, Ticket},
    target::{Target, Wants},
    time::Time,
};
use alloc::{format, string::String, string::ToString, vec::Vec};
use moorline_protocol::{Frame, json};

/// The start of the target that names the socket that asks.
const FROM: &str = "@from:";

/// A parsed message from the channel of this node or of a room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NodeMessage<'a> {
    Message(Message<'a>),
    /// So many recipients were on the answering node.
    Count {
        ticket: Ticket,
        count: u64,
    },
    /// Recipients on the answering node are behind with reading. Its count follows; a node that does not know this word
    /// counts all the same.
    Busy {
        ticket: Ticket,
    },
    /// A recipient's acknowledgement; empty JSON for one that only counts.
    Ack {
        ticket: Ticket,
        json: &'a str,
        attachments: Vec<&'a [u8]>,
    },
    /// So many recipients went away before they answered.
    Left {
        ticket: Ticket,
        count: u64,
    },
    /// Our own message, to see how long it took.
    Canary {
        sent: Time,
    },
}

/// A message for sockets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) origin: NodeTag,
    /// The origin's number for it, also the ticket of its count.
    pub(crate) sequence: Sequence,
    /// The origin's number for it on this channel, so that a gap shows.
    pub(crate) channel_sequence: ChannelSequence,
    /// The answer that the origin wants, if any.
    pub(crate) wants: Option<Wants>,
    /// The socket of the origin that asks for acknowledgements, if the origin names it.
    pub(crate) asker: Option<SocketId>,
    pub(crate) namespace: String,
    pub(crate) targets: Vec<String>,
    /// The Socket.IO packet.
    pub(crate) packet: &'a str,
    pub(crate) attachments: Vec<&'a [u8]>,
}

impl Message<'_> {
    /// The same as a request for acknowledgements, whose last target may name the socket that asks.
    fn into_request(mut self) -> Self {
        self.wants = Some(Wants::Responses);
        let last = self.targets.last();
        self.asker = last.and_then(|last| SocketId::parse(last.strip_prefix(FROM)?));
        // Acknowledgements go to the origin: it names one of its own.
        self.asker = self.asker.filter(|id| id.tag() == self.origin);
        if self.asker.is_some() {
            self.targets.pop();
        }
        self
    }
}

/// The head of a message that is to be written.
pub(crate) struct Head<'a> {
    pub(crate) origin: NodeTag,
    pub(crate) sequence: Sequence,
    pub(crate) channel_sequence: ChannelSequence,
    pub(crate) wants: Option<Wants>,
    /// The socket that waits for the answer, which `ask1` names.
    pub(crate) asker: Option<SocketId>,
    pub(crate) namespace: &'a str,
    pub(crate) targets: &'a [Target<'a>],
}

/// Writes a message: the head, then the packet (without its Engine.IO type digit), then its attachments as they are.
pub(crate) fn write_message(head: &Head<'_>, message: &message::Message) -> Vec<u8> {
    let packet = message.frame().as_packet().get(1..).unwrap_or_default();
    let mut out = Vec::with_capacity(96 + message.len_bytes() + head.targets.len() * 24);
    let is_ask = head.wants == Some(Wants::Responses);
    out.extend_from_slice(if is_ask { b"ask1 [\"" } else { b"to1 [\"" });
    out.extend_from_slice(head.origin.to_string().as_bytes());
    out.extend_from_slice(b"\",");
    json::push_number(&mut out, head.sequence.number());
    out.push(b',');
    json::push_number(&mut out, head.channel_sequence.number());
    out.extend_from_slice(if head.wants.is_none() { b",false," } else { b",true," });
    json::push_string(&mut out, head.namespace);
    out.push(b',');
    let from = head.asker.filter(|_| is_ask).map(|id| [FROM, id.text().as_str()].concat());
    let from = from.as_deref().map(Target::Room);
    push_list(&mut out, head.targets.iter().chain(&from), |out, target| match target {
        Target::Socket(id) => json::push_string(out, id.text().as_str()),
        Target::Room(name) => json::push_string(out, name),
    });
    out.push(b',');
    push_body(&mut out, packet, message.attachments());
    out
}

/// Ends the head with the sizes of the attachments, then writes the text and the attachments.
fn push_body(out: &mut Vec<u8>, text: &[u8], attachments: &[Frame]) {
    push_list(out, attachments, |out, attachment| {
        json::push_number(out, attachment.as_packet().len() as u64);
    });
    out.extend_from_slice(b"]\n");
    out.extend_from_slice(text);
    for attachment in attachments {
        out.extend_from_slice(attachment.as_packet());
    }
}

fn push_list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, push: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    json::push_separated(out, b",", items, push);
    out.push(b']');
}

pub(crate) fn write_count(ticket: Ticket, count: u64) -> Vec<u8> {
    format!("count1 [{},{count}]\n", ticket.number()).into_bytes()
}

pub(crate) fn write_busy(ticket: Ticket) -> Vec<u8> {
    format!("busy1 {}\n", ticket.number()).into_bytes()
}

pub(crate) fn write_ack(ticket: Ticket, json: &str, attachments: &[Frame]) -> Vec<u8> {
    let mut out = Vec::with_capacity(48 + json.len());
    out.extend_from_slice(b"answer1 [");
    json::push_number(&mut out, ticket.number());
    out.push(b',');
    push_body(&mut out, json.as_bytes(), attachments);
    out
}

pub(crate) fn write_left(ticket: Ticket, count: u64) -> Vec<u8> {
    format!("left1 [{},{count}]\n", ticket.number()).into_bytes()
}

pub(crate) fn write_canary(sent: Time) -> Vec<u8> {
    format!("beat1 {}\n", sent.as_micros()).into_bytes()
}

/// Reads a message that another node, or this one, wrote.
pub(crate) fn parse(payload: &[u8]) -> Option<NodeMessage<'_>> {
    let end = payload.iter().position(|byte| *byte == b'\n')?;
    let (word, head) = core::str::from_utf8(&payload[..end]).ok()?.split_once(' ')?;
    match word {
        "to1" => parse_message(head, &payload[end + 1..]).map(NodeMessage::Message),
        "ask1" => {
            let message = parse_message(head, &payload[end + 1..])?;
            Some(NodeMessage::Message(message.into_request()))
        }
        "count1" => {
            let (ticket, count) = serde_json::from_str(head).ok()?;
            Some(NodeMessage::Count { ticket: Ticket::new(ticket), count })
        }
        "busy1" => Some(NodeMessage::Busy { ticket: Ticket::new(head.parse().ok()?) }),
        "answer1" => {
            let (ticket, sizes): (u64, Vec<usize>) = serde_json::from_str(head).ok()?;
            let (json, attachments) = split_body(&payload[end + 1..], &sizes)?;
            Some(NodeMessage::Ack { ticket: Ticket::new(ticket), json, attachments })
        }
        "left1" => {
            let (ticket, count) = serde_json::from_str(head).ok()?;
            Some(NodeMessage::Left { ticket: Ticket::new(ticket), count })
        }
        "beat1" => Some(NodeMessage::Canary { sent: Time::from_micros(head.parse().ok()?) }),
        _ => None,
    }
}

/// The head as JSON: origin, sequence, channel sequence, whether it is counted, namespace, targets, attachment sizes.
type JsonHead<'a> = (&'a str, u64, u64, bool, String, Vec<String>, Vec<usize>);

fn parse_message<'a>(head: &str, body: &'a [u8]) -> Option<Message<'a>> {
    let (origin, sequence, channel_sequence, is_counted, namespace, targets, sizes): JsonHead<'_> =
        serde_json::from_str(head).ok()?;
    let (packet, attachments) = split_body(body, &sizes)?;
    let origin = NodeTag::parse(origin)?;
    let (wants, asker) = (is_counted.then_some(Wants::Count), None);
    let (sequence, channel_sequence) = (Sequence::new(sequence), ChannelSequence::new(channel_sequence));
    Some(Message {
        origin,
        sequence,
        channel_sequence,
        wants,
        asker,
        namespace,
        targets,
        packet,
        attachments,
    })
}

/// The text of a body, and the attachments of these sizes behind it.
fn split_body<'a>(body: &'a [u8], sizes: &[usize]) -> Option<(&'a str, Vec<&'a [u8]>)> {
    let attachment_bytes = sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(*size))?;
    let (text, mut rest) = body.split_at_checked(body.len().checked_sub(attachment_bytes)?)?;
    let attachments = sizes.iter().map(|size| rest.split_off(..*size)).collect::<Option<_>>()?;
    Some((core::str::from_utf8(text).ok()?, attachments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rights::names::check_room_name, words::code::Code, words::config::Limits};
    use alloc::vec;
    use moorline_protocol::engine;

    fn sample(targets: &[Target<'_>]) -> Vec<u8> {
        written(targets, Wants::Count, None)
    }

    fn written(targets: &[Target<'_>], wants: Wants, asker: Option<SocketId>) -> Vec<u8> {
        let head = Head {
            origin: asker.map_or(NodeTag::parse("00c0ffee").unwrap(), SocketId::tag),
            sequence: Sequence::new(7),
            channel_sequence: ChannelSequence::new(3),
            wants: Some(wants),
            asker,
            namespace: "/admin",
            targets,
        };
        let frame = engine::message("2/admin,[\"e\",\"a\\nb\"]");
        write_message(
            &head,
            &message::Message::new(frame, vec![Frame::binary(b"\n\xff"), Frame::binary(b"")]),
        )
    }

    #[test]
    fn a_message_reads_back() {
        let id = SocketId::parse("abcdefghijABCDEF-_09").unwrap();
        let bytes = sample(&[Target::Socket(id), Target::Room("a \"b\"\n,c")]);
        let Some(NodeMessage::Message(message)) = parse(&bytes) else { panic!("not a message") };
        assert_eq!(
            (
                message.origin.to_string().as_str(),
                message.sequence.number(),
                message.channel_sequence.number()
            ),
            ("00c0ffee", 7, 3)
        );
        assert_eq!((message.wants, message.namespace.as_str()), (Some(Wants::Count), "/admin"));
        assert_eq!(message.targets, ["abcdefghijABCDEF-_09", "a \"b\"\n,c"]);
        assert_eq!(message.packet, "2/admin,[\"e\",\"a\\nb\"]");
        assert_eq!(message.attachments, [&b"\n\xff"[..], b""]);
        assert_eq!(Target::parse(&message.targets[0]), Target::Socket(id));
    }

    fn message(bytes: &[u8]) -> Message<'_> {
        let Some(NodeMessage::Message(message)) = parse(bytes) else { panic!("not a message") };
        message
    }

    #[test]
    fn a_request_for_acknowledgements_reads_back_with_the_socket_that_asks() {
        let id = SocketId::parse("abcdefghijABCDEF-_09").unwrap();
        for targets in [&[Target::Room("r"), Target::Socket(id)][..], &[]] {
            let bytes = written(targets, Wants::Responses, Some(id));
            let read = message(&bytes);
            assert_eq!((read.wants, read.asker), (Some(Wants::Responses), Some(id)));
            assert!(read.targets.iter().map(|text| Target::parse(text)).eq(targets.iter().copied()));
        }
        let counted = written(&[], Wants::Count, Some(id));
        assert!(counted.starts_with(b"to1 [") && message(&counted).targets.is_empty());
    }

    #[test]
    fn a_request_of_an_older_node_names_nobody_and_only_the_origins_own_sockets_are_believed() {
        let request = [b"ask", &sample(&[Target::Room("r")])[2..]].concat();
        assert_eq!((message(&request).wants, message(&request).asker), (Some(Wants::Responses), None));
        for name in ["@from:", "@from:abcdefghijABCDEF-_09", "@from:r", "abcdefghijABCDEF-_09"] {
            let request = [b"ask", &sample(&[Target::Room(name)])[2..]].concat();
            assert_eq!(
                (message(&request).asker, message(&request).targets.as_slice()),
                (None, &[name.into()][..])
            );
        }
    }

    #[test]
    fn to_an_older_node_the_socket_that_asks_is_a_room_that_nobody_can_join() {
        let name = "@from:abcdefghijABCDEF-_09";
        assert_eq!(Target::parse(name), Target::Room(name));
        assert_eq!(check_room_name(name, &Limits::default()), Err(Code::BadRoom));
    }

    #[test]
    fn acknowledgements_counts_and_canaries_read_back() {
        let ticket = Ticket::new(7);
        let attachments = [Frame::binary(b"a"), Frame::binary(b"\n")];
        assert_eq!(
            parse(&write_ack(ticket, "{}", &attachments)),
            Some(NodeMessage::Ack { ticket, json: "{}", attachments: vec![b"a", b"\n"] })
        );
        let bare = Some(NodeMessage::Ack { ticket, json: "", attachments: Vec::new() });
        assert_eq!(parse(&write_ack(ticket, "", &[])), bare);
        assert_eq!(parse(&write_left(ticket, 3)), Some(NodeMessage::Left { ticket, count: 3 }));
        assert_eq!(parse(&write_count(ticket, 3)), Some(NodeMessage::Count { ticket, count: 3 }));
        let sent = Time::from_micros(99);
        assert_eq!(parse(&write_canary(sent)), Some(NodeMessage::Canary { sent }));
    }

    #[test]
    fn anything_cut_short_or_strange_is_refused() {
        let bytes = sample(&[Target::Room("r")]);
        let head = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        for cut in 0..=head {
            assert_eq!(parse(&bytes[..cut]), None, "cut at {cut}");
        }
        for text in [
            "",
            "\n",
            "to1\n",
            "to1 []\n",
            "to2 [\"00c0ffee\",1,1,true,\"/\",[]]\n2",
            "count1 [1]\n",
            "left1 [1]\n",
            "answer1 [1]\n",
            "answer1 [1,[9]]\n12345678",
            "\u{0}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse(b"\xff\xfe \n"), None);
    }
}
