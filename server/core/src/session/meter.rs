//! The inbound rate of one session: its events, its bytes and the work it causes, each against a bucket of its own.
//!
//! Owns the arithmetic, the generic cell rate algorithm: a bucket is one number, the time at which it will be empty
//! again. It never pauses anybody; moves do.
//!
//! Invariant: what came in is charged whole, also when it is more than a bucket holds. The excess is a debt, and
//! nothing more is read until it is paid.

use crate::words::{cause::PauseCause, config::Limits, time::Time};
use core::time::Duration;

/// A pause is at least this long: a client that keeps sending over its rate is then read in portions, and not woken for
/// every packet.
const PAUSE_MIN_NS: u64 = 20_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// The cost of one packet that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Units: one for the packet, one for each recipient, one for each publication.
    pub(crate) work: u64,
}

/// The rates of a node, the same for each session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    events: Rate,
    bytes: Rate,
    work: Rate,
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Rates {
        Rates {
            events: Rate::new(limits.rate_events, limits.rate_events_burst),
            bytes: Rate::new(limits.rate_bytes, limits.rate_bytes_burst),
            work: Rate::new(limits.rate_work, limits.rate_work_burst),
        }
    }
}

/// One rate, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// The time in which one unit flows off; zero for no bound.
    unit_ns: u64,
    /// The time in which a full bucket flows off.
    full_ns: u64,
}

impl Rate {
    fn new(per_second: usize, burst: usize) -> Rate {
        let unit_ns = SECOND_NS.checked_div(per_second as u64).unwrap_or(0);
        Rate { unit_ns, full_ns: unit_ns.saturating_mul(burst as u64) }
    }
}

/// One bucket: the time at which it is empty again.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket(u64);

impl Bucket {
    /// Pours so many units in; returns how long until it is no fuller than full.
    fn pour(&mut self, now_ns: u64, units: u64, rate: Rate) -> u64 {
        self.0 = self.0.max(now_ns).saturating_add(units.saturating_mul(rate.unit_ns));
        self.0.saturating_sub(now_ns.saturating_add(rate.full_ns))
    }
}

/// The buckets of one session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    events: Bucket,
    bytes: Bucket,
    work: Bucket,
}

impl Meter {
    /// Charges a packet. When a bucket is over, says until when nothing more is to be read, and which bucket it was.
    pub(crate) fn charge(&mut self, now: Time, load: Load, rates: &Rates) -> Option<(Time, PauseCause)> {
        let now_ns = now.as_micros().saturating_mul(1000);
        let over = [
            (self.events.pour(now_ns, load.events, rates.events), PauseCause::RateEvents),
            (self.bytes.pour(now_ns, load.bytes, rates.bytes), PauseCause::RateBytes),
            (self.work.pour(now_ns, load.work, rates.work), PauseCause::RateWork),
        ];
        if over.iter().all(|(ns, _)| *ns == 0) {
            return None;
        }
        let (over_ns, cause) = over.into_iter().max_by_key(|(ns, _)| *ns)?;
        Some((now + Duration::from_nanos(over_ns.max(PAUSE_MIN_NS)), cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn load(events: u64, bytes: u64, work: u64) -> Load {
        Load { events, bytes, work }
    }

    #[test]
    fn a_burst_passes_and_what_is_over_waits_until_it_has_flowed_off() {
        let rates = Rates::new(&Limits::default());
        let mut meter = Meter::default();
        for _ in 0..20_000 {
            assert_eq!(meter.charge(at(5), load(1, 40, 2), &rates), None);
        }
        assert_eq!(meter.charge(at(5), load(100, 0, 0), &rates), Some((at(105), PauseCause::RateEvents)));
        assert_eq!(meter.charge(at(105), load(1, 0, 0), &rates), Some((at(125), PauseCause::RateEvents)));
        assert_eq!(meter.charge(at(126), load(20, 0, 0), &rates), None, "a pause has a least length");
        assert_eq!(
            meter.charge(at(40_000), load(20_000, 0, 0), &rates),
            None,
            "an idle client's bucket is empty"
        );
    }

    #[test]
    fn one_packet_that_is_over_is_a_debt() {
        let rates = Rates::new(&Limits::default());
        let mut meter = Meter::default();
        let paused = meter.charge(at(0), load(1, 100, 220_000), &rates);
        assert_eq!(paused, Some((at(1000), PauseCause::RateWork)));
        let mut meter = Meter::default();
        assert_eq!(
            meter.charge(at(0), load(1, 4_500_000, 2), &rates),
            Some((at(500), PauseCause::RateBytes))
        );
    }

    #[test]
    fn a_rate_of_zero_is_no_bound() {
        let limits = Limits { rate_events: 0, rate_bytes: 0, rate_work: 0, ..Limits::default() };
        let rates = Rates::new(&limits);
        assert_eq!(Meter::default().charge(at(0), load(u64::MAX, u64::MAX, u64::MAX), &rates), None);
    }
}
