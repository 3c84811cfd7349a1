//! WebSocket frames as a client needs them: masked text out, whole unfragmented frames in.
//!
//! It never copies a payload it reads, and knows nothing of Socket.IO. Fragments, masks and extensions, which no server
//! in this benchmark sends, are errors, so that nothing is measured that was not understood.

use std::ops::Range;

const FINAL_TEXT: u8 = 0x81;
const FINAL_CLOSE: u8 = 0x88;
const MASKED: u8 = 0x80;
/// A real key costs the server the same unmasking as any other; one for all saves the generator a random number.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// It has not arrived whole.
    Incomplete,
    /// A text message: where its payload is. The frame ends where the payload does.
    Text(Range<usize>),
    /// The server closes the connection, with this code.
    Close(u16),
    /// Something no server here should send.
    Unexpected(u8),
}

/// Appends `text` as a masked text frame.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(FINAL_TEXT);
    match u16::try_from(text.len()) {
        Ok(length) if length < 126 => out.push(MASKED | length.to_le_bytes()[0]),
        Ok(length) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&KEY);
    out.extend(text.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Reads the frame at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let Some((&[first, length], rest)) = bytes.split_first_chunk() else { return Parsed::Incomplete };
    let (length, header_bytes) = match length {
        0..126 => (usize::from(length), 2),
        126 => match rest.first_chunk() {
            Some(&length) => (usize::from(u16::from_be_bytes(length)), 4),
            None => return Parsed::Incomplete,
        },
        _ => return Parsed::Unexpected(length),
    };
    let payload = header_bytes..header_bytes + length;
    if bytes.len() < payload.end {
        return Parsed::Incomplete;
    }
    match first {
        FINAL_TEXT => Parsed::Text(payload),
        FINAL_CLOSE => Parsed::Close(close_code(&bytes[payload])),
        other => Parsed::Unexpected(other),
    }
}

/// 1005 stands for a close frame without a code (RFC 6455, 7.4.1).
fn close_code(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_masked_and_carries_its_length() {
        for (length, header) in [(5, vec![0x81, 0x85]), (200, vec![0x81, 0xfe, 0, 200])] {
            let mut out = Vec::new();
            push_text(&mut out, &vec![b'a'; length]);
            assert_eq!(out[..header.len()], header);
            assert_eq!(out.len(), header.len() + 4 + length);
            assert_eq!(out[header.len() + 4], b'a' ^ KEY[0]);
        }
    }

    #[test]
    fn a_frame_is_read_whole_or_not_at_all() {
        let mut medium = vec![0x81, 126, 0, 130];
        medium.resize(4 + 130, b'x');
        for (frame, payload) in [(b"\x81\x02hi\x81".to_vec(), 2..4), (medium, 4..134)] {
            for cut in 0..payload.end {
                assert_eq!(parse(&frame[..cut]), Parsed::Incomplete, "cut at {cut}");
            }
            assert_eq!(parse(&frame), Parsed::Text(payload));
        }
    }

    #[test]
    fn what_is_not_text_is_told_apart() {
        assert_eq!(parse(&[0x88, 2, 0x03, 0xf4]), Parsed::Close(1012));
        assert_eq!(parse(&[0x88, 0]), Parsed::Close(1005));
        assert_eq!(parse(&[0x82, 0]), Parsed::Unexpected(0x82));
    }
}
