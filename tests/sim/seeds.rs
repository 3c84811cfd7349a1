//! The seeds a story is told with, and how it is told with one of them alone.
//!
//! `SEED=7` tells it with that one; `SOAK=20` tells it with twenty times as many as usual, and makes everything else
//! that is drawn at random twenty times as long. A seed that fails is named with the command that runs it alone. It
//! decides amounts and never what is told.

use std::{env, ops::Range};

/// The seeds of one story, to be gone through in a `for` loop.
#[derive(Debug)]
pub struct Seeds {
    story: &'static str,
    left: Range<u64>,
    current: Option<u64>,
    is_one: bool,
}

impl Seeds {
    /// The seeds below `count` for the story with this path, or as the environment says.
    ///
    /// # Panics
    /// When `SEED` or `SOAK` is set to something that is no number.
    pub fn of(story: &'static str, count: u64) -> Seeds {
        let one = number("SEED");
        let left = one.map_or(0..count * u64::from(soak()), |seed| seed..seed + 1);
        Seeds { story, left, current: None, is_one: one.is_some() }
    }

    /// Whether a single seed was asked for: it cannot show what only many do.
    pub fn is_one(&self) -> bool {
        self.is_one
    }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.current = self.left.next();
        self.current
    }
}

impl Drop for Seeds {
    /// Names the seed with which the story fails.
    fn drop(&mut self) {
        if let (true, Some(seed)) = (std::thread::panicking(), self.current) {
            let story = self.story;
            eprintln!(
                "seed {seed} failed; alone: SEED={seed} cargo test -p moorline-tests --test scenarios {story}"
            );
        }
    }
}

/// How many times as much as usual is drawn at random: `SOAK`, or once.
///
/// # Panics
/// When `SOAK` is set to something that is no number.
#[must_use]
pub fn soak() -> u32 {
    number("SOAK").map_or(1, |times| u32::try_from(times).expect("SOAK is a small number"))
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
