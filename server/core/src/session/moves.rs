//! Moves of sessions: requests and connections that come and go, heartbeats, upgrades, draining.
//!
//! Owns what an HTTP request or a WebSocket does to a session. It marks sessions to be closed and never closes one;
//! what a message holds is not its business.

use crate::{
    deadlines::timers::TimerKind,
    session::{
        connections::Carried,
        drain::Drain,
        entry::SessionDue,
        outbox::Outbox,
        pausing::resume_if,
        transport::{Misfit, Rest, Transport, UpgradeDue},
    },
    state::State,
    words::{
        cause::DropCause,
        conn::ConnId,
        ids::{parse_session_id, write_session_id},
        input::Dialect,
        keys::SessionKey,
        output::{Output, RequestAnswer, RequestError},
        time::Time,
    },
};
use alloc::vec::Vec;
use core::time::Duration;
use moorline_protocol::{
    Frame, Reason, TransportKind,
    engine::{self, Handshake, Packet},
};

/// The transport by which this node takes requests for `sid` at `now`, if it knows it.
pub(crate) fn transport_of(state: &State, sid: &str, now: Time) -> Option<TransportKind> {
    let id = parse_session_id(&state.config.name, sid)?;
    if let Some(key) = state.sessions.find_live(id, now) {
        return Some(state.sessions[key].transport.kind());
    }
    state.late_polls.expects(id.secret, now).then_some(TransportKind::Polling)
}

/// Gives a new session to a WebSocket, or to the GET that asked for one.
pub(crate) fn open(state: &mut State, conn: ConnId, kind: TransportKind, dialect: Dialect) {
    if kind == TransportKind::Polling && !make_room(state) {
        return refuse(state, conn, RequestError::Overloaded);
    }
    let key = state.insert_session(Transport::new(kind, conn), dialect);
    let carried = match kind {
        TransportKind::WebSocket => Carried::Session(key),
        TransportKind::Polling => Carried::Poll(key),
    };
    state.connections.insert(conn, carried);
    let limits = &state.config.limits;
    let handshake = Handshake {
        sid: &write_session_id(&state.config.name, state.sessions.id(key)),
        upgrades: if kind == TransportKind::Polling { &["websocket"] } else { &[] },
        ping_interval_ms: millis(limits.ping_interval),
        ping_timeout_ms: millis(limits.ping_timeout),
        payload_bytes_max: limits.payload_bytes_max as u64,
    };
    let handshake = handshake.encode().into();
    state.enqueue(key, &handshake);
    state.schedule_session(key);
    if state.drain.is_some() {
        state.sessions.mark_closing(key, Reason::ServerShuttingDown);
    }
}

/// Whether one more session may come. On a full node, the one whose client has been away longest makes room:
/// otherwise a client that opens sessions and leaves them alone would keep everyone else out.
fn make_room(state: &mut State) -> bool {
    if state.sessions.len() < state.config.sessions_max {
        return true;
    }
    let Some(key) = state.sessions.longest_away(state.now) else { return false };
    state.stats.drop(DropCause::SessionEvicted);
    state.sessions.mark_closing(key, Reason::TransportClose);
    true
}

/// A GET of a session that polls.
pub(crate) fn poll(state: &mut State, conn: ConnId, sid: &str, packets_max: usize) {
    let Some(key) = state.find_session(sid) else {
        let ended = parse_session_id(&state.config.name, sid);
        if ended.is_some_and(|id| state.late_polls.take(id.secret, state.now)) {
            return answer(state, conn, RequestAnswer::Noop);
        }
        return refuse(state, conn, RequestError::SessionUnknown);
    };
    let session = &mut state.sessions[key];
    if let Err(misfit) = session.transport.hold_poll(conn, packets_max, state.now) {
        return refuse_misfit(state, key, conn, misfit, DropCause::SecondPoll);
    }
    state.connections.insert(conn, Carried::Poll(key));
    state.sessions.poll_changed(key);
    let session = &state.sessions[key];
    if session.is_draining() && session.transport.can_close_after(session.outbox.len()) {
        return state.sessions.mark_closing(key, Reason::ServerShuttingDown);
    }
    flush(state, key);
    state.schedule_session(key);
}

/// Asks for a pull, if the outbox holds frames and a connection can take them now.
fn flush(state: &mut State, key: SessionKey) {
    let session = &state.sessions[key];
    if !session.outbox.is_empty() {
        state.outputs.extend(session.transport.writer().map(Output::Flush));
    }
}

