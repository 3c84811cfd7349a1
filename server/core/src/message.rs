//! A packet with its attachments: one thing from sender to recipients, never interleaved with another.
//!
//! Owns the frames and the gathering of them; what the packet says about its attachments is checked elsewhere.
//!
//! Invariant: a message has as many attachments as its packet announces.

use crate::time::Time;
use alloc::{string::String, vec::Vec};
use moorline_protocol::Frame;

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
    /// By when it must be whole: a client may not leave half a packet here for ever.
    pub(crate) due: Time,
    missing: usize,
    bytes: usize,
}

impl Assembly {
    pub(crate) fn new(packet: &str, attachments: usize, due: Time) -> Assembly {
        let bytes = packet.len();
        Assembly { packet: packet.into(), attachments: Vec::new(), due, missing: attachments, bytes }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assembly_is_complete_with_its_last_attachment_and_bounded() {
        let mut assembly = Assembly::new("52-[\"e\"]", 2, Time::ZERO);
        assert_eq!(assembly.push(b"abc", 100), Some(false));
        assert_eq!(assembly.push(&[0; 200], 100), None);
        let mut assembly = Assembly::new("51-[\"e\"]", 1, Time::ZERO);
        assert_eq!(assembly.push(b"abc", 100), Some(true));
    }
}
