//! The Redis bus as the loop sees it.
//!
//! Owns the start and the end of the two threads and what they share with the loop. It never does I/O itself.
//!
//! Invariant: no call blocks, except [`RedisBus::shutdown`] and dropping, which wait for a bounded time.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mio::Waker;

use super::interest::Interest;
use super::link::{LinkPoll, Orders, Role};
use super::outgoing::Outgoing;
use super::publisher::Publisher;
use super::queue::{EventQueue, Wake};
use super::retry::keep_link;
use super::subscriber::Subscriber;
use super::{BusEvent, BusStatus, Publication, RedisConfig, Ticket, lock};
use crate::clock;

/// How long the end waits for a thread that is inside a system call (resolving a name, connecting). After that the
/// thread is left to end on its own: it holds nothing but its socket.
const HALT_MS: u64 = 500;

/// The bus between nodes, over Redis Pub/Sub.
///
/// Publications leave in the order they were handed over, through one connection.
pub struct RedisBus {
    shared: Arc<Shared>,
}

/// The state that the loop and the bus's threads share.
pub(super) struct Shared {
    pub(super) config: RedisConfig,
    pub(super) events: EventQueue,
    pub(super) interest: Interest,
    pub(super) outgoing: Outgoing,
    pub(super) counters: Counters,
    subscriber_waker: Waker,
    publisher_waker: Waker,
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

impl RedisBus {
    /// Starts the two threads and returns at once; the links come up in the background, and are tried for ever.
    /// `wake` is called from any thread when there are events to take, and not again before they were taken.
    ///
    /// # Errors
    /// When the system refuses a poll or a thread.
    pub fn start(config: RedisConfig, wake: Arc<dyn Fn() + Send + Sync>) -> io::Result<RedisBus> {
        let orders = Arc::new(Orders::default());
        let (subscriber_poll, subscriber_waker) = LinkPoll::new(Role::Subscriber, Arc::clone(&orders))?;
        let (publisher_poll, publisher_waker) = LinkPoll::new(Role::Publisher, Arc::clone(&orders))?;
        let shared = Arc::new(Shared::new(config, wake, orders, subscriber_waker, publisher_waker));
        // Made before the threads: should the second not start, dropping it ends the first.
        let bus = RedisBus { shared: Arc::clone(&shared) };
        let subscriber = Subscriber::new(Arc::clone(&shared), subscriber_poll);
        spawn(&shared, Role::Subscriber, move || keep_link(subscriber))?;
        let publisher = Publisher::new(Arc::clone(&shared), publisher_poll);
        spawn(&shared, Role::Publisher, move || keep_link(publisher))?;
        Ok(bus)
    }

    /// Subscribes to a channel; answered by [`BusEvent::Subscribed`]. Sent with the next [`RedisBus::flush_interest`].
    pub fn subscribe(&self, channel: &str) {
        self.shared.interest.set(channel, true);
    }

    /// Unsubscribes from a channel; not answered. Sent with the next [`RedisBus::flush_interest`].
    pub fn unsubscribe(&self, channel: &str) {
        self.shared.interest.set(channel, false);
    }

    /// Wakes the subscriber thread for new intents, if there are any. Meant to be called once per turn of the loop.
    pub fn flush_interest(&self) {
        if self.shared.interest.must_wake() {
            wake(&self.shared.subscriber_waker);
        }
    }

    /// Hands over all of `batch`. Refused publications come back as [`BusEvent::Lost`].
    pub fn publish(&self, batch: &mut Vec<Publication>) {
        let offered = self.shared.outgoing.offer(batch);
        if offered.must_wake {
            wake(&self.shared.publisher_waker);
        }
        for ticket in offered.refused {
            self.shared.lost(ticket);
        }
    }

    /// Appends up to `max` events to `into`. Returns whether more remain; then call again without waiting to be woken.
    pub fn take_events(&self, into: &mut Vec<BusEvent>, max: usize) -> bool {
        let interest = &self.shared.interest;
        self.shared.events.take(into, max, |channel, intent| interest.is_current(channel, intent))
    }

    /// Gives both links up and makes new ones: for a link that is open and carries nothing. Publications queued or in
    /// flight come back as [`BusEvent::Lost`].
    pub fn reset(&self) {
        for is_reset in &self.shared.orders.is_reset {
            is_reset.store(true, Ordering::Release);
        }
        wake(&self.shared.subscriber_waker);
        wake(&self.shared.publisher_waker);
    }

    /// The state of the bus now.
    #[must_use]
    pub fn status(&self) -> BusStatus {
        let Shared { counters, events, outgoing, .. } = self.shared.as_ref();
        let (is_up, event_queue_bytes) = events.status();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BusStatus {
            is_up,
            subscriber_connects: read(&counters.subscriber_connects),
            publisher_connects: read(&counters.publisher_connects),
            publish_queue_bytes: outgoing.bytes(),
            event_queue_bytes,
            publish_round_trip_us: read(&counters.publish_round_trip_us),
            messages_in: read(&counters.messages_in),
            published: read(&counters.published),
            lost: read(&counters.lost),
        }
    }

    /// Stops both threads, but first gives the publisher until `deadline` to send its queue.
    pub fn shutdown(self, deadline: Instant) {
        if self.shared.outgoing.close() {
            wake(&self.shared.publisher_waker);
            self.shared.wait_for_end(&[Role::Publisher], deadline);
        }
    }
}

/// Stops both threads; queued publications are not sent.
impl Drop for RedisBus {
    fn drop(&mut self) {
        self.shared.halt();
        let deadline = clock::now() + Duration::from_millis(HALT_MS);
        self.shared.wait_for_end(&[Role::Subscriber, Role::Publisher], deadline);
    }
}

impl Shared {
    fn new(
        config: RedisConfig,
        wake: Wake,
        orders: Arc<Orders>,
        subscriber_waker: Waker,
        publisher_waker: Waker,
    ) -> Shared {
        Shared {
            events: EventQueue::new(config.event_queue_max, config.event_queue_bytes_max, wake),
            interest: Interest::default(),
            outgoing: Outgoing::new(config.publish_queue_bytes_max),
            counters: Counters::default(),
            config,
            subscriber_waker,
            publisher_waker,
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
            wake(&self.publisher_waker);
        }
    }

    fn halt(&self) {
        self.orders.is_halted.store(true, Ordering::Release);
        self.events.close();
        wake(&self.subscriber_waker);
        wake(&self.publisher_waker);
    }

    fn set_running(&self, role: Role, is_running: bool) {
        lock(&self.running)[role as usize] = is_running;
        self.has_ended.notify_all();
    }

    fn wait_for_end(&self, roles: &[Role], deadline: Instant) {
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

fn spawn(shared: &Arc<Shared>, role: Role, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    shared.set_running(role, true);
    let running = Running { shared: Arc::clone(shared), role };
    let body = move || {
        let _running = running;
        run();
    };
    thread::Builder::new().name(format!("redis-{}", role.name())).spawn(body).map(drop)
}

/// Notes on drop that a thread has ended, however it ended.
struct Running {
    shared: Arc<Shared>,
    role: Role,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.set_running(self.role, false);
    }
}

/// A waker fails only when the system is out of memory for its event, and then there is nobody to tell.
fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        tracing::error!(%error, "cannot wake a bus thread");
    }
}
