//! The clock of the load generator: one monotonic time for sending, receiving and waiting.
//!
//! The generator measures real time, so it may read a clock anywhere; this is the one place where it does.

use std::{sync::LazyLock, time::Instant};

#[expect(clippy::disallowed_methods, reason = "this is the generator's clock")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the first call.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
