//! Polls that cross the end of their session on the way.
//!
//! A client that ends its session has a poll under way, as a rule: one that was held ends with a noop. Behind a balancer
//! the two travel apart, and the end may arrive first; the poll that comes after it gets its noop all the same, instead
//! of an error that nobody made.
//!
//! Invariant: one poll for each session, within a second, for so many sessions at most.

use crate::{ids::Secret, time::Time};
use alloc::collections::VecDeque;
use core::time::Duration;

const WITHIN: Duration = Duration::from_secs(1);
const SESSIONS_MAX: usize = 256;

/// Sessions whose client ended them while no poll was held.
#[derive(Debug, Default)]
pub(crate) struct Crossings(VecDeque<(Secret, Time)>);

impl Crossings {
    pub(crate) fn expect(&mut self, secret: Secret, now: Time) {
        while self.0.front().is_some_and(|(_, until)| *until <= now) || self.0.len() >= SESSIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((secret, now + WITHIN));
    }

    /// Whether a poll of this session may still come.
    pub(crate) fn expects(&self, secret: Secret, now: Time) -> bool {
        self.position(secret, now).is_some()
    }

    /// The poll has come.
    pub(crate) fn take(&mut self, secret: Secret, now: Time) -> bool {
        self.position(secret, now).and_then(|at| self.0.remove(at)).is_some()
    }

    fn position(&self, secret: Secret, now: Time) -> Option<usize> {
        self.0.iter().position(|(known, until)| known.equals(secret) && now < *until)
    }
}
