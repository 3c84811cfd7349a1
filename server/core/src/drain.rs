//! Leaving without a stampede: every session is closed, spread evenly over the time given.
//!
//! Only the transport is closed, with a code that says "restart": a DISCONNECT packet would tell stock clients not to
//! come back. A session between two polls is told at its next one: closed before, it would be unknown to that poll,
//! which a balancer takes to another node.

use crate::{state::State, time::Time, timer::TimerKind};
use alloc::vec::Vec;
use core::time::Duration;
use moorline_protocol::Reason;

/// How often a batch is closed.
const STEP: Duration = Duration::from_millis(100);

/// How long after the end a client between two polls may take to come back and be told.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Drain {
    ends: Time,
    next: Option<Time>,
}

impl State {
    /// Starts draining; asking twice changes nothing.
    pub(crate) fn start_drain(&mut self, over: Duration) {
        if self.drain.is_some() {
            return;
        }
        self.drain = Some(Drain { ends: self.now + over, next: None });
        self.drain_due();
    }

    /// Closes the batch that is due and registers the next one. Few sessions are closed one by one, many in steps.
    pub(crate) fn drain_due(&mut self) {
        let Some(mut drain) = self.drain.take() else { return };
        let left = drain.ends - self.now;
        let sessions = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX).max(1);
        let pause = (left / sessions).max(STEP);
        let steps = left.as_micros().div_ceil(pause.as_micros()).max(1);
        let batch = self.sessions.len().div_ceil(usize::try_from(steps).unwrap_or(usize::MAX));
        let latest = drain.ends + GRACE;
        let is_over = self.now >= latest;
        let untold = self.sessions.iter().filter(|(_, session)| is_over || !session.is_leaving);
        let keys: Vec<usize> = untold.map(|(key, _)| key).take(batch).collect();
        for key in keys {
            self.dismiss(key, is_over);
        }
        drain.next = None;
        let is_more = self.sessions.len() > self.doomed.len();
        let next = (self.now + pause).min(latest);
        self.timers.set(TimerKind::Drain, &mut drain.next, is_more.then_some(next));
        self.drain = Some(drain);
    }

    /// Closes a session, or leaves that to its next poll.
    fn dismiss(&mut self, key: usize, is_over: bool) {
        let session = &mut self.sessions[key];
        session.is_leaving = true;
        if is_over || session.transport.can_take_leave(&session.outbox) {
            self.doom(key, Reason::ServerShuttingDown);
        }
    }
}
