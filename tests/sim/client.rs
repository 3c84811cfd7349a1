//! A client of the simulated world: what it was told, and whether it still reads and answers heartbeats.
//!
//! It takes frames as they are on the wire, header and all, with a reader of its own, so that an encoder that writes a
//! wrong length is found out.

use moorline_core::{ConnId, Time};
use moorline_protocol::Reason;

/// A client in the world, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(pub(super) usize);

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
    pub(super) heard: Vec<String>,
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
            heard: Vec::new(),
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
        if packet != "2" {
            self.heard.push(packet.into());
            return false;
        }
        self.pings.push(now);
        self.has_pongs
    }
}

/// Reads one unmasked, final text frame.
fn unframe(frame: &[u8]) -> &str {
    assert_eq!(frame[0], 0x81, "a final text frame");
    let (length, start) = match frame[1] {
        126 => (usize::from(u16::from_be_bytes([frame[2], frame[3]])), 4),
        127 => {
            let length = u64::from_be_bytes(frame[2..10].try_into().expect("eight bytes"));
            (usize::try_from(length).expect("a length"), 10)
        }
        short => (usize::from(short), 2),
    };
    assert_eq!(frame.len(), start + length, "the header names the length");
    std::str::from_utf8(&frame[start..]).expect("a text frame is UTF-8")
}