/// Moves about `bytes` of frames for this connection to `frames`; returns whether more remain.
pub(crate) fn pull(state: &mut State, conn: ConnId, bytes: usize, frames: &mut Vec<Frame>) -> bool {
    let State { connections, sessions, .. } = state;
    match connections.get_mut(conn) {
        Some(&mut Carried::Session(key)) => {
            let before = frames.len();
            let has_more = sessions[key].outbox.pull(bytes, frames);
            frames_taken(state, key, frames.len() - before);
            has_more
        }
        Some(Carried::Closing(outbox)) => outbox.pull(bytes, frames),
        Some(&mut Carried::Poll(key)) => {
            pull_poll(state, key, frames);
            false
        }
        Some(Carried::Post(_) | Carried::Rest(_) | Carried::Probe(_)) | None => false,
    }
}

/// Answers a held poll from the outbox; with nothing to say it stays held.
fn pull_poll(state: &mut State, key: SessionKey, frames: &mut Vec<Frame>) {
    let session = &mut state.sessions[key];
    let Some(packets_max) = session.transport.packets_max() else { return };
    if session.outbox.is_empty() {
        return;
    }
    let before = frames.len();
    session.outbox.pull_packets(packets_max, frames);
    if let Some(conn) = session.transport.take_poll(state.now) {
        state.connections.remove(conn);
    }
    state.sessions.poll_changed(key);
    frames_taken(state, key, frames.len() - before);
    if state.sessions[key].is_crowded() {
        state.schedule_session(key);
    }
}

/// The transport took so many frames of a session.
#[inline]
fn frames_taken(state: &mut State, key: SessionKey, frames: usize) {
    let State { sessions, config, now, .. } = state;
    let session = &mut sessions[key];
    session.mark_taken();
    session.heartbeat.note_taken(*now, frames, config.limits.ping_timeout);
    if session.is_crowded() || !state.holds.is_empty() {
        crowd_taken(state, key);
    }
}

/// The transport took frames of a session that has too much unsent: what waits for that is looked at again.
fn crowd_taken(state: &mut State, key: SessionKey) {
    state.hold_due_now(key);
    if state.sessions.update_crowded(key, &state.config.limits) {
        let has_ended = state.sessions[key].pause.set_unread(false);
        resume_if(state, key, has_ended);
    }
}

/// A WebSocket with unsent frames took some bytes and takes no more for now.
pub(crate) fn blocked(state: &mut State, conn: ConnId) {
    let Some(&Carried::Session(key)) = state.connections.get(conn) else { return };
    let session = &mut state.sessions[key];
    session.mark_stalled(state.now);
    session.heartbeat.note_taken(state.now, 0, state.config.limits.ping_timeout);
    if session.is_crowded() {
        state.schedule_session(key);
    }
}

/// The head of a POST of a session that polls.
pub(crate) fn post(state: &mut State, conn: ConnId, sid: &str) {
    let Some(key) = state.find_session(sid) else {
        return refuse(state, conn, RequestError::SessionUnknown);
    };
    match state.sessions[key].transport.start_post(conn) {
        Ok(()) => state.connections.insert(conn, Carried::Post(key)),
        Err(misfit) => refuse_misfit(state, key, conn, misfit, DropCause::SecondPost),
    }
}

/// Refuses a request that does not fit the transport. One beside another of its kind also ends the session.
fn refuse_misfit(state: &mut State, key: SessionKey, conn: ConnId, misfit: Misfit, second: DropCause) {
    if misfit == Misfit::Second {
        state.stats.drop(second);
        state.sessions.mark_closing(key, Reason::TransportError);
    }
    refuse(state, conn, RequestError::BadRequest);
}

/// All packets of a POST were taken.
pub(crate) fn posted(state: &mut State, conn: ConnId) {
    match state.connections.get(conn) {
        Some(&Carried::Post(key)) => {
            state.sessions[key].transport.take_post();
            state.connections.remove(conn);
            answer(state, conn, RequestAnswer::Taken);
        }
        Some(&Carried::Rest(key)) => {
            state.sessions[key].transport.take_rest();
            state.connections.remove(conn);
            let is_open = !state.sessions[key].pause.is_on();
            resume_if(state, key, is_open);
        }
        _ => {}
    }
}

/// The client of a POST should wait no longer, though packets of it are still to come.
pub(crate) fn post_late(state: &mut State, conn: ConnId) {
    let Some(&Carried::Post(key)) = state.connections.get(conn) else { return };
    match state.sessions[key].transport.start_rest() {
        Some(Rest::Own) => {
            state.connections.insert(conn, Carried::Rest(key));
            answer(state, conn, RequestAnswer::TakenEarly);
        }
        Some(Rest::Behind(rest)) => {
            state.connections.remove(conn);
            answer(state, conn, RequestAnswer::TakenBehind(rest));
        }
        None => {}
    }
}

