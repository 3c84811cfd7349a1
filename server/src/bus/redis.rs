//! The Redis bus as the loop sees it.
//!
//! Owns the start and the end of the two threads. It never does I/O itself.
//!
//! Invariant: no call blocks, except [`RedisBus::shutdown`] and dropping, which wait for a bounded time.

use crate::{
    bus::{
        config::RedisConfig,
        link::{LinkPoll, Orders, Role},
        publisher::Publisher,
        retry::keep_link,
        shared::{Running, Shared},
        status::BusStatus,
        subscriber::Subscriber,
    },
    clock,
};
use moorline_core::{BusEvent, Publication};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The time the end waits for a thread that is inside a system call (resolving a name, connecting). After that the
/// thread is left to end on its own: it holds nothing but its socket.
const HALT_MS: u64 = 500;

/// The bus between nodes, over Redis Pub/Sub.
///
/// Publications leave in the order they were handed over, through one connection.
pub struct RedisBus {
    shared: Arc<Shared>,
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
        let shared = Arc::new(Shared::new(config, wake, orders, [subscriber_waker, publisher_waker]));
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
            self.shared.wake(Role::Subscriber);
        }
    }

    /// Hands over all of `batch`. Refused publications come back as [`BusEvent::Lost`].
    pub fn publish(&self, batch: &mut Vec<Publication>) {
        let pushed = self.shared.outgoing.push(batch);
        if pushed.must_wake {
            self.shared.wake(Role::Publisher);
        }
        for ticket in pushed.refused {
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
        self.shared.reset_links();
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
            self.shared.wake(Role::Publisher);
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

fn spawn(shared: &Arc<Shared>, role: Role, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let running = Running::new(shared, role);
    let body = move || {
        let _running = running;
        run();
    };
    thread::Builder::new().name(format!("redis-{}", role.name())).spawn(body).map(drop)
}
