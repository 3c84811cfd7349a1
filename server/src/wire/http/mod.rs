//! HTTP/1.1 as the node needs it: strict request heads and bodies in, small whole answers out.
//!
//! Owns the grammar of a request head and the framing rules between the proxy and the node. It never guesses: what two
//! parsers could read differently is refused.
//!
//! Invariant: a [`RequestHead`] is unambiguous about where its body ends, and no answer carries a line break that a
//! client sent.

pub mod body;
pub mod request;
pub mod response;
#[cfg(test)]
mod tests;

use crate::causes::Violation;

pub use body::Body;
pub use request::{BodyKind, HeadLimits, HeadScanner, Method, Parsed, RequestHead, WebSocketKey};
pub use response::{Response, switching_protocols};

/// A request that is answered with an error and whose connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status code.
    pub status: u16,
    /// One sentence for whoever reads the answer.
    pub reason: &'static str,
    /// The rule that was broken, as a metric counts it.
    pub violation: Violation,
}

impl Refusal {
    pub(crate) const fn bad_request(violation: Violation, reason: &'static str) -> Refusal {
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
