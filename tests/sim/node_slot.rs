//! A place for a node: the node while it runs, and the connections its shell would own.
//!
//! Owns the books that the node's own gauges are held against: how many sessions there should be, by all that can be
//! seen from outside.
//!
//! Invariant: the name of a connection is used again with another generation only, and never while it is open.

use super::{conn::Role, words::Conn};
use moorline_core::{Config, ConnId, Gauges, Node, Relay, Time};
use moorline_protocol::TransportKind;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub(super) const MICROSECOND: Duration = Duration::from_micros(1);

pub(super) struct NodeSlot {
    pub(super) node: Option<Node<Relay>>,
    pub(super) config: Config,
    /// A frozen node keeps its connections and does nothing.
    pub(super) is_frozen: bool,
    /// Open connections and the latest request of each.
    pub(super) conns: BTreeMap<ConnId, Conn>,
    /// Connections whose outbox holds something. As in a shell, it is fetched when the node wants nothing else.
    pub(super) dirty: BTreeSet<ConnId>,
    /// Open WebSockets with a session of their own.
    sockets: BTreeSet<ConnId>,
    /// Requests for a session that are not answered yet.
    handshakes: BTreeSet<ConnId>,
    /// The sessions that began by polling and may still live.
    sids: BTreeSet<String>,
    free: Vec<ConnId>,
    slot_count: u32,
}

impl NodeSlot {
    pub(super) fn new(config: Config) -> NodeSlot {
        NodeSlot {
            node: None,
            config,
            is_frozen: false,
            conns: BTreeMap::new(),
            dirty: BTreeSet::new(),
            sockets: BTreeSet::new(),
            handshakes: BTreeSet::new(),
            sids: BTreeSet::new(),
            free: Vec::new(),
            slot_count: 0,
        }
    }

    /// A name for a new connection.
    pub(super) fn new_id(&mut self) -> ConnId {
        self.free.pop().unwrap_or_else(|| {
            self.slot_count += 1;
            ConnId { slot: self.slot_count - 1, generation: 0 }
        })
    }

    /// A connection is open, or a new request came on one that was.
    pub(super) fn insert(&mut self, id: ConnId, conn: Conn, role: Role) {
        self.conns.insert(id, conn);
        match role {
            Role::Socket => _ = self.sockets.insert(id),
            Role::Handshake => _ = self.handshakes.insert(id),
            Role::Poll { .. } | Role::Post | Role::Upgrade => {}
        }
    }

    /// A request for a session was answered, with the id of one unless it was refused.
    pub(super) fn finish_handshake(&mut self, id: ConnId, sid: Option<String>) {
        self.handshakes.remove(&id);
        self.sids.extend(sid);
    }

    /// A connection is open no more, but its name is still in use.
    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.sockets.remove(&id);
        self.handshakes.remove(&id);
        self.conns.remove(&id)
    }

    /// A connection is gone; its name may be used again.
    pub(super) fn release(&mut self, id: ConnId) {
        self.remove(id);
        self.free.push(ConnId { generation: id.generation + 1, ..id });
    }

    /// The node died: nothing of it is left. Returns the connections that were open.
    pub(super) fn clear(&mut self) -> Vec<Conn> {
        self.node = None;
        self.dirty.clear();
        self.sids.clear();
        let conns: Vec<(ConnId, Conn)> = self.conns.iter().map(|(id, conn)| (*id, *conn)).collect();
        conns.iter().for_each(|(id, _)| self.release(*id));
        conns.into_iter().map(|(_, conn)| conn).collect()
    }

    /// When the node wants to handle a deadline.
    pub(super) fn next_due(&self) -> Option<Time> {
        let node = self.node.as_ref().filter(|_| !self.is_frozen)?;
        node.poll_timeout().map(|(at, _)| at)
    }

    /// Holds what the node says about itself against the books.
    ///
    /// A session between two polls may end unseen, and a poll may come late to one that its client ended: so much may
    /// the two differ. While nobody polls they must be equal.
    pub(super) fn check_invariants(&mut self, now: Time) {
        let Some(node) = self.node.as_ref().filter(|_| !self.is_frozen) else { return };
        // A session whose deadline is this very moment counts until that is handled.
        let just_before = Time::ZERO + (now - Time::ZERO - MICROSECOND);
        self.sids.retain(|sid| node.transport(sid, just_before).is_some());
        let is_moved = |sid: &&String| node.transport(sid, just_before) == Some(TransportKind::WebSocket);
        let least = self.sockets.len() + self.sids.iter().filter(is_moved).count();
        let most = self.sockets.len() + self.handshakes.len() + self.sids.len();
        let Gauges { sessions, sockets, timers, .. } = node.gauges();
        assert!(
            (least..=most).contains(&sessions),
            "{sessions} sessions, but {least} to {most} have a connection or answer to their id"
        );
        let namespaces = node.config().namespaces.len();
        assert!(sockets <= sessions * namespaces, "{sockets} sockets of {sessions} sessions");
        assert!(timers >= sessions, "{timers} deadlines of {sessions} sessions: one would end unnoticed");
    }
}
