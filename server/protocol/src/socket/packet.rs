//! The Socket.IO packet grammar: `<type>[<attachments>-][<namespace>,][<ack id>][JSON]`.
//!
//! Decoding checks the outermost shape of the payload (an object to connect, an array for an event); the JSON inside
//! is for the caller, who knows what to do with it.

use crate::{DecodeError, Frame, json};
use alloc::{vec, vec::Vec};

/// The largest acknowledgement id a client may use: the largest integer JavaScript counts exactly.
pub const ACK_ID_MAX: u64 = (1 << 53) - 1;

/// The kind of a packet that a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `0`: join a namespace, optionally with an auth object.
    Connect,
    /// `1`: leave a namespace.
    Disconnect,
    /// `2`: an event, an array whose first item is its name.
    Event,
    /// `3`: the answer to an event, an array.
    Ack,
    /// `4`: a namespace was refused.
    ConnectError,
    /// `5`: an event with this many binary attachments following.
    BinaryEvent {
        /// How many binary frames follow.
        attachments: u32,
    },
    /// `6`: an answer with this many binary attachments following.
    BinaryAck {
        /// How many binary frames follow.
        attachments: u32,
    },
}

/// A decoded packet; everything borrows from the message it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The kind of packet.
    pub kind: Kind,
    /// The namespace without any `?query`; `/` when the packet names none.
    pub namespace: &'a str,
    /// The sender's id for an acknowledgement.
    pub ack: Option<u64>,
    /// The JSON payload, unparsed; empty when there is none.
    pub data: &'a str,
}

/// Decodes one packet.
///
/// # Errors
/// Any break of the grammar; the connection it came on must be closed.
pub fn decode(text: &str) -> Result<Packet<'_>, DecodeError> {
    let mut rest = text;
    let kind = take_kind(&mut rest)?;
    let namespace = take_namespace(&mut rest);
    let ack = take_ack(&mut rest)?;
    let packet = Packet { kind, namespace, ack, data: rest };
    if has_fitting_payload(&packet) { Ok(packet) } else { Err(DecodeError::BadPayload) }
}

fn take_kind(rest: &mut &str) -> Result<Kind, DecodeError> {
    let digit = rest.bytes().next().ok_or(DecodeError::Empty)?;
    *rest = rest.get(1..).ok_or(DecodeError::UnknownType)?;
    match digit {
        b'0' => Ok(Kind::Connect),
        b'1' => Ok(Kind::Disconnect),
        b'2' => Ok(Kind::Event),
        b'3' => Ok(Kind::Ack),
        b'4' => Ok(Kind::ConnectError),
        b'5' => Ok(Kind::BinaryEvent { attachments: take_attachments(rest)? }),
        b'6' => Ok(Kind::BinaryAck { attachments: take_attachments(rest)? }),
        _ => Err(DecodeError::UnknownType),
    }
}

fn take_attachments(rest: &mut &str) -> Result<u32, DecodeError> {
    let (digits, after) = rest.split_once('-').ok_or(DecodeError::BadAttachments)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecodeError::BadAttachments);
    }
    *rest = after;
    digits.parse().map_err(|_| DecodeError::BadAttachments)
}

/// The comma may be missing when nothing follows the namespace; old clients append their query to it.
fn take_namespace<'a>(rest: &mut &'a str) -> &'a str {
    if !rest.starts_with('/') {
        return "/";
    }
    let (namespace, after) = rest.split_once(',').unwrap_or((rest, ""));
    *rest = after;
    namespace.split_once('?').map_or(namespace, |(name, _query)| name)
}

fn take_ack(rest: &mut &str) -> Result<Option<u64>, DecodeError> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok(None);
    }
    let (id, after) = rest.split_at_checked(digits).unwrap_or((rest, ""));
    let id = id.parse().ok().filter(|&id| id <= ACK_ID_MAX).ok_or(DecodeError::BadAckId)?;
    *rest = after;
    Ok(Some(id))
}

fn has_fitting_payload(packet: &Packet<'_>) -> bool {
    let data = packet.data;
    match packet.kind {
        Kind::Connect => packet.ack.is_none() && (data.is_empty() || data.starts_with('{')),
        Kind::Disconnect => packet.ack.is_none() && data.is_empty(),
        Kind::Event | Kind::BinaryEvent { .. } => data.starts_with('['),
        Kind::Ack | Kind::BinaryAck { .. } => packet.ack.is_some() && data.starts_with('['),
        Kind::ConnectError => data.starts_with('{') || data.starts_with('"'),
    }
}

/// Encodes a CONNECT; `auth` is a JSON object, or empty.
pub fn connect(namespace: &str, auth: &str) -> Frame {
    Frame::text(16 + namespace.len() + auth.len(), |out| {
        push_head(out, b"40", namespace, None);
        out.extend_from_slice(auth.as_bytes());
    })
}

