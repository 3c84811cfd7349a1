//! Arguments of an event or an acknowledgement, as an application gives them: JSON with its binary attachments.
//!
//! Owns the list. It never sends it: an acknowledgement or an event takes it along.
//!
//! Invariant: the JSON is valid, since it is only built from values that are, or that the caller vouches for.

use crate::words::{
    event::Event,
    json::{push_item, quoted},
    placeholder::{has_fitting_placeholders, move_binary, placeholder},
};
use alloc::{format, string::String, string::ToString, vec::Vec};
use moorline_protocol::Frame;
use serde_json::{Value, value::RawValue};

/// A list of arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Joined by commas.
    json: String,
    attachments: Vec<Frame>,
}

impl Args {
    /// No arguments.
    pub fn new() -> Args {
        Args::default()
    }

    /// The arguments of an event, as they came.
    pub fn of(event: &Event<'_>) -> Args {
        let args = event.args.iter().fold(Args::new(), |args, arg| args.raw(arg));
        Args { attachments: event.attachments.to_vec(), ..args }
    }

    /// One more argument, as JSON that was parsed.
    #[must_use]
    pub fn raw(self, value: &RawValue) -> Args {
        self.push(value.get())
    }

    /// One more argument, from a tree.
    #[must_use]
    pub fn value(self, value: &Value) -> Args {
        self.push(&value.to_string())
    }

    /// One more argument, a string.
    #[must_use]
    pub fn text(self, text: &str) -> Args {
        self.push(&quoted(text))
    }

    /// One more argument, binary data.
    #[must_use]
    pub fn binary(mut self, bytes: &[u8]) -> Args {
        let number = self.attachments.len();
        self.attachments.push(Frame::binary(bytes));
        self.push(&placeholder(number))
    }

    /// Appends the arguments of `others`. Their placeholders are renumbered, so that each points at its own data.
    #[must_use]
    pub fn and(mut self, others: &Args) -> Args {
        if others.json.is_empty() {
            return self;
        }
        let list = format!("[{}]", others.json);
        let moved = move_binary(&list, &others.attachments, &mut self.attachments);
        let items = moved.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        self.push(items.unwrap_or("null"))
    }

    /// How many arguments there are.
    pub fn count(&self) -> usize {
        let list = format!("[{}]", self.json);
        serde_json::from_str::<Vec<&RawValue>>(&list).map_or(0, |items| items.len())
    }

    /// Arguments that the caller wrote: JSON joined by commas, with placeholders where `attachments` stand. The
    /// caller vouches for them, since malformed ones would end the connection of every client that receives them;
    /// checked builds panic over JSON that does not parse.
    pub fn from_parts(json: String, attachments: Vec<Frame>) -> Args {
        debug_assert!(
            serde_json::from_str::<Vec<&RawValue>>(&format!("[{json}]")).is_ok(),
            "not arguments: {json}"
        );
        Args { json, attachments }
    }

    fn push(mut self, json: &str) -> Args {
        push_item(&mut self.json, json);
        self
    }

    /// The JSON of the arguments, joined by commas, with placeholders where binary data stands.
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// The binary data that the placeholders point at.
    pub fn attachments(&self) -> &[Frame] {
        &self.attachments
    }

    /// Whether a client can take these. Values that came from a client may look like placeholders and point beyond.
    pub(crate) fn is_sound(&self) -> bool {
        let attachments = self.attachments.len();
        attachments == 0 || has_fitting_placeholders(&format!("[{}]", self.json), attachments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;

    #[test]
    fn two_lists_become_one_and_each_attachment_keeps_its_place() {
        let others = Args::new().text("x").binary(&[2]);
        let both = Args::new().binary(&[1]).and(&others).and(&Args::new());
        assert_eq!(both.as_json(), r#"{"_placeholder":true,"num":0},"x",{"_placeholder":true,"num":1}"#);
        let bytes: Vec<&[u8]> = both.attachments().iter().map(Frame::as_packet).collect();
        assert_eq!(bytes, [&[1], &[2]]);
    }

    #[test]
    fn arguments_are_joined_and_binary_ones_are_attachments() {
        let raw: Box<RawValue> = serde_json::from_str("[1, 2]").unwrap();
        let args = Args::new().text("a\"b").raw(&raw).binary(&[1]).value(&Value::from(0.5)).binary(&[2]);
        assert_eq!(
            args.as_json(),
            r#""a\"b",[1, 2],{"_placeholder":true,"num":0},0.5,{"_placeholder":true,"num":1}"#
        );
        assert_eq!(args.attachments()[1].as_packet(), [2]);
        assert!(args.is_sound());
        let hostile: Box<RawValue> = serde_json::from_str(r#"{"_placeholder":true,"num":9}"#).unwrap();
        assert!(!args.raw(&hostile).is_sound());
        assert!(Args::new().raw(&hostile).is_sound(), "without attachments it is an object like any other");
    }
}
