//! What the loop wants to hear: its wishes about channels, on their way to the subscriber thread.
//!
//! Owns the wishes not yet taken and, for each wanted channel, the number of its last wish. It never talks to
//! Redis and never blocks for longer than a map operation.
//!
//! Invariant: at most one wish per channel is kept, the last one, so the size is bounded by the channels in use.
//! A wish to subscribe that was taken leads to a `Subscribed` that carries its number or a later one's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;

/// The last wish about one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) is_wanted: bool,
    /// Counts all wishes of this bus, so that an answer to an earlier wish can be told from one to a later.
    pub(super) serial: u64,
}

/// Shared by the loop, which wishes, and the subscriber, which takes.
#[derive(Default)]
pub(super) struct Interest {
    state: Mutex<State>,
    has_news: AtomicBool,
}

#[derive(Default)]
struct State {
    changed: BTreeMap<Arc<str>, Wish>,
    latest: BTreeMap<Arc<str>, u64>,
    serial: u64,
    has_been_told: bool,
}

impl Interest {
    /// Notes a wish; the subscriber hears of it with the next [`Interest::must_wake`].
    pub(super) fn wish(&self, channel: &str, is_wanted: bool) {
        let mut state = lock(&self.state);
        state.serial += 1;
        let (serial, name) = (state.serial, Arc::<str>::from(channel));
        if is_wanted {
            state.latest.insert(Arc::clone(&name), serial);
        } else {
            state.latest.remove(channel);
        }
        state.changed.insert(name, Wish { is_wanted, serial });
        self.has_news.store(true, Ordering::Release);
    }

    /// Whether the subscriber must be woken: there are wishes, and it was not told since it last took some.
    pub(super) fn must_wake(&self) -> bool {
        if !self.has_news() {
            return false;
        }
        let mut state = lock(&self.state);
        let is_first = !state.changed.is_empty() && !state.has_been_told;
        state.has_been_told |= is_first;
        is_first
    }

    /// Whether there may be wishes to take; cheap enough to ask between two messages.
    pub(super) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Acquire)
    }

    /// Takes all wishes.
    pub(super) fn take(&self) -> BTreeMap<Arc<str>, Wish> {
        let mut state = lock(&self.state);
        self.has_news.store(false, Ordering::Release);
        state.has_been_told = false;
        std::mem::take(&mut state.changed)
    }

    /// Whether no later wish about `channel` was made than the one numbered `serial`.
    pub(super) fn is_current(&self, channel: &str, serial: u64) -> bool {
        lock(&self.state).latest.get(channel) == Some(&serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wish_wins_and_is_the_only_one_kept() {
        let interest = Interest::default();
        for _ in 0..1_000 {
            interest.wish("a", true);
            interest.wish("a", false);
        }
        let wishes = interest.take();
        assert_eq!(wishes.into_values().collect::<Vec<_>>(), [Wish { is_wanted: false, serial: 2_000 }]);
        assert!(interest.take().is_empty());
    }

    #[test]
    fn the_subscriber_is_woken_once_until_it_takes() {
        let interest = Interest::default();
        assert!(!interest.must_wake());
        interest.wish("a", true);
        assert!(interest.must_wake());
        interest.wish("b", true);
        assert!(!interest.must_wake());
        interest.take();
        assert!(!interest.must_wake());
        interest.wish("c", true);
        assert!(interest.must_wake());
    }

    #[test]
    fn an_earlier_wish_is_no_longer_current() {
        let interest = Interest::default();
        interest.wish("a", true);
        assert!(interest.is_current("a", 1));
        interest.wish("a", false);
        assert!(!interest.is_current("a", 1));
        interest.wish("a", true);
        assert!(!interest.is_current("a", 1));
        assert!(interest.is_current("a", 3));
    }
}
