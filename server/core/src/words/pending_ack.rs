//! An acknowledgement that a client waits for.
//!
//! Owns the pair that names it. The node sends it when an application or a completion says so.

use crate::words::{ids::SocketId, numbers::AckId};

/// One acknowledgement that a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingAck {
    /// The socket whose client waits.
    pub socket: SocketId,
    /// The client's number for it.
    pub id: AckId,
}
