//! Retries: the attempts at a link and the pauses between them.
//!
//! Owns the loop of a thread that keeps one link. It never writes to the log.
//!
//! Invariant: no attempt follows another without a pause.

use crate::{bus::link::LinkError, clock};
use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

/// A thread that keeps one link to Redis.
pub(super) trait LinkThread {
    /// Makes a link and serves it until it ends.
    fn connect_and_serve(&mut self) -> Result<Infallible, LinkError>;
    /// Whether no further link is wanted.
    fn is_over(&self) -> bool;
    /// Logs why the link ended; returns the pause before the next attempt.
    fn link_ended(&mut self, reason: &LinkError) -> Duration;
    /// Waits for this long at most, and does the work that needs no link.
    fn pause(&mut self, timeout: Duration) -> Result<(), LinkError>;
}

/// Runs a thread until the bus is stopped or the thread says it is over.
pub(super) fn keep_link(mut thread: impl LinkThread) {
    loop {
        let Err(reason) = thread.connect_and_serve();
        if matches!(reason, LinkError::Stopped) || thread.is_over() {
            return;
        }
        let until = clock::now() + thread.link_ended(&reason);
        while let left = until.saturating_duration_since(clock::now())
            && !left.is_zero()
        {
            if thread.pause(left).is_err() {
                return;
            }
        }
    }
}

/// The pauses between attempts: 50 ms doubling to 1 s, each up to a quarter longer or shorter so that the nodes of a
/// cluster do not come back in step.
pub(super) struct Backoff {
    next_ms: u64,
}

impl Backoff {
    const FIRST_MS: u64 = 50;
    const LAST_MS: u64 = 1_000;

    pub(super) fn new() -> Backoff {
        Backoff { next_ms: Backoff::FIRST_MS }
    }

    /// A link that was live since `live_since` ended. If it lasted, the pauses start over; one that is accepted and
    /// cut again and again is not worth trying more often than one that is refused.
    pub(super) fn link_ended(&mut self, live_since: Option<Instant>) {
        let lasting = Duration::from_millis(Backoff::LAST_MS);
        if live_since.is_some_and(|since| clock::now() - since > lasting) {
            *self = Backoff::new();
        }
    }

    pub(super) fn next_pause(&mut self) -> Duration {
        let percent = 75 + u64::from(getrandom::u32().unwrap_or(25) % 51);
        let pause = Duration::from_millis(self.next_ms * percent / 100);
        self.next_ms = (self.next_ms * 2).min(Backoff::LAST_MS);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_start_over() {
        let mut backoff = Backoff::new();
        for expected_ms in [50, 100, 200, 400, 800, 1_000, 1_000] {
            let pause_ms = backoff.next_pause().as_millis();
            assert!((expected_ms * 3 / 4..=expected_ms * 5 / 4).contains(&pause_ms), "{pause_ms}");
        }
        backoff.link_ended(Some(clock::now()));
        assert!(backoff.next_pause() > Duration::from_millis(700), "it did not last");
        backoff.link_ended(clock::now().checked_sub(Duration::from_secs(2)));
        assert!(backoff.next_pause() < Duration::from_millis(63));
    }
}
