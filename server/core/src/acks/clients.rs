//! Acknowledgements that clients here owe: to a backend that asked them, or to a socket on this or another node.
//!
//! Owns the open requests. This node asks its clients under ids of its own, whoever asks, so the ids of two nodes or
//! namespaces cannot collide. It never sends an acknowledgement on; moves do.
//!
//! Invariants: an acknowledgement counts once, and only from a client that was asked. How many are awaited is bounded,
//! whoever asks.

use crate::{
    deadlines::timers::Timer,
    words::{
        config::Limits,
        ids::{NodeTag, SocketId},
        numbers::{BackendAckId, RequestId, Ticket},
    },
};
use alloc::{collections::BTreeMap, collections::BTreeSet, vec::Vec};

/// The side that asks clients for acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requester {
    /// A backend, under its own number.
    Backend(BackendAckId),
    /// A socket of this node or another, under its node's ticket.
    Node(NodeTag, Ticket),
}

/// A request for acknowledgements to clients here.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) requester: Requester,
    /// The sockets that have not acknowledged yet.
    sockets: BTreeSet<SocketId>,
    /// How many were asked.
    asked: usize,
    /// Acknowledgements that were sent on whole: those within their share, and those beyond.
    within: usize,
    beyond: usize,
    beyond_bytes: usize,
    pub(crate) timer: Timer,
}

impl Request {
    pub(crate) fn new(requester: Requester, sockets: BTreeSet<SocketId>) -> Request {
        let (asked, timer) = (sockets.len(), Timer::default());
        Request { requester, sockets, asked, within: 0, beyond: 0, beyond_bytes: 0, timer }
    }

    /// The sockets that have not acknowledged yet.
    pub(crate) fn sockets(&self) -> &BTreeSet<SocketId> {
        &self.sockets
    }

    /// Counts an acknowledgement of so many bytes. Returns whether it is sent on whole, or the node of the requester is
    /// only told that it came. Each that was asked has an equal share of one message; larger ones have one message
    /// among them, so that they take nothing from others.
    pub(crate) fn admit(&mut self, bytes: usize, limits: &Limits) -> bool {
        if bytes <= limits.payload_bytes_max / self.asked.max(1) {
            self.within += 1;
            return self.within <= limits.responses_max;
        }
        let is_admitted =
            self.beyond < limits.responses_max && self.beyond_bytes + bytes <= limits.payload_bytes_max;
        if is_admitted {
            self.beyond += 1;
            self.beyond_bytes += bytes;
        }
        is_admitted
    }
}

/// The open requests of a node.
#[derive(Debug, Default)]
pub(crate) struct ClientAcks {
    open: BTreeMap<RequestId, Request>,
    /// The same by the socket that owes an acknowledgement.
    by_socket: BTreeSet<(SocketId, RequestId)>,
    last_id: Option<RequestId>,
}

impl ClientAcks {
    /// Whether so many more acknowledgements may be awaited. One request may take half of the free places at most, so
    /// that requests to many clients leave places for others.
    pub(crate) fn has_room(&self, wanted: usize, limits: &Limits) -> bool {
        wanted <= limits.awaited_answers_max.saturating_sub(self.by_socket.len()) / 2
    }

    /// An id under which nobody is asked now.
    pub(crate) fn next_id(&mut self) -> RequestId {
        let mut id = self.last_id.unwrap_or(RequestId::new(0)).next();
        while self.open.contains_key(&id) {
            id = id.next();
        }
        self.last_id = Some(id);
        id
    }

    pub(crate) fn insert(&mut self, id: RequestId, request: Request) {
        self.by_socket.extend(request.sockets.iter().map(|socket| (*socket, id)));
        self.open.insert(id, request);
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        self.open.get_mut(&id)
    }

    /// Takes the acknowledgement that a socket owes: who asked for it, and whether it was the last one of its request.
    /// `None` when it owes none under this id.
    pub(crate) fn take(&mut self, id: RequestId, socket: SocketId) -> Option<(Requester, bool)> {
        if !self.by_socket.remove(&(socket, id)) {
            return None;
        }
        let request = self.open.get_mut(&id)?;
        request.sockets.remove(&socket);
        Some((request.requester, request.sockets.is_empty()))
    }