/// Encodes the answer to a CONNECT: the socket id and nothing else.
pub fn connected(namespace: &str, socket_id: &str) -> Frame {
    Frame::text(64, |out| {
        push_head(out, b"40", namespace, None);
        out.extend_from_slice(b"{\"sid\":");
        json::push_string(out, socket_id);
        out.push(b'}');
    })
}

/// Encodes a refused CONNECT. `data` is JSON for the client's `err.data`, or empty.
pub fn connect_error(namespace: &str, message: &str, data: &str) -> Frame {
    Frame::text(64 + message.len() + data.len(), |out| {
        push_head(out, b"44", namespace, None);
        out.extend_from_slice(b"{\"message\":");
        json::push_string(out, message);
        if !data.is_empty() {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data.as_bytes());
        }
        out.push(b'}');
    })
}

/// Encodes a DISCONNECT. A stock client does not come back after one: never use it to shed load.
pub fn disconnect(namespace: &str) -> Frame {
    Frame::text(64, |out| push_head(out, b"41", namespace, None))
}

/// The head of an event or an acknowledgement: everything but its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The id of the acknowledgement: the one wanted, or the one given.
    pub ack: Option<u64>,
    /// How many attachments follow.
    pub attachments: usize,
}

/// Encodes an event from its finished JSON parts: the name as a JSON string, then each argument.
pub fn event<'a>(envelope: Envelope<'_>, name: &str, args: impl Iterator<Item = &'a str> + Clone) -> Frame {
    let arg_bytes: usize = args.clone().map(|arg| arg.len() + 1).sum();
    Frame::text(48 + envelope.namespace.len() + name.len() + arg_bytes, |out| {
        push_envelope(out, *b"25", envelope);
        out.push(b'[');
        out.extend_from_slice(name.as_bytes());
        for arg in args {
            out.push(b',');
            out.extend_from_slice(arg.as_bytes());
        }
        out.push(b']');
    })
}

/// Encodes an encoded event once more, with the id under which it is to be acknowledged. `packet` is an event without
/// one, as [`event`] wrote it, without its Engine.IO type.
pub fn with_ack(packet: &str, ack: u64) -> Frame {
    let mut rest = packet;
    // A packet that cannot be read has no head to keep: the id goes in front of everything.
    if take_kind(&mut rest).is_ok() {
        take_namespace(&mut rest);
    }
    let head = &packet[..packet.len() - rest.len()];
    Frame::text(packet.len() + 12, |out| {
        out.push(b'4');
        out.extend_from_slice(head.as_bytes());
        json::push_number(out, ack);
        out.extend_from_slice(rest.as_bytes());
    })
}

/// Encodes an acknowledgement; `args` is the JSON of its arguments, joined by commas.
pub fn ack(envelope: Envelope<'_>, args: &str) -> Frame {
    Frame::text(48 + envelope.namespace.len() + args.len(), |out| {
        push_envelope(out, *b"36", envelope);
        out.push(b'[');
        out.extend_from_slice(args.as_bytes());
        out.push(b']');
    })
}

/// `kinds` are the plain packet type and the one with attachments.
fn push_envelope(out: &mut Vec<u8>, kinds: [u8; 2], envelope: Envelope<'_>) {
    let Envelope { namespace, ack, attachments } = envelope;
    if attachments == 0 {
        return push_head(out, &[b'4', kinds[0]], namespace, ack);
    }
    let mut start = vec![b'4', kinds[1]];
    json::push_number(&mut start, attachments as u64);
    start.push(b'-');
    push_head(out, &start, namespace, ack);
}

