//! Leaving without a stampede: every session is closed, spread evenly over the time given.
//!
//! Only the transport is closed, with a code that says "restart": a DISCONNECT packet would tell stock clients not to
//! come back.

use crate::{state::State, time::Time, timer::TimerKind};
use alloc::vec::Vec;
use core::time::Duration;
use moorline_protocol::Reason;

/// How often a batch is closed.
const STEP: Duration = Duration::from_millis(100);

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

    /// Closes the batch that is due and registers the next one.
    pub(crate) fn drain_due(&mut self) {
        let Some(mut drain) = self.drain.take() else { return };
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).take(self.batch(&drain)).collect();
        for key in keys {
            self.doom(key, Reason::ServerShuttingDown);
        }
        drain.next = None;
        let is_more = self.sessions.len() > self.doomed.len();
        let next = is_more.then_some(self.now + STEP);
        self.timers.set(TimerKind::Drain, &mut drain.next, next);
        self.drain = Some(drain);
    }

    fn batch(&self, drain: &Drain) -> usize {
        let steps_left = (drain.ends - self.now).as_millis() / STEP.as_millis() + 1;
        self.sessions.len().div_ceil(usize::try_from(steps_left).unwrap_or(usize::MAX))
    }
}
