//! The open packet: what a server tells a client about its new session.

use crate::{DecodeError, Frame, json};
use alloc::string::String;

/// The five values of the handshake, no more: clients and the conformance suite expect exactly these keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// The session id, a secret between this client and this node.
    pub sid: &'a str,
    /// Transports the client may still move to; empty on WebSocket.
    pub upgrades: &'a [&'a str],
    /// Time between two heartbeats, in milliseconds.
    pub ping_interval_ms: u64,
    /// Time a heartbeat's answer may take, in milliseconds.
    pub ping_timeout_ms: u64,
    /// The largest message the server takes, in bytes.
    pub payload_bytes_max: u64,
}

impl Handshake<'_> {
    /// Encodes the open packet.
    pub fn encode(&self) -> Frame {
        Frame::text(128, |out| {
            out.extend_from_slice(b"0{\"sid\":");
            json::push_string(out, self.sid);
            out.extend_from_slice(b",\"upgrades\":[");
            json::push_separated(out, b",", self.upgrades, |out, upgrade| json::push_string(out, upgrade));
            out.extend_from_slice(b"],\"pingInterval\":");
            json::push_number(out, self.ping_interval_ms);
            out.extend_from_slice(b",\"pingTimeout\":");
            json::push_number(out, self.ping_timeout_ms);
            out.extend_from_slice(b",\"maxPayload\":");
            json::push_number(out, self.payload_bytes_max);
            out.push(b'}');
        })
    }
}

/// A handshake as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The session id, a secret.
    pub sid: String,
    /// Whether the session may move to WebSocket.
    pub has_upgrade: bool,
    /// Time between two heartbeats, in milliseconds.
    pub ping_interval_ms: u64,
    /// Time a heartbeat's answer may take, in milliseconds.
    pub ping_timeout_ms: u64,
    /// The largest message the server takes, in bytes; old servers do not say.
    pub payload_bytes_max: Option<u64>,
}

/// Decodes the data of an open packet.
///
/// # Errors
/// [`DecodeError::BadPayload`] when a value without which there is no session is missing or malformed.
pub fn decode_handshake(data: &str) -> Result<Opened, DecodeError> {
    let number = |name| json::member(data, name).and_then(json::read_number);
    let sid = json::member(data, "sid").and_then(json::read_string).filter(|sid| !sid.is_empty());
    let (Some(sid), Some(ping_interval_ms), Some(ping_timeout_ms)) =
        (sid, number("pingInterval"), number("pingTimeout"))
    else {
        return Err(DecodeError::BadPayload);
    };
    let has_upgrade = json::member(data, "upgrades")
        .is_some_and(|list| list.split(['[', ',', ']']).any(|name| name.trim() == "\"websocket\""));
    let payload_bytes_max = number("maxPayload");
    Ok(Opened { sid, has_upgrade, ping_interval_ms, ping_timeout_ms, payload_bytes_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_order_are_those_of_the_reference() {
        let handshake = Handshake {
            sid: "s1.abc",
            upgrades: &["websocket"],
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            payload_bytes_max: 1_000_000,
        };
        let text = br#"0{"sid":"s1.abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(handshake.encode().as_packet(), text);
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let handshake = Handshake {
            sid: "s1.a\"b",
            upgrades: &["websocket"],
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            payload_bytes_max: 1_000_000,
        };
        let read = |handshake: &Handshake<'_>| {
            let frame = handshake.encode();
            decode_handshake(core::str::from_utf8(&frame.as_packet()[1..]).unwrap()).unwrap()
        };
        let opened = Opened {
            sid: "s1.a\"b".into(),
            has_upgrade: true,
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            payload_bytes_max: Some(1_000_000),
        };
        assert_eq!(read(&handshake), opened);
        assert!(!read(&Handshake { upgrades: &[], ..handshake }).has_upgrade);
    }

    #[test]
    fn without_its_values_it_is_refused() {
        let text = r#"{"sid":"a","pingInterval":1,"pingTimeout":2}"#;
        assert_eq!(decode_handshake(text).unwrap().payload_bytes_max, None);
        for cut in 0..text.len() - 1 {
            assert_eq!(decode_handshake(&text[..cut]), Err(DecodeError::BadPayload), "{cut}");
        }
        for text in [
            r#"{"sid":"","pingInterval":1,"pingTimeout":2}"#,
            r#"{"sid":1,"pingInterval":1,"pingTimeout":2}"#,
        ] {
            assert_eq!(decode_handshake(text), Err(DecodeError::BadPayload), "{text}");
        }
    }
}
