//! From Engine.IO messages to whole Socket.IO packets: text, and the attachments that follow it.
//!
//! Owns every bound on what a server may send: size, depth, number of attachments. It never reads the JSON itself.

use super::acks::AckId;
use crate::{Failure, Options};
use alloc::{string::String, vec::Vec};
use moorline_protocol::{
    json,
    socket::{self, Kind},
};

/// A packet with its attachments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) namespace: String,
    pub(crate) kind: IncomingKind,
    /// The payload; empty when there is none.
    pub(crate) json: String,
}

impl Incoming {
    /// The memory it takes to keep it, in bytes: its own size is most of a small packet.
    pub(crate) fn held_bytes(&self) -> usize {
        let attachments = match &self.kind {
            IncomingKind::Event { attachments, .. } | IncomingKind::Ack { attachments, .. } => attachments,
            IncomingKind::Connected | IncomingKind::Refused | IncomingKind::Disconnected => return 0,
        };
        let attached: usize = attachments.iter().map(|bytes| size_of::<Vec<u8>>() + bytes.len()).sum();
        size_of::<Incoming>() + self.namespace.len() + self.json.len() + attached
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IncomingKind {
    Connected,
    Refused,
    Disconnected,
    /// `ack` is the server's id of the acknowledgement it awaits.
    Event {
        ack: Option<u64>,
        attachments: Vec<Vec<u8>>,
    },
    Ack {
        id: AckId,
        attachments: Vec<Vec<u8>>,
    },
}

/// The packet whose attachments are still to come.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    incoming: Incoming,
    missing: usize,
    bytes: usize,
}

impl Reassembly {
    /// Takes a text packet; returns it once it is whole.
    pub(crate) fn text(&mut self, text: &str, options: &Options) -> Result<Option<Incoming>, Failure> {
        if self.pending.is_some() {
            return Err(Failure::MISSING_ATTACHMENT);
        }
        if text.len() > options.message_bytes_max {
            return Err(Failure::MESSAGE_TOO_BIG);
        }
        let packet = socket::decode(text).map_err(|_| Failure::NO_PACKET)?;
        if !json::nests_within(packet.data, options.depth_max) {
            return Err(Failure::MESSAGE_TOO_DEEP);
        }
        let (kind, missing) = match (packet.kind, packet.ack) {
            (Kind::Connect, _) => (IncomingKind::Connected, 0),
            (Kind::ConnectError, _) => (IncomingKind::Refused, 0),
            (Kind::Disconnect, _) => (IncomingKind::Disconnected, 0),
            (Kind::Event, ack) => (IncomingKind::Event { ack, attachments: Vec::new() }, 0),
            (Kind::BinaryEvent { attachments }, ack) => {
                (IncomingKind::Event { ack, attachments: Vec::new() }, attachments)
            }
            (Kind::Ack, Some(id)) => {
                (IncomingKind::Ack { id: AckId::from_wire(id), attachments: Vec::new() }, 0)
            }
            (Kind::BinaryAck { attachments }, Some(id)) => {
                (IncomingKind::Ack { id: AckId::from_wire(id), attachments: Vec::new() }, attachments)
            }
            (Kind::Ack | Kind::BinaryAck { .. }, None) => return Err(Failure::STRAY_ACK),
        };
        let incoming = Incoming { namespace: packet.namespace.into(), kind, json: packet.data.into() };
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        if missing > options.attachments_max {
            return Err(Failure::TOO_MANY_ATTACHMENTS);
        }
        if missing == 0 {
            return Ok(Some(incoming));
        }
        self.pending = Some(Pending { incoming, missing, bytes: text.len() });
        Ok(None)
    }

    /// Takes an attachment; returns the packet once it is whole.
    pub(crate) fn binary(&mut self, bytes: Vec<u8>, options: &Options) -> Result<Option<Incoming>, Failure> {
        let Some(pending) = &mut self.pending else { return Err(Failure::STRAY_ATTACHMENT) };
        pending.bytes = pending.bytes.saturating_add(bytes.len());
        if pending.bytes > options.message_bytes_max {
            return Err(Failure::MESSAGE_TOO_BIG);
        }
        if let IncomingKind::Event { attachments, .. } | IncomingKind::Ack { attachments, .. } =
            &mut pending.incoming.kind
        {
            attachments.push(bytes);
        }
        pending.missing -= 1;
        Ok(if pending.missing == 0 { self.pending.take().map(|pending| pending.incoming) } else { None })
    }

    /// The connection has ended: drops the packet that is incomplete.
    pub(crate) fn reset(&mut self) {
        self.pending = None;
    }
}
