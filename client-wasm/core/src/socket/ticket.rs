//! Tickets: the requests for an auth payload, by number.
//!
//! Owns the count. Invariant: no number is used twice, so a late payload is recognised and ignored.

/// One request for an auth payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u32);

impl Ticket {
    /// The number, for a log or for a language that has only numbers.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The ticket with this number, as it comes back from such a language. Every method of a client ignores a ticket
    /// that is not current.
    pub fn from_number(number: u32) -> Ticket {
        Ticket(number)
    }
}

/// The numbers given out so far.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    last: u32,
}

impl Tickets {
    #[must_use]
    pub(crate) fn next(&mut self) -> Ticket {
        self.last = self.last.wrapping_add(1);
        Ticket(self.last)
    }
}
