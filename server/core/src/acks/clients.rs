//! Acknowledgements that clients here owe: to a backend that asked them, or to a socket on this or another node.
//!
//! Owns the open requests. This node asks its clients under ids of its own, whoever asks, so the ids of two nodes or
//! namespaces cannot collide. It never sends an acknowledgement on; moves do.
//!
//! How many are awaited is bounded, whoever asks, and so is each one's share of it: a quarter of the places is for
//! backends alone; clients share the others, and one that asks has an eighth of all at most. One request takes half of
//! the places that are free to its side at most, so that requests to many leave places for others.
//!
//! Invariants: an acknowledgement counts once, and only from a client that was asked. No share is so small that nobody
//! can be asked.

use crate::{
    deadlines::timers::Timer,
    words::{
        config::Limits,
        ids::{NodeTag, SocketId},
        numbers::{BackendAckId, RequestId, Ticket},
    },
};
use alloc::{collections::BTreeMap, collections::BTreeSet, vec::Vec};

/// One of so many places is for backends alone.
const BACKENDS_PART: usize = 4;

/// One of so many places is the most that one asker may take.
const ASKER_PART: usize = 8;

/// The side that asks clients for acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requester {
    /// A backend, under its own number.
    Backend(BackendAckId),
    /// A socket of this node or another, under its node's ticket.
    Node(Asker, Ticket),
}

/// The one whose share a request of a node takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    Socket(SocketId),
    /// All sockets of a node that does not say which of them asks.
    Node(NodeTag),
}

impl Asker {
    /// The node that gets the acknowledgements.
    pub(crate) fn node(self) -> NodeTag {
        match self {
            Asker::Socket(id) => id.tag(),
            Asker::Node(tag) => tag,
        }
    }
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
    /// How many are awaited for each asker that waits for some.
    by_asker: BTreeMap<Asker, usize>,
    /// The sum of those: how many are awaited for clients.
    for_clients: usize,
    last_id: Option<RequestId>,
}

impl ClientAcks {
    /// Whether so many more acknowledgements may be awaited for this requester.
    pub(crate) fn has_room(&self, requester: Requester, wanted: usize, limits: &Limits) -> bool {
        let all = limits.awaited_answers_max;
        let free = all.saturating_sub(self.by_socket.len());
        let allowed = match requester {
            Requester::Backend(_) => free.div_ceil(2),
            Requester::Node(asker, _) => {
                let free_to_clients = (all - all / BACKENDS_PART).saturating_sub(self.for_clients).min(free);
                let taken = self.by_asker.get(&asker).copied().unwrap_or_default();
                let own = all.div_ceil(ASKER_PART).saturating_sub(taken);
                own.min(free_to_clients.div_ceil(2))
            }
        };
        wanted <= allowed
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
        if let Requester::Node(asker, _) = request.requester {
            self.for_clients += request.sockets.len();
            *self.by_asker.entry(asker).or_default() += request.sockets.len();
        }
        self.open.insert(id, request);
    }

    /// So many are awaited no longer.
    fn release(&mut self, requester: Requester, acks: usize) {
        let Requester::Node(asker, _) = requester else { return };
        self.for_clients -= acks;
        if let Some(awaited) = self.by_asker.get_mut(&asker) {
            *awaited -= acks;
            if *awaited == 0 {
                self.by_asker.remove(&asker);
            }
        }
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
        let (requester, is_last) = (request.requester, request.sockets.is_empty());
        self.release(requester, 1);
        Some((requester, is_last))
    }

