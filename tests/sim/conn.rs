//! The connections of the simulated world: requests and WebSockets, as a node's shell would own them.
//!
//! Owns how each began, what came on it and how it ended. It never speaks to a node.
//!
//! Invariant: a request is answered once, a WebSocket ends once, and nothing comes after either; a second time ends the
//! test.

use super::words::{Client, Received};
use moorline_core::{ConnId, RequestError};
use std::collections::VecDeque;

/// How a request was answered, or how a WebSocket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A poll got these packets; binary ones start with `b`.
    Packets(Vec<String>),
    /// A post was taken.
    Taken,
    /// It was refused.
    Refused(RequestError),
    /// A WebSocket was closed with this code.
    Closed(u16),
    /// Its node died, or was dead.
    Lost,
}

impl Outcome {
    /// The packets that answer a poll.
    pub fn packets(packets: &[&str]) -> Outcome {
        Outcome::Packets(packets.iter().map(|packet| (*packet).into()).collect())
    }
}

/// How a connection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A GET that asks for a session.
    Handshake,
    /// A GET of a session whose client takes so many packets of one answer.
    Poll { packets_max: usize },
    /// A POST of a session.
    Post,
    /// A WebSocket that asks for a session of its own.
    Socket,
    /// A WebSocket that names a session.
    Upgrade,
}

impl Role {
    pub(super) fn is_websocket(self) -> bool {
        matches!(self, Role::Socket | Role::Upgrade)
    }

    /// How many packets may come as one answer.
    pub(super) fn packets_max(self) -> usize {
        match self {
            Role::Poll { packets_max } => packets_max,
            Role::Handshake | Role::Post | Role::Socket | Role::Upgrade => 1,
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) node: usize,
    pub(super) id: ConnId,
    pub(super) role: Role,
    /// The client that drives it; without one a story does.
    pub(super) owner: Option<Client>,
    /// The messages on a WebSocket that a story drives.
    pub(super) received: Vec<Received>,
    pub(super) outcome: Option<Outcome>,
    /// The messages that its client sent and the node does not want yet.
    pub(super) unread: VecDeque<Unread>,
    /// Whether the client's side dropped it.
    pub(super) is_dropped: bool,
}

/// One thing that waits on a connection.
#[derive(Debug)]
pub(super) enum Unread {
    Text(String),
    Binary(Vec<u8>),
    /// The end of a body.
    Posted,
}

impl Connection {
    pub(super) fn new(node: usize, id: ConnId, role: Role, owner: Option<Client>) -> Connection {
        let (received, unread) = (Vec::new(), VecDeque::new());
        Connection { node, id, role, owner, received, outcome: None, unread, is_dropped: false }
    }

    /// Whether something may still come on it.
    pub(super) fn is_waiting(&self) -> bool {
        self.outcome.is_none() && !self.is_dropped
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        assert!(!self.is_dropped, "{outcome:?} comes on a connection that was dropped");
        assert_eq!(self.outcome, None, "{outcome:?} comes after the end");
        self.outcome = Some(outcome);
    }
}

/// Splits the body that answers a poll.
pub(super) fn split(body: &[u8]) -> Vec<String> {
    let body = String::from_utf8(body.to_vec()).expect("a body is UTF-8");
    body.split('\x1e').map(String::from).collect()
}

/// Reads the id out of an answer to CONNECT in `/`.
pub(super) fn socket_id(packet: &str) -> String {
    let id = packet.strip_prefix(r#"40{"sid":""#).and_then(|rest| rest.strip_suffix(r#""}"#));
    id.unwrap_or_else(|| panic!("{packet} is no answer to CONNECT")).into()
}

/// Reads the session's id out of a handshake.
pub(super) fn session_id(packet: &str) -> Option<String> {
    let handshake: serde_json::Value = serde_json::from_str(packet.strip_prefix('0')?).ok()?;
    handshake["sid"].as_str().map(String::from)
}
