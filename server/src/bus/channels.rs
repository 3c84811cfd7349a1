//! The subscriber's channels: which are wanted, and what Redis was asked and has answered about each.
//!
//! Owns the state machine of a subscription. It never touches a socket: it returns the step that is due.
//!
//! Invariant: at most one request per channel is unanswered. So however often an intent changes, the bytes waiting for
//! the socket stay bounded, and a confirmation always belongs to the one request under way.

use crate::bus::interest::Intent;
use std::{collections::BTreeMap, sync::Arc};

/// The action due after an intent or a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// Send SUBSCRIBE.
    Subscribe,
    /// Send UNSUBSCRIBE.
    Unsubscribe,
    /// The channel is subscribed: report it to the loop, as the answer to the intent with this number.
    Report(u64),
}

/// The request that Redis confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmed {
    Subscribe,
    Unsubscribe,
}

/// All channels that are wanted or not yet unsubscribed.
#[derive(Default)]
pub(super) struct Channels {
    table: BTreeMap<Arc<str>, Channel>,
    is_linked: bool,
    /// Channels with a request under way.
    unanswered: usize,
    /// All confirmations there ever were.
    answers: u64,
    /// Channels of the link's first round that are not confirmed yet.
    unrestored: usize,
}

struct Channel {
    intent: Intent,
    wire: Wire,
    is_in_first_round: bool,
}

/// The state of a channel at Redis, as far as this node knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Off,
    Subscribing,
    On,
    Unsubscribing,
}

impl Channels {
    /// Takes an intent of the loop.
    pub(super) fn apply(&mut self, name: &Arc<str>, intent: Intent) -> Step {
        let channel = self.table.entry(Arc::clone(name)).or_insert(Channel {
            intent,
            wire: Wire::Off,
            is_in_first_round: false,
        });
        channel.intent = intent;
        self.compare(name)
    }

    /// Takes a confirmation from Redis. One that nobody asked for changes nothing.
    pub(super) fn confirmed(&mut self, name: &str, what: Confirmed) -> Step {
        let Some((name, channel)) = self.table.get_key_value(name) else { return Step::Nothing };
        let wire = match (channel.wire, what) {
            (Wire::Subscribing, Confirmed::Subscribe) => Wire::On,
            (Wire::Unsubscribing, Confirmed::Unsubscribe) => Wire::Off,
            _ => return Step::Nothing,
        };
        let name = Arc::clone(name);
        self.unanswered -= 1;
        self.answers += 1;
        if let Some(channel) = self.table.get_mut(&name) {
            channel.wire = wire;
            self.unrestored -= usize::from(std::mem::take(&mut channel.is_in_first_round));
        }
        self.compare(&name)
    }

    /// A new link is up: returns the channels to subscribe, all that are wanted.
    pub(super) fn restore(&mut self) -> Vec<Arc<str>> {
        self.is_linked = true;
        for channel in self.table.values_mut() {
            channel.wire = Wire::Subscribing;
            channel.is_in_first_round = true;
        }
        self.unanswered = self.table.len();
        self.unrestored = self.table.len();
        self.table.keys().cloned().collect()
    }

    /// The link is gone, and with it every subscription and every answer under way.
    pub(super) fn link_lost(&mut self) {
        self.is_linked = false;
        self.table.retain(|_, channel| channel.intent.is_wanted);
        for channel in self.table.values_mut() {
            channel.wire = Wire::Off;
        }
        self.unanswered = 0;
        self.unrestored = 0;
    }

    /// Whether a request is unanswered.
    pub(super) fn has_unanswered(&self) -> bool {
        self.unanswered > 0
    }

    /// All confirmations ever taken. While one is due, this number grows if Redis receives our requests. Bytes would
    /// not show that: messages may go on arriving on a link that carries nothing to Redis any more.
    pub(super) fn answers(&self) -> u64 {
        self.answers
    }

    /// Whether every channel wanted when the link came up was confirmed on it.
    pub(super) fn is_restored(&self) -> bool {
        self.is_linked && self.unrestored == 0
    }

