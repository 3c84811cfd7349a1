//! Invariants: conditions that hold between the tables of a node after every input.
//!
//! Owns the check. Debug builds make it after every input and pull, less often on a node that holds much, and the
//! simulated world asks for it after every step. It never changes anything.

use crate::{
    acks::collectors::Collector,
    deadlines::timers::{Timer, TimerKind},
    session::{connections::Carried, entry::Session},
    state::State,
    words::{conn::ConnId, ids::SocketId, keys::SessionKey, time::Time},
};
use alloc::{collections::BTreeMap, vec::Vec};
use moorline_protocol::TransportKind;

/// A check looks at every entry of a node. After one of so many entries the next input is checked as well; after one of
/// ten times as many, ten inputs pass first. Otherwise a debug build of a large node would stand still.
const ENTRIES_PER_INPUT: usize = 256;

/// When the next check is due.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    inputs_left: usize,
}

impl Turn {
    /// Checks a node if it is time to, after one input or pull.
    pub(crate) fn check(&mut self, state: &State) {
        match self.inputs_left {
            0 => self.inputs_left = check(state) / ENTRIES_PER_INPUT,
            _ => self.inputs_left -= 1,
        }
    }
}

/// Panics when tables disagree, a session has no owner, bytes do not add up, or a deadline is lost. Returns how many
/// entries were looked at.
pub(crate) fn check(state: &State) -> usize {
    state.sessions.check_invariants();
    state.rooms.check_invariants();
    state.counts.check_invariants();
    state.backend_acks.check_invariants();
    state.client_acks.check_invariants();
    state.bus.legacy.check_invariants();
    check_connections(state);
    state.sessions.iter().for_each(|(key, session)| check_session(state, key, session));
    check_sockets(state);
    check_rooms(state);
    check_holds(state);
    check_timers(state);
    assert_eq!(state.sessions.closing_len(), 0, "every session that was marked is closed");
    let is_told = state.ended.is_empty() && state.completions.is_empty() && state.disconnecting.is_empty();
    assert!(is_told, "the application was told everything");
    let frames: usize = state.sessions.iter().map(|(_, session)| session.outbox.len()).sum();
    let members: usize = state.rooms.iter().map(|(_, room)| room.members().len()).sum();
    frames + members + state.sessions.len() + state.sockets.len() + state.rooms.len() + state.timers.len()
}

/// Every connection that carries a live session is known to that session.
fn check_connections(state: &State) {
    for (conn, carried) in state.connections.iter() {
        let Some(key) = carried.session() else { continue };
        let session =
            state.sessions.get(key).unwrap_or_else(|| panic!("{conn:?} carries a session that is gone"));
        assert!(
            session.transport.conns().iter().any(|known| known == conn),
            "{conn:?} is unknown to its session"
        );
    }
}

/// A session's connections carry it, its bytes add up, and its sockets are its own.
fn check_session(state: &State, key: SessionKey, session: &Session) {
    let conns = session.transport.conns();
    let carries = |conn: Option<ConnId>, is_right: fn(&Carried) -> bool| {
        let Some(conn) = conn else { return };
        let carried = state.connections.get(conn).filter(|carried| carried.session() == Some(key));
        assert!(carried.is_some_and(is_right), "{key:?} counts on {conn:?}, which carries something else");
    };
    match session.transport.kind() {
        TransportKind::WebSocket => carries(conns.writer, |carried| matches!(carried, Carried::Session(_))),
        TransportKind::Polling => carries(conns.writer, |carried| matches!(carried, Carried::Poll(_))),
    }
    carries(conns.post, |carried| matches!(carried, Carried::Post(_)));
    carries(conns.rest, |carried| matches!(carried, Carried::Rest(_)));
    carries(conns.probe, |carried| matches!(carried, Carried::Probe(_)));
    session.outbox.check_invariants();
    for (namespace, socket) in session.sockets() {
        let socket = &state.sockets[*socket];
        assert_eq!((socket.session, socket.namespace), (key, *namespace), "{key:?} has a socket of another");
    }
}

