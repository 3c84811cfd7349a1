//! The buffers of a socket: packets that wait for the connection, and events that are sent until they are acknowledged.
//!
//! Owns their order and their sizes; it never enforces a bound: the client does, for all sockets together. Invariant:
//! packets leave in the order in which they came.

use super::acks::{AckId, AwaitedAck};
use alloc::{collections::VecDeque, string::String, vec::Vec};
use moorline_protocol::Frame;

/// A packet that is ready to go.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) frames: Vec<Frame>,
    /// The acknowledgement it asks for.
    pub(crate) id: Option<AckId>,
}

impl Ready {
    fn len_bytes(&self) -> usize {
        len_bytes(&self.frames)
    }
}

pub(crate) fn len_bytes(frames: &[Frame]) -> usize {
    frames.iter().map(Frame::len_bytes).sum()
}

/// Packets that wait for the connection.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    packets: VecDeque<Ready>,
    pub(crate) len_bytes: usize,
}

impl SendBuffer {
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn push(&mut self, packet: Ready) {
        self.len_bytes += packet.len_bytes();
        self.packets.push_back(packet);
    }

    #[must_use]
    pub(crate) fn pop(&mut self) -> Option<Ready> {
        let packet = self.packets.pop_front()?;
        self.len_bytes -= packet.len_bytes();
        Some(packet)
    }

    /// Removes the packet that asks for this acknowledgement.
    pub(crate) fn remove(&mut self, id: AckId) {
        let place = self.packets.iter().position(|packet| packet.id == Some(id));
        if let Some(packet) = place.and_then(|at| self.packets.remove(at)) {
            self.len_bytes -= packet.len_bytes();
        }
    }
}

/// Events that are sent until they are acknowledged, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) events: VecDeque<Queued>,
    pub(crate) len_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) json: String,
    pub(crate) attachments: Vec<Vec<u8>>,
    pub(crate) timeout_ms: Option<u64>,
    /// The acknowledgement that the caller of `emit` awaits.
    pub(crate) ack: Option<AwaitedAck>,
    pub(crate) tries: u32,
    pub(crate) is_pending: bool,
}

impl Queued {
    fn len_bytes(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Vec::len).sum::<usize>()
    }
}

impl Queue {
    pub(crate) fn push(&mut self, queued: Queued) {
        self.len_bytes += queued.len_bytes();
        self.events.push_back(queued);
    }

    #[must_use]
    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let queued = self.events.pop_front()?;
        self.len_bytes -= queued.len_bytes();
        Some(queued)
    }
}
