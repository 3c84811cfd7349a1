//! Acknowledgements that this client owes the server.
//!
//! Owns the epoch that keeps them apart: the server counts its ids anew with every connection of a socket. It never
//! sends one.

/// How often a socket has been connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Epoch(u32);

impl Epoch {
    /// The socket is connected once more.
    pub(crate) fn advance(&mut self) {
        self.0 = self.0.wrapping_add(1);
    }

    /// The acknowledgement of an event with this id, received in this epoch.
    pub(crate) fn owed(self, id: u64) -> OwedAck {
        OwedAck { id, epoch: self }
    }
}

/// An acknowledgement that the server awaits. It may be sent until the socket is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedAck {
    id: u64,
    epoch: Epoch,
}

impl OwedAck {
    /// The server's id, if the socket is still in the epoch of the event.
    pub(crate) fn id_in(self, epoch: Epoch) -> Option<u64> {
        (self.epoch == epoch).then_some(self.id)
    }
}

/// An [`OwedAck`] as numbers, for a log or for a language that has only numbers. Made-up numbers do no harm: at most
/// the server ignores the ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedAckNumbers {
    /// The server's id.
    pub id: u64,
    /// The epoch of the socket.
    pub epoch: u32,
}

impl From<OwedAck> for OwedAckNumbers {
    fn from(owed: OwedAck) -> OwedAckNumbers {
        OwedAckNumbers { id: owed.id, epoch: owed.epoch.0 }
    }
}

impl From<OwedAckNumbers> for OwedAck {
    fn from(numbers: OwedAckNumbers) -> OwedAck {
        Epoch(numbers.epoch).owed(numbers.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owed_ack_belongs_to_its_epoch() {
        let mut epoch = Epoch::default();
        epoch.advance();
        let owed = epoch.owed(7);
        assert_eq!(owed.id_in(epoch), Some(7));
        assert_eq!(OwedAck::from(OwedAckNumbers::from(owed)), owed);
        epoch.advance();
        assert_eq!(owed.id_in(epoch), None);
    }
}
