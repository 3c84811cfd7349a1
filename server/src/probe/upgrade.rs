//! The HTTP request that turns a connection into a WebSocket, and what the answers to it mean.
//!
//! Owns one request and one response head. It follows no redirect and keeps no cookie: each client of a probe is new
//! to the balancer.

use crate::probe::{
    endpoint::Endpoint,
    stream::{Stream, is_timeout},
};
use std::io::{Read, Write};

/// The example of RFC 6455, section 1.3. The key need not be secret, only the answer to it right; a fixed one lets the
/// probe know that answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// Asks for a WebSocket; bytes that the server sent right after its answer are handed back.
pub(super) fn upgrade(stream: &mut Stream, endpoint: &Endpoint) -> Result<Vec<u8>, String> {
    stream.start_step();
    stream
        .write_all(request(endpoint).as_bytes())
        .map_err(|error| format!("the request could not be sent ({error})"))?;
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = match stream.read(&mut chunk) {
            Ok(0) => return Err(no_answer(endpoint)),
            Ok(count) => count,
            Err(error) if is_timeout(&error) => {
                return Err(format!("{endpoint} did not answer the request in time"));
            }
            Err(error) => return Err(format!("{endpoint} broke off before its answer ({error})")),
        };
        received.extend_from_slice(&chunk[..count]);
        if let Some(head_bytes) = accepted(&received, endpoint)? {
            return Ok(received.split_off(head_bytes));
        }
    }
}

fn no_answer(endpoint: &Endpoint) -> String {
    let advice = if endpoint.is_tls {
        "is that the right path?"
    } else {
        "is that the right path, and not an HTTPS port?"
    };
    format!("{endpoint} closed the connection without an answer: {advice}")
}

fn request(endpoint: &Endpoint) -> String {
    let Endpoint { path, query, .. } = endpoint;
    let more = if query.is_empty() { String::new() } else { format!("&{query}") };
    format!(
        "GET {path}?EIO=4&transport=websocket{more} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
         User-Agent: moorline-probe\r\n\r\n",
        endpoint.authority()
    )
}

/// The length of an accepting head; `None` while it is incomplete.
fn accepted(received: &[u8], endpoint: &Endpoint) -> Result<Option<usize>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let not_http = || format!("{endpoint} does not answer in HTTP: is it an HTTPS port, or another service?");
    let head_bytes = match response.parse(received).map_err(|_| not_http())? {
        httparse::Status::Complete(head_bytes) => head_bytes,
        httparse::Status::Partial if received.len() < HEAD_BYTES_MAX => return Ok(None),
        httparse::Status::Partial => return Err(not_http()),
    };
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).escape_debug().to_string())
    };
    match response.code.unwrap_or(0) {
        101 if header("sec-websocket-accept").as_deref() == Some(ACCEPT) => Ok(Some(head_bytes)),
        101 => Err(format!("{endpoint} accepted another client's WebSocket: a cache sits in between")),
        code => Err(refused(code, header("location"), &received[head_bytes..], endpoint)),
    }
}

fn refused(code: u16, location: Option<String>, body: &[u8], endpoint: &Endpoint) -> String {
    let said = said(body);
    match (code, location) {
        (300..=399, Some(location)) => format!("{endpoint} redirects to {location}: use that URL"),
        (404, _) => format!("there is no Socket.IO at {endpoint} (404): give the right path in the URL"),
        (401 | 403, _) => format!("{endpoint} refuses this client ({code}{said})"),
        (400, _) => format!(
            "{endpoint} does not accept the handshake (400{said}): is it a Socket.IO server of version 3 or 4?"
        ),
        (502..=504, _) => {
            format!("{endpoint} has no node to connect to ({code}): none is up, or all are draining")
        }
        _ => format!("{endpoint} answered {code}{said} where 101 was due"),
    }
}

/// As much of an error's body as came with its head.
fn said(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).trim().chars().take(120).collect();
    if text.is_empty() || text.starts_with('<') {
        String::new()
    } else {
        format!(", \"{}\"", text.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn endpoint() -> Endpoint {
        "http://h:1/?node=s1".parse().unwrap()
    }

    #[test]
    fn the_query_follows_the_protocol_s_own() {
        assert!(
            request(&endpoint())
                .starts_with("GET /socket.io/?EIO=4&transport=websocket&node=s1 HTTP/1.1\r\n")
        );
    }

    #[test]
    fn a_head_cut_anywhere_is_awaited() {
        for end in 0..OK.len() {
            assert_eq!(accepted(&OK.as_bytes()[..end], &endpoint()), Ok(None), "{end}");
        }
        let with_frame = [OK.as_bytes(), b"\x81\x01"].concat();
        assert_eq!(accepted(&with_frame, &endpoint()), Ok(Some(OK.len())));
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (answer, advice) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "the right path"),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n<html>", "no node to connect to (503)"),
            ("HTTP/1.1 301 Moved\r\nLocation: https://h:8443/\r\n\r\n", "redirects to https://h:8443/"),
            ("HTTP/1.1 400 Bad Request\r\n\r\n{\"code\":5}", "(400, \"{\\\"code\\\":5}\")"),
            ("HTTP/1.1 200 OK\r\n\r\n", "answered 200"),
            ("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: x\r\n\r\n", "a cache"),
            ("\x15\x03\x01\0\x02\x02\x46", "is it an HTTPS port"),
        ] {
            let refusal = accepted(answer.as_bytes(), &endpoint()).expect_err(answer);
            assert!(refusal.contains(advice) && !refusal.contains('\n'), "{refusal}");
        }
    }
}
