//! A request head: found, parsed and judged.
//!
//! Owns the rules of RFC 9112 that keep two parsers from disagreeing, and what a WebSocket handshake must look like.
//! It never decodes a body.
//!
//! Invariant: the search for the end of the head looks at each byte once, however slowly the bytes arrive, and httparse
//! sees only a whole head.

use crate::{
    causes::Violation,
    wire::{
        http::{method::Method, refusal::Refusal},
        websocket::accept_key,
    },
};
use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
};

/// Headers that mean nothing, or two things, when they come twice.
const SINGLE_HEADERS: [&str; 6] =
    ["content-length", "transfer-encoding", "host", "origin", "sec-websocket-key", "sec-websocket-version"];

/// The bounds of a request head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head, its blank line included, in bytes.
    pub head_bytes_max: usize,
    /// The number of headers.
    pub headers_max: usize,
}

/// The outcome of parsing the bytes so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// The blank line has not arrived.
    Incomplete,
    /// A whole head.
    Head {
        /// The head.
        head: RequestHead,
        /// The bytes it took; the body follows, or, after an upgrade, bytes sent before our 101.
        consumed: usize,
    },
}

/// Remembers how far the search for the blank line has come, so that a head arriving byte by byte costs one pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadScanner {
    scanned: usize,
}

impl HeadScanner {
    /// Parses a head from all bytes received so far; between calls `bytes` may only have grown at its end.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub fn parse(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Parsed, Refusal> {
        match self.find_end(bytes, limits.head_bytes_max)? {
            None => Ok(Parsed::Incomplete),
            Some(consumed) => {
                let head = RequestHead::parse(&bytes[..consumed], limits.headers_max)?;
                Ok(Parsed::Head { head, consumed })
            }
        }
    }

    /// Finds the blank line; every CR and LF on the way must be half of a CRLF, which httparse does not insist on.
    fn find_end(&mut self, bytes: &[u8], head_bytes_max: usize) -> Result<Option<usize>, Refusal> {
        refuse_other_protocols(bytes)?;
        let searched = &bytes[..bytes.len().min(head_bytes_max)];
        while let Some(byte) = searched.get(self.scanned) {
            let follows_cr = searched[..self.scanned].last() == Some(&b'\r');
            match byte {
                b'\n' if !follows_cr => {
                    return Err(Refusal::bad_request(
                        Violation::BareLf,
                        "A line of the head ends with a bare LF.",
                    ));
                }
                b'\n' => {}
                _ if follows_cr => {
                    return Err(Refusal::bad_request(Violation::BareCr, "The head contains a bare CR."));
                }
                _ => {}
            }
            self.scanned += 1;
            if searched[..self.scanned].ends_with(b"\r\n\r\n") {
                return Ok(Some(self.scanned));
            }
        }
        if searched.len() == head_bytes_max {
            return Err(HEAD_TOO_LONG);
        }
        Ok(None)
    }
}

const HEAD_TOO_LONG: Refusal =
    Refusal { status: 431, reason: "The request head is too long.", violation: Violation::HeadTooLong };

/// A request starts with its method; saying so at the first byte saves a TLS client its timeout.
fn refuse_other_protocols(bytes: &[u8]) -> Result<(), Refusal> {
    const TLS_HANDSHAKE: u8 = 0x16;
    match bytes.first() {
        Some(&TLS_HANDSHAKE) => {
            Err(Refusal::bad_request(Violation::TlsToPlain, "This port speaks plain HTTP, not TLS."))
        }
        Some(first) if !first.is_ascii_alphabetic() => Err(BAD_REQUEST_LINE),
        _ => Ok(()),
    }
}

const BAD_REQUEST_LINE: Refusal = Refusal::bad_request(
    Violation::BadRequestLine,
    "The request line is not a method, a path and a version.",
);

/// The rule by which the end of the body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// There is no body.
    None,
    /// A body of that many bytes; zero only where a body was announced for a method that may have one.
    Length(u64),
    /// A body in chunks.
    Chunked,
}

/// One request head that passed every rule of framing.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The path as sent, without the query, not percent-decoded; starts with a slash.
    pub path: String,
    /// The text after the first question mark, not decoded. It may hold a session id: never log it.
    pub query: Option<String>,
    /// 0 or 1: the x of HTTP/1.x.
    pub version_minor: u8,
    /// The authority the client asked for; always there in HTTP/1.1.
    pub host: Option<String>,
    /// Names in lower case with their values, in order of arrival. Bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The rule by which the body ends.
    pub body: BodyKind,
}

