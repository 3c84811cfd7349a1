//! The public way in: what any backend publishes for clients, as `{"socketId","event","response"}`.
//!
//! Every node hears every such message; each delivers to the recipients it has and ignores the rest. A message is
//! validated whole before anyone receives a byte of it, since whatever reaches a stock client malformed ends its
//! connection.

use crate::{delivery::Target, state::State};
use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec, vec::Vec};
use moorline_protocol::{Frame, json, socket};
use serde_json::value::RawValue;

/// A validated message of a backend.
struct BackendMessage<'a> {
    targets: Vec<Cow<'a, str>>,
    namespace: Option<String>,
    /// The name as a JSON string.
    event: &'a str,
    args: Vec<&'a RawValue>,
}

impl State {
    pub(crate) fn backend_message(&mut self, payload: &[u8]) {
        let message = match self.parse_backend_message(payload) {
            Ok(message) => message,
            Err(cause) => return self.stats.drop(cause),
        };
        let space = match &message.namespace {
            None => None,
            Some(name) => match self.spaces.iter().position(|space| *space.name == **name) {
                Some(space) => Some(space),
                None => return self.stats.drop("unknown_namespace"),
            },
        };
        let targets: Vec<Target<'_>> = message.targets.iter().map(|target| Target::parse(target)).collect();
        let mut recipients = self.resolve(space, &targets, None);
        recipients.sort_by_key(|key| self.sockets[*key].space);
        for group in recipients
            .chunk_by(|a, b| self.sockets[*a].space == self.sockets[*b].space)
            .map(<[usize]>::to_vec)
            .collect::<Vec<_>>()
        {
            let space = self.sockets[group[0]].space;
            let frame = message.encode(&self.spaces[space].name);
            self.stats.deliveries_remote += self.deliver(&group, &frame);
        }
    }

    /// Checks everything a recipient could stumble over. The error is the cause it is counted under.
    fn parse_backend_message<'a>(&self, payload: &'a [u8]) -> Result<BackendMessage<'a>, &'static str> {
        const MALFORMED: &str = "malformed_backend_message";
        let limits = &self.config.limits;
        if payload.len() > limits.payload_bytes_max {
            return Err("oversized_backend_message");
        }
        let text = core::str::from_utf8(payload).map_err(|_| MALFORMED)?;
        if !json::nests_within(text, limits.json_depth_max) {
            return Err(MALFORMED);
        }
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| MALFORMED)?;
        let field = |name: &str| fields.get(name).map(|value| value.get());
        let targets = field("socketId").and_then(parse_targets).ok_or(MALFORMED)?;
        let event = field("event").ok_or(MALFORMED)?;
        let name: String = serde_json::from_str(event).map_err(|_| MALFORMED)?;
        if socket::is_reserved(&name) || name.starts_with('@') || name.len() > limits.event_name_bytes_max {
            return Err("bad_backend_event");
        }
        let args = match (field("args"), fields.get("response")) {
            (Some(args), _) => serde_json::from_str(args).map_err(|_| MALFORMED)?,
            (None, Some(response)) => vec![*response],
            (None, None) => Vec::new(),
        };
        let namespace = field("namespace").map(serde_json::from_str).transpose().map_err(|_| MALFORMED)?;
        if targets.is_empty() || targets.len() > limits.targets_max {
            return Err(MALFORMED);
        }
        Ok(BackendMessage { targets, namespace, event, args })
    }
}

impl BackendMessage<'_> {
    fn encode(&self, namespace: &str) -> Frame {
        socket::packet::event(namespace, self.event, self.args.iter().map(|arg| arg.get()))
    }
}

/// A target is a string or an array of strings.
pub(crate) fn parse_targets(json: &str) -> Option<Vec<Cow<'_, str>>> {
    if json.starts_with('[') {
        let texts: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        return texts.into_iter().map(|text| parse_string(text.get())).collect();
    }
    parse_string(json).map(|text| vec![text])
}

/// Reads a JSON string, borrowed when nothing in it is escaped.
pub(crate) fn parse_string(json: &str) -> Option<Cow<'_, str>> {
    if !json.starts_with('"') {
        return None;
    }
    match serde_json::from_str::<&str>(json) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}
