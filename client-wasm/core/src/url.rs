//! The addresses of requests, and the node that a session id names. It never parses a user's URL: the shell does.

use crate::Options;
use alloc::string::String;
use moorline_protocol::TransportKind;

/// The session that a request belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    /// A new session, preferably on this node.
    New { preferred_node: Option<&'a str> },
    /// The session with this id.
    Session(&'a str),
}

/// The address of a request of one transport.
pub(crate) fn of(options: &Options, kind: TransportKind, target: Target<'_>) -> String {
    let mut url = String::with_capacity(options.url.len() + options.query.len() + 96);
    match kind {
        // `http` becomes `ws`, `https` becomes `wss`.
        TransportKind::WebSocket => {
            url.push_str("ws");
            url.push_str(options.url.strip_prefix("http").unwrap_or(&options.url));
        }
        TransportKind::Polling => url.push_str(&options.url),
    }
    url.push_str("?EIO=4&transport=");
    url.push_str(kind.as_str());
    let parameter = match target {
        Target::Session(sid) => Some(("&sid=", sid)),
        Target::New { preferred_node } => preferred_node.map(|node| ("&node=", node)),
    };
    if let Some((name, value)) = parameter {
        url.push_str(name);
        push_encoded(&mut url, value);
    }
    if !options.query.is_empty() {
        url.push('&');
        url.push_str(&options.query);
    }
    url
}

/// The node that a session id names before its dot, if it names one.
pub(crate) fn node_of(sid: &str) -> Option<&str> {
    let (node, rest) = sid.split_once('.')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (!node.is_empty() && !rest.is_empty() && node.bytes().all(is_name)).then_some(node)
}

fn push_encoded(url: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            url.push(char::from(HEX[usize::from(byte >> 4)]));
            url.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_transport_session_and_node() {
        let mut options = Options::new("https://example.org/socket.io/".into());
        assert_eq!(
            of(&options, TransportKind::WebSocket, Target::New { preferred_node: None }),
            "wss://example.org/socket.io/?EIO=4&transport=websocket"
        );
        options.query = "a=b&c=%20".into();
        assert_eq!(
            of(&options, TransportKind::Polling, Target::Session("s1.x&é")),
            "https://example.org/socket.io/?EIO=4&transport=polling&sid=s1.x%26%C3%A9&a=b&c=%20"
        );
        options.url = "http://127.0.0.1:3000/x/".into();
        assert_eq!(
            of(&options, TransportKind::WebSocket, Target::New { preferred_node: Some("s2") }),
            "ws://127.0.0.1:3000/x/?EIO=4&transport=websocket&node=s2&a=b&c=%20"
        );
    }

    #[test]
    fn only_a_name_before_a_dot_is_a_node() {
        assert_eq!(node_of("s1.abc"), Some("s1"));
        assert_eq!(node_of("eu-1_a.b.c"), Some("eu-1_a"));
        for sid in ["", "abc", ".abc", "s1.", "s 1.abc", "s&1.abc"] {
            assert_eq!(node_of(sid), None, "{sid}");
        }
    }
}
