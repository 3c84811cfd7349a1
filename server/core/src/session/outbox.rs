//! The frames a session still has to send, whatever transport will carry them.
//!
//! Owns the frames and their byte count. It never decides when they are sent, nor what follows when it is full.
//!
//! Invariant: never more than the byte bound given to `push`, or one message; when it is full a message is refused and
//! the session's owner ends the session. An empty outbox holds no memory.

use crate::words::message::Message;
use alloc::{collections::VecDeque, vec::Vec};
use moorline_protocol::Frame;

/// A poll is answered with about so many bytes. More would be copied for one client in one turn; the rest comes with
/// the next poll.
const POLL_BYTES: usize = 512 << 10;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Frame>,
    bytes: usize,
}

/// The outbox cannot take the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Outbox {
    /// Takes all frames of a message, or none. An empty outbox takes any message.
    pub(crate) fn push(&mut self, message: &Message, bytes_max: usize) -> Result<(), Full> {
        let bytes = self.bytes + message.len_bytes();
        if bytes > bytes_max && !self.frames.is_empty() {
            return Err(Full);
        }
        self.bytes = bytes;
        self.frames.extend(message.frames().cloned());
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// Moves at most `packets` frames to `into`, about [`POLL_BYTES`] of them; at least one if there is any.
    pub(crate) fn pull_packets(&mut self, packets: usize, into: &mut Vec<Frame>) {
        let mut taken = 0;
        let sizes = self.frames.iter().take(packets).map(Frame::len_bytes);
        let packets = sizes.take_while(|size| {
            let has_room = taken < POLL_BYTES;
            taken += size;
            has_room
        });
        let packets = packets.count();
        let pulled = self.frames.drain(..packets).inspect(|frame| self.bytes -= frame.len_bytes());
        into.extend(pulled);
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    /// Moves frames to `into` until about `bytes` are there; at least one if there is any. Returns whether more remain.
    pub(crate) fn pull(&mut self, bytes: usize, into: &mut Vec<Frame>) -> bool {
        let mut taken = 0;
        while taken < bytes {
            let Some(frame) = self.frames.pop_front() else { break };
            taken += frame.len_bytes();
            self.bytes -= frame.len_bytes();
            into.push(frame);
        }
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        !self.frames.is_empty()
    }

    /// Panics when the byte count is not the sum over the frames.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let bytes: usize = self.frames.iter().map(Frame::len_bytes).sum();
        assert_eq!(self.bytes, bytes, "the bytes of an outbox add up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Message {
        Frame::text(length, |out| out.resize(out.len() + length, b'x')).into()
    }

    #[test]
    fn a_full_outbox_refuses_and_keeps_what_it_has() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(&message(58), 100), Ok(()));
        assert_eq!(outbox.push(&message(39), 100), Err(Full));
        assert_eq!(outbox.push(&message(38), 100), Ok(()));
        assert_eq!(outbox.bytes, 100);
    }

    #[test]
    fn packets_are_pulled_by_number_and_size() {
        let mut outbox = Outbox::default();
        for length in 1..=5 {
            outbox.push(&message(length), 1000).unwrap();
        }
        let mut frames = Vec::new();
        outbox.pull_packets(3, &mut frames);
        assert_eq!((frames.len(), outbox.bytes, outbox.is_empty()), (3, 6 + 7, false));
        outbox.pull_packets(usize::MAX, &mut frames);
        assert_eq!((frames.len(), outbox.bytes, outbox.frames.capacity()), (5, 0, 0));
        assert_eq!(frames[4].as_packet().len(), 5);
    }

    #[test]
    fn one_poll_takes_about_half_a_megabyte_and_a_large_message_whole() {
        let mut outbox = Outbox::default();
        for length in [300_000, 300_000, 300_000, 3_000_000] {
            outbox.push(&message(length), 10_000_000).unwrap();
        }
        let pulls = [(); 3].map(|()| {
            let mut frames = Vec::new();
            outbox.pull_packets(usize::MAX, &mut frames);
            frames.len()
        });
        assert_eq!(pulls, [2, 2, 0], "the fourth begins before the half is full");
    }

    #[test]
    fn pulling_is_in_order_and_bounded_and_leaves_no_memory() {
        let mut outbox = Outbox::default();
        for length in 1..=10 {
            outbox.push(&message(length), 1000).unwrap();
        }
        let mut frames = Vec::new();
        assert!(outbox.pull(7, &mut frames));
        assert_eq!(frames.len(), 2, "3 bytes are not yet 7, 3 + 4 are");
        assert!(!outbox.pull(usize::MAX, &mut frames));
        let lengths: Vec<usize> = frames.iter().map(|frame| frame.as_packet().len()).collect();
        assert_eq!(lengths, (1..=10).collect::<Vec<_>>());
        assert_eq!((outbox.bytes, outbox.frames.capacity()), (0, 0));
    }
}
