//! The connection of a client: when to attempt one, by which transport and to which node, and when to try again.
//!
//! Owns the transitions of the link, the backoff, the preferred node, and the rules for the network and for
//! `Retry-After`. It never parses a packet.

use super::Client;
use crate::{
    NetworkChange, Output, Time,
    engine::{End, Engine},
    link::{Attempt, Link},
    socket::State,
};
use alloc::{string::ToString, vec::Vec};
use moorline_protocol::{Reason, TransportKind};

/// A connection is stable when a packet comes this long after it opened: a heartbeat does.
const STABLE_MS: u64 = 10_000;
/// A transport that is not the last to try may take this part of the time of an attempt.
const SHARE_OF_TIMEOUT: u64 = 4;
/// The longest `Retry-After` that is obeyed.
const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
/// Statuses by which a server asks for fewer requests: too many requests, service unavailable.
const BUSY: [u16; 2] = [429, 503];

impl Client {
    pub(super) fn network_changed(&mut self, now: Time, change: NetworkChange) {
        match change {
            NetworkChange::Absent if self.options.is_loopback() => {}
            NetworkChange::Offline | NetworkChange::Absent => {
                self.is_online = false;
                self.go_offline(now);
            }
            NetworkChange::Online => {
                self.is_online = true;
                // An attempt over the previous network may hang: begin it anew.
                if let Link::Opening(attempt) = &mut self.link {
                    attempt.engine.abandon(&mut self.outputs);
                    let is_retry = attempt.is_retry;
                    self.open(now, is_retry);
                }
                self.retry_now(now);
            }
            // Browsers report every new estimate of the speed as well: no reason to begin an attempt anew.
            NetworkChange::Changed => self.retry_now(now),
            NetworkChange::Shown => {
                self.handle_timeout(now);
                self.retry_now(now);
            }
        }
    }

    fn go_offline(&mut self, now: Time) {
        match &mut self.link {
            Link::Opening(attempt) => {
                attempt.engine.abandon(&mut self.outputs);
                // The attempt has not failed: it is made once more, under the same number.
                self.attempts -= u32::from(attempt.is_retry);
                self.link = Link::Waiting { until: now, is_retry: attempt.is_retry };
            }
            Link::Open { .. } => {
                self.link_ended(now, &End::new(Reason::TransportClose, "network connection lost"));
            }
            Link::Idle | Link::Waiting { .. } => {}
        }
    }

    /// Makes the next attempt now, unless `Retry-After` forbids: then the random time stays, so that clients do not
    /// come back all at once.
    pub(super) fn retry_now(&mut self, now: Time) {
        if let Link::Waiting { is_retry, .. } = self.link
            && self.is_online
            && self.not_before <= now
        {
            self.begin(now, is_retry);
        }
    }

    /// Begins an attempt, or waits for a network to do so.
    pub(super) fn begin(&mut self, now: Time, is_retry: bool) {
        if !self.is_online {
            self.link = Link::Waiting { until: now, is_retry };
            return;
        }
        if is_retry {
            self.attempts += 1;
            self.outputs.push(Output::ReconnectAttempt(self.attempts));
        }
        self.open(now, is_retry);
    }

    fn open(&mut self, now: Time, is_retry: bool) {
        let mut untried = self.options.transports.clone();
        // The last transport that connected comes first.
        if let Some(last) = self.last_transport
            && let Some(at) = untried.iter().position(|&kind| kind == last)
        {
            untried.remove(at);
            untried.insert(0, last);
        }
        self.open_next(now, untried, now.plus_ms(self.options.timeout_ms), is_retry);
    }

    fn open_next(&mut self, now: Time, mut untried: Vec<TransportKind>, give_up_at: Time, is_retry: bool) {
        let kind = if untried.is_empty() { TransportKind::WebSocket } else { untried.remove(0) };
        let share = if untried.is_empty() { u64::MAX } else { self.options.timeout_ms / SHARE_OF_TIMEOUT };
        let until = now.plus_ms(share).min(give_up_at).max(now.plus_ms(1));
        let engine =
            Engine::open(kind, self.preferred_node.as_deref(), until, &self.options, &mut self.outputs);
        self.link = Link::Opening(Attempt { engine, untried, give_up_at, is_retry });
    }

