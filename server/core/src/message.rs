//! A packet with its attachments: one thing from sender to recipients, never interleaved with another.
//!
//! Owns the two forms binary data takes: attachments behind placeholders, as Socket.IO sends them, and
//! `{"$binary":"<base64>"}`, as backends write and read them.
//!
//! Invariant: every placeholder of a message points at one of its attachments. A stock client ends its connection over
//! one that does not.

use alloc::{string::String, string::ToString, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use moorline_protocol::Frame;
use serde_json::Value;

const PLACEHOLDER: &str = "_placeholder";
const BINARY: &str = "$binary";

/// An encoded packet and what follows it.
#[derive(Debug, Clone)]
pub struct Message {
    frame: Frame,
    attachments: Vec<Frame>,
}

impl Message {
    /// A message; `frame` must announce as many attachments as there are.
    pub fn new(frame: Frame, attachments: Vec<Frame>) -> Message {
        Message { frame, attachments }
    }

    /// The packet itself, as the text frame that goes first.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// What follows the packet.
    pub fn attachments(&self) -> &[Frame] {
        &self.attachments
    }

    /// All frames in the order they are sent.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        core::iter::once(&self.frame).chain(&self.attachments)
    }

    /// What it counts for in a queue, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.frames().map(Frame::len_bytes).sum()
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Message {
        Message { frame, attachments: Vec::new() }
    }
}

/// A binary packet whose attachments are still coming in.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub(crate) packet: String,
    pub(crate) attachments: Vec<Frame>,
    missing: usize,
    bytes: usize,
}

impl Assembly {
    pub(crate) fn new(packet: &str, attachments: usize) -> Assembly {
        Assembly { packet: packet.into(), attachments: Vec::new(), missing: attachments, bytes: packet.len() }
    }

    /// Takes the next attachment; returns whether it was the last. `None` when the whole is over `bytes_max`.
    pub(crate) fn push(&mut self, bytes: &[u8], bytes_max: usize) -> Option<bool> {
        self.bytes += bytes.len();
        if self.bytes > bytes_max {
            return None;
        }
        self.attachments.push(Frame::binary(bytes));
        self.missing -= 1;
        Some(self.missing == 0)
    }
}

/// Whether every placeholder in `json` points at one of so many attachments.
pub(crate) fn has_fitting_placeholders(json: &str, attachments: usize) -> bool {
    serde_json::from_str(json).is_ok_and(|value| placeholders_fit(&value, attachments as u64))
}

fn placeholders_fit(value: &Value, attachments: u64) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| placeholders_fit(item, attachments)),
        Value::Object(fields) if fields.get(PLACEHOLDER) == Some(&Value::Bool(true)) => {
            fields.get("num").and_then(Value::as_u64).is_some_and(|number| number < attachments)
        }
        Value::Object(fields) => fields.values().all(|field| placeholders_fit(field, attachments)),
        _ => true,
    }
}

/// Writes an argument the way backends read it: attachments in place, as base64.
pub(crate) fn with_inline_binary(json: &str, attachments: &[Frame]) -> String {
    let Ok(mut value) = serde_json::from_str(json) else { return String::from("null") };
    inline(&mut value, attachments);
    value.to_string()
}

fn inline(value: &mut Value, attachments: &[Frame]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, attachments)),
        Value::Object(fields) if fields.get(PLACEHOLDER) == Some(&Value::Bool(true)) => {
            let number =
                fields.get("num").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
            let bytes = number.and_then(|number| attachments.get(number)).map(Frame::as_packet);
            *value = serde_json::json!({ BINARY: STANDARD.encode(bytes.unwrap_or_default()) });
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| inline(field, attachments)),
        _ => {}
    }
}

/// Takes the binary data out of an argument that a backend wrote, and puts placeholders in its place. `None` when its
/// base64 is broken, or when it holds a placeholder of its own, which would point at nothing.
pub(crate) fn extract_binary(json: &str, attachments: &mut Vec<Frame>) -> Option<String> {
    let mut value = serde_json::from_str(json).ok()?;
    extract(&mut value, attachments)?;
    Some(value.to_string())
}

fn extract(value: &mut Value, attachments: &mut Vec<Frame>) -> Option<()> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| extract(item, attachments)),
        Value::Object(fields) if fields.get(PLACEHOLDER) == Some(&Value::Bool(true)) => None,
        Value::Object(fields) if fields.len() == 1 && fields.contains_key(BINARY) => {
            let bytes = STANDARD.decode(fields.get(BINARY)?.as_str()?).ok()?;
            *value = serde_json::json!({ PLACEHOLDER: true, "num": attachments.len() });
            attachments.push(Frame::binary(&bytes));
            Some(())
        }
        Value::Object(fields) => fields.values_mut().try_for_each(|field| extract(field, attachments)),
        _ => Some(()),
    }
}

/// Whether an argument of a backend may hold binary data, so that it must be looked through.
pub(crate) fn may_hold_binary(json: &str) -> bool {
    // An escape could spell the key differently.
    json.contains(BINARY) || json.contains("\\u")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_must_point_at_attachments() {
        for (json, fits) in [
            (r#"["e",{"_placeholder":true,"num":0},{"a":[{"num":1,"_placeholder":true}]}]"#, true),
            (r#"["e",{"_placeholder":true,"num":2}]"#, false),
            (r#"["e",{"_placeholder":true,"num":-1}]"#, false),
            (r#"["e",{"_placeholder":true,"num":0.5}]"#, false),
            (r#"["e",{"_placeholder":true}]"#, false),
            (r#"["e",{"_\u0070laceholder":true,"num":7}]"#, false),
            (r#"["e",{"_placeholder":false,"num":7},"_placeholder"]"#, true),
        ] {
            assert_eq!(has_fitting_placeholders(json, 2), fits, "{json}");
        }
    }

    #[test]
    fn binary_goes_to_backends_and_comes_back() {
        let attachments = [Frame::binary(b"a"), Frame::binary(&[0, 255])];
        let json = with_inline_binary(r#"{"x":[{"_placeholder":true,"num":1},1]}"#, &attachments);
        assert_eq!(json, r#"{"x":[{"$binary":"AP8="},1]}"#);
        let mut extracted = Vec::new();
        let back = extract_binary(&json, &mut extracted).unwrap();
        assert_eq!(back, r#"{"x":[{"_placeholder":true,"num":0},1]}"#);
        assert_eq!(extracted[0].as_packet(), [0, 255]);
        assert_eq!(extract_binary(r#"[{"$binary":"?"}]"#, &mut extracted), None);
        assert_eq!(extract_binary(r#"[{"_placeholder":true,"num":0}]"#, &mut extracted), None);
    }

    #[test]
    fn an_assembly_is_complete_with_its_last_attachment_and_bounded() {
        let mut assembly = Assembly::new("52-[\"e\"]", 2);
        assert_eq!(assembly.push(b"abc", 100), Some(false));
        assert_eq!(assembly.push(&[0; 200], 100), None);
        let mut assembly = Assembly::new("51-[\"e\"]", 1);
        assert_eq!(assembly.push(b"abc", 100), Some(true));
    }
}
