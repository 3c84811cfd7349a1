//! Channels: the WebSockets and HTTP requests of a client, by number.
//!
//! Owns the count. It never knows what became of a channel. Invariant: no number is used twice.

/// One WebSocket or one HTTP request. The client never reuses one, so late inputs of a transport that was given up are
/// recognised and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(u32);

impl Channel {
    /// The number, for a log.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// The numbers given out so far.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    last: u32,
}

impl Channels {
    /// A channel that was never used.
    #[must_use]
    pub(crate) fn next(&mut self) -> Channel {
        self.last = self.last.wrapping_add(1);
        Channel(self.last)
    }
}
