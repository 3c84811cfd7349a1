//! How the build speaks to the person who started it. It decides nothing.

/// A sentence about a failure and its remedy, for the person who asked for the build.
pub(crate) type Failure = String;

pub(crate) fn say(step: &str) {
    eprintln!("client: {step}");
}
