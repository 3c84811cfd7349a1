//! Numbers of JavaScript as numbers of the state machine. It never rejects one: each has a meaning.

/// A number of JavaScript as a whole one: milliseconds, or an id below 2^53. Not-a-number counts as zero.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
pub(crate) fn ms(number: f64) -> u64 {
    number as u64
}

/// A number beyond `usize` means no bound.
pub(crate) fn count(number: f64) -> usize {
    usize::try_from(ms(number)).unwrap_or(usize::MAX)
}

/// A part of one as thousandths.
pub(crate) fn permille(part: f64) -> u32 {
    u32::try_from(ms(part * 1_000.0)).unwrap_or(1_000)
}
