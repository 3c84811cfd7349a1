//! A packet with its attachments: one thing from sender to recipients, never interleaved with another.
//!
//! Owns the frames. It never reads them: the dispatch of packets checks what a packet says about its attachments.
//!
//! Invariant: a message has as many attachments as its packet announces.

use alloc::vec::Vec;
use moorline_protocol::Frame;

/// An encoded packet and its attachments.
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

    /// The attachments, which follow the packet.
    pub fn attachments(&self) -> &[Frame] {
        &self.attachments
    }

    /// All frames in the order they are sent.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        core::iter::once(&self.frame).chain(&self.attachments)
    }

    /// Its size in a queue, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.frames().map(Frame::len_bytes).sum()
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Message {
        Message { frame, attachments: Vec::new() }
    }
}
