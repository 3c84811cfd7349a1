//! Deadlines that have come, each to the move it belongs to.
//!
//! Owns the one list of what follows from which deadline. It never decides when something is due.

use crate::{
    acks::moves::{client_acks_due, count_due, finish_backend_ack},
    cluster::moves::canary_due,
    deadlines::timers::TimerKind,
    session::{
        moves::{drain_due, session_due},
        pausing::restart_deadlines,
    },
    socket::{delivery::hold_due, moves::room_due},
    state::State,
    words::{code::Code, time::Time},
};
use core::time::Duration;

/// Deadlines that are handled later than this show that the node itself stood still.
const STALL: Duration = Duration::from_millis(100);

/// Goes on to `now`. A node that stood still could hear nobody, so nobody is held to what came due meanwhile.
pub(crate) fn advance(state: &mut State, now: Time) {
    debug_assert!(now >= state.now, "time goes back");
    if now == state.now {
        return;
    }
    state.now = now;
    if state.timers.next().is_some_and(|(at, _)| now - at > STALL) {
        restart_deadlines(state);
    }
}

/// Does what is due.
pub(crate) fn due(state: &mut State, kind: TimerKind) {
    match kind {
        TimerKind::Session(key) => session_due(state, key),
        TimerKind::Room(key) => room_due(state, key),
        TimerKind::Hold(key) => hold_due(state, key),
        TimerKind::Count(ticket) => count_due(state, ticket),
        TimerKind::BackendAck(ticket) => finish_backend_ack(state, ticket, Code::Timeout),
        TimerKind::ClientAcks(id) => client_acks_due(state, id),
        TimerKind::Drain => drain_due(state),
        TimerKind::Canary => canary_due(state),
    }
}
