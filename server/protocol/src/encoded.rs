//! A packet encoded once: the finished WebSocket frame and the bare packet inside it share one allocation.
//!
//! Owns the bytes; a clone is a reference count. It never knows who receives it, so one `Frame` serves every recipient
//! of a broadcast, over any transport.

use alloc::{rc::Rc, vec::Vec};
use core::fmt;

/// The longest server-to-client WebSocket header: two bytes and a 64-bit length, never a mask.
const HEADER_BYTES_MAX: usize = 10;
const FINAL_TEXT: u8 = 0x81;
const FINAL_BINARY: u8 = 0x82;

/// One encoded Engine.IO packet, cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Rc<[u8]>,
    header_bytes: u8,
}

impl Frame {
    /// Encodes a text packet: `write` appends the packet (its Engine.IO type included) to the buffer it is given.
    /// The appended bytes must be UTF-8; callers ensure it by writing whole strings.
    pub fn text(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Frame {
        let mut buffer = Vec::with_capacity(HEADER_BYTES_MAX + capacity);
        buffer.resize(HEADER_BYTES_MAX, 0);
        write(&mut buffer);
        debug_assert!(core::str::from_utf8(&buffer[HEADER_BYTES_MAX..]).is_ok(), "a text packet is UTF-8");
        Frame::finish(&mut buffer, FINAL_TEXT)
    }

    /// Encodes an attachment: bytes that travel as they are, right after the text packet they belong to.
    pub fn binary(bytes: &[u8]) -> Frame {
        let mut buffer = Vec::with_capacity(HEADER_BYTES_MAX + bytes.len());
        buffer.resize(HEADER_BYTES_MAX, 0);
        buffer.extend_from_slice(bytes);
        Frame::finish(&mut buffer, FINAL_BINARY)
    }

    fn finish(buffer: &mut [u8], first_byte: u8) -> Frame {
        let length = buffer.len() - HEADER_BYTES_MAX;
        let (mut header, header_bytes) = header(length);
        header[0] = first_byte;
        let start = HEADER_BYTES_MAX - usize::from(header_bytes);
        buffer[start..HEADER_BYTES_MAX].copy_from_slice(&header[..usize::from(header_bytes)]);
        Frame { bytes: Rc::from(&buffer[start..]), header_bytes }
    }

    /// The finished WebSocket frame, as it goes on the wire.
    pub fn as_websocket(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the packet is binary (an attachment), not text.
    pub fn is_binary(&self) -> bool {
        self.bytes.first() == Some(&FINAL_BINARY)
    }

    /// The bare Engine.IO packet, as long polling and the bus carry it.
    pub fn as_packet(&self) -> &[u8] {
        &self.bytes[usize::from(self.header_bytes)..]
    }

    /// The size that queues count for this packet, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }
}

fn header(length: usize) -> ([u8; HEADER_BYTES_MAX], u8) {
    let mut header = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if let Ok(short) = u8::try_from(length)
        && short < 126
    {
        header[1] = short;
        (header, 2)
    } else if let Ok(medium) = u16::try_from(length) {
        header[1] = 126;
        header[2..4].copy_from_slice(&medium.to_be_bytes());
        (header, 4)
    } else {
        header[1] = 127;
        header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        (header, 10)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The packet itself stays out of logs: it may hold a session id.
        write!(f, "Frame({} bytes)", self.as_packet().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Frame {
        Frame::text(length, |out| out.resize(out.len() + length, b'x'))
    }

    #[test]
    fn header_fits_every_length_class() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 255, 255]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = frame(length);
            assert_eq!(&frame.as_websocket()[..header.len()], header);
            assert_eq!(frame.as_packet().len(), length);
            assert_eq!(frame.len_bytes(), header.len() + length);
        }
    }

    #[test]
    fn an_attachment_is_a_binary_frame() {
        let frame = Frame::binary(&[1, 2, 255]);
        assert_eq!(frame.as_websocket(), [0x82, 3, 1, 2, 255]);
        assert_eq!(frame.as_packet(), [1, 2, 255]);
    }

    #[test]
    fn a_clone_shares_the_allocation() {
        let frame = frame(10);
        assert!(Rc::ptr_eq(&frame.bytes, &frame.clone().bytes));
    }
}
