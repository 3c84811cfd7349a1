//! The names that events must not have, and the form of a socket id.

/// Names that clients and servers emit to themselves. A stock client that receives one as an event ends its connection
/// with "parse error", so none may ever cross from one client to another.
pub(super) const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// The length of every socket id, in characters.
pub const SOCKET_ID_CHARS: usize = 20;

/// Whether `name` is one of the reserved event names.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether `text` has the form of a socket id: exactly 20 URL-safe characters.
pub fn is_socket_id(text: &str) -> bool {
    text.len() == SOCKET_ID_CHARS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_ids_are_twenty_url_safe_characters() {
        assert!(is_socket_id("abcdefghijABCDEF-_09"));
        for text in ["abcdefghijABCDEF-_0", "abcdefghijABCDEF-_099", "abcdefghijABCDEF-_0!", "ééééééééééé"]
        {
            assert!(!is_socket_id(text), "{text}");
        }
    }

    #[test]
    fn reserved_names_are_exact() {
        assert!(is_reserved("connect") && is_reserved("removeListener"));
        assert!(!is_reserved("Connect") && !is_reserved("connected") && !is_reserved(""));
    }
}
