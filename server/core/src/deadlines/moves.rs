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

/// Deadlines that are handled later than this part of the time a pong may take show that the node itself stood still.
/// A busy node is often late for a moment, and clients that are gone must end there, too.
const STALL_PART: u32 = 8;
/// The least of it.
const STALL_MIN: Duration = Duration::from_millis(100);

/// Goes on to `now`. A node that stood still could hear nobody, so nobody is held to what came due meanwhile.
pub(crate) fn advance(state: &mut State, now: Time) {
    debug_assert!(now >= state.now, "time goes back");
    if now == state.now {
        return;
    }
    // With more due than one call may handle, deadlines are late without a stall: then the last call counts.
    let due = if state.has_overdue { Some(state.now) } else { state.timers.next().map(|(at, _)| at) };
    state.now = now;
    let stall = STALL_MIN.max(state.config.limits.ping_timeout / STALL_PART);
    if due.is_some_and(|at| now - at > stall) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        session::moves::open,
        words::{config::Config, config::Limits, conn::ConnId, ids::tests::Counter, input::Dialect},
    };
    use alloc::boxed::Box;
    use moorline_protocol::TransportKind;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    /// Three clients that are to CONNECT within ten seconds.
    fn state() -> State {
        let limits = Limits { ping_timeout: STALL_PART * STALL_MIN, ..Limits::default() };
        let config = Config { limits, ..Config::default() };
        let mut state = State::new(config, Box::new(Counter(0)), Time::ZERO);
        for slot in 0..3 {
            let conn = ConnId { slot, generation: 0 };
            open(&mut state, conn, TransportKind::WebSocket, Dialect::SocketIo);
        }
        state
    }

    fn handle_one(state: &mut State) -> bool {
        let kind = state.timers.pop_due(state.now);
        kind.into_iter().for_each(|kind| due(state, kind));
        kind.is_some()
    }

    #[test]
    fn after_a_stall_nothing_is_due_that_came_due_meanwhile() {
        let mut state = state();
        advance(&mut state, at(10_200));
        assert!(!handle_one(&mut state));
        advance(&mut state, at(20_200));
        assert!(handle_one(&mut state), "the whole time again, and no more");
    }

    #[test]
    fn more_deadlines_than_one_call_may_handle_are_no_stall() {
        let mut state = state();
        for ms in [10_000, 10_060, 10_120] {
            advance(&mut state, at(ms));
            assert!(handle_one(&mut state), "{ms}");
            state.has_overdue = true;
        }
    }
}
