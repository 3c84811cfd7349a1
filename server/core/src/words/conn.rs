//! The shell's name for a connection.
//!
//! Owns the name only; the table of connections holds which session each carries.

/// A connection. A slot is used again, but never with the same generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId {
    /// Index in the shell's connection table.
    pub slot: u32,
    /// The number of times that index had been used before.
    pub generation: u32,
}
