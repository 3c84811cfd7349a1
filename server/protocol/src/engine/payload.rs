//! A long-polling body: packets joined by 0x1e, binary ones as `b` and base64.
//!
//! Owns the framing of one body, in both directions. It never looks into a packet.
//!
//! Invariant: a body is walked once from front to back, however many packets are taken at a time; what `encode` writes,
//! [`Payload`] reads back.

use crate::{DecodeError, Frame, json};
use alloc::{string::String, vec::Vec};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

/// The separator of two packets. No packet holds it: JSON escapes control characters, base64 has none.
const SEPARATOR: char = '\x1e';
/// The start of a binary packet, which has no type digit.
const BINARY: char = 'b';

/// Some clients leave the padding away.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One packet of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// A text packet, its type digit included.
    Text(&'a str),
    /// A binary message.
    Binary(Vec<u8>),
}

/// A body that is taken apart packet by packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    body: String,
    /// The offset of the next packet; past the end once the last was taken.
    at: usize,
}

impl Payload {
    /// A body as it came in. An empty body yields one empty packet, which decoding refuses.
    pub fn new(body: String) -> Payload {
        Payload { body, at: 0 }
    }

    /// The next packet, or `None` when the body is used up.
    ///
    /// # Errors
    /// [`DecodeError::BadBase64`] for a binary packet that is not base64.
    pub fn next_part(&mut self) -> Option<Result<Part<'_>, DecodeError>> {
        let rest = self.body.get(self.at..)?;
        let packet = rest.split(SEPARATOR).next().unwrap_or_default();
        self.at += packet.len() + SEPARATOR.len_utf8();
        Some(match packet.strip_prefix(BINARY) {
            Some(digits) => LENIENT.decode(digits).map(Part::Binary).map_err(|_| DecodeError::BadBase64),
            None => Ok(Part::Text(packet)),
        })
    }
}

impl Payload {
    /// Puts the packets of a later body behind the ones that are left.
    pub fn append(&mut self, later: &Payload) {
        let Some(rest) = later.body.get(later.at..) else { return };
        if self.at > self.body.len() {
            self.body.clear();
        } else {
            self.body.drain(..self.at);
            self.body.push(SEPARATOR);
        }
        self.at = 0;
        self.body.push_str(rest);
    }
}

/// Writes the packets of frames as one body.
pub fn encode_payload(frames: &[Frame]) -> Vec<u8> {
    let mut body = Vec::with_capacity(frames.iter().map(|frame| frame.as_packet().len() + 1).sum());
    json::push_separated(&mut body, SEPARATOR.encode_utf8(&mut [0; 4]).as_bytes(), frames, |body, frame| {
        if frame.is_binary() {
            body.extend_from_slice(BINARY.encode_utf8(&mut [0; 4]).as_bytes());
            body.extend_from_slice(STANDARD.encode(frame.as_packet()).as_bytes());
        } else {
            body.extend_from_slice(frame.as_packet());
        }
    });
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;
    use alloc::{vec, vec::Vec};

    fn parts(body: &str) -> Vec<Result<Part<'static>, DecodeError>> {
        let mut payload = Payload::new(body.into());
        let mut parts = Vec::new();
        while let Some(part) = payload.next_part() {
            parts.push(part.map(|part| match part {
                Part::Text(text) => Part::Text(String::from(text).leak()),
                Part::Binary(bytes) => Part::Binary(bytes),
            }));
        }
        parts
    }

    #[test]
    fn a_later_body_comes_behind_the_packets_that_are_left() {
        let texts = |payload: &mut Payload| {
            let mut texts = Vec::new();
            while let Some(Ok(Part::Text(text))) = payload.next_part() {
                texts.push(String::from(text));
            }
            texts
        };
        for taken in 0..=3 {
            let (mut first, mut second) =
                (Payload::new("4a\u{1e}4b\u{1e}4c".into()), Payload::new("4d\u{1e}4e".into()));
            (0..taken).for_each(|_| _ = first.next_part());
            second.next_part();
            first.append(&second);
            let expected = ["4a", "4b", "4c", "4e"];
            assert_eq!(texts(&mut first), expected[taken..]);
            second.next_part();
            first.append(&second);
            assert_eq!(texts(&mut first), [""; 0], "nothing was left of it");
        }
    }

    #[test]
    fn packets_come_in_order_and_binary_ones_as_bytes() {
        assert_eq!(
            parts("4hello\x1ebAQIDBA==\x1e3\x1ebAQ"),
            [
                Ok(Part::Text("4hello")),
                Ok(Part::Binary(vec![1, 2, 3, 4])),
                Ok(Part::Text("3")),
                Ok(Part::Binary(vec![1]))
            ]
        );
        assert_eq!(parts("b"), [Ok(Part::Binary(vec![]))]);
    }

    #[test]
    fn an_empty_packet_is_handed_on_wherever_it_stands() {
        for (body, count) in [("", 1), ("\x1e", 2), ("3\x1e", 2), ("\x1e3", 2), ("3\x1e\x1e3", 3)] {
            assert_eq!(parts(body).len(), count, "{body:?}");
            assert!(parts(body).contains(&Ok(Part::Text(""))), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for body in ["b*", "bA", "bAQ==AQ==", "b AQ==", "bAQI_", "bé"] {
            assert_eq!(parts(body), [Err(DecodeError::BadBase64)], "{body:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_and_cut_anywhere_is_no_panic() {
        let frames =
            [engine::message("2[\"é\"]"), Frame::binary(&[0, 255]), Frame::binary(b""), engine::ping()];
        let body = String::from_utf8(encode_payload(&frames)).unwrap();
        assert_eq!(body, "42[\"é\"]\x1ebAP8=\x1eb\x1e2");
        let read = parts(&body);
        assert_eq!(read.len(), frames.len());
        for (part, frame) in read.iter().zip(&frames) {
            match part.as_ref().unwrap() {
                Part::Text(text) => {
                    assert_eq!((text.as_bytes(), false), (frame.as_packet(), frame.is_binary()));
                }
                Part::Binary(bytes) => assert_eq!((&bytes[..], true), (frame.as_packet(), frame.is_binary())),
            }
        }
        for cut in (0..body.len()).filter(|cut| body.is_char_boundary(*cut)) {
            parts(&body[..cut]);
            parts(&body[cut..]);
        }
        assert!(encode_payload(&[]).is_empty());
    }
}
