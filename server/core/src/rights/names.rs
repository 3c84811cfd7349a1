//! Names that clients may use: of rooms they join, and of events they send to others.
//!
//! Owns those two rules. They hold for the relay and for backends; who may send to whom is a rule of its own.

use crate::words::{code::Code, config::Limits};
use moorline_protocol::socket;

/// Checks the name of an event that clients will receive: a stock client must take it for an event, and no relay
/// for one of its own commands.
///
/// # Errors
/// [`Code::BadEvent`] for a name that is reserved, starts with `@`, or is over the limit.
pub fn check_event_name(name: &str, limits: &Limits) -> Result<(), Code> {
    let is_sendable =
        name.len() <= limits.event_name_bytes_max && !name.starts_with('@') && !socket::is_reserved(name);
    if is_sendable { Ok(()) } else { Err(Code::BadEvent) }
}

/// Checks the name of a room that clients join or send to.
///
/// # Errors
/// [`Code::BadRoom`] for a name that is empty, looks like a socket id, starts with `@`, or is over the limit.
pub fn check_room_name(name: &str, limits: &Limits) -> Result<(), Code> {
    let is_long = name.len() > limits.room_name_bytes_max;
    let is_refused = name.is_empty() || is_long || name.starts_with('@') || socket::is_socket_id(name);
    if is_refused { Err(Code::BadRoom) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn reserved_and_long_event_names_reach_nobody() {
        let limits = Limits { event_name_bytes_max: 16, ..Limits::default() };
        for name in ["say", "", "é", "0123456789abcdef"] {
            assert_eq!(check_event_name(name, &limits), Ok(()), "{name}");
        }
        for name in ["connect", "disconnect", "@to", "0123456789abcdefg"] {
            assert_eq!(check_event_name(name, &limits), Err(Code::BadEvent), "{name}");
        }
    }

    #[test]
    fn a_room_is_not_called_like_a_socket() {
        let limits = Limits::default();
        for name in ["a", "doc:abcdefghijABCDEF-_09", "abcdefghijABCDEF-_0"] {
            assert_eq!(check_room_name(name, &limits), Ok(()), "{name}");
        }
        for name in ["", "@a", "abcdefghijABCDEF-_09", &String::from_utf8(alloc::vec![b'a'; 256]).unwrap()] {
            assert_eq!(check_room_name(name, &limits), Err(Code::BadRoom), "{name}");
        }
    }
}
