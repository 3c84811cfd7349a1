//! Logging: one line per event on stderr, `key=value`.
//!
//! Owns where and how events are written. It never chooses what is worth an event. Fields that a client controls are
//! logged with `?`, so that their control bytes are escaped; secrets are not logged at all.

use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

/// The target of the event loop's log lines, whichever of its files writes them.
pub(crate) const REACTOR: &str = "moorline::reactor";

/// Starts logging for the rest of the process. A second call changes nothing.
pub fn init(level: LevelFilter) {
    let has_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let subscriber = fmt()
        .with_writer(io::stderr)
        .with_max_level(level)
        .with_ansi(io::stderr().is_terminal() && !has_no_color)
        // A log that cannot be written is no reason to write about it to the same place.
        .log_internal_errors(false)
        .finish();
    // Only an embedding program can have been first, and then its choice stands.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
