//! Entries of the stream that backends read.
//!
//! Owns their form: JSON with the client's arguments, binary data as base64 in place. It never appends one; moves do.

use crate::words::{
    ids::SocketId,
    json::push_item,
    keys::NamespaceKey,
    numbers::{AckId, BackendAckId},
    placeholder::with_inline_binary,
};
use alloc::{string::String, vec::Vec};
use moorline_protocol::{Frame, json};
use serde_json::value::RawValue;

/// One entry of the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: EntryKind<'a>,
    pub(crate) socket: SocketId,
    pub(crate) namespace: NamespaceKey,
    /// The arguments as JSON, joined by commas.
    pub(crate) args: &'a str,
}

/// The subject of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EntryKind<'a> {
    /// A socket came.
    Connect,
    /// A client sent an event, by its name as text; with an id, it waits for an acknowledgement.
    Event { name: &'a str, ack: Option<AckId> },
    /// A client acknowledged an event of a backend.
    Ack(BackendAckId),
    /// A socket went.
    Disconnect,
}

impl Entry<'_> {
    /// The entry as the stream holds it.
    pub(crate) fn write(&self, node: &str, namespace: &str) -> Vec<u8> {
        let (kind, event, ack) = match self.kind {
            EntryKind::Connect => ("connect", Some("connect"), None),
            EntryKind::Event { name, ack } => ("event", Some(name), ack.map(AckId::number)),
            EntryKind::Ack(number) => ("ack", None, Some(number.number())),
            EntryKind::Disconnect => ("disconnect", Some("disconnect"), None),
        };
        let mut out = Vec::with_capacity(160 + self.args.len());
        out.extend_from_slice(b"{\"type\":");
        json::push_string(&mut out, kind);
        out.extend_from_slice(b",\"socketId\":");
        json::push_string(&mut out, self.socket.text().as_str());
        out.extend_from_slice(b",\"node\":");
        json::push_string(&mut out, node);
        out.extend_from_slice(b",\"namespace\":");
        json::push_string(&mut out, namespace);
        out.extend_from_slice(b",\"event\":");
        match event {
            Some(event) => json::push_string(&mut out, event),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"args\":[");
        out.extend_from_slice(self.args.as_bytes());
        out.extend_from_slice(b"],\"ack\":");
        match ack {
            Some(number) => json::push_number(&mut out, number),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
        out
    }
}

/// Arguments as JSON joined by commas, binary data in place.
pub(crate) fn joined(args: &[&RawValue], attachments: &[Frame]) -> String {
    let mut out = String::new();
    for arg in args {
        match attachments {
            [] => push_item(&mut out, arg.get()),
            _ => push_item(&mut out, &with_inline_binary(arg.get(), attachments)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::keys::Table;
    use alloc::boxed::Box;

    #[test]
    fn an_entry_is_json_with_every_member() {
        let socket = SocketId::parse("abcdefghijABCDEF-_09").unwrap();
        let namespace = Table::<NamespaceKey, ()>::default().insert(());
        let kind = EntryKind::Event { name: "a\"b", ack: Some(AckId::new(3)) };
        let entry = Entry { kind, socket, namespace, args: "1,[2]" };
        let text = r#"{"type":"event","socketId":"abcdefghijABCDEF-_09","node":"s1","namespace":"/","event":"a\"b","args":[1,[2]],"ack":3}"#;
        assert_eq!(entry.write("s1", "/"), text.as_bytes());
        let ack = Entry { kind: EntryKind::Ack(BackendAckId::new(4)), args: "", ..entry };
        assert!(ack.write("s1", "/").ends_with(br#""event":null,"args":[],"ack":4}"#));
        let connect = Entry { kind: EntryKind::Connect, args: "null", ..entry };
        assert!(connect.write("s1", "/").ends_with(br#""event":"connect","args":[null],"ack":null}"#));
    }

    #[test]
    fn binary_data_of_arguments_stands_in_place() {
        let args = ["1", r#"{"_placeholder":true,"num":0}"#]
            .map(|json| serde_json::from_str::<Box<RawValue>>(json).unwrap());
        let args = [&*args[0], &*args[1]];
        assert_eq!(joined(&args, &[Frame::binary(b"a")]), r#"1,{"$binary":"YQ=="}"#);
        assert_eq!(joined(&args[..1], &[]), "1");
    }
}