fn push_head(out: &mut Vec<u8>, start: &[u8], namespace: &str, ack: Option<u64>) {
    out.extend_from_slice(start);
    if namespace != "/" {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = ack {
        json::push_number(out, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    const VECTORS: [(&str, Kind, &str, Option<u64>, &str); 18] = [
        ("0", Kind::Connect, "/", None, ""),
        (r#"0{"token":"x"}"#, Kind::Connect, "/", None, r#"{"token":"x"}"#),
        (r#"0/admin,{"t":1}"#, Kind::Connect, "/admin", None, r#"{"t":1}"#),
        ("0/custom", Kind::Connect, "/custom", None, ""),
        ("0/custom,", Kind::Connect, "/custom", None, ""),
        (r#"0/custom?a=b,{"t":1}"#, Kind::Connect, "/custom", None, r#"{"t":1}"#),
        ("1", Kind::Disconnect, "/", None, ""),
        ("1/custom", Kind::Disconnect, "/custom", None, ""),
        ("1/custom,", Kind::Disconnect, "/custom", None, ""),
        (r#"2["ev"]"#, Kind::Event, "/", None, r#"["ev"]"#),
        (r#"212["ev"]"#, Kind::Event, "/", Some(12), r#"["ev"]"#),
        (r#"2/admin,456["ev",{"é":[1]}]"#, Kind::Event, "/admin", Some(456), r#"["ev",{"é":[1]}]"#),
        ("29007199254740991[1]", Kind::Event, "/", Some(ACK_ID_MAX), "[1]"),
        (r#"312["ok"]"#, Kind::Ack, "/", Some(12), r#"["ok"]"#),
        ("3/admin,0[]", Kind::Ack, "/admin", Some(0), "[]"),
        (r#"4{"message":"no"}"#, Kind::ConnectError, "/", None, r#"{"message":"no"}"#),
        (r#"52-/x,7["m"]"#, Kind::BinaryEvent { attachments: 2 }, "/x", Some(7), r#"["m"]"#),
        (r#"61-1["ok"]"#, Kind::BinaryAck { attachments: 1 }, "/", Some(1), r#"["ok"]"#),
    ];

    #[test]
    fn vectors_decode() {
        for (text, kind, namespace, ack, data) in VECTORS {
            assert_eq!(decode(text), Ok(Packet { kind, namespace, ack, data }), "{text}");
        }
    }

    #[test]
    fn a_vector_cut_at_any_byte_is_refused_or_is_another_packet() {
        for (text, ..) in VECTORS {
            for cut in (0..text.len()).filter(|&cut| text.is_char_boundary(cut)) {
                if let Ok(packet) = decode(&text[..cut]) {
                    assert!(
                        text.starts_with(packet.data) || text[..cut].ends_with(packet.data),
                        "{text} at {cut}"
                    );
                    assert!(has_fitting_payload(&packet));
                }
            }
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused_by_kind() {
        for (text, error) in [
            ("", DecodeError::Empty),
            ("7", DecodeError::UnknownType),
            ("é", DecodeError::UnknownType),
            ("0[]", DecodeError::BadPayload),
            ("01", DecodeError::BadPayload),
            ("1{}", DecodeError::BadPayload),
            ("2", DecodeError::BadPayload),
            ("2{}", DecodeError::BadPayload),
            ("2\"ev\"", DecodeError::BadPayload),
            ("3[]", DecodeError::BadPayload),
            ("31", DecodeError::BadPayload),
            ("5[\"m\"]", DecodeError::BadAttachments),
            ("5-[\"m\"]", DecodeError::BadAttachments),
            ("5+1-[\"m\"]", DecodeError::BadAttachments),
            ("599999999999-[\"m\"]", DecodeError::BadAttachments),
            ("29007199254740992[1]", DecodeError::BadAckId),
            ("299999999999999999999999[1]", DecodeError::BadAckId),
        ] {
            assert_eq!(decode(text), Err(error), "{text}");
        }
    }

    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.as_packet().into()).unwrap()
    }

    #[test]
    fn encoders_write_what_the_reference_writes() {
        assert_eq!(text(&connect("/", "")), "40");
        assert_eq!(text(&connect("/admin", r#"{"t":1}"#)), r#"40/admin,{"t":1}"#);
        assert_eq!(text(&connected("/", "abc")), r#"40{"sid":"abc"}"#);
        assert_eq!(text(&connected("/admin", "abc")), r#"40/admin,{"sid":"abc"}"#);
        assert_eq!(
            text(&connect_error("/x", "Invalid namespace", "")),
            r#"44/x,{"message":"Invalid namespace"}"#
        );
        assert_eq!(text(&connect_error("/", "no", "{\"a\":1}")), r#"44{"message":"no","data":{"a":1}}"#);
        assert_eq!(text(&disconnect("/")), "41");
        assert_eq!(text(&disconnect("/x")), "41/x,");
        let envelope = |namespace, ack, attachments| Envelope { namespace, ack, attachments };
        let args = ["1", "{}"].into_iter();
        assert_eq!(text(&event(envelope("/", None, 0), "\"ev\"", args.clone())), r#"42["ev",1,{}]"#);
        assert_eq!(text(&event(envelope("/x", Some(3), 2), "\"ev\"", args)), r#"452-/x,3["ev",1,{}]"#);
        assert_eq!(text(&ack(envelope("/x", Some(7), 0), "1,2")), "43/x,7[1,2]");
        assert_eq!(text(&ack(envelope("/", Some(7), 1), "1")), "461-7[1]");
    }

    #[test]
    fn an_event_is_asked_for_under_an_id_and_stays_the_same_otherwise() {
        for (packet, asked) in [
            (r#"2["ev",1]"#, r#"427["ev",1]"#),
            (r#"2/admin,["ev","/x,1"]"#, r#"42/admin,7["ev","/x,1"]"#),
            (r#"52-["ev",{}]"#, r#"452-7["ev",{}]"#),
            (r#"51-/x,["a-b/c,d"]"#, r#"451-/x,7["a-b/c,d"]"#),
        ] {
            assert_eq!(text(&with_ack(packet, 7)), asked);
        }
    }
}
