//! Stories that are told once for each seed, and how one of them is told alone.
//!
//! `SEED=7` runs one seed; `SOAK=20` runs twenty times as many as usual. A seed that fails is named with the command
//! that runs it alone.

use std::env;

/// Tells `story` for the seeds below `count`, or as the environment says. Returns whether these were at least as many.
///
/// # Panics
/// When `SEED` or `SOAK` is set to something that is no number.
pub fn for_each_seed(story: &str, count: u64, mut tell: impl FnMut(u64)) -> bool {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count * number("SOAK").unwrap_or(1),
    };
    let is_whole = seeds.end - seeds.start >= count;
    for seed in seeds {
        let _named = Named { story, seed };
        tell(seed);
    }
    is_whole
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Names its seed when the story fails.
struct Named<'a> {
    story: &'a str,
    seed: u64,
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Named { story, seed } = self;
            eprintln!(
                "seed {seed} failed; alone: SEED={seed} cargo test -p moorline-tests --test scenarios {story}"
            );
        }
    }
}