/// Without query and headers, where session ids and cookies are.
impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestHead { method, path, body, .. } = self;
        write!(f, "RequestHead({method:?} {path:?} {body:?})")
    }
}

impl RequestHead {
    fn parse(bytes: &[u8], headers_max: usize) -> Result<RequestHead, Refusal> {
        let mut storage = vec![httparse::EMPTY_HEADER; headers_max];
        let mut request = httparse::Request::new(&mut storage);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(parsed_bytes)) if parsed_bytes == bytes.len() => {}
            Ok(_) => return Err(BAD_REQUEST_LINE),
            Err(error) => return Err(refusal_of(error)),
        }
        let (Some(method), Some(target), Some(version_minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(BAD_REQUEST_LINE);
        };
        let (path, query) = split_target(target)?;
        let headers: Vec<_> = request.headers.iter().map(owned_header).collect();
        refuse_repetition(&headers)?;
        let mut head = RequestHead {
            method: Method::parse(method),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            version_minor,
            host: None,
            headers,
            body: BodyKind::None,
        };
        head.host = head.judge_host()?;
        head.body = head.judge_body()?;
        Ok(head)
    }

    fn judge_host(&self) -> Result<Option<String>, Refusal> {
        let host = self.header("host");
        if host.is_none() && self.version_minor == 1 {
            return Err(Refusal::bad_request(Violation::NoHost, "An HTTP/1.1 request needs a Host header."));
        }
        if host.is_some_and(|host| !host.bytes().all(is_authority_byte)) {
            return Err(Refusal::bad_request(
                Violation::BadHost,
                "The Host header is not a host and a port.",
            ));
        }
        Ok(host.map(str::to_owned))
    }

    fn judge_body(&self) -> Result<BodyKind, Refusal> {
        let body = match (self.header("content-length"), self.header("transfer-encoding")) {
            (Some(_), Some(_)) => {
                return Err(Refusal::bad_request(
                    Violation::LengthAndCoding,
                    "A request may not carry both Content-Length and Transfer-Encoding.",
                ));
            }
            (Some(length), None) => BodyKind::Length(parse_length(length)?),
            (None, Some(coding)) => self.judge_coding(coding)?,
            (None, None) => BodyKind::None,
        };
        match (self.method, body) {
            (Method::Get | Method::Head, BodyKind::None | BodyKind::Length(0)) => Ok(BodyKind::None),
            (Method::Get | Method::Head, _) => {
                Err(Refusal::bad_request(Violation::BodyOnGet, "A GET or HEAD request may not have a body."))
            }
            (_, body) => Ok(body),
        }
    }

    fn judge_coding(&self, coding: &str) -> Result<BodyKind, Refusal> {
        if self.version_minor == 1 && coding.eq_ignore_ascii_case("chunked") {
            return Ok(BodyKind::Chunked);
        }
        Err(Refusal::bad_request(
            Violation::BadCoding,
            "The only transfer coding is chunked, and only in HTTP/1.1.",
        ))
    }

    /// The value of the first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    fn header_values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.headers.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated header holds that token, in any case.
    fn has_token(&self, name: &str, token: &str) -> bool {
        self.header_values(name)
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(token))
    }

    /// The first query parameter of that name, decoded; bytes that are not UTF-8 are replaced.
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        let query = self.query.as_deref()?;
        query.split('&').find_map(|pair| {
            // The usual pair holds nothing to decode, and a request is asked for several.
            if !pair.contains(['%', '+']) {
                let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
                return (given == name).then_some(Cow::Borrowed(value));
            }
            form_urlencoded::parse(pair.as_bytes()).find(|(given, _)| given == name).map(|(_, value)| value)
        })
    }

    /// The last `X-Forwarded-For` address: the one the nearest proxy wrote. Trust it only from a configured proxy.
    pub fn forwarded_for_last(&self) -> Option<IpAddr> {
        let last = self.header_values("x-forwarded-for").next_back()?.rsplit(',').next()?.trim();
        last.parse().ok().or_else(|| last.parse().ok().map(|address: SocketAddr| address.ip()))
    }

    /// Whether the connection may take another request after this one. Only the body of a POST is ever read to its end.
    pub fn keeps_alive(&self) -> bool {
        let has_known_end = self.method == Method::Post || self.body == BodyKind::None;
        has_known_end && self.version_minor == 1 && !self.has_token("connection", "close")
    }

    /// Whether the client waits for a word before it sends its body.
    pub fn expects_continue(&self) -> bool {
        let expected = self.header("expect");
        self.version_minor == 1 && expected.is_some_and(|what| what.eq_ignore_ascii_case("100-continue"))
    }

    /// The key of a WebSocket handshake, or `None` for any other request.
    ///
    /// # Errors
    /// A [`Refusal`] when the request asks for a WebSocket in a way RFC 6455, 4.2.1 does not allow.
    pub fn wants_websocket(&self) -> Result<Option<WebSocketKey<'_>>, Refusal> {
        if !self.has_token("upgrade", "websocket") {
            return Ok(None);
        }
        if self.method != Method::Get || self.version_minor != 1 {
            return Err(Refusal::bad_request(
                Violation::BadUpgrade,
                "A WebSocket starts with an HTTP/1.1 GET.",
            ));
        }
        if !self.has_token("connection", "upgrade") {
            return Err(Refusal::bad_request(
                Violation::BadUpgrade,
                "A WebSocket needs the header Connection: Upgrade.",
            ));
        }
        if self.header("sec-websocket-version") != Some("13") {
            return Err(Refusal {
                status: 426,
                reason: "The WebSocket version is 13.",
                violation: Violation::WebSocketVersion,
            });
        }
        self.header("sec-websocket-key").and_then(WebSocketKey::parse).map(Some).ok_or(Refusal::bad_request(
            Violation::WebSocketKey,
            "A WebSocket needs a Sec-WebSocket-Key of 16 bytes in base64.",
        ))
    }
}

