//! The Origin rule: which web pages may speak to this node.
//!
//! Owns the `--allow-origin` patterns and the comparison with `Host`. It never looks at cookies or tokens. It is asked
//! on polling requests and on the WebSocket upgrade alike, because CORS does not cover WebSocket.
//!
//! Invariant: an origin that does not parse matches nothing but `*`.

use std::{fmt, str::FromStr};

/// The longest part of a refused origin that the answer repeats, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// The rule of one server: same host, plus what the operator allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginRule {
    allowed: Vec<OriginPattern>,
}

impl OriginRule {
    /// A rule that allows pages of the same host and those that match one of `allowed`.
    pub fn new(allowed: Vec<OriginPattern>) -> Self {
        OriginRule { allowed }
    }

    /// Judges a request by its `Origin` and `Host` headers. No `Origin` means that no web page sent it.
    ///
    /// # Errors
    /// The answer's text, which names the origin and the flag that would allow it.
    pub fn check(&self, origin: Option<&str>, host: Option<&str>) -> Result<(), RefusedOrigin> {
        let Some(text) = origin else { return Ok(()) };
        let origin = Origin::parse(text);
        let is_same = origin.as_ref().is_some_and(|origin| host.is_some_and(|host| origin.is_at(host)));
        if is_same || self.allowed.iter().any(|pattern| pattern.matches(text, origin.as_ref())) {
            return Ok(());
        }
        Err(RefusedOrigin { origin: text.chars().take(SHOWN_CHARS_MAX).flat_map(escape_control).collect() })
    }
}

fn escape_control(char: char) -> impl Iterator<Item = char> {
    let escaped = char.is_control().then(|| char.escape_default());
    let plain = escaped.is_none().then_some(char);
    escaped.into_iter().flatten().chain(plain)
}

/// An origin that no pattern allows, made safe to show and to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedOrigin {
    origin: String,
}

impl fmt::Display for RefusedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        write!(f, "Origin {origin} is not allowed here: start moorline with --allow-origin {origin}")
    }
}

/// One `--allow-origin` value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginPattern {
    /// `*`: every page of the web may connect with its visitor's cookies. Safe only where nothing is private.
    Any,
    /// `null`: what sandboxed frames and local files send, which any page can make its visitor's browser send.
    Null,
    /// `scheme://host:*`: that host on any port, for development.
    AnyPort(Origin),
    /// `scheme://host[:port]`.
    Exact(Origin),
}

impl OriginPattern {
    fn matches(&self, text: &str, origin: Option<&Origin>) -> bool {
        match (self, origin) {
            (OriginPattern::Any, _) => true,
            (OriginPattern::Null, _) => text == "null",
            (OriginPattern::Exact(allowed), Some(origin)) => allowed == origin,
            (OriginPattern::AnyPort(allowed), Some(origin)) => {
                allowed.scheme == origin.scheme && allowed.host == origin.host
            }
            (OriginPattern::AnyPort(_) | OriginPattern::Exact(_), None) => false,
        }
    }
}

impl FromStr for OriginPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = match text {
            "*" => Some(OriginPattern::Any),
            "null" => Some(OriginPattern::Null),
            _ => match text.strip_suffix(":*") {
                Some(any_port) => Origin::parse(any_port).map(OriginPattern::AnyPort),
                None => Origin::parse(text).map(OriginPattern::Exact),
            },
        };
        pattern.ok_or_else(|| {
            format!("{text:?} is not an origin: give scheme://host, scheme://host:port, scheme://host:*, null or *")
        })
    }
}

/// Scheme, host and port in lower case, the scheme's default port left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Origin> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(is_scheme_byte) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = parse_authority(authority, default_port(&scheme))?;
        Some(Origin { scheme, host, port })
    }

    /// Whether a page of this origin came from the server that `host` names. HAProxy ends the TLS, so the scheme the
    /// browser used is known from the origin alone.
    fn is_at(&self, host: &str) -> bool {
        parse_authority(host, default_port(&self.scheme))
            .is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Host in lower case and port, unless it is the default one. Square brackets hold the colons of an IPv6 address. The
/// `url` crate is no help here: it accepts and repairs much that no browser sends as an origin (a login, an empty port,
/// a path, `https:///host`), and each repair would let another spelling pass the rule.
fn parse_authority(authority: &str, default_port: Option<u16>) -> Option<(String, Option<u16>)> {
    let host_bytes = authority.find(']').map_or_else(|| authority.find(':'), |end| Some(end + 1));
    let (host, port) = authority.split_at(host_bytes.unwrap_or(authority.len()));
    if !is_host(host) {
        return None;
    }
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        None if port.is_empty() => None,
        _ => return None,
    };
    Some((host.to_ascii_lowercase(), port.filter(|port| Some(*port) != default_port)))
}

