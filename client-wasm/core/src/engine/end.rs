//! The end of a session: its reason, the details for the page, and the consequences for the next attempt.
//!
//! It never decides whether there is a next attempt.

use crate::{Context, Details, DisconnectReason, Failure};
use alloc::string::String;
use moorline_protocol::json;

/// Close codes by which a server announces that its node is going away: service restart, going away.
const GOING_AWAY_CODES: [u16; 2] = [1012, 1001];
const SERVER_ERROR: u16 = 500;
/// The error code of a server for a session it does not have.
const SESSION_UNKNOWN: &str = "1";
/// The close code of a connection that ended without one.
const NO_CODE: u16 = 1006;

/// The end of a session, or the reason why it never began.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) reason: DisconnectReason,
    pub(crate) details: Details,
    pub(crate) retry_after_ms: Option<u64>,
    /// Whether the next attempt must not ask for this node.
    pub(crate) is_node_unusable: bool,
}

impl End {
    pub(crate) fn new(reason: DisconnectReason, failure: Failure) -> End {
        let details = Details { failure, context: Context::default() };
        End { reason, details, retry_after_ms: None, is_node_unusable: false }
    }

    pub(crate) fn parse_error(failure: Failure) -> End {
        End::new(DisconnectReason::ParseError, failure)
    }

    /// The server sent a close packet.
    pub(crate) fn of_close_packet() -> End {
        End {
            is_node_unusable: true,
            ..End::new(DisconnectReason::TransportClose, Failure::CLOSED_BY_SERVER)
        }
    }

    /// A request was refused.
    pub(crate) fn of_status(status: u16, retry_after_ms: Option<u64>, body: &str) -> End {
        let mut end = End::new(DisconnectReason::TransportError, Failure::POLLING_ERROR);
        end.details.context.status = Some(status);
        end.retry_after_ms = retry_after_ms;
        // The node takes nobody, or another one answers in its place. Any other refusal is about the request: a browser
        // repeats a request whose connection broke, and the node that saw it already still has the session.
        let is_unknown = json::member(body, "code") == Some(SESSION_UNKNOWN);
        end.is_node_unusable = status >= SERVER_ERROR || is_unknown;
        end
    }

    /// A WebSocket was closed, with or without a session on it.
    pub(crate) fn of_websocket(has_session: bool, code: u16, reason: String) -> End {
        let mut end = if has_session {
            End::new(DisconnectReason::TransportClose, Failure::WEBSOCKET_CLOSED)
        } else {
            End::new(DisconnectReason::TransportError, Failure::WEBSOCKET_ERROR)
        };
        // Some platforms report a missing code as 0.
        let known = if code == 0 { NO_CODE } else { code };
        end.details.context = Context { code: Some(known), reason, status: None };
        end.is_node_unusable = GOING_AWAY_CODES.contains(&code);
        end
    }
}
