//! The delay before the next attempt: a random time below a ceiling that doubles.
//!
//! Owns the ceiling and the randomness; it never knows an attempt. Full jitter spreads the clients of a dead server
//! evenly; with half a jitter they come in waves.

use crate::Options;

/// The growing ceiling.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    doublings: u32,
}

/// Beyond this any ceiling is past its maximum.
const DOUBLINGS_MAX: u32 = 30;

impl Backoff {
    /// The delay before the next attempt, in milliseconds.
    pub(crate) fn next_ms(&mut self, options: &Options, entropy: &mut Entropy) -> u64 {
        let grown = options.delay_ms.saturating_mul(1 << self.doublings);
        self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
        let ceiling = grown.min(options.delay_max_ms.max(options.delay_ms));
        let random = ceiling.saturating_mul(u64::from(options.random_permille.min(1_000))) / 1_000;
        ceiling - random + entropy.up_to(random)
    }

    /// The connection proved stable: the next delay starts from the first ceiling.
    pub(crate) fn reset(&mut self) {
        self.doublings = 0;
    }
}

/// Randomness that is good for spreading load and nothing else (splitmix64).
#[derive(Debug)]
pub(crate) struct Entropy(u64);

impl Entropy {
    pub(crate) fn new(seed: u64) -> Entropy {
        Entropy(seed)
    }

    /// A number from 0 to `highest`, both included.
    pub(crate) fn up_to(&mut self, highest: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        highest.checked_add(1).map_or(mixed, |count| mixed % count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::String, vec::Vec};

    fn delays(options: &Options, count: usize, seed: u64) -> Vec<u64> {
        let (mut backoff, mut entropy) = (Backoff::default(), Entropy::new(seed));
        (0..count).map(|_| backoff.next_ms(options, &mut entropy)).collect()
    }

    #[test]
    fn the_ceiling_doubles_up_to_its_maximum() {
        let options = Options { random_permille: 0, ..Options::new(String::new()) };
        assert_eq!(delays(&options, 5, 0), [1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(*delays(&options, 200, 0).last().unwrap(), 5_000);
    }

    #[test]
    fn full_jitter_fills_the_whole_range_evenly() {
        let options = Options::new(String::new());
        let firsts: Vec<u64> = (0..4_000).map(|seed| delays(&options, 1, seed)[0]).collect();
        assert!(firsts.iter().all(|&ms| ms <= 1_000));
        for quarter in 0..4u64 {
            let count = firsts.iter().filter(|&&ms| ms / 251 == quarter).count();
            assert!((800..1_200).contains(&count), "{count} of 4,000 in quarter {quarter}");
        }
        let fourths: Vec<u64> = (0..1_000).map(|seed| delays(&options, 4, seed)[3]).collect();
        assert!(fourths.iter().any(|&ms| ms < 500) && fourths.iter().any(|&ms| ms > 4_500));
    }

    #[test]
    fn a_part_may_be_random_and_extremes_do_not_overflow() {
        let half = Options { random_permille: 500, ..Options::new(String::new()) };
        assert!((0..1_000).all(|seed| (500..=1_000).contains(&delays(&half, 1, seed)[0])));
        let huge = Options { delay_ms: u64::MAX, delay_max_ms: 0, ..Options::new(String::new()) };
        delays(&huge, 40, 1);
        let none = Options { delay_ms: 0, delay_max_ms: 0, ..Options::new(String::new()) };
        assert_eq!(delays(&none, 3, 1), [0, 0, 0]);
    }

    #[test]
    fn after_a_reset_it_starts_anew() {
        let options = Options { random_permille: 0, ..Options::new(String::new()) };
        let (mut backoff, mut entropy) = (Backoff::default(), Entropy::new(0));
        backoff.next_ms(&options, &mut entropy);
        backoff.next_ms(&options, &mut entropy);
        backoff.reset();
        assert_eq!(backoff.next_ms(&options, &mut entropy), 1_000);
    }
}
