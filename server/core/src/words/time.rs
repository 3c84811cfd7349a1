//! Time as the core knows it: a number somebody else read from a clock.

use core::{num::NonZero, ops::Add, ops::Sub, time::Duration};

/// Microseconds since an arbitrary start, the same for everything given to one node.
///
/// One more than that is stored, so that an `Option<Time>` is as small as a `Time`: every session has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(NonZero<u64>);

impl Time {
    /// The start itself.
    pub const ZERO: Time = Time(NonZero::<u64>::MIN);

    /// A point in time `micros` microseconds after the start.
    pub const fn from_micros(micros: u64) -> Time {
        Time(NonZero::<u64>::MIN.saturating_add(micros))
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }
}

impl Default for Time {
    fn default() -> Time {
        Time::ZERO
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Time> for Time {
    type Output = Duration;

    /// The time since `earlier`; zero when `earlier` is later.
    fn sub(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