/// A WebSocket that names a session. Only the first one of a session that polls may become its transport.
pub(crate) fn upgrade(state: &mut State, conn: ConnId, sid: &str) {
    let by = state.now + state.config.limits.upgrade_timeout;
    match state.find_session(sid) {
        Some(key) if state.sessions[key].transport.start_probe(conn, by) => {
            state.connections.insert(conn, Carried::Probe(key));
            state.schedule_session(key);
        }
        _ => {
            state.stats.drop(DropCause::SecondWebsocket);
            state.outputs.push_back(Output::Close { conn, reason: Reason::TransportClose });
        }
    }
}

/// A text message on the WebSocket that a session may move to.
pub(crate) fn probe_text(state: &mut State, key: SessionKey, conn: ConnId, text: &str) {
    match engine::decode(text) {
        Ok(Packet::Ping("probe")) => test_probe(state, key, conn),
        Ok(Packet::Upgrade) => move_to(state, key, conn),
        _ => refuse_probe(state, key),
    }
}

/// The client sent neither a test nor a move.
pub(crate) fn refuse_probe(state: &mut State, key: SessionKey) {
    state.stats.drop(DropCause::BadProbe);
    close_probe(state, key, Reason::ParseError);
}

fn test_probe(state: &mut State, key: SessionKey, conn: ConnId) {
    answer(state, conn, RequestAnswer::Probed);
    let session = &mut state.sessions[key];
    session.transport.mark_probe_tested();
    if session.outbox.is_empty() {
        end_poll(state, key);
    }
}

/// Ends a held poll with nothing to say.
fn end_poll(state: &mut State, key: SessionKey) {
    let ended = state.sessions[key].transport.end_poll(state.now);
    state.sessions.poll_changed(key);
    if let Some(conn) = ended {
        state.connections.remove(conn);
        answer(state, conn, RequestAnswer::Noop);
    }
}

/// The session leaves polling behind. The outbox goes out here, in its order.
fn move_to(state: &mut State, key: SessionKey, conn: ConnId) {
    end_poll(state, key);
    state.sessions.move_to(key, conn);
    state.connections.insert(conn, Carried::Session(key));
    state.stats.upgrades += 1;
    flush(state, key);
    state.schedule_session(key);
    if state.sessions[key].is_draining() {
        state.sessions.mark_closing(key, Reason::ServerShuttingDown);
    }
}

/// Closes the probe; the session stays on polling.
fn close_probe(state: &mut State, key: SessionKey, reason: Reason) {
    if let Some(conn) = state.sessions[key].transport.take_probe() {
        state.connections.remove(conn);
        state.outputs.push_back(Output::Close { conn, reason });
    }
    state.schedule_session(key);
}

/// A session's deadline has come.
pub(crate) fn session_due(state: &mut State, key: SessionKey) {
    let Some(session) = state.sessions.get_mut(key) else { return };
    session.timer.mark_fired();
    match session.take_due(state.now, &state.config.limits) {
        SessionDue::Nothing => {}
        SessionDue::Ping => ping(state, key),
        SessionDue::Upgrade => upgrade_due(state, key),
        SessionDue::Resume => {
            let has_ended = session.pause.end_rate(state.now);
            resume_if(state, key, has_ended);
        }
        SessionDue::End(reason) => {
            match reason {
                Reason::SlowConsumer => state.stats.drop(DropCause::SlowConsumer),
                Reason::ParseError => state.stats.drop(DropCause::LateAttachment),
                _ => {}
            }
            return state.sessions.mark_closing(key, reason);
        }
    }
    state.schedule_session(key);
}

fn ping(state: &mut State, key: SessionKey) {
    if state.enqueue_heartbeat(key, &engine::ping().into()) {
        let session = &mut state.sessions[key];
        let is_paused = session.pause.is_on();
        session.heartbeat.queue_ping(state.now, session.outbox.len(), is_paused, &state.config.limits);
    }
}

/// An upgrade took too long, or a poll was held long enough during one.
fn upgrade_due(state: &mut State, key: SessionKey) {
    match state.sessions[key].transport.upgrade_due(state.now) {
        Some(UpgradeDue::TimedOut) => {
            state.stats.drop(DropCause::UpgradeTimeout);
            close_probe(state, key, Reason::UpgradeTimeout);
        }
        Some(UpgradeDue::Noop) => end_poll(state, key),
        None => {}
    }
}

