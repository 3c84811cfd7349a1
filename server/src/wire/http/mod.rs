//! HTTP/1.1 as the node needs it: strict request heads and bodies in, small whole answers out.
//!
//! Owns the grammar of a request head and the framing rules between the proxy and the node. It never guesses: what two
//! parsers could read differently is refused.
//!
//! Invariant: a [`RequestHead`] is unambiguous about where its body ends, and no answer carries a line break that a
//! client sent.

mod body;
mod method;
mod refusal;
mod request;
mod response;

pub use body::Body;
pub use method::Method;
pub use refusal::Refusal;
pub use request::{BodyKind, HeadLimits, HeadScanner, Parsed, RequestHead, WebSocketKey};
pub use response::{Response, switching_protocols};
