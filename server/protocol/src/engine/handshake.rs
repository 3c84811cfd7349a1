//! The open packet: what a server tells a client about its new session.

use crate::{Frame, json};

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
            for (at, upgrade) in self.upgrades.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                json::push_string(out, upgrade);
            }
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
}