    pub(crate) fn remove(&mut self, id: RequestId) -> Option<Request> {
        let request = self.open.remove(&id)?;
        for socket in &request.sockets {
            self.by_socket.remove(&(*socket, id));
        }
        self.release(request.requester, request.sockets.len());
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

    /// Panics when an index and the table disagree, or a request waits for nobody.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self) {
        let owed =
            self.iter().flat_map(|(id, request)| request.sockets.iter().map(move |socket| (*socket, id)));
        assert_eq!(self.by_socket, owed.collect(), "each owed acknowledgement is found by its socket");
        assert!(self.iter().all(|(_, request)| !request.sockets.is_empty()), "a request waits for somebody");
        let mut by_asker = BTreeMap::<Asker, usize>::new();
        for (_, request) in self.iter() {
            if let Requester::Node(asker, _) = request.requester {
                *by_asker.entry(asker).or_default() += request.sockets.len();
            }
        }
        assert_eq!(
            self.for_clients,
            by_asker.values().sum::<usize>(),
            "the acknowledgements for clients add up"
        );
        assert_eq!(self.by_asker, by_asker, "the acknowledgements for each asker add up");
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

    /// A request of a socket on another node.
    fn of_socket() -> Requester {
        Requester::Node(Asker::Socket(sockets()[1]), Ticket::new(1))
    }

    /// A request of a node that does not say which socket asks.
    fn of_node(tag: &str) -> Requester {
        Requester::Node(Asker::Node(NodeTag::parse(tag).unwrap()), Ticket::new(1))
    }

    /// The most acknowledgements that a request may await now.
    fn most(acks: &ClientAcks, requester: Requester, limits: &Limits) -> usize {
        (0..=limits.awaited_answers_max)
            .take_while(|wanted| acks.has_room(requester, *wanted, limits))
            .count()
            - 1
    }

    #[test]
    fn a_request_takes_half_of_the_room_that_is_left_at_most() {
        let (mut acks, [first, second]) = (ClientAcks::default(), sockets());
        let limits = Limits { awaited_answers_max: 10, ..Limits::default() };
        assert_eq!(most(&acks, REQUESTER, &limits), 5);
        let id = acks.next_id();
        acks.insert(id, Request::new(REQUESTER, BTreeSet::from([first, second])));
        assert_eq!(most(&acks, REQUESTER, &limits), 4);
        acks.remove(id);
        assert_eq!(most(&acks, REQUESTER, &limits), 5);
    }

    #[test]
    fn an_asker_has_an_eighth_and_what_it_holds_is_its_own_until_it_comes() {
        let (mut acks, [first, second]) = (ClientAcks::default(), sockets());
        let limits = Limits { awaited_answers_max: 32, ..Limits::default() };
        let ids = [of_socket(), of_socket()].map(|requester| {
            let id = acks.next_id();
            acks.insert(id, Request::new(requester, BTreeSet::from([first, second])));
            acks.check_invariants();
            id
        });
        assert_eq!((most(&acks, of_socket(), &limits), most(&acks, of_node("00c0ffee"), &limits)), (0, 4));
        assert_eq!(most(&acks, REQUESTER, &limits), 14, "half of 28");
        acks.take(ids[0], first);
        assert_eq!(most(&acks, of_socket(), &limits), 1);
        acks.remove(ids[0]);
        acks.remove(ids[1]);
        acks.check_invariants();
        assert_eq!(most(&acks, of_socket(), &limits), 4);
    }

    #[test]
    fn clients_leave_a_quarter_to_backends_and_take_none_of_what_those_hold() {
        let (mut acks, both) = (ClientAcks::default(), BTreeSet::from(sockets()));
        let limits = Limits { awaited_answers_max: 16, ..Limits::default() };
        let mut ask = |requester| {
            let is_taken = acks.has_room(requester, both.len(), &limits);
            if is_taken {
                let id = acks.next_id();
                acks.insert(id, Request::new(requester, both.clone()));
            }
            is_taken
        };
        let strangers = ["00000001", "00000002", "00000003", "00000004", "00000005", "00000006"];
        let are_taken = strangers.map(|tag| ask(of_node(tag)));
        assert_eq!(
            are_taken,
            [true, true, true, true, true, false],
            "half of 12, of 10, of 8, of 6, of 4 and of 2"
        );
        assert_eq!([(); 3].map(|()| ask(REQUESTER)), [true, true, false], "half of 6, of 4 and of 2");
        assert!(!ask(of_socket()));
    }

    #[test]
    fn however_few_may_be_awaited_somebody_can_be_asked() {
        for all in 1..20 {
            let limits = Limits { awaited_answers_max: all, ..Limits::default() };
            for requester in [REQUESTER, of_socket(), of_node("00c0ffee")] {
                assert!(most(&ClientAcks::default(), requester, &limits) >= 1, "{all}");
            }
        }
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