fn is_host(host: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name_byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(patterns: &[&str]) -> OriginRule {
        OriginRule::new(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect())
    }

    fn allows(patterns: &[&str], origin: &str, host: &str) -> bool {
        rule(patterns).check(Some(origin), Some(host)).is_ok()
    }

    #[test]
    fn what_is_no_browser_passes() {
        assert!(rule(&[]).check(None, Some("a.example")).is_ok());
        assert!(rule(&[]).check(None, None).is_ok());
    }

    #[test]
    fn a_page_of_the_same_host_passes() {
        for (origin, host) in [
            ("https://a.example", "a.example"),
            ("https://a.example", "A.Example:443"),
            ("https://a.example:443", "a.example"),
            ("http://a.example", "a.example:80"),
            ("https://localhost:8443", "localhost:8443"),
            ("http://[::1]:3000", "[::1]:3000"),
            ("http://[::1]", "[::1]"),
        ] {
            assert!(allows(&[], origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn any_other_page_is_refused() {
        for (origin, host) in [
            ("https://b.example", "a.example"),
            ("https://a.example:8443", "a.example"),
            ("https://a.example", "a.example:80"),
            ("http://a.example", "a.example:443"),
            ("https://a.example.evil", "a.example"),
            ("https://a.example@evil", "a.example"),
            ("https://evil/a.example", "a.example"),
            ("null", "null"),
            ("", ""),
            ("https://", ""),
            ("https://a.example:", "a.example"),
            ("https://a.example:99999", "a.example:99999"),
            ("https://[::1", "[::1"),
        ] {
            assert!(!allows(&[], origin, host), "{origin} at {host}");
        }
        assert!(rule(&[]).check(Some("http://a"), None).is_err());
    }

    #[test]
    fn patterns_allow_what_they_say() {
        assert!(allows(&["https://app.example"], "https://app.example", "a"));
        assert!(allows(&["https://app.example:443"], "https://app.example", "a"));
        assert!(!allows(&["https://app.example"], "http://app.example", "a"));
        assert!(!allows(&["https://app.example"], "https://app.example:8443", "a"));
        assert!(allows(&["http://localhost:*"], "http://localhost:5173", "a"));
        assert!(allows(&["http://localhost:*"], "http://localhost", "a"));
        assert!(!allows(&["http://localhost:*"], "https://localhost:5173", "a"));
        assert!(!allows(&["http://localhost:*"], "http://localhost.evil:5173", "a"));
        assert!(allows(&["capacitor://localhost"], "capacitor://localhost", "a"));
        assert!(allows(&["*"], "null", "a") && allows(&["*"], "not an origin", "a"));
        assert!(allows(&["null"], "null", "a") && !allows(&["http://a"], "null", "a"));
    }

    #[test]
    fn a_bad_pattern_is_one_sentence() {
        for text in
            ["", "a.example", "https://a.example/", "https://*.example", "https://a.example:x", "https://"]
        {
            let error = text.parse::<OriginPattern>().unwrap_err();
            assert!(error.starts_with(&format!("{text:?} is not an origin")), "{error}");
        }
    }

    #[test]
    fn the_refusal_names_the_origin_and_the_flag() {
        let refused = rule(&[]).check(Some("http://x"), Some("a")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Origin http://x is not allowed here: start moorline with --allow-origin http://x"
        );
    }

    #[test]
    fn the_refusal_is_safe_to_show() {
        let refused = rule(&[]).check(Some(&format!("a\r\n\u{1b}[2J{}", "x".repeat(500))), None).unwrap_err();
        assert!(refused.to_string().starts_with(r"Origin a\r\n\u{1b}[2Jxxx"), "{refused}");
        assert!(refused.to_string().len() < 600);
    }
}
