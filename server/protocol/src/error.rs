//! Why bytes from a peer are not a packet. Always the peer's fault: its connection is closed and counted.

use core::fmt;

/// A packet that breaks the grammar. The variants are the kinds a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Nothing where at least a packet type was due.
    Empty,
    /// A packet type outside the protocol, or one this side never receives.
    UnknownType,
    /// A binary packet without a valid attachment count.
    BadAttachments,
    /// An acknowledgement id above 2^53 - 1, the largest number every client can hold.
    BadAckId,
    /// A payload whose outermost shape does not fit the packet type.
    BadPayload,
    /// A binary packet of a long-polling body that is not base64.
    BadBase64,
}

impl DecodeError {
    /// The name under which a metric counts it.
    pub fn kind(self) -> &'static str {
        match self {
            DecodeError::Empty => "empty",
            DecodeError::UnknownType => "unknown_type",
            DecodeError::BadAttachments => "bad_attachments",
            DecodeError::BadAckId => "bad_ack_id",
            DecodeError::BadPayload => "bad_payload",
            DecodeError::BadBase64 => "bad_base64",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl core::error::Error for DecodeError {}
