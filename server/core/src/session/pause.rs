//! The reasons for which a client's input waits, unread, and whether any is left.
//!
//! Owns the reasons of one session. It never tells a shell; moves do, when the first comes and the last goes.
//!
//! Invariant: each reason ends by itself: a rate by the time, a message that is held back within the time its recipient
//! may take, unread answers when their client reads them or is closed as slow.

use crate::words::time::Time;

/// The pause of one session's input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pause {
    /// Over a rate until then.
    rate_until: Option<Time>,
    /// So many of its messages wait for a recipient.
    held: u32,
    /// Its client does not read what it was sent.
    is_unread: bool,
}

impl Pause {
    /// Whether its input waits.
    pub(crate) fn is_on(self) -> bool {
        self.rate_until.is_some() || self.held > 0 || self.is_unread
    }

    /// The time at which the rate ends this pause.
    pub(crate) fn due(self) -> Option<Time> {
        self.rate_until
    }

    /// It is over a rate until then. Returns whether this began the pause.
    pub(crate) fn start_rate(&mut self, until: Time) -> bool {
        let was_on = self.is_on();
        self.rate_until = self.rate_until.max(Some(until));
        !was_on
    }

    /// Takes the rate's end if it is due. Returns whether this ended the pause.
    pub(crate) fn end_rate(&mut self, now: Time) -> bool {
        let is_due = self.rate_until.is_some_and(|until| until <= now);
        if is_due {
            self.rate_until = None;
        }
        is_due && !self.is_on()
    }

    /// One more of its messages waits for a recipient. Returns whether this began the pause.
    pub(crate) fn start_hold(&mut self) -> bool {
        let was_on = self.is_on();
        self.held += 1;
        !was_on
    }

    /// One of its messages waits no longer. Returns whether this ended the pause.
    pub(crate) fn end_hold(&mut self) -> bool {
        self.held = self.held.saturating_sub(1);
        !self.is_on()
    }

    /// Its client does not read, or does again. Returns whether the pause began or ended.
    pub(crate) fn set_unread(&mut self, is_unread: bool) -> bool {
        let was_on = self.is_on();
        self.is_unread = is_unread;
        was_on != self.is_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_with_the_first_reason_and_ends_with_the_last() {
        let (soon, later) = (Time::from_micros(5), Time::from_micros(9));
        let mut pause = Pause::default();
        assert!(pause.start_rate(soon) && !pause.start_rate(later) && !pause.start_rate(soon));
        assert_eq!(pause.due(), Some(later));
        assert!(!pause.start_hold() && !pause.start_hold() && !pause.set_unread(true));
        assert!(!pause.end_rate(soon) && !pause.end_rate(later) && pause.due().is_none());
        assert!(!pause.end_hold() && !pause.end_hold() && pause.is_on());
        assert!(pause.set_unread(false) && !pause.is_on());
        assert!(!pause.set_unread(false), "it had ended");
    }
}
