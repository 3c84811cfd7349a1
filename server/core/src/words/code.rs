//! The error codes of the relay, as its clients see them.
//!
//! Owns their wording on the wire and their explanation for operators. It never decides when one is given.

use alloc::{format, string::String};
use moorline_protocol::Cause;

moorline_protocol::causes! {
    /// The reason why a request of a client was not, or not wholly, done.
    #[non_exhaustive]
    pub enum Code {
        /// A target that is neither a socket id nor a room name, or no target at all.
        BadTarget = "bad_target" => "Correct the target in the client.",
        /// An event name that may not be sent to others.
        BadEvent = "bad_event" => "Rename the event in the client: no `@`, no reserved name, 128 bytes at most.",
        /// A room name that may not be joined.
        BadRoom = "bad_room" => "Rename the room in the client: put a prefix before it, such as `doc:`.",
        /// The sender is not in the room.
        NotMember = "not_member" => "Join the room first; --open lifts the rule for demonstrations.",
        /// A limit was reached.
        TooMany = "too_many" => "Send less at once, or raise the limit: `moorline --help` lists them.",
        /// Other nodes cannot be reached now.
        BusDown = "bus_down" => "Bring Redis back; the log says why the link is down.",
        /// Recipients on other nodes are behind with reading; those counted were reached all the same.
        Busy = "busy" => "Send less to slow recipients: the next messages may end their connections.",
        /// Other nodes, clients or backends did not answer in time.
        Timeout = "timeout" => "Look for a node or backend that is stuck, or raise --ack-timeout.",
        /// Nobody takes this event.
        NoHandler = "no_handler" => "Start the node with --events, or remove the event from the client.",
    }
}

impl Code {
    /// The code as it is sent.
    pub fn as_str(self) -> &'static str {
        Cause::as_str(self)
    }

    /// The one argument of an acknowledgement that says no more than this, as JSON.
    pub fn to_json(self) -> String {
        format!("{{\"error\":\"{}\"}}", self.as_str())
    }
}
