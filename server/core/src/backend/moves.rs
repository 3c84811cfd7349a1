//! Moves of backends: messages on the public channel, to the recipients that are here.
//!
//! Owns their delivery. Every node receives every such message; each delivers to the recipients it has and ignores the
//! rest. It never validates one: `channel.rs` does, before anyone receives a byte.

use crate::{
    acks::{
        clients::Requester,
        moves::{append_no_ack, take_backend_ack},
    },
    backend::channel::{self, BackendMessage, BackendMessageKind},
    socket::delivery::{Origin, deliver, deliver_request, resolve},
    state::State,
    words::{
        args::Args,
        cause::DropCause,
        code::Code,
        ids::SocketId,
        keys::{NamespaceKey, SocketKey},
        message::Message,
        numbers::{AckId, BackendAckId},
        pending_ack::PendingAck,
        target::Target,
    },
};
use alloc::vec::Vec;
use moorline_protocol::socket::{self, Envelope};

/// A backend published a message for clients.
pub(crate) fn backend_message(state: &mut State, payload: &[u8]) {
    match channel::parse(payload, &state.config.limits) {
        Err(cause) => state.stats.drop(cause),
        Ok(message) => match message.kind {
            BackendMessageKind::Event { name, ack } => deliver_event(state, &message, name, ack),
            BackendMessageKind::Ack(id) => deliver_ack(state, &message, id),
        },
    }
}

fn deliver_event(state: &mut State, message: &BackendMessage<'_>, name: &str, ack: Option<BackendAckId>) {
    let namespace = match &message.namespace {
        None => None,
        Some(name) => match state.namespaces.find(name) {
            Some(namespace) => Some(namespace),
            None => return state.stats.drop(DropCause::UnknownNamespace),
        },
    };
    let targets: Vec<Target<'_>> = message.targets.iter().map(|target| Target::parse(target)).collect();
    let recipients = resolve(state, namespace, &targets, None);
    let mut groups = groups(state, message, name, &recipients);
    let Some(number) = ack else {
        let count: u64 =
            groups.iter_mut().map(|(group, event)| deliver(state, group, event, Origin::Elsewhere)).sum();
        state.stats.deliveries_remote += count;
        return;
    };
    match deliver_request(state, Requester::Backend(number), groups, Origin::Elsewhere) {
        Some((count, _)) => state.stats.deliveries_remote += count,
        None => {
            state.stats.drop(DropCause::TooManyRequests);
            recipients.into_iter().for_each(|key| append_no_ack(state, key, number, Code::TooMany));
        }
    }
}

/// The recipients of each namespace, with the event as they get it.
fn groups(
    state: &State,
    message: &BackendMessage<'_>,
    name: &str,
    recipients: &[SocketKey],
) -> Vec<(Vec<SocketKey>, Message)> {
    let group = |namespace| {
        let is_inside = |key: &SocketKey| state.sockets[*key].namespace == namespace;
        let group: Vec<SocketKey> = recipients.iter().copied().filter(is_inside).collect();
        (!group.is_empty()).then(|| (group, encode_event(state, message, name, namespace)))
    };
    state.namespaces.keys().filter_map(group).collect()
}

/// The event as the sockets of one namespace get it.
fn encode_event(state: &State, message: &BackendMessage<'_>, name: &str, namespace: NamespaceKey) -> Message {
    let attachments = message.attachments.len();
    let envelope = Envelope { namespace: &state.namespaces[namespace], ack: None, attachments };
    let frame = socket::event(envelope, name, message.args.iter().map(|arg| &**arg));
    Message::new(frame, message.attachments.clone())
}

fn deliver_ack(state: &mut State, message: &BackendMessage<'_>, id: AckId) {
    for target in &message.targets {
        let Some(socket) = SocketId::parse(target).filter(|id| state.sockets.find(*id).is_some()) else {
            continue;
        };
        let ack = PendingAck { socket, id };
        if take_backend_ack(state, ack) {
            let args = Args::from_parts(message.args.join(","), message.attachments.clone());
            state.acknowledge(ack, &args);
        } else {
            state.stats.drop(DropCause::UnknownBackendAck);
        }
    }
}
