//! Moves of pauses: which packets are wanted now, what they cost, and when reading goes on.
//!
//! Owns the meaning of a pause: a session whose input waits is pinged and owes no pong, and its shell is told when its
//! messages are wanted again. It never looks into a packet.

use crate::{
    session::{connections::Carried, meter::Load},
    state::State,
    words::{cause::PauseCause, conn::ConnId, input::Intake, keys::SessionKey, output::Output},
};
use moorline_protocol::TransportKind;

/// Whether messages on this connection are to be handed over now.
pub(crate) fn intake(state: &State, conn: ConnId) -> Intake {
    match state.connections.get(conn) {
        Some(&(Carried::Session(key) | Carried::Post(key) | Carried::Rest(key))) => {
            let session = &state.sessions[key];
            if session.pause.is_on() || session.transport.waits_for_rest(conn) {
                Intake::Paused
            } else {
                Intake::Open
            }
        }
        Some(Carried::Probe(_)) => Intake::Open,
        Some(Carried::Poll(_) | Carried::Closing(_)) | None => Intake::Closed,
    }
}

/// Charges a client for a packet, `work` being all that it caused. One that is over a rate is not read from for a
/// while.
#[inline]
pub(crate) fn charge(state: &mut State, key: SessionKey, load: Load) {
    let State { sessions, now, rates, .. } = state;
    let Some(session) = sessions.get_mut(key) else { return };
    if let Some((until, cause)) = session.meter.charge(*now, load, rates) {
        let has_begun = session.pause.start_rate(until);
        state.pause_if(key, has_begun, cause);
    }
}

/// A message of this client waits for a recipient, and its input with it.
pub(crate) fn pause_held(state: &mut State, key: SessionKey) {
    let has_begun = state.sessions[key].pause.start_hold();
    state.pause_if(key, has_begun, PauseCause::SlowRecipient);
}

/// The message of this client waits no longer.
pub(crate) fn resume_held(state: &mut State, key: SessionKey) {
    let has_ended = state.sessions[key].pause.end_hold();
    resume_if(state, key, has_ended);
}

/// Tells the shell that the input of a client is wanted again.
pub(crate) fn resume_if(state: &mut State, key: SessionKey, has_ended: bool) {
    if !has_ended {
        return;
    }
    let conns = state.sessions[key].transport.conns();
    let readers = match state.sessions[key].transport.kind() {
        TransportKind::WebSocket => [conns.rest, conns.post, conns.writer],
        TransportKind::Polling => [conns.rest, conns.post, None],
    };
    state.outputs.extend(readers.into_iter().flatten().map(Output::Resume));
    state.sessions[key].restart_assembly(state.now, &state.config.limits);
    state.schedule_session(key);
}

/// This node stood still. Nobody could be heard meanwhile, so whatever a client has to do in time, it has the whole
/// time again.
pub(crate) fn restart_deadlines(state: &mut State) {
    for key in state.sessions.keys() {
        state.sessions[key].restart_deadlines(state.now, &state.config.limits);
        state.sessions.poll_changed(key);
        state.schedule_session(key);
    }
}