/// A client's `Sec-WebSocket-Key`: 16 bytes in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketKey<'a>(&'a str);

impl<'a> WebSocketKey<'a> {
    fn parse(key: &'a str) -> Option<Self> {
        let digits = key.strip_suffix("==")?;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        (digits.len() == 22 && digits.bytes().all(is_base64)).then_some(WebSocketKey(key))
    }

    /// The `Sec-WebSocket-Accept` value that answers it.
    pub fn accept(&self) -> String {
        accept_key(self.0)
    }
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal {
            status: 431,
            reason: "The request has too many headers.",
            violation: Violation::TooManyHeaders,
        },
        httparse::Error::Version => {
            Refusal { status: 505, reason: "The version is HTTP/1.1.", violation: Violation::BadVersion }
        }
        httparse::Error::HeaderName => {
            Refusal::bad_request(Violation::BadHeader, "A header line is folded or its name is malformed.")
        }
        httparse::Error::HeaderValue => {
            Refusal::bad_request(Violation::BadHeader, "A header value contains a control byte.")
        }
        _ => BAD_REQUEST_LINE,
    }
}

/// Only the origin form: a path, perhaps a query, in ASCII. A node is no proxy and serves no fragment.
fn split_target(target: &str) -> Result<(&str, Option<&str>), Refusal> {
    if !target.starts_with('/') || !target.is_ascii() || target.contains('#') {
        return Err(Refusal::bad_request(Violation::BadTarget, "The request target is not a path in ASCII."));
    }
    Ok(target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query))))
}

fn owned_header(header: &httparse::Header<'_>) -> (String, String) {
    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
}

fn refuse_repetition(headers: &[(String, String)]) -> Result<(), Refusal> {
    let count = |name| headers.iter().filter(|(given, _)| given == name).count();
    if SINGLE_HEADERS.iter().any(|name| count(*name) > 1) {
        return Err(Refusal::bad_request(
            Violation::RepeatedHeader,
            "A header that may come once came twice.",
        ));
    }
    Ok(())
}

fn parse_length(length: &str) -> Result<u64, Refusal> {
    const BAD_LENGTH: Refusal =
        Refusal::bad_request(Violation::BadLength, "The Content-Length is not a number of bytes.");
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BAD_LENGTH);
    }
    length.parse().map_err(|_| BAD_LENGTH)
}

/// Whether a Host header may hold this byte. Bytes are judged and nothing is parsed: the `url` crate would repair what
/// it parses, and the Origin rule compares the host as it was sent.
fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

#[cfg(test)]
mod tests;
