//! The loop's side of the bus: its events in, publications and subscriptions out.
//!
//! Owns the bus, if this node has one, and the publications of a turn. It never looks into a message.
//!
//! Invariant: publications leave in the order they came, together once per turn or once they hold [`PUBLISH_BYTES`].

use crate::{
    bus::{BusStatus, RedisBus},
    log::REACTOR,
};
use moorline_core::{BusEvent, Publication};
use std::{mem, time::Instant};

/// Bus events taken at a time. All of them are handed over before more are, since a confirmation is only right until
/// the next request about its channel.
const EVENTS_PER_BATCH: usize = 8;
/// Publications that hold this many bytes are handed over before the end of the turn.
const PUBLISH_BYTES: usize = 1 << 20;

pub(crate) struct BusPort {
    /// `None` for a node that is alone.
    bus: Option<RedisBus>,
    publications: Vec<Publication>,
    publication_bytes: usize,
    /// Events may wait that no wake-up will announce again.
    has_events: bool,
    /// Room for the events of one batch.
    events: Vec<BusEvent>,
}

impl BusPort {
    pub(crate) fn new(bus: Option<RedisBus>) -> BusPort {
        BusPort { bus, publications: Vec::new(), publication_bytes: 0, has_events: false, events: Vec::new() }
    }

    /// Whether there is a bus.
    pub(crate) fn is_clustered(&self) -> bool {
        self.bus.is_some()
    }

    /// Notes that events wait.
    pub(super) fn note_events(&mut self) {
        self.has_events = true;
    }

    pub(super) fn has_events(&self) -> bool {
        self.has_events
    }

    /// The next events, in a buffer to be given back; `None` when nothing waits.
    #[inline]
    pub(super) fn take_events(&mut self) -> Option<Vec<BusEvent>> {
        if !mem::take(&mut self.has_events) {
            return None;
        }
        let bus = self.bus.as_ref()?;
        let mut events = mem::take(&mut self.events);
        self.has_events = bus.take_events(&mut events, EVENTS_PER_BATCH);
        Some(events)
    }

    /// Takes the empty buffer of [`BusPort::take_events`] back.
    pub(super) fn give_back(&mut self, events: Vec<BusEvent>) {
        self.events = events;
    }

    pub(super) fn subscribe(&self, channel: &str) {
        if let Some(bus) = &self.bus {
            bus.subscribe(channel);
        }
    }

    pub(super) fn unsubscribe(&self, channel: &str) {
        if let Some(bus) = &self.bus {
            bus.unsubscribe(channel);
        }
    }

    pub(super) fn publish(&mut self, publication: Publication) {
        self.publication_bytes += publication.payload.len();
        self.publications.push(publication);
        if self.publication_bytes > PUBLISH_BYTES {
            self.hand_over_publications();
        }
    }

    /// Gives the bus everything of this turn.
    #[inline]
    pub(super) fn hand_over(&mut self) {
        if !self.publications.is_empty() {
            self.hand_over_publications();
        }
        if let Some(bus) = &self.bus {
            bus.flush_interest();
        }
    }

    fn hand_over_publications(&mut self) {
        if let Some(bus) = &self.bus {
            bus.publish(&mut self.publications);
        }
        self.publication_bytes = 0;
    }

    /// Gives the links up, since nothing comes back through them.
    pub(super) fn reset(&self) {
        tracing::warn!(target: REACTOR, "nothing comes back through Redis, not even our own messages: making new links");
        if let Some(bus) = &self.bus {
            bus.reset();
        }
    }

    pub(super) fn status(&self) -> Option<BusStatus> {
        self.bus.as_ref().map(RedisBus::status)
    }

    /// Waits until `deadline` for the queue to Redis to empty, and ends the bus.
    pub(super) fn shutdown(&mut self, deadline: Instant) {
        if let Some(bus) = self.bus.take() {
            bus.shutdown(deadline);
        }
    }
}
