//! The addresses of requests.

use crate::{Options, TransportKind};
use alloc::string::String;

/// The address for one transport: with the session it belongs to, or with the node that a new one is wanted on.
pub(crate) fn of(options: &Options, kind: TransportKind, sid: Option<&str>, node: Option<&str>) -> String {
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
    for (name, value) in [("&sid=", sid), ("&node=", node)] {
        if let Some(value) = value {
            url.push_str(name);
            push_encoded(&mut url, value);
        }
    }
    if !options.query.is_empty() {
        url.push('&');
        url.push_str(&options.query);
    }
    url
}

/// The node that a session id names, if it names one: what stands before its dot.
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
            of(&options, TransportKind::WebSocket, None, None),
            "wss://example.org/socket.io/?EIO=4&transport=websocket"
        );
        options.query = "a=b&c=%20".into();
        assert_eq!(
            of(&options, TransportKind::Polling, Some("s1.x&é"), None),
            "https://example.org/socket.io/?EIO=4&transport=polling&sid=s1.x%26%C3%A9&a=b&c=%20"
        );
        options.url = "http://127.0.0.1:3000/x/".into();
        assert_eq!(
            of(&options, TransportKind::WebSocket, None, Some("s2")),
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
