//! Time as the client knows it: a number that the shell read from a clock. It never reads one.

/// Milliseconds since an arbitrary start. It never goes backwards, and it goes on while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(u64);

impl Time {
    /// Later than anything.
    pub(crate) const NEVER: Time = Time(u64::MAX);

    /// A point in time `ms` milliseconds after the start.
    pub const fn from_ms(ms: u64) -> Time {
        Time(ms)
    }

    /// Milliseconds since the start.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The point in time `ms` milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this; zero when `earlier` is later.
    pub const fn ms_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
