//! Deadlines: when something is due, and what follows.

pub(crate) mod moves;
pub(crate) mod timers;
