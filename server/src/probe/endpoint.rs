//! The address a probe connects to: the parts of a URL it needs.
//!
//! Owns which `http`, `https`, `ws` and `wss` URLs a probe takes. It resolves no name.

use crate::authority::authority;
use std::{fmt, str::FromStr};
use url::{Host, ParseError, Url};

/// A place that speaks Socket.IO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Begins and ends with `/`.
    pub path: String,
    /// The part behind `?`, such as `node=s1`; empty when there is none.
    pub query: String,
}

const EXPECTED: &str = "expected a URL such as https://localhost:8443 or http://127.0.0.1:3000";
const EXPECTED_PORT: &str = "expected a port from 1 to 65535";

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        // Only graphic characters are safe in a request line.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(EXPECTED.to_owned());
        }
        // A URL may leave its port empty, and a browser adds slashes that are missing; both are slips here.
        let (_, rest) = text.split_once("://").ok_or(EXPECTED)?;
        if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.ends_with(':')) {
            return Err(EXPECTED_PORT.to_owned());
        }
        let url = Url::parse(text).map_err(|error| match error {
            ParseError::InvalidPort => EXPECTED_PORT,
            _ => EXPECTED,
        })?;
        let is_tls = is_tls(url.scheme())?;
        let host = match url.host().ok_or(EXPECTED)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let has_login = !url.username().is_empty() || url.password().is_some();
        if has_login || text.contains('\\') {
            return Err(EXPECTED.to_owned());
        }
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(EXPECTED_PORT)?;
        let query = url.query().unwrap_or_default().to_owned();
        Ok(Endpoint { is_tls, host, port, path: engine_path(url.path()), query })
    }
}

fn is_tls(scheme: &str) -> Result<bool, String> {
    match scheme {
        "https" | "wss" => Ok(true),
        "http" | "ws" => Ok(false),
        _ => Err(EXPECTED.to_owned()),
    }
}

fn engine_path(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => String::from("/socket.io/"),
        path => format!("{path}/"),
    }
}

impl Endpoint {
    /// `host:port`, with the brackets an IPv6 address needs.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

impl fmt::Display for Endpoint {
    /// The URL without its query, as an error names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.is_tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_path_defaults_to_socket_io() {
        for text in ["https://localhost:8443", "https://localhost:8443/", "wss://localhost:8443/socket.io"] {
            assert_eq!(endpoint(text).to_string(), "https://localhost:8443/socket.io/");
        }
        assert_eq!(endpoint("ws://h/chat/io").path, "/chat/io/");
    }

    #[test]
    fn the_port_defaults_to_the_scheme() {
        for (text, is_tls, port) in
            [("http://h", false, 80), ("WS://h", false, 80), ("https://h", true, 443), ("wss://h", true, 443)]
        {
            assert_eq!((endpoint(text).is_tls, endpoint(text).port), (is_tls, port), "{text}");
        }
    }

    #[test]
    fn the_query_is_kept_and_the_fragment_is_not() {
        assert_eq!(endpoint("http://h:1/?node=s1#x").query, "node=s1");
        assert_eq!(endpoint("http://h:1?node=s1").path, "/socket.io/");
        assert_eq!(endpoint("http://h:1").query, "");
    }

    #[test]
    fn an_ipv6_address_has_brackets_outside_only() {
        let found = endpoint("http://[::1]:3000");
        assert_eq!((found.host.as_str(), found.port), ("::1", 3000));
        assert_eq!(found.authority(), "[::1]:3000");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "localhost",
            "localhost:3000",
            "ftp://h",
            "http://",
            "http://:80",
            "http://h:",
            "http://h:0",
            "http://h:65536",
            "http://h:+1x",
            "http://u:p@h",
            "http://[::1",
            "http://[::1]x",
            "http://h\\x",
            "http://h/a b",
            "http://h/\r\nX: y",
            "http://é",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
