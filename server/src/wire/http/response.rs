//! Whole answers: a status, a few headers and a body, as the bytes to write.
//!
//! Owns the shape of an answer. It never streams.
//!
//! Invariant: an answer after which the connection is closed says `Connection: close`, and no header value contains a
//! control byte.

use crate::wire::http::method::Method;
use std::borrow::Cow;

/// Room for the head of most answers, in bytes.
const HEAD_BYTES: usize = 256;

/// An answer under construction; nothing may cache it unless it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    content_type: &'static str,
    cache_control: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Cow<'static, [u8]>,
    is_head_only: bool,
}

impl Response {
    /// An empty answer.
    pub fn new(status: u16) -> Self {
        Response {
            status,
            content_type: "text/plain; charset=utf-8",
            cache_control: "no-store",
            headers: Vec::new(),
            body: Cow::Borrowed(&[]),
            is_head_only: false,
        }
    }

    /// A sentence in plain text, which no browser will take for markup.
    pub fn text(status: u16, sentence: &str) -> Self {
        Response::new(status).body("text/plain; charset=utf-8", format!("{sentence}\n").into_bytes())
    }

    /// The answer to a method other than GET and HEAD, where only those are answered.
    pub fn method_not_allowed() -> Self {
        Response::text(405, "Only GET and HEAD are answered here.").header("Allow", "GET, HEAD")
    }

    /// The body and its media type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.content_type = content_type;
        self.body = body.into();
        self
    }

    /// One more header. Control bytes are taken out of the value, so a client's bytes cannot start a line.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.chars().filter(|char| !char.is_control()).collect()));
        self
    }

    /// The value of `Cache-Control` in place of `no-store`.
    #[must_use]
    pub fn cache_control(mut self, cache_control: &'static str) -> Self {
        self.cache_control = cache_control;
        self
    }

    /// The answer to a request of this method: to HEAD the same head, and no body.
    #[must_use]
    pub fn to_method(mut self, method: Method) -> Self {
        self.is_head_only = method == Method::Head;
        self
    }

    /// The status code, for counting.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The bytes to write; `is_kept` when the connection will take another request.
    pub fn to_bytes(&self, is_kept: bool) -> Vec<u8> {
        let body = if !self.is_head_only && self.may_have_body() { &*self.body } else { &[] };
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
        self.push_head(is_kept, &mut bytes);
        bytes.extend_from_slice(body);
        bytes
    }

    fn push_head(&self, is_kept: bool, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        push(out, ["HTTP/1.1 ", number.format(self.status), " ", reason_phrase(self.status), "\r\n"]);
        let mut line = |name, value| push(out, [name, ": ", value, "\r\n"]);
        if self.may_have_body() {
            line("Content-Type", self.content_type);
            line("Content-Length", number.format(self.body.len()));
            line("X-Content-Type-Options", "nosniff");
        }
        line("Cache-Control", self.cache_control);
        for (name, value) in &self.headers {
            line(name, value);
        }
        if !is_kept {
            line("Connection", "close");
        }
        push(out, ["\r\n"]);
    }

    /// These statuses end at the blank line, and a `Content-Length` would be wrong in them (RFC 9110, 8.6).
    fn may_have_body(&self) -> bool {
        !matches!(self.status, 204 | 304)
    }
}

fn push<const N: usize>(out: &mut Vec<u8>, pieces: [&str; N]) {
    pieces.into_iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
}

/// The answer that turns the connection into a WebSocket; `accept` comes from the client's key.
pub fn switching_protocols(accept: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete() {
        let answer = Response::new(200)
            .body("application/json", &b"{}"[..])
            .header("Retry-After", "1")
            .to_bytes(false);
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
             X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nRetry-After: 1\r\n\
             Connection: close\r\n\r\n{}"
        );
    }

    #[test]
    fn the_answer_to_head_has_the_length_and_not_the_body() {
        let answer =
            String::from_utf8(Response::text(200, "hello").to_method(Method::Head).to_bytes(false)).unwrap();
        assert!(answer.contains("Content-Length: 6\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn an_answer_without_content_has_no_length() {
        let answer = String::from_utf8(Response::new(204).to_bytes(false)).unwrap();
        assert!(!answer.contains("Content-"), "{answer}");
        let kept = String::from_utf8(Response::new(200).cache_control("max-age=60").to_bytes(false)).unwrap();
        assert!(kept.contains("Cache-Control: max-age=60\r\n") && !kept.contains("no-store"), "{kept}");
    }

    #[test]
    fn a_clients_bytes_cannot_start_a_header_line() {
        let answer = Response::new(200)
            .header("Access-Control-Allow-Origin", "x\r\nSet-Cookie: a=b\u{85}")
            .to_bytes(false);
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("Access-Control-Allow-Origin: xSet-Cookie: a=b\r\n"), "{answer}");
    }

    #[test]
    fn the_101_is_the_standards() {
        let answer = String::from_utf8(switching_protocols("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
        assert!(answer.ends_with("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    }
}
