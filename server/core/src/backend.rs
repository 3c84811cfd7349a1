//! The public way in: what any backend publishes for clients, as `{"socketId","event","response"}`.
//!
//! Every node hears every such message; each delivers to the recipients it has and ignores the rest. A message is
//! validated whole before anyone receives a byte of it, since whatever reaches a stock client malformed ends its
//! connection.
//!
//! | keys | meaning |
//! |---|---|
//! | `event` | an event for everyone that `socketId` names |
//! | `ack` | the answer to what that client asked under this number |
//! | `event` and `ack` | an event whose recipients are asked to acknowledge; their answers come onto the stream with this number |

use crate::{
    DropCause,
    answers::Asker,
    args::Args,
    code::Code,
    config::Limits,
    delivery::Target,
    ids::SocketId,
    message::Message,
    placeholder::{extract_binary, may_hold_binary},
    state::State,
};
use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec, vec::Vec};
use moorline_protocol::{
    Frame, json,
    socket::{self, packet::Envelope},
};
use serde_json::value::RawValue;

/// A validated message of a backend.
struct BackendMessage<'a> {
    targets: Vec<Cow<'a, str>>,
    namespace: Option<String>,
    /// The event's name as a JSON string; none for an answer.
    event: Option<&'a str>,
    /// The arguments as JSON, placeholders where binary data was.
    args: Vec<Cow<'a, str>>,
    attachments: Vec<Frame>,
    ack: Option<u64>,
}

impl State {
    pub(crate) fn backend_message(&mut self, payload: &[u8]) {
        let message = match self.parse_backend_message(payload) {
            Ok(message) => message,
            Err(cause) => return self.stats.drop(cause),
        };
        match (message.event, message.ack) {
            (Some(name), _) => self.deliver_backend_event(&message, name),
            (None, Some(id)) => self.deliver_backend_answer(&message, id),
            (None, None) => self.stats.drop(MALFORMED),
        }
    }

    fn deliver_backend_event(&mut self, message: &BackendMessage<'_>, name: &str) {
        let space = match &message.namespace {
            None => None,
            Some(name) => match self.find_space(name) {
                Some(space) => Some(space),
                None => return self.stats.drop(DropCause::UnknownNamespace),
            },
        };
        let targets: Vec<Target<'_>> = message.targets.iter().map(|target| Target::parse(target)).collect();
        let recipients = self.resolve(space, &targets, None);
        let mut groups: Vec<(Vec<usize>, Message)> = (0..self.spaces.len())
            .filter_map(|space| {
                let is_inside = |key: &usize| self.sockets[*key].space == space;
                let group: Vec<usize> = recipients.iter().copied().filter(is_inside).collect();
                (!group.is_empty()).then(|| (group, self.encode_backend_event(message, name, space)))
            })
            .collect();
        let count = match message.ack {
            None => Some(groups.iter_mut().map(|(group, event)| self.deliver(group, event)).sum()),
            Some(number) => self.deliver_asking(Asker::Backend(number), groups).map(|(count, _)| count),
        };
        match (count, message.ack) {
            (Some(count), _) => self.stats.deliveries_remote += count,
            (None, Some(number)) => {
                self.stats.drop(DropCause::TooManyAsks);
                recipients.into_iter().for_each(|key| self.append_no_answer(key, number, Code::TooMany));
            }
            (None, None) => {}
        }
    }

    /// The event as the sockets of one namespace get it.
    fn encode_backend_event(&self, message: &BackendMessage<'_>, name: &str, space: usize) -> Message {
        let attachments = message.attachments.len();
        let envelope = Envelope { namespace: &self.spaces[space].name, ack: None, attachments };
        let frame = socket::packet::event(envelope, name, message.args.iter().map(|arg| &**arg));
        Message::new(frame, message.attachments.clone())
    }

    fn deliver_backend_answer(&mut self, message: &BackendMessage<'_>, id: u64) {
        for target in &message.targets {
            let Some(key) = SocketId::parse(target).and_then(|id| self.find_socket(id)) else { continue };
            let Some(ack) = self.take_asked(self.sockets[key].id, id) else {
                self.stats.drop(DropCause::UnknownBackendAck);
                continue;
            };
            self.acknowledge(ack, &Args::from_parts(message.args.join(","), message.attachments.clone()));
        }
    }

    /// Checks everything a recipient could stumble over. The error is the cause it is counted under.
    fn parse_backend_message<'a>(&self, payload: &'a [u8]) -> Result<BackendMessage<'a>, DropCause> {
        let limits = &self.config.limits;
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
            if !may_reach_clients(&name, limits) {
                return Err(DropCause::BadBackendEvent);
            }
        }
        let raw_args: Vec<&RawValue> = match (field("args"), fields.get("response")) {
            (Some(args), _) => serde_json::from_str(args).map_err(|_| MALFORMED)?,
            (None, Some(response)) => vec![*response],
            (None, None) => Vec::new(),
        };
        let namespace = field("namespace").map(serde_json::from_str).transpose().map_err(|_| MALFORMED)?;
        let ack = field("ack").map(serde_json::from_str).transpose().map_err(|_| MALFORMED)?;
        let (args, attachments) = take_binary(&raw_args).ok_or(MALFORMED)?;
        if attachments.len() > limits.attachments_max {
            return Err(MALFORMED);
        }
        Ok(BackendMessage { targets, namespace, event, args, attachments, ack })
    }
}

/// The cause under which a message is counted that is not what it should be.
const MALFORMED: DropCause = DropCause::MalformedBackendMessage;

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
        // Nothing binary after all, unless it was meant to be and is broken.
        (None, true) if args.iter().any(|arg| arg.get().contains("$binary")) => None,
        (_, true) => Some((plain(), Vec::new())),
        (extracted, false) => extracted.map(|args| (args, attachments)),
    }
}

/// Only a name that a stock client takes as an event, and that no relay takes as its own, may reach others.
pub(crate) fn may_reach_clients(name: &str, limits: &Limits) -> bool {
    name.len() <= limits.event_name_bytes_max && !name.starts_with('@') && !socket::is_reserved(name)
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
