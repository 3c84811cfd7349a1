//! The error codes of the relay, as its clients see them.

use alloc::{format, string::String};

/// Why a request of a client was not, or not wholly, done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A target that is neither a socket id nor a room name, or no target at all.
    BadTarget,
    /// An event name that may not be sent to others.
    BadEvent,
    /// A room name that may not be joined.
    BadRoom,
    /// The sender is not in the room.
    NotMember,
    /// A limit was reached.
    TooMany,
    /// Other nodes cannot be reached now.
    BusDown,
    /// Other nodes did not answer in time.
    Timeout,
    /// Nobody takes this event.
    NoHandler,
}

impl Code {
    /// The code as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadTarget => "bad_target",
            Code::BadEvent => "bad_event",
            Code::BadRoom => "bad_room",
            Code::NotMember => "not_member",
            Code::TooMany => "too_many",
            Code::BusDown => "bus_down",
            Code::Timeout => "timeout",
            Code::NoHandler => "no_handler",
        }
    }

    /// The one argument of an acknowledgement that says no more than this, as JSON.
    pub(crate) fn to_json(self) -> String {
        format!("{{\"error\":\"{}\"}}", self.as_str())
    }
}
