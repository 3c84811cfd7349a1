//! Numbers that nodes, clients and backends give to what they send, each kind a type of its own.
//!
//! Owns the kinds and how one follows another. It never says who waits for what; the tables do.

macro_rules! numbers {
    ($($(#[$meta:meta])* $vis:vis $name:ident($number:ty);)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $vis struct $name($number);

        impl $name {
            /// The number with this value.
            $vis const fn new(number: $number) -> $name {
                $name(number)
            }

            /// Its value.
            $vis const fn number(self) -> $number {
                self.0
            }
        }
    )+};
}

numbers! {
    /// The number under which a node wants a report on a publication.
    ///
    /// A ticket is no acknowledgement id, so the two cannot be swapped:
    ///
    /// ```compile_fail,E0308
    /// use moorline_core::{AckId, Ticket};
    /// fn finish(ticket: Ticket, id: AckId) {}
    /// finish(AckId::new(1), Ticket::new(1));
    /// ```
    pub Ticket(u64);

    /// The number a client gave to an acknowledgement it waits for.
    pub AckId(u64);

    /// The number under which this node asked clients for acknowledgements.
    pub RequestId(u32);

    /// The number under which a backend asked clients for acknowledgements.
    pub(crate) BackendAckId(u64);

    /// The place of a message among all that one node sent.
    pub(crate) Sequence(u64);

    /// The place of a message among those that one node sent on one channel; 0 where it has none.
    pub(crate) ChannelSequence(u64);
}

impl Sequence {
    /// Before the first message.
    pub(crate) const NONE: Sequence = Sequence(0);

    pub(crate) fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }

    /// The ticket of the message with this number, and of the count it asks for.
    pub(crate) fn ticket(self) -> Ticket {
        Ticket(self.0)
    }
}

impl ChannelSequence {
    /// A message that is not numbered, or before the first one.
    pub(crate) const NONE: ChannelSequence = ChannelSequence(0);

    pub(crate) fn next(self) -> ChannelSequence {
        ChannelSequence(self.0 + 1)
    }

    /// The numbers between an earlier message and this one: so many messages did not arrive.
    pub(crate) fn missed_since(self, last: ChannelSequence) -> u64 {
        self.0.saturating_sub(last.0).saturating_sub(1)
    }
}

impl RequestId {
    /// Some clients keep ids in 31 bits.
    const MAX: u32 = (1 << 31) - 1;

    /// The one after this; the first after the last.
    pub(crate) fn next(self) -> RequestId {
        RequestId(if self.0 >= RequestId::MAX { 1 } else { self.0 + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_stay_within_31_bits_and_are_never_0() {
        assert_eq!(RequestId::new(0).next(), RequestId::new(1));
        assert_eq!(RequestId::new(RequestId::MAX).next(), RequestId::new(1));
    }

    #[test]
    fn a_gap_is_counted_and_a_number_that_falls_back_is_none() {
        let at = ChannelSequence::new;
        assert_eq!(at(5).missed_since(at(2)), 2);
        assert_eq!(at(3).missed_since(at(2)), 0);
        assert_eq!(at(1).missed_since(at(9)), 0);
    }
}
