//! The bus: carries messages between nodes.
//!
//! Owns the words the loop and the bus exchange (`Publication`, `BusEvent`, `BusStatus`) and, in [`redis`],
//! two threads that speak to Redis. It never reads a payload and never decides who a message is for: that
//! is the core's business.
//!
//! Invariant: nothing the loop calls here blocks. Every queue is bounded, and its policy is stated where it lives:
//!
//! | queue | lives in | when full |
//! |---|---|---|
//! | publications to Redis | `outgoing` | the new publication is refused: `Lost` |
//! | events to the loop | `queue` | the subscriber waits, so that TCP pushes back on Redis |
//! | intents (subscribe, unsubscribe) | `interest` | one per channel, the last one wins |
//! | requests on the subscriber's link | `channels` | at most one unanswered per channel |

mod channels;
mod config;
mod interest;
mod link;
mod outgoing;
mod publisher;
mod queue;
mod redis;
mod retry;
mod subscriber;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::redis::RedisBus;
pub use config::{RedisConfig, RedisUrlError};

pub use moorline_core::{BusEvent, Destination, Publication, Ticket};

/// The state of the bus at one moment, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusStatus {
    /// Both links are live and every channel was confirmed.
    pub is_up: bool,
    /// How often the subscriber's link was established.
    pub subscriber_connects: u64,
    /// How often the publisher's link was established.
    pub publisher_connects: u64,
    /// Bytes waiting for Redis to answer for them, sent or not.
    pub publish_queue_bytes: usize,
    /// Bytes waiting for the loop to take them.
    pub event_queue_bytes: usize,
    /// How long the last pipeline took from its first byte out to its last answer; 0 before the first one.
    pub publish_round_trip_us: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Publications that Redis accepted.
    pub published: u64,
    /// Publications lost, as in [`BusEvent::Lost`].
    pub lost: u64,
}

/// Locks, also after a panic elsewhere: no critical section here can leave its data half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