    pub(crate) fn remove(&mut self, id: RequestId) -> Option<Request> {
        let request = self.open.remove(&id)?;
        for socket in &request.sockets {
            self.by_socket.remove(&(*socket, id));
        }
        Some(request)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RequestId, &Request)> {
        self.open.iter().map(|(id, request)| (*id, request))
    }

    /// The requests that a socket has not acknowledged.
    pub(crate) fn of_socket(&self, socket: SocketId) -> Vec<RequestId> {
        let ids = (socket, RequestId::new(0))..=(socket, RequestId::new(u32::MAX));
        self.by_socket.range(ids).map(|(_, id)| *id).collect()
    }

    /// Panics when the index by socket and the table disagree, or a request waits for nobody.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let owed =
            self.iter().flat_map(|(id, request)| request.sockets.iter().map(move |socket| (*socket, id)));
        assert_eq!(self.by_socket, owed.collect(), "each owed acknowledgement is found by its socket");
        assert!(self.iter().all(|(_, request)| !request.sockets.is_empty()), "a request waits for somebody");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTER: Requester = Requester::Backend(BackendAckId::new(5));

    fn sockets() -> [SocketId; 2] {
        ["abcdefghijABCDEF-_00", "abcdefghijABCDEF-_09"].map(|id| SocketId::parse(id).unwrap())
    }

    #[test]
    fn an_acknowledgement_counts_once_and_only_from_a_socket_that_was_asked() {
        let (mut acks, [first, second]) = (ClientAcks::default(), sockets());
        let id = acks.next_id();
        acks.insert(id, Request::new(REQUESTER, BTreeSet::from([first, second])));
        acks.check_invariants();
        assert_eq!(acks.take(id.next(), first), None);
        assert_eq!(acks.take(id, first), Some((REQUESTER, false)));
        assert_eq!((acks.take(id, first), acks.of_socket(first)), (None, Vec::new()));
        assert_eq!(
            (acks.of_socket(second), acks.take(id, second)),
            (Vec::from([id]), Some((REQUESTER, true)))
        );
        assert!(acks.remove(id).is_some_and(|request| request.sockets().is_empty()));
        acks.check_invariants();
    }

    #[test]
    fn ids_go_round_and_skip_those_in_use() {
        let (mut acks, [socket, _]) = (ClientAcks::default(), sockets());
        let first = acks.next_id();
        acks.insert(first, Request::new(REQUESTER, BTreeSet::from([socket])));
        acks.last_id = Some(RequestId::new((1 << 31) - 1));
        assert_eq!((first, acks.next_id()), (RequestId::new(1), RequestId::new(2)));
    }

    #[test]
    fn a_request_takes_half_of_the_room_that_is_left_at_most() {
        let (mut acks, [first, second]) = (ClientAcks::default(), sockets());
        let limits = Limits { awaited_answers_max: 10, ..Limits::default() };
        assert!(acks.has_room(5, &limits) && !acks.has_room(6, &limits));
        let id = acks.next_id();
        acks.insert(id, Request::new(REQUESTER, BTreeSet::from([first, second])));
        assert!(acks.has_room(4, &limits) && !acks.has_room(5, &limits));
        acks.remove(id);
        assert!(acks.has_room(5, &limits));
    }

    #[test]
    fn who_stays_within_its_share_is_sent_on_whatever_larger_ones_came_before() {
        let limits = Limits { responses_max: 2, payload_bytes_max: 10, ..Limits::default() };
        let mut request = Request::new(REQUESTER, BTreeSet::from(sockets()));
        assert!(request.admit(8, &limits) && !request.admit(6, &limits), "one message for all larger ones");
        assert!(request.admit(5, &limits) && request.admit(5, &limits));
        assert!(!request.admit(0, &limits), "two is all");
        let mut alone = Request::new(REQUESTER, BTreeSet::from([sockets()[0]]));
        assert!(!alone.admit(11, &limits) && alone.admit(10, &limits));
    }
}
