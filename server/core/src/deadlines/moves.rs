//! Deadlines that have come, each to the move it belongs to.
//!
//! Owns the one list of what follows from which deadline. It never decides when something is due.

use crate::{
    acks::moves::{client_acks_due, count_due, finish_backend_ack},
    cluster::moves::canary_due,
    deadlines::timers::TimerKind,
    session::moves::{drain_due, session_due},
    socket::moves::room_due,
    state::State,
    words::code::Code,
};

/// Does what is due.
pub(crate) fn due(state: &mut State, kind: TimerKind) {
    match kind {
        TimerKind::Session(key) => session_due(state, key),
        TimerKind::Room(key) => room_due(state, key),
        TimerKind::Count(ticket) => count_due(state, ticket),
        TimerKind::BackendAck(ticket) => finish_backend_ack(state, ticket, Code::Timeout),
        TimerKind::ClientAcks(id) => client_acks_due(state, id),
        TimerKind::Drain => drain_due(state),
        TimerKind::Canary => canary_due(state),
    }
}
