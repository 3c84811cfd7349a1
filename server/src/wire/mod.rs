//! The wire: bytes to requests and messages, and finished bytes back to a transport.
//!
//! Owns HTTP request heads and answers, the WebSocket framing, the Origin rule, the queue of bytes not yet written and
//! TLS. It never polls, never reads a clock and knows nothing of Engine.IO.
//!
//! Invariant: bad input ends as a value (a [`http::Refusal`] or a [`websocket::ProtocolError`]), never as a panic, and
//! an idle WebSocket connection holds no buffer in here.

pub mod http;
pub mod origin;
pub mod send_queue;
pub mod tls;
pub mod websocket;
