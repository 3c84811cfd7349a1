//! The state of the bus in numbers, for metrics.
//!
//! Owns the form only; it never counts: the shared state holds the numbers.

/// The state of the bus at one moment, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusStatus {
    /// Both links are live and every channel was confirmed.
    pub is_up: bool,
    /// The number of times the subscriber's link was established.
    pub subscriber_connects: u64,
    /// The number of times the publisher's link was established.
    pub publisher_connects: u64,
    /// Bytes waiting for Redis to answer for them, sent or not.
    pub publish_queue_bytes: usize,
    /// Bytes waiting for the loop to take them.
    pub event_queue_bytes: usize,
    /// The time of the last pipeline from its first byte out to its last answer; 0 before the first one.
    pub publish_round_trip_us: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Publications that Redis accepted.
    pub published: u64,
    /// Publications lost, as in [`moorline_core::BusEvent::Lost`].
    pub lost: u64,
}
