//! A client of the simulated world: what it was sent, and whether it still reads and answers heartbeats.
//!
//! It takes frames as they are on the wire, header and all, with a reader of its own, so that an encoder that writes a
//! wrong length is found out.

use super::{
    conn::Role,
    words::{Conn, Received},
};
use moorline_core::Time;
use moorline_protocol::{
    Reason,
    engine::{self, Payload},
};

/// How clients travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Travel {
    /// On a WebSocket from the start.
    WebSocket,
    /// By long polling, always.
    Polling,
    /// By long polling, then on a WebSocket as soon as the session is open.
    Upgrade,
}

impl Travel {
    /// Every way.
    pub const ALL: [Travel; 3] = [Travel::WebSocket, Travel::Polling, Travel::Upgrade];
}

/// A connection of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its GET that is not answered yet.
    Poll,
    /// Its POST whose body has not ended.
    Post,
    /// The WebSocket it means to move to.
    Upgrade,
    /// One that it keeps for its next request.
    Kept,
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
    /// The id of its session, once it knows it. One that began on a WebSocket never needs it.
    pub(super) sid: Option<String>,
    /// The WebSocket it is on or means to move to.
    pub(super) websocket: Option<Conn>,
    pub(super) upgrade: Upgrade,
    /// Its GET that is not answered yet.
    pub(super) poll: Option<Conn>,
    /// Its POST whose body has not ended.
    pub(super) post: Option<Conn>,
    /// Connections whose requests were answered.
    pub(super) kept: Vec<Conn>,
    /// Everything it was sent but heartbeats.
    pub(super) received: Vec<Received>,
    pub(super) pings: Vec<Time>,
    pub(super) ending: Option<Ending>,
    pub(super) is_gone: bool,
    pub(super) is_reading: bool,
    pub(super) has_pongs: bool,
    /// How many packets it takes of one answer to a poll.
    pub(super) packets_max: usize,
    pub(super) last_ack: u64,
}

/// How far a client is on its way from polling to its WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// It polls and does not mean to move, or its test is not answered.
    Polls,
    /// The test was answered: it polls no more and moves once no poll is held.
    Tested,
    /// It is on its WebSocket.
    Moved,
}

/// One thing a client is about to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    AnswerPing,
    /// Ask for what there is, or move if that was its last poll.
    GoOn,
}

impl Record {
    pub(super) fn new(node: usize) -> Record {
        Record {
            node,
            sid: None,
            websocket: None,
            upgrade: Upgrade::Polls,
            poll: None,
            post: None,
            kept: Vec::new(),
            received: Vec::new(),
            pings: Vec::new(),
            ending: None,
            is_gone: false,
            is_reading: true,
            has_pongs: true,
            packets_max: usize::MAX,
            last_ack: 0,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.is_gone && self.ending.is_none()
    }

    /// Whether this connection is all there is of its session.
    pub(super) fn is_on(&self, conn: Conn) -> bool {
        self.upgrade == Upgrade::Moved && self.websocket == Some(conn)
    }

    /// One of its connections is open.
    pub(super) fn began(&mut self, conn: Conn, role: Role) {
        match role {
            Role::Handshake | Role::Poll { .. } => self.poll = Some(conn),
            Role::Post => self.post = Some(conn),
            Role::Socket => (self.websocket, self.upgrade) = (Some(conn), Upgrade::Moved),
            Role::Upgrade => self.websocket = Some(conn),
        }
    }

    /// The node closes one of its connections; returns whether the client reads what is left on it now.
    pub(super) fn close(&mut self, conn: Conn, role: Role, ending: Ending) -> bool {
        if self.is_on(conn) {
            self.ending = Some(ending);
            return self.is_reading;
        }
        if role == Role::Upgrade {
            (self.websocket, self.upgrade) = (None, Upgrade::Polls);
        } else {
            self.ending = Some(ending);
        }
        true
    }

    /// Takes one packet or attachment; returns whether it is a heartbeat to answer.
    pub(super) fn take(&mut self, now: Time, packet: Received) -> bool {
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

/// Reads the body that answers a poll.
pub(super) fn unpack(body: &[u8]) -> Vec<Received> {
    let mut payload = Payload::new(String::from_utf8(body.to_vec()).expect("a body is UTF-8"));
    let mut packets = Vec::new();
    while let Some(part) = payload.next_part() {
        packets.push(match part.expect("a well-formed body") {
            engine::Part::Text(text) => Received::Text(text.into()),
            engine::Part::Binary(bytes) => Received::Binary(bytes),
        });
    }
    packets
}
