//! A binary packet whose attachments are still coming in.
//!
//! Owns the gathering and its bounds. It never reads the packet: the dispatch of packets does, once it is whole.

use crate::words::time::Time;
use alloc::{string::String, vec::Vec};
use moorline_protocol::Frame;

/// A binary packet whose attachments are still coming in.
#[derive(Debug)]
pub(crate) struct Assembly {
    packet: String,
    attachments: Vec<Frame>,
    /// It must be whole by then: a client may not leave half a packet here for ever.
    due: Time,
    missing: usize,
    bytes: usize,
}

impl Assembly {
    pub(crate) fn new(packet: &str, attachments: usize, due: Time) -> Assembly {
        let bytes = packet.len();
        Assembly { packet: packet.into(), attachments: Vec::new(), due, missing: attachments, bytes }
    }

    /// The time by which it must be whole.
    pub(crate) fn due(&self) -> Time {
        self.due
    }

    /// It has until then instead.
    pub(crate) fn restart(&mut self, due: Time) {
        self.due = due;
    }

    /// The packet and its attachments.
    pub(crate) fn into_parts(self) -> (String, Vec<Frame>) {
        (self.packet, self.attachments)
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
