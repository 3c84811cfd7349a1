//! CORS: the headers that let pages of other origins read the answers of the Engine.IO path.
//!
//! Owns the headers of the Fetch standard. It never judges an origin: the Origin rule does, and comes first.
//!
//! Invariant: an origin is named, never `*`, because answers are given with the visitor's cookies.

use crate::wire::http::{RequestHead, Response};

/// The time a browser may remember a preflight, in seconds: the longest that browsers accept.
const PREFLIGHT_SECONDS: &str = "7200";
/// The longest list of header names that is granted, in bytes.
const NAMES_BYTES_MAX: usize = 1024;

/// Lets the page of an allowed origin read the answer. Without an origin no page asks.
pub(crate) fn grant(response: Response, origin: Option<&str>) -> Response {
    let Some(origin) = origin else { return response };
    response
        .header("Access-Control-Allow-Origin", origin)
        .header("Access-Control-Allow-Credentials", "true")
        .header("Access-Control-Expose-Headers", "Retry-After")
        .header("Vary", "Origin")
}

/// The answer to the question a browser asks before a request that is not simple.
pub(crate) fn preflight(head: &RequestHead) -> Response {
    let response = Response::new(204)
        .header("Access-Control-Allow-Methods", "GET, POST")
        .header("Access-Control-Max-Age", PREFLIGHT_SECONDS);
    let wanted = head.header("access-control-request-headers");
    match wanted.filter(|names| names.len() <= NAMES_BYTES_MAX && names.bytes().all(is_name_byte)) {
        Some(names) => response.header("Access-Control-Allow-Headers", names),
        None => response,
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_, ".contains(&byte)
}
