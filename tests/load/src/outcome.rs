//! The result of a step of the benchmark: a figure, or one sentence that says why there is none.

/// Every failure ends the run: a figure of a broken run is worth nothing.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