    pub(super) fn link_opened(&mut self, now: Time) {
        let Link::Opening(attempt) = core::mem::replace(&mut self.link, Link::Idle) else { return };
        let Attempt { engine, is_retry, .. } = attempt;
        let kind = engine.kind();
        self.last_transport = Some(kind);
        self.preferred_node = engine.node().map(ToString::to_string);
        self.link = Link::Open { engine, stable_at: now.plus_ms(STABLE_MS) };
        self.not_before = Time::default();
        self.outputs.push(Output::LinkOpened(kind));
        let attempts = core::mem::take(&mut self.attempts);
        if is_retry {
            self.outputs.push(Output::Reconnect(attempts));
        }
        for socket in self.sockets.iter_mut() {
            socket.state = State::Idle;
        }
        for key in self.sockets.keys() {
            if self.is_active(key) {
                self.request_auth(key);
            }
        }
    }

    /// The connection, or an attempt at one, is over.
    pub(super) fn link_ended(&mut self, now: Time, end: &End) {
        if end.is_node_unusable {
            self.preferred_node = None;
        }
        match core::mem::replace(&mut self.link, Link::Idle) {
            Link::Opening(mut attempt) => {
                attempt.engine.abandon(&mut self.outputs);
                // The failure may be this node's: ask for no node.
                self.preferred_node = None;
                self.attempt_failed(now, attempt, end);
            }
            Link::Open { mut engine, stable_at } => {
                engine.abandon(&mut self.outputs);
                if engine.received_at() >= stable_at {
                    self.backoff.reset();
                }
                self.reassembly.reset();
                self.connection_lost(now, end);
                self.wait(now, end.retry_after_ms);
            }
            other => self.link = other,
        }
    }

    fn attempt_failed(&mut self, now: Time, attempt: Attempt, end: &End) {
        // A busy server is busy for another transport as well. Any other refusal may be about this one.
        let is_busy = end.retry_after_ms.is_some()
            || end.details.context.status.is_some_and(|status| BUSY.contains(&status));
        if !attempt.untried.is_empty() && attempt.give_up_at > now && !is_busy {
            return self.open_next(now, attempt.untried, attempt.give_up_at, attempt.is_retry);
        }
        if attempt.is_retry {
            self.outputs.push(Output::ReconnectError(end.details.clone()));
        }
        for key in self.sockets.keys() {
            if self.is_active(key) {
                self.connect_error(key, end.details.clone());
            }
        }
        self.wait(now, end.retry_after_ms);
    }

    fn connection_lost(&mut self, now: Time, end: &End) {
        self.outputs.push(Output::LinkClosed(end.reason.as_str(), Some(end.details.clone())));
        for key in self.sockets.keys() {
            let Some(socket) = self.sockets.get(key) else { return };
            if socket.is_connected() {
                self.disconnected(now, key, end.reason, Some(end.details.clone()));
            } else if socket.is_wanted {
                self.disconnected(now, key, end.reason, None);
                self.connect_error(key, end.details.clone());
            }
        }
    }

    /// Waits for the next attempt, if there is to be one.
    fn wait(&mut self, now: Time, retry_after_ms: Option<u64>) {
        let retry_after_ms = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX);
        self.not_before = now.plus_ms(retry_after_ms);
        let is_exhausted = self.options.attempts_max.is_some_and(|most| self.attempts >= most);
        if !self.sockets.iter().any(|socket| socket.is_wanted) {
            self.link = Link::Idle;
            return;
        }
        if !self.options.reconnection || is_exhausted {
            return self.give_up();
        }
        // The random delay comes on top, so that clients told to wait do not come back all at once.
        let delay_ms = self.backoff.next_ms(&self.options, &mut self.entropy);
        // Never now: `handle_timeout` must leave nothing due.
        let until = self.not_before.plus_ms(delay_ms).max(now.plus_ms(1));
        self.link = Link::Waiting { until, is_retry: true };
    }

    fn give_up(&mut self) {
        self.link = Link::Idle;
        for socket in self.sockets.iter_mut() {
            socket.is_wanted = false;
            socket.reset();
        }
        self.attempts = 0;
        self.backoff.reset();
        if self.options.reconnection {
            self.outputs.push(Output::ReconnectFailed);
        }
    }
}
