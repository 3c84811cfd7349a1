//! A client of the simulated world: what it was told, and whether it still reads and answers heartbeats.
//!
//! It takes frames as they are on the wire, header and all, with a reader of its own, so that an encoder that writes a
//! wrong length is found out.

use moorline_core::{ConnId, Time};
use moorline_protocol::Reason;

/// A client in the world, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(pub(super) usize);

/// One message that a client was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A packet.
    Text(String),
    /// An attachment of the packet before it.
    Binary(Vec<u8>),
}

impl Received {
    /// The packet; an attachment is a failure.
    pub fn into_text(self) -> String {
        match self {
            Received::Text(text) => text,
            Received::Binary(bytes) => panic!("{} bytes where a packet was due", bytes.len()),
        }
    }
}

impl std::fmt::Display for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Received::Text(text) => f.write_str(text),
            Received::Binary(bytes) => write!(f, "b{bytes:?}"),
        }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Why, in the node's words.
    pub reason: Reason,
    /// The WebSocket close code.
    pub code: u16,
    /// When.
    pub at: Time,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) node: usize,
    pub(super) conn: ConnId,
    /// Everything it was sent but heartbeats.
    pub(super) received: Vec<Received>,
    pub(super) pings: Vec<Time>,
    pub(super) ending: Option<Ending>,
    pub(super) is_gone: bool,
    pub(super) is_reading: bool,
    pub(super) has_pongs: bool,
    pub(super) last_ack: u64,
}

impl Record {
    pub(super) fn new(node: usize, conn: ConnId) -> Record {
        Record {
            node,
            conn,
            received: Vec::new(),
            pings: Vec::new(),
            ending: None,
            is_gone: false,
            is_reading: true,
            has_pongs: true,
            last_ack: 0,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.is_gone && self.ending.is_none()
    }

    /// Takes one frame; returns whether it is a heartbeat to answer.
    pub(super) fn take(&mut self, now: Time, frame: &[u8]) -> bool {
        let packet = unframe(frame);
        if packet != Received::Text("2".into()) {
            self.received.push(packet);
            return false;
        }
        self.pings.push(now);
        self.has_pongs
    }
}

/// Reads one unmasked, final frame, of text or binary.
pub(super) fn unframe(frame: &[u8]) -> Received {
    let (length, start) = match frame[1] {
        126 => (usize::from(u16::from_be_bytes([frame[2], frame[3]])), 4),
        127 => {
            let length = u64::from_be_bytes(frame[2..10].try_into().expect("eight bytes"));
            (usize::try_from(length).expect("a length"), 10)
        }
        short => (usize::from(short), 2),
    };
    assert_eq!(frame.len(), start + length, "the header names the length");
    let payload = frame[start..].to_vec();
    match frame[0] {
        0x81 => Received::Text(String::from_utf8(payload).expect("a text frame is UTF-8")),
        0x82 => Received::Binary(payload),
        first => panic!("{first:#x} starts no final frame of text or binary"),
    }
}
