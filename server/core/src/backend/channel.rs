//! The public channel: messages that any backend publishes for clients, as `{"socketId","event","response"}`.
//!
//! Owns their form. A message is validated whole before anyone receives a byte of it, since a malformed one ends the
//! connection of every stock client it reaches. It never delivers; moves do.
//!
//! | keys | meaning |
//! |---|---|
//! | `event` | an event for everyone that `socketId` names |
//! | `ack` | the acknowledgement that this client waits for under this number |
//! | `event` and `ack` | an event to be acknowledged: the answers come onto the stream with this number |

use crate::{
    rights::names::check_event_name,
    words::{
        cause::DropCause,
        config::Limits,
        json::{parse_string, parse_targets},
        numbers::{AckId, BackendAckId},
        placeholder::{extract_binary, may_hold_binary},
    },
};
use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec, vec::Vec};
use moorline_protocol::{Frame, json};
use serde_json::value::RawValue;

/// A validated message of a backend.
#[derive(Debug)]
pub(crate) struct BackendMessage<'a> {
    pub(crate) targets: Vec<Cow<'a, str>>,
    pub(crate) namespace: Option<String>,
    pub(crate) kind: BackendMessageKind<'a>,
    /// The arguments as JSON, placeholders where binary data was.
    pub(crate) args: Vec<Cow<'a, str>>,
    pub(crate) attachments: Vec<Frame>,
}

/// The use of a backend's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackendMessageKind<'a> {
    /// An event, by its name as a JSON string; with a number, its recipients are to acknowledge it.
    Event { name: &'a str, ack: Option<BackendAckId> },
    /// The acknowledgement with this number.
    Ack(AckId),
}

const MALFORMED: DropCause = DropCause::MalformedBackendMessage;

/// Reads a message and checks everything that could end a recipient's connection.
///
/// # Errors
/// The cause under which it is dropped.
pub(crate) fn parse<'a>(payload: &'a [u8], limits: &Limits) -> Result<BackendMessage<'a>, DropCause> {
    if payload.len() > limits.payload_bytes_max {
        return Err(DropCause::OversizedBackendMessage);
    }
    let text = core::str::from_utf8(payload).map_err(|_| MALFORMED)?;
    if !json::nests_within(text, limits.json_depth_max) {
        return Err(MALFORMED);
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| MALFORMED)?;
    let field = |name: &str| fields.get(name).map(|value| value.get()).filter(|json| *json != "null");
    let targets = field("socketId").and_then(parse_targets).ok_or(MALFORMED)?;
    if targets.is_empty() || targets.len() > limits.targets_max {
        return Err(MALFORMED);
    }
    let event = field("event");
    if let Some(event) = event {
        let name = parse_string(event).ok_or(MALFORMED)?;
        check_event_name(&name, limits).map_err(|_| DropCause::BadBackendEvent)?;
    }
    let raw_args: Vec<&RawValue> = match (field("args"), fields.get("response")) {
        (Some(args), _) => serde_json::from_str(args).map_err(|_| MALFORMED)?,
        (None, Some(response)) => vec![*response],
        (None, None) => Vec::new(),
    };
    let namespace = field("namespace").map(serde_json::from_str).transpose().map_err(|_| MALFORMED)?;
    let ack: Option<u64> = field("ack").map(serde_json::from_str).transpose().map_err(|_| MALFORMED)?;
    let (args, attachments) = take_binary(&raw_args).ok_or(MALFORMED)?;
    if attachments.len() > limits.attachments_max {
        return Err(MALFORMED);
    }
    let kind = match (event, ack) {
        (Some(name), ack) => BackendMessageKind::Event { name, ack: ack.map(BackendAckId::new) },
        (None, Some(ack)) => BackendMessageKind::Ack(AckId::new(ack)),
        (None, None) => return Err(MALFORMED),
    };
    Ok(BackendMessage { targets, namespace, kind, args, attachments })
}

/// Splits arguments into JSON with placeholders, and attachments. `None` when the binary data in them is malformed.
fn take_binary<'a>(args: &[&'a RawValue]) -> Option<(Vec<Cow<'a, str>>, Vec<Frame>)> {
    let plain = || args.iter().map(|arg| Cow::Borrowed(arg.get())).collect();
    if !args.iter().any(|arg| may_hold_binary(arg.get())) {
        return Some((plain(), Vec::new()));
    }
    let mut attachments = Vec::new();
    let extracted: Option<Vec<_>> =
        args.iter().map(|arg| extract_binary(arg.get(), &mut attachments).map(Cow::Owned)).collect();
    match (extracted, attachments.is_empty()) {
        // Without binary data a placeholder is an object like any other; a `$binary` that cannot be read is malformed.
        (None, true) if args.iter().any(|arg| arg.get().contains("$binary")) => None,
        (_, true) => Some((plain(), Vec::new())),
        (extracted, false) => extracted.map(|args| (args, attachments)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Result<BackendMessageKind<'_>, DropCause> {
        parse(text.as_bytes(), &Limits::default()).map(|message| message.kind)
    }

    #[test]
    fn the_keys_say_what_a_message_is() {
        let event = |ack: Option<u64>| {
            Ok(BackendMessageKind::Event { name: "\"e\"", ack: ack.map(BackendAckId::new) })
        };
        assert_eq!(kind(r#"{"socketId":"a","event":"e"}"#), event(None));
        assert_eq!(kind(r#"{"socketId":["a","b"],"event":"e","ack":3}"#), event(Some(3)));
        assert_eq!(
            kind(r#"{"socketId":"a","event":null,"ack":3,"response":1}"#),
            Ok(BackendMessageKind::Ack(AckId::new(3)))
        );
    }

    #[test]
    fn what_could_harm_a_client_is_refused_with_its_cause() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"socketId":"a"}"#,
            r#"{"socketId":[],"event":"e"}"#,
            r#"{"socketId":"a","event":1}"#,
        ] {
            assert_eq!(kind(text), Err(MALFORMED), "{text}");
        }
        assert_eq!(kind(r#"{"socketId":"a","event":"connect"}"#), Err(DropCause::BadBackendEvent));
        let limits = Limits { payload_bytes_max: 10, ..Limits::default() };
        assert_eq!(parse(&[b' '; 11], &limits).map(|_| ()), Err(DropCause::OversizedBackendMessage));
        assert_eq!(parse(b"\xff", &limits).map(|_| ()), Err(MALFORMED));
    }

    #[test]
    fn binary_data_becomes_attachments() {
        let text = br#"{"socketId":"a","event":"e","args":[1,{"$binary":"YQ=="}]}"#;
        let message = parse(text, &Limits::default()).unwrap();
        assert_eq!(message.args, ["1", r#"{"_placeholder":true,"num":0}"#]);
        assert_eq!(message.attachments, [Frame::binary(b"a")]);
        assert_eq!(kind(r#"{"socketId":"a","event":"e","response":{"$binary":"?"}}"#), Err(MALFORMED));
    }
}