/// The client answered a heartbeat.
pub(crate) fn pong(state: &mut State, key: SessionKey) {
    let interval = state.config.limits.ping_interval;
    state.sessions[key].heartbeat.take_pong(state.now, interval);
    state.schedule_session(key);
}

/// Ends a session whose client broke the protocol, and counts how.
pub(crate) fn refuse_packet(state: &mut State, key: SessionKey, cause: DropCause) {
    state.stats.drop(cause);
    state.sessions.mark_closing(key, Reason::ParseError);
}

/// The client ended its session. Its held GET and its POST are answered as successful.
pub(crate) fn closed_by_client(state: &mut State, key: SessionKey) {
    let session = &state.sessions[key];
    if session.transport.away_since().is_some() {
        state.late_polls.expect(session.secret(), state.now);
    }
    end_poll(state, key);
    if let Some(conn) = state.sessions[key].transport.take_post() {
        state.connections.remove(conn);
        answer(state, conn, RequestAnswer::Taken);
    }
    state.sessions.mark_closing(key, Reason::TransportClose);
}

/// A connection is gone: nothing is said to it any more.
pub(crate) fn connection_closed(state: &mut State, conn: ConnId, reason: Reason) {
    match state.connections.remove(conn) {
        Some(Carried::Session(key)) => state.sessions.mark_closing(key, reason),
        Some(Carried::Poll(key)) => {
            state.sessions[key].transport.remove_poll();
            state.sessions.poll_changed(key);
            state.sessions.mark_closing(key, reason);
        }
        Some(Carried::Post(key)) => {
            state.sessions[key].transport.take_post();
            state.sessions.mark_closing(key, reason);
        }
        Some(Carried::Rest(key)) => {
            state.sessions[key].transport.take_rest();
            state.sessions.mark_closing(key, reason);
        }
        Some(Carried::Probe(key)) => {
            state.sessions[key].transport.take_probe();
            state.schedule_session(key);
        }
        Some(Carried::Closing(_)) | None => {}
    }
}

/// Lets go of every connection of a session that has ended. The outbox still goes out where it can.
pub(crate) fn close_connections(state: &mut State, transport: &Transport, outbox: Outbox, reason: Reason) {
    let conns = transport.conns();
    if let Some(conn) = conns.post {
        state.connections.remove(conn);
        refuse(state, conn, RequestError::BadRequest);
    }
    if let Some(conn) = conns.rest {
        state.connections.remove(conn);
        state.outputs.push_back(Output::Resume(conn));
    }
    if let Some(conn) = conns.writer {
        // Its connection may be what ended the session; then nobody is there to tell.
        if state.connections.get(conn).is_some() {
            state.connections.insert(conn, Carried::Closing(outbox));
            state.outputs.push_back(Output::Close { conn, reason });
        }
    }
    if let Some(conn) = conns.probe {
        state.connections.remove(conn);
        state.outputs.push_back(Output::Close { conn, reason });
    }
}

/// Starts draining; asking twice changes nothing.
pub(crate) fn start_drain(state: &mut State, over: Duration) {
    if state.drain.is_none() {
        state.drain = Some(Drain::new(state.now, over));
        drain_due(state);
    }
}

/// Closes the batch that is due and registers the next one.
///
/// Only transports are closed, with a code that says "restart": a DISCONNECT packet would tell stock clients not to
/// come back. A session between two polls is told at its next one: closed before, it would be unknown to that poll,
/// which a balancer takes to another node.
pub(crate) fn drain_due(state: &mut State) {
    let Some(mut drain) = state.drain.take() else { return };
    drain.timer.mark_fired();
    let batch = drain.batch(state.now, state.sessions.len());
    let untold = state.sessions.iter().filter(|(_, session)| batch.is_last || !session.is_draining());
    let keys: Vec<SessionKey> = untold.map(|(key, _)| key).take(batch.sessions).collect();
    for key in keys {
        let session = &mut state.sessions[key];
        session.mark_draining();
        if batch.is_last || session.transport.can_close_after(session.outbox.len()) {
            state.sessions.mark_closing(key, Reason::ServerShuttingDown);
        }
    }
    let is_more = state.sessions.len() > state.sessions.closing_len();
    state.timers.set(TimerKind::Drain, &mut drain.timer, is_more.then_some(batch.next));
    state.drain = Some(drain);
}

fn refuse(state: &mut State, conn: ConnId, error: RequestError) {
    answer(state, conn, RequestAnswer::Refused(error));
}

fn answer(state: &mut State, conn: ConnId, answer: RequestAnswer) {
    state.outputs.push_back(Output::Answer { conn, answer });
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