/// Every socket has its session and its rooms, and waits for exactly what the tables hold for it.
fn check_sockets(state: &State) {
    let waits = waits(state);
    for (key, socket) in state.sockets.iter() {
        let session = state.sessions.get(socket.session);
        let owner = session.and_then(|session| session.socket_in(socket.namespace));
        assert_eq!(owner, Some(key), "{key:?} belongs to its session");
        for room in socket.rooms() {
            assert!(state.rooms[*room].members().contains(key), "{key:?} is a member of its rooms");
        }
        let wait = waits.get(&socket.id).copied().unwrap_or_default();
        assert_eq!(socket.pending_acks(), wait.acks, "the acknowledgements {key:?} waits for add up");
        assert_eq!(socket.gathered_bytes(), wait.gathered_bytes, "the bytes gathered for {key:?} add up");
    }
}

/// The waits of one socket.
#[derive(Debug, Default, Clone, Copy)]
struct Wait {
    acks: usize,
    gathered_bytes: usize,
}

/// The waits of each socket, as the tables of acknowledgements and of rooms hold them.
fn waits(state: &State) -> BTreeMap<SocketId, Wait> {
    let mut waits = BTreeMap::<SocketId, Wait>::new();
    let joins = state.rooms.iter().flat_map(|(_, room)| room.waiting());
    let backend_acks = state.backend_acks.iter().map(|(_, owed)| owed.ack);
    let held = state.holds.iter().flat_map(|(_, hold)| hold.messages());
    let held = held.filter_map(|message| message.receipt.map(|receipt| receipt.ack));
    for ack in joins.chain(backend_acks).chain(held) {
        waits.entry(ack.socket).or_default().acks += 1;
    }
    for (_, count) in state.counts.iter() {
        let wait = waits.entry(count.ack().socket).or_default();
        wait.acks += 1;
        wait.gathered_bytes += count.collector().map_or(0, Collector::bytes);
    }
    waits
}

/// A message that waits has a recipient that is here, and its sender waits with it.
fn check_holds(state: &State) {
    for (key, hold) in state.holds.iter() {
        assert!(state.sessions.get(key).is_some(), "others wait for {key:?}, which is gone");
        assert_eq!(hold.is_on(), hold.timer.due().is_some(), "{key:?} makes nobody wait for ever");
        for sender in hold.messages().filter_map(|message| state.sockets.find(message.sender)) {
            assert!(
                state.sessions[state.sockets[sender].session].pause.is_on(),
                "a sender waits with its message"
            );
        }
    }
}

/// Every member of a room knows that it is in it.
fn check_rooms(state: &State) {
    for (key, room) in state.rooms.iter() {
        for member in room.members().iter() {
            let socket = &state.sockets[member];
            assert_eq!(socket.namespace, room.namespace, "{key:?} has a member of its namespace");
            assert!(socket.rooms().contains(&key), "{key:?} has a member that knows it");
        }
    }
}

/// The table of deadlines holds what its owners remember, and nothing else.
fn check_timers(state: &State) {
    let mut owned: Vec<(Time, TimerKind)> = Vec::new();
    let mut own = |timer: &Timer, kind| owned.extend(timer.due().map(|at| (at, kind)));
    for (key, session) in state.sessions.iter() {
        assert!(session.timer.due().is_some(), "{key:?} has a deadline");
        own(&session.timer, TimerKind::Session(key));
    }
    state.holds.iter().for_each(|(key, hold)| own(&hold.timer, TimerKind::Hold(key)));
    state.rooms.iter().for_each(|(key, room)| own(&room.timer, TimerKind::Room(key)));
    state.counts.iter().for_each(|(ticket, count)| own(&count.timer, TimerKind::Count(ticket)));
    state.backend_acks.iter().for_each(|(ticket, owed)| own(&owed.timer, TimerKind::BackendAck(ticket)));
    state.client_acks.iter().for_each(|(id, request)| own(&request.timer, TimerKind::ClientAcks(id)));
    state.drain.iter().for_each(|drain| own(&drain.timer, TimerKind::Drain));
    own(&state.bus.canary.timer, TimerKind::Canary);
    owned.sort_unstable();
    assert!(state.timers.iter().eq(owned), "each deadline has an owner that remembers it");
}
