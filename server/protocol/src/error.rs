//! Errors of the grammar: bytes from a peer that are no packet. They are the peer's fault: its connection is closed and
//! counted.
//!
//! Owns the kinds of errors. It never closes anything.

use crate::Cause;
use core::fmt;

crate::causes! {
    /// A packet that breaks the grammar. Exhaustive on purpose: each user of the codec says what follows.
    pub enum DecodeError {
        /// The packet is empty.
        Empty = "empty" => "Check which library the client uses.",
        /// The packet has a type outside the protocol, or one this side never receives.
        UnknownType = "unknown_type" => "Check which library the client uses.",
        /// A binary packet has no valid number of attachments.
        BadAttachments = "bad_attachments" => "Check which library the client uses.",
        /// An acknowledgement id is above 2^53 - 1, the largest number every client can hold.
        BadAckId = "bad_ack_id" => "Check which library the client uses.",
        /// The outermost shape of the payload does not fit the packet type.
        BadPayload = "bad_payload" => "Check which library the client uses.",
        /// A binary packet of a long-polling body is not base64.
        BadBase64 = "bad_base64" => "Check which library the client uses.",
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for DecodeError {}
