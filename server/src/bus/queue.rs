//! The queue of events from the bus's threads to the loop.
//!
//! Owns the events, the waking of the loop, and whether the two links are live (`Up` and `Down` are changes of
//! that, so they take their place among the events here). It never waits on the loop's side.
//!
//! Invariant: bounded in number and bytes. Messages and confirmations wait for room, which makes the subscriber
//! stop reading and TCP push back on Redis (which in the end cuts a subscriber that stays too slow). The rest cannot
//! wait, since the loop itself may cause it, and is bounded otherwise: reports by the tickets the loop gave out,
//! losses without a ticket are only counted, `Up` and `Down` are one of each at most.

use crate::bus::{
    link::{LinkError, Role},
    lock::lock,
};
use moorline_core::{BusEvent, Ticket};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Called by the bus when there are events for the loop to take.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The most events that may wait for the loop.
#[derive(Clone, Copy)]
pub(super) struct QueueBounds {
    pub(super) events_max: usize,
    /// A larger single event passes when it is alone.
    pub(super) bytes_max: usize,
}

/// Shared by the loop, which takes, and the bus's threads, which push.
pub(super) struct EventQueue {
    state: Mutex<State>,
    has_room: Condvar,
    bounds: QueueBounds,
    wake: Wake,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    losses_unreported: u64,
    live: [bool; 2],
    has_woken: bool,
    is_closed: bool,
}

struct Entry {
    event: BusEvent,
    /// The number of the intent that a `Subscribed` answers.
    intent: u64,
}

impl EventQueue {
    pub(super) fn new(bounds: QueueBounds, wake: Wake) -> EventQueue {
        EventQueue { state: Mutex::default(), has_room: Condvar::new(), bounds, wake }
    }

    /// Queues a message, waiting for room.
    ///
    /// # Errors
    /// `Stopped` when the queue was closed.
    pub(super) fn message(&self, channel: String, payload: Vec<u8>) -> Result<(), LinkError> {
        self.push_waiting(Entry { event: BusEvent::Message { channel, payload }, intent: 0 })
    }

    /// Queues the confirmation of a channel, as the answer to the intent with this number, waiting for room.
    ///
    /// # Errors
    /// `Stopped` when the queue was closed.
    pub(super) fn subscribed(&self, channel: String, intent: u64) -> Result<(), LinkError> {
        self.push_waiting(Entry { event: BusEvent::Subscribed { channel }, intent })
    }

    /// Queues the report that no channel is confirmed any more. Bounded because a new link that confirms nothing adds
    /// no second one, and confirmations wait for room.
    pub(super) fn subscriptions_lost(&self) {
        let mut state = lock(&self.state);
        if state.entries.back().is_none_or(|last| last.event != BusEvent::SubscriptionsLost) {
            state.push(BusEvent::SubscriptionsLost);
        }
        self.wake_once(state);
    }

    /// Queues the report on a publication that asked for one.
    pub(super) fn published(&self, ticket: Ticket, receivers: u32) {
        let mut state = lock(&self.state);
        state.push(BusEvent::Published { ticket, receivers });
        self.wake_once(state);
    }

    /// Queues the loss of a publication, or counts it when it has no ticket.
    pub(super) fn lost(&self, ticket: Option<Ticket>) {
        let mut state = lock(&self.state);
        match ticket {
            Some(_) => state.push(BusEvent::Lost { ticket }),
            None => state.losses_unreported += 1,
        }
        self.wake_once(state);
    }

    /// Notes that a link came or went, and queues `Up` or `Down` when that changes the whole.
    pub(super) fn set_live(&self, role: Role, is_live: bool) {
        let mut state = lock(&self.state);
        let was_up = state.is_up();
        state.live[role as usize] = is_live;
        match (was_up, state.is_up()) {
            (false, true) => state.push(BusEvent::Up),
            (true, false) => state.push_down(),
            _ => return,
        }
        self.wake_once(state);
    }

    /// Moves up to `max` events to `into`, leaving out confirmations for which `is_current` says no: a later intent
    /// will be answered by a later one. Returns whether more remain; then the loop must come back unasked.
    pub(super) fn take(
        &self,
        into: &mut Vec<BusEvent>,
        max: usize,
        is_current: impl Fn(&str, u64) -> bool,
    ) -> bool {
        let mut state = lock(&self.state);
        let end = into.len().saturating_add(max);
        while into.len() < end && state.losses_unreported > 0 {
            state.losses_unreported -= 1;
            into.push(BusEvent::Lost { ticket: None });
        }
        while into.len() < end
            && let Some(entry) = state.pop()
        {
            if let BusEvent::Subscribed { channel } = &entry.event
                && !is_current(channel, entry.intent)
            {
                continue;
            }
            into.push(entry.event);
        }
        let has_more = !state.entries.is_empty() || state.losses_unreported > 0;
        state.has_woken = has_more;
        self.has_room.notify_all();
        has_more
    }

    /// Whether both links are live, and the bytes that wait.
    pub(super) fn status(&self) -> (bool, usize) {
        let state = lock(&self.state);
        (state.is_up(), state.bytes)
    }

    /// Releases the threads that wait for room, for good.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.has_room.notify_all();
    }

    fn push_waiting(&self, entry: Entry) -> Result<(), LinkError> {
        let mut state = lock(&self.state);
        while !state.is_closed && !self.fits(&state, &entry) {
            state = self.has_room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return Err(LinkError::Stopped);
        }
        state.push_entry(entry);
        self.wake_once(state);
        Ok(())
    }

    fn fits(&self, state: &State, entry: &Entry) -> bool {
        let QueueBounds { events_max, bytes_max } = self.bounds;
        state.entries.is_empty()
            || (state.entries.len() < events_max && state.bytes + entry.bytes() <= bytes_max)
    }

    /// Wakes the loop unless it was woken already and has not come yet. The lock is released first, so that the
    /// loop does not run into it.
    fn wake_once(&self, mut state: MutexGuard<'_, State>) {
        let was_woken = std::mem::replace(&mut state.has_woken, true);
        drop(state);
        if !was_woken {
            (self.wake)();
        }
    }
}

