//! The channels the loop wants to receive: its intents, on their way to the subscriber thread.
//!
//! Owns the intents not yet taken and, for each wanted channel, the number of its last intent. It never talks to
//! Redis and never blocks for longer than a map operation.
//!
//! Invariant: at most one intent per channel is kept, the last one, so the size is bounded by the channels in use.
//! An intent to subscribe that was taken leads to a `Subscribed` that carries its number or a later one's.

use crate::bus::lock::lock;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether the loop wants one channel, as it said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) is_wanted: bool,
    /// Counts all intents of this bus, so that an answer to an earlier intent can be told from one to a later.
    pub(super) serial: u64,
}

/// Shared by the loop, which sets intents, and the subscriber, which takes them.
#[derive(Default)]
pub(super) struct Interest {
    state: Mutex<State>,
    has_changes: AtomicBool,
}

#[derive(Default)]
struct State {
    changed: BTreeMap<Arc<str>, Intent>,
    latest: BTreeMap<Arc<str>, u64>,
    serial: u64,
    is_notified: bool,
}

impl Interest {
    /// Notes an intent; the subscriber is woken for it with the next [`Interest::must_wake`].
    pub(super) fn set(&self, channel: &str, is_wanted: bool) {
        let mut state = lock(&self.state);
        state.serial += 1;
        let (serial, name) = (state.serial, Arc::<str>::from(channel));
        if is_wanted {
            state.latest.insert(Arc::clone(&name), serial);
        } else {
            state.latest.remove(channel);
        }
        state.changed.insert(name, Intent { is_wanted, serial });
        self.has_changes.store(true, Ordering::Release);
    }

    /// Whether the subscriber must be woken: there are intents, and it was not woken since it last took some.
    pub(super) fn must_wake(&self) -> bool {
        if !self.has_changes() {
            return false;
        }
        let mut state = lock(&self.state);
        let is_first = !state.changed.is_empty() && !state.is_notified;
        state.is_notified |= is_first;
        is_first
    }

    /// Whether there may be intents to take; cheap enough to ask between two messages.
    pub(super) fn has_changes(&self) -> bool {
        self.has_changes.load(Ordering::Acquire)
    }

    /// Takes all intents.
    pub(super) fn take(&self) -> BTreeMap<Arc<str>, Intent> {
        let mut state = lock(&self.state);
        self.has_changes.store(false, Ordering::Release);
        state.is_notified = false;
        std::mem::take(&mut state.changed)
    }

    /// Whether the intent numbered `serial` is the last one about `channel`.
    pub(super) fn is_current(&self, channel: &str, serial: u64) -> bool {
        lock(&self.state).latest.get(channel) == Some(&serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_intent_wins_and_is_the_only_one_kept() {
        let interest = Interest::default();
        for _ in 0..1_000 {
            interest.set("a", true);
            interest.set("a", false);
        }
        let intents = interest.take();
        assert_eq!(intents.into_values().collect::<Vec<_>>(), [Intent { is_wanted: false, serial: 2_000 }]);
        assert!(interest.take().is_empty());
    }

    #[test]
    fn the_subscriber_is_woken_once_until_it_takes() {
        let interest = Interest::default();
        assert!(!interest.must_wake());
        interest.set("a", true);
        assert!(interest.must_wake());
        interest.set("b", true);
        assert!(!interest.must_wake());
        interest.take();
        assert!(!interest.must_wake());
        interest.set("c", true);
        assert!(interest.must_wake());
    }

    #[test]
    fn an_earlier_intent_is_no_longer_current() {
        let interest = Interest::default();
        interest.set("a", true);
        assert!(interest.is_current("a", 1));
        interest.set("a", false);
        assert!(!interest.is_current("a", 1));
        interest.set("a", true);
        assert!(!interest.is_current("a", 1));
        assert!(interest.is_current("a", 3));
    }
}
