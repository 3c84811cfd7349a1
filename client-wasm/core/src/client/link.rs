//! The connection of a client: when to attempt one, by which transport and to which node, and when to try again.
//!
//! Owns backoff, offer and what the network and the server ask for. What the sockets make of it is in `client.rs`.
//!
//! ```text
//! Idle ──connect──► Opening ──handshake──► Open
//!   ▲                 ▲  │                  │
//!   │                 │  ▼ failed           ▼ ended
//!   └──nobody outputs── Waiting ◄─────────────┘
//! ```

use crate::{
    Client, NetworkChange, Output, SocketIndex, Time, TransportKind,
    engine::{End, Engine},
    socket::State,
};
use alloc::{string::ToString, vec::Vec};
use moorline_protocol::Reason;

/// A connection is stable when something is heard of it this long after it opened: a heartbeat does.
const STABLE_MS: u64 = 10_000;
/// A transport that is not the last to try may take this part of the time of an attempt.
const SHARE_OF_TIMEOUT: u64 = 4;
/// However long a server asks to be left alone, it is asked again after this.
const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
/// With these a server asks for fewer requests: too many requests, service unavailable.
const BUSY: [u16; 2] = [429, 503];

#[derive(Debug)]
pub(crate) enum Link {
    Idle,
    Opening(Attempt),
    Open { engine: Engine, stable_at: Time },
    Waiting { until: Time, is_retry: bool },
}

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) engine: Engine,
    /// The transports that were not tried yet, the next one first.
    untried: Vec<TransportKind>,
    give_up_at: Time,
    is_retry: bool,
}

impl Client {
    pub(crate) fn network_changed(&mut self, now: Time, change: NetworkChange) {
        match change {
            NetworkChange::Absent if self.options.is_loopback() => {}
            NetworkChange::Offline | NetworkChange::Absent => {
                self.is_online = false;
                self.go_offline(now);
            }
            NetworkChange::Online => {
                self.is_online = true;
                // An attempt that was made over the network of before may hang on it.
                if let Link::Opening(attempt) = &mut self.link {
                    attempt.engine.abandon(&mut self.outputs);
                    let is_retry = attempt.is_retry;
                    self.open(now, is_retry);
                }
                self.retry_now(now);
            }
            // Browsers say this of every new estimate of the speed as well: no reason to begin an attempt anew.
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
                // It has not failed: it is made once more, under the same number.
                self.attempts -= u32::from(attempt.is_retry);
                self.link = Link::Waiting { until: now, is_retry: attempt.is_retry };
            }
            Link::Open { .. } => {
                self.link_ended(now, &End::new(Reason::TransportClose, "network connection lost"));
            }
            Link::Idle | Link::Waiting { .. } => {}
        }
    }

    /// Attempts at once what waits, unless the server asked to be left alone: then it stays at the time that was drawn,
    /// so that those who waited do not come back all at once.
    pub(crate) fn retry_now(&mut self, now: Time) {
        if let Link::Waiting { is_retry, .. } = self.link
            && self.is_online
            && self.not_before <= now
        {
            self.begin(now, is_retry);
        }
    }

    /// Begins an attempt, or waits for a network to do so.
    pub(crate) fn begin(&mut self, now: Time, is_retry: bool) {
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
        // What worked comes first.
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

    pub(crate) fn link_opened(&mut self, now: Time) {
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
        for index in (0..self.sockets.len()).map(SocketIndex) {
            self.sockets[index.0].state = State::Idle;
            if self.is_active(index) {
                self.request_auth(index);
            }
        }
    }

    /// The connection, or an attempt at one, is over.
    pub(crate) fn link_ended(&mut self, now: Time, end: &End) {
        if end.is_node_unusable {
            self.preferred_node = None;
        }
        match core::mem::replace(&mut self.link, Link::Idle) {
            Link::Opening(mut attempt) => {
                attempt.engine.abandon(&mut self.outputs);
                // Whatever was wrong, it was wrong there.
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
        // A server that is too busy is so by another transport as well. Any other answer may be about this one.
        let is_busy = end.retry_after_ms.is_some()
            || end.details.context.status.is_some_and(|status| BUSY.contains(&status));
        if !attempt.untried.is_empty() && attempt.give_up_at > now && !is_busy {
            return self.open_next(now, attempt.untried, attempt.give_up_at, attempt.is_retry);
        }
        if attempt.is_retry {
            self.outputs.push(Output::ReconnectError(end.details.clone()));
        }
        for index in (0..self.sockets.len()).map(SocketIndex) {
            if self.is_active(index) {
                self.connect_error(index, end.details.clone());
            }
        }
        self.wait(now, end.retry_after_ms);
    }

    fn connection_lost(&mut self, now: Time, end: &End) {
        self.outputs.push(Output::LinkClosed(end.reason.as_str(), Some(end.details.clone())));
        for index in (0..self.sockets.len()).map(SocketIndex) {
            let Some(socket) = self.sockets.get(index.0) else { return };
            if socket.is_connected() {
                self.disconnected(now, index, end.reason, Some(end.details.clone()));
            } else if socket.is_wanted {
                self.disconnected(now, index, end.reason, None);
                self.connect_error(index, end.details.clone());
            }
        }
    }

    /// Waits for the next attempt, if there is to be one.
    fn wait(&mut self, now: Time, retry_after_ms: Option<u64>) {
        let asked_ms = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX);
        self.not_before = now.plus_ms(asked_ms);
        let is_exhausted = self.options.attempts_max.is_some_and(|most| self.attempts >= most);
        if !self.sockets.iter().any(|socket| socket.is_wanted) {
            self.link = Link::Idle;
            return;
        }
        if !self.options.reconnection || is_exhausted {
            return self.give_up();
        }
        // The random part comes on top, so that those who were asked to wait do not come back all at once.
        let delay_ms = self.backoff.next_ms(&self.options, &mut self.entropy);
        // Never at once: what is due now has been done when `handle_timeout` returns.
        let until = self.not_before.plus_ms(delay_ms).max(now.plus_ms(1));
        self.link = Link::Waiting { until, is_retry: true };
    }

    fn give_up(&mut self) {
        self.link = Link::Idle;
        for socket in &mut self.sockets {
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
