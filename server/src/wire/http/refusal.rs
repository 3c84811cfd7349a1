//! The refusal of a request that breaks a rule of HTTP.
//!
//! Owns the answer to it. It never judges a request.

use crate::{causes::Violation, wire::http::response::Response};

/// A request that is answered with an error and whose connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status code.
    pub status: u16,
    /// One sentence for whoever reads the answer.
    pub reason: &'static str,
    /// The rule that was broken, as a metric counts it.
    pub violation: Violation,
}

impl Refusal {
    pub(super) const fn bad_request(violation: Violation, reason: &'static str) -> Refusal {
        Refusal { status: 400, reason, violation }
    }

    /// The answer to send before closing.
    pub fn response(&self) -> Response {
        let response = Response::text(self.status, self.reason);
        if self.status == 426 {
            return response.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13");
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_becomes_an_answer() {
        let refusal = Refusal {
            status: 426,
            reason: "The WebSocket version is 13.",
            violation: Violation::WebSocketVersion,
        };
        let answer = String::from_utf8(refusal.response().to_bytes(false)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nThe WebSocket version is 13.\n"), "{answer}");
    }
}