    /// Compares the intent with the state at Redis, and returns the step that brings them together.
    fn compare(&mut self, name: &Arc<str>) -> Step {
        let Some(channel) = self.table.get_mut(name) else { return Step::Nothing };
        match (channel.wire, channel.intent.is_wanted) {
            (Wire::Off, true) if self.is_linked => {
                channel.wire = Wire::Subscribing;
                self.unanswered += 1;
                Step::Subscribe
            }
            (Wire::Off, false) => {
                self.table.remove(name);
                Step::Nothing
            }
            (Wire::On, true) => Step::Report(channel.intent.serial),
            (Wire::On, false) => {
                channel.wire = Wire::Unsubscribing;
                self.unanswered += 1;
                Step::Unsubscribe
            }
            (Wire::Off, true) | (Wire::Subscribing | Wire::Unsubscribing, _) => Step::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        channels: Channels,
        serial: u64,
    }

    impl World {
        fn linked() -> World {
            let mut channels = Channels::default();
            assert!(channels.restore().is_empty());
            World { channels, serial: 0 }
        }

        fn intend(&mut self, is_wanted: bool) -> Step {
            self.serial += 1;
            self.channels.apply(&Arc::from("a"), Intent { is_wanted, serial: self.serial })
        }

        fn confirm(&mut self, what: Confirmed) -> Step {
            self.channels.confirmed("a", what)
        }
    }

    #[test]
    fn an_intent_is_sent_confirmed_and_reported() {
        let mut world = World::linked();
        assert_eq!(world.intend(true), Step::Subscribe);
        assert!(world.channels.has_unanswered());
        assert_eq!(world.confirm(Confirmed::Subscribe), Step::Report(1));
        assert!(!world.channels.has_unanswered());
        assert_eq!(world.intend(false), Step::Unsubscribe);
        assert_eq!(world.confirm(Confirmed::Unsubscribe), Step::Nothing);
        assert!(world.channels.table.is_empty());
    }

    #[test]
    fn a_repeated_intent_is_reported_again_without_asking_redis() {
        let mut world = World::linked();
        world.intend(true);
        world.confirm(Confirmed::Subscribe);
        assert_eq!(world.intend(true), Step::Report(2));
    }

    #[test]
    fn changing_an_intent_while_a_request_is_under_way_sends_nothing_more() {
        let mut world = World::linked();
        assert_eq!(world.intend(true), Step::Subscribe);
        assert_eq!(world.intend(false), Step::Nothing);
        assert_eq!(world.intend(true), Step::Nothing);
        assert_eq!(world.confirm(Confirmed::Subscribe), Step::Report(3));
    }

    #[test]
    fn an_intent_during_unsubscribing_is_reported_only_after_a_new_subscription() {
        let mut world = World::linked();
        world.intend(true);
        world.confirm(Confirmed::Subscribe);
        assert_eq!(world.intend(false), Step::Unsubscribe);
        assert_eq!(world.intend(true), Step::Nothing);
        assert_eq!(world.confirm(Confirmed::Unsubscribe), Step::Subscribe);
        assert_eq!(world.confirm(Confirmed::Subscribe), Step::Report(3));
    }

    #[test]
    fn without_a_link_intents_wait_and_the_wanted_are_restored() {
        let mut channels = Channels::default();
        let wanted = |serial| Intent { is_wanted: true, serial };
        assert_eq!(channels.apply(&Arc::from("a"), wanted(1)), Step::Nothing);
        assert_eq!(channels.apply(&Arc::from("b"), wanted(2)), Step::Nothing);
        assert_eq!(channels.apply(&Arc::from("b"), Intent { is_wanted: false, serial: 3 }), Step::Nothing);
        assert!(!channels.is_restored());
        assert_eq!(channels.restore(), [Arc::from("a")]);
        assert!(!channels.is_restored());
        assert_eq!(channels.confirmed("a", Confirmed::Subscribe), Step::Report(1));
        assert!(channels.is_restored());
    }

    #[test]
    fn a_channel_no_longer_wanted_is_not_restored_but_its_answer_is_awaited() {
        let mut world = World::linked();
        world.intend(true);
        world.channels.link_lost();
        assert!(!world.channels.has_unanswered());
        assert_eq!(world.channels.restore().len(), 1);
        assert_eq!(world.intend(false), Step::Nothing);
        assert_eq!(world.confirm(Confirmed::Subscribe), Step::Unsubscribe);
        assert!(world.channels.is_restored());
        world.channels.link_lost();
        assert!(world.channels.restore().is_empty());
    }

    #[test]
    fn a_confirmation_nobody_asked_for_changes_nothing() {
        let mut world = World::linked();
        assert_eq!(world.confirm(Confirmed::Subscribe), Step::Nothing);
        world.intend(true);
        assert_eq!(world.confirm(Confirmed::Unsubscribe), Step::Nothing);
        assert_eq!(world.confirm(Confirmed::Subscribe), Step::Report(1));
        assert_eq!(world.confirm(Confirmed::Subscribe), Step::Nothing);
    }
}
