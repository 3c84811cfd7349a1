//! The state that the loop and the two bus threads share.
//!
//! Owns the queues between them, the counters, the wakers and the list of running threads. It starts no thread and does
//! no I/O.
//!
//! Invariant: nothing here blocks but [`Shared::wait_for_end`] and the event queue's wait for room.

use crate::{
    bus::{
        config::RedisConfig,
        interest::Interest,
        link::{Orders, Role},
        lock::lock,
        outgoing::Outgoing,
        queue::{EventQueue, QueueBounds, Wake},
    },
    clock,
};
use mio::Waker;
use moorline_core::Ticket;
use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// The state that the loop and the bus's threads share.
pub(super) struct Shared {
    pub(super) config: RedisConfig,
    pub(super) events: EventQueue,
    pub(super) interest: Interest,
    pub(super) outgoing: Outgoing,
    pub(super) counters: Counters,
    /// One for each role.
    wakers: [Waker; 2],
    orders: Arc<Orders>,
    running: Mutex<[bool; 2]>,
    has_ended: Condvar,
}

/// Counted by the threads, read by the loop.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) subscriber_connects: AtomicU64,
    pub(super) publisher_connects: AtomicU64,
    pub(super) publish_round_trip_us: AtomicU64,
    pub(super) messages_in: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) lost: AtomicU64,
}

impl Shared {
    pub(super) fn new(config: RedisConfig, wake: Wake, orders: Arc<Orders>, wakers: [Waker; 2]) -> Shared {
        let bounds =
            QueueBounds { events_max: config.event_queue_max, bytes_max: config.event_queue_bytes_max };
        Shared {
            events: EventQueue::new(bounds, wake),
            interest: Interest::default(),
            outgoing: Outgoing::new(config.publish_queue_bytes_max),
            counters: Counters::default(),
            config,
            wakers,
            orders,
            running: Mutex::default(),
            has_ended: Condvar::new(),
        }
    }

    /// Counts a publication as lost and reports it.
    pub(super) fn lost(&self, ticket: Option<Ticket>) {
        self.counters.lost.fetch_add(1, Ordering::Relaxed);
        self.events.lost(ticket);
    }

    /// The subscriber's link died: the publisher's may be dead as well without knowing it.
    pub(super) fn suspect_publisher(&self) {
        if self.outgoing.suspect_link() {
            self.wake(Role::Publisher);
        }
    }

    /// Orders both threads to give their links up and make new ones.
    pub(super) fn reset_links(&self) {
        for is_reset in &self.orders.is_reset {
            is_reset.store(true, Ordering::Release);
        }
        self.wake_both();
    }

    /// Orders both threads to end.
    pub(super) fn halt(&self) {
        self.orders.is_halted.store(true, Ordering::Release);
        self.events.close();
        self.wake_both();
    }

    fn wake_both(&self) {
        self.wake(Role::Subscriber);
        self.wake(Role::Publisher);
    }

    /// Wakes a thread. That fails only when the system is out of memory for the event, and then nothing else works
    /// either.
    pub(super) fn wake(&self, role: Role) {
        if let Err(error) = self.wakers[role as usize].wake() {
            tracing::error!(%error, "cannot wake a bus thread");
        }
    }

    fn set_running(&self, role: Role, is_running: bool) {
        lock(&self.running)[role as usize] = is_running;
        self.has_ended.notify_all();
    }

    /// Waits until these threads have ended, or `deadline`.
    pub(super) fn wait_for_end(&self, roles: &[Role], deadline: Instant) {
        let mut running = lock(&self.running);
        loop {
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() || !roles.iter().any(|role| running[*role as usize]) {
                return;
            }
            let woken = self.has_ended.wait_timeout(running, left);
            running = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Notes on drop that a thread has ended, however it ended.
pub(super) struct Running {
    shared: Arc<Shared>,
    role: Role,
}

impl Running {
    /// Notes that a thread runs, until the value is dropped.
    pub(super) fn new(shared: &Arc<Shared>, role: Role) -> Running {
        shared.set_running(role, true);
        Running { shared: Arc::clone(shared), role }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.set_running(self.role, false);
    }
}