impl State {
    fn is_up(&self) -> bool {
        self.live == [true, true]
    }

    /// An `Up` that was not taken is withdrawn instead of followed by a `Down`, so that a link that flaps while the
    /// loop is busy leaves at most one `Down` and one `Up`.
    fn push_down(&mut self) {
        match self.entries.iter().rposition(|entry| entry.event == BusEvent::Up) {
            Some(at) => {
                self.bytes -= self.entries.remove(at).map_or(0, |entry| entry.bytes());
            }
            None => self.push(BusEvent::Down),
        }
    }

    fn push(&mut self, event: BusEvent) {
        self.push_entry(Entry { event, intent: 0 });
    }

    fn push_entry(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes();
        Some(entry)
    }
}

impl Entry {
    /// The cost of the entry, itself included, so that empty messages count as well.
    fn bytes(&self) -> usize {
        let text = match &self.event {
            BusEvent::Message { channel, payload } => channel.len() + payload.len(),
            BusEvent::Subscribed { channel } => channel.len(),
            _ => 0,
        };
        size_of::<Entry>() + text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn queue(events_max: usize, bytes_max: usize) -> (EventQueue, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let wake: Wake = Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        (EventQueue::new(QueueBounds { events_max, bytes_max }, wake), wakes)
    }

    fn take(queue: &EventQueue, max: usize) -> (Vec<BusEvent>, bool) {
        let mut events = Vec::new();
        let has_more = queue.take(&mut events, max, |_, _| true);
        (events, has_more)
    }

    #[test]
    fn the_loop_is_woken_once_until_it_has_taken_all() {
        let (queue, wakes) = queue(10, 10_000);
        queue.published(Ticket::new(1), 1);
        queue.published(Ticket::new(2), 1);
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert!(take(&queue, 1).1);
        queue.published(Ticket::new(3), 1);
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert!(!take(&queue, 2).1);
        queue.published(Ticket::new(4), 1);
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_message_waits_until_there_is_room_in_number_and_bytes() {
        for (events_max, bytes_max) in [(1, usize::MAX), (usize::MAX, 1)] {
            let (queue, _) = queue(events_max, bytes_max);
            queue.message("a".into(), b"1".to_vec()).unwrap();
            std::thread::scope(|scope| {
                let second = scope.spawn(|| queue.message("a".into(), b"2".to_vec()));
                let mut seen = Vec::new();
                while seen.len() < 2 {
                    let (events, _) = take(&queue, 10);
                    assert!(events.len() <= 1, "both were queued at once");
                    seen.extend(events);
                    std::thread::yield_now();
                }
                assert!(second.join().unwrap().is_ok());
            });
            assert_eq!(queue.status().1, 0);
        }
    }

    #[test]
    fn closing_releases_the_threads_that_wait() {
        let (queue, _) = queue(1, usize::MAX);
        queue.message("a".into(), Vec::new()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.message("a".into(), Vec::new()));
            queue.close();
            assert!(matches!(waiting.join().unwrap(), Err(LinkError::Stopped)));
        });
    }

    #[test]
    fn up_needs_both_links_and_down_is_reported_once() {
        let (queue, _) = queue(10, 10_000);
        queue.set_live(Role::Subscriber, true);
        assert_eq!(take(&queue, 10).0, []);
        queue.set_live(Role::Publisher, true);
        assert_eq!(take(&queue, 10).0, [BusEvent::Up]);
        queue.set_live(Role::Subscriber, false);
        queue.set_live(Role::Publisher, false);
        assert_eq!(take(&queue, 10).0, [BusEvent::Down]);
    }

    #[test]
    fn a_flapping_link_leaves_one_down_and_one_up_at_most() {
        let (queue, _) = queue(10, 10_000);
        queue.set_live(Role::Subscriber, true);
        for is_live in [true, false, true, false] {
            queue.set_live(Role::Publisher, is_live);
        }
        assert_eq!(take(&queue, 10).0, []);
        queue.set_live(Role::Publisher, true);
        assert_eq!(take(&queue, 10).0, [BusEvent::Up]);
        for is_live in [false, true, false, true] {
            queue.set_live(Role::Publisher, is_live);
        }
        assert_eq!(take(&queue, 10).0, [BusEvent::Down, BusEvent::Up]);
        assert_eq!(queue.status(), (true, 0));
    }

    #[test]
    fn losses_without_a_ticket_are_counted_and_each_is_reported() {
        let (queue, _) = queue(1, 1);
        for _ in 0..5 {
            queue.lost(None);
        }
        assert_eq!(queue.status().1, 0);
        let (events, has_more) = take(&queue, 3);
        assert_eq!((events.len(), has_more), (3, true));
        assert_eq!(take(&queue, 3), (vec![BusEvent::Lost { ticket: None }; 2], false));
    }

    #[test]
    fn a_confirmation_of_an_earlier_intent_is_left_out() {
        let (queue, _) = queue(10, 10_000);
        queue.subscribed("a".into(), 1).unwrap();
        queue.subscribed("a".into(), 2).unwrap();
        let mut events = Vec::new();
        queue.take(&mut events, 10, |_, intent| intent == 2);
        assert_eq!(events, [BusEvent::Subscribed { channel: "a".into() }]);
    }
}
