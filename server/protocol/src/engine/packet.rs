//! Engine.IO packets as one WebSocket text frame carries them: a type digit and its data.

use crate::{DecodeError, Frame};

const PROBE: &[u8] = b"2probe";

/// A decoded Engine.IO packet; data borrows from the frame it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the handshake, server to client only.
    Open(&'a str),
    /// `1`: the session ends.
    Close,
    /// `2`: heartbeat, server to client; with data `probe` from a client that tests a transport.
    Ping(&'a str),
    /// `3`: heartbeat answer.
    Pong(&'a str),
    /// `4`: a Socket.IO packet.
    Message(&'a str),
    /// `5`: the client moves to this transport.
    Upgrade,
    /// `6`: nothing, so that a pending poll can end.
    Noop,
}

/// Decodes one text packet.
///
/// # Errors
/// [`DecodeError::Empty`] for no bytes, [`DecodeError::UnknownType`] for a type outside `0`..=`6`.
pub fn decode(text: &str) -> Result<Packet<'_>, DecodeError> {
    let Some(kind) = text.bytes().next() else { return Err(DecodeError::Empty) };
    let data = text.get(1..).ok_or(DecodeError::UnknownType)?;
    match kind {
        b'0' => Ok(Packet::Open(data)),
        b'1' => Ok(Packet::Close),
        b'2' => Ok(Packet::Ping(data)),
        b'3' => Ok(Packet::Pong(data)),
        b'4' => Ok(Packet::Message(data)),
        b'5' => Ok(Packet::Upgrade),
        b'6' => Ok(Packet::Noop),
        _ => Err(DecodeError::UnknownType),
    }
}

/// The heartbeat a server sends.
pub fn ping() -> Frame {
    Frame::text(1, |out| out.push(b'2'))
}

/// The answer to a heartbeat, from a client.
pub fn pong() -> Frame {
    Frame::text(1, |out| out.push(b'3'))
}

/// The ping with which a client tests a transport.
pub fn probe() -> Frame {
    Frame::text(6, |out| out.extend_from_slice(PROBE))
}

/// The client's move to the transport it tested.
pub fn upgrade() -> Frame {
    Frame::text(1, |out| out.push(b'5'))
}

/// The packet that ends a poll without content.
pub fn noop() -> Frame {
    Frame::text(1, |out| out.push(b'6'))
}

/// The end of a session, as a pending poll receives it.
pub fn close() -> Frame {
    Frame::text(1, |out| out.push(b'1'))
}

/// The answer to the ping with which a client tests a transport.
pub fn probe_answer() -> Frame {
    Frame::text(6, |out| out.extend_from_slice(b"3probe"))
}

/// Wraps a Socket.IO packet into an Engine.IO message.
pub fn message(packet: &str) -> Frame {
    Frame::text(packet.len() + 1, |out| {
        out.push(b'4');
        out.extend_from_slice(packet.as_bytes());
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_decodes() {
        for (text, packet) in [
            ("0{}", Packet::Open("{}")),
            ("1", Packet::Close),
            ("2probe", Packet::Ping("probe")),
            ("3", Packet::Pong("")),
            ("42[\"a\"]", Packet::Message("2[\"a\"]")),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
        ] {
            assert_eq!(decode(text), Ok(packet));
        }
    }

    #[test]
    fn other_first_bytes_are_refused() {
        assert_eq!(decode(""), Err(DecodeError::Empty));
        for text in ["7", "b", " 4", "é"] {
            assert_eq!(decode(text), Err(DecodeError::UnknownType), "{text:?}");
        }
    }

    #[test]
    fn a_message_decodes_to_its_packet() {
        let frame = message("2[\"é\"]");
        let text = core::str::from_utf8(frame.as_packet()).unwrap();
        assert_eq!(decode(text), Ok(Packet::Message("2[\"é\"]")));
    }
}
