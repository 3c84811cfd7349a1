//! What a request is answered with: the Engine.IO path, the site beside it, and the operator's pages.
//!
//! Owns the order of checks and the wording of refusals. It reads no socket and changes nothing; the caller does what
//! the returned [`Action`] says.
//!
//! Invariant: while draining, a request that names no live session gets 503 whatever it asks for, so that a balancer
//! can send it elsewhere.

use crate::{
    assets::Assets,
    page,
    wire::{
        http::{Method, Refusal, RequestHead, Response},
        origin::OriginRule,
    },
};
use std::net::IpAddr;

/// What to do with a request.
pub(crate) enum Action {
    /// Send this and close.
    Respond(Response),
    /// The request breaks a rule: count it by kind, answer and close.
    Refuse(Refusal),
    /// Answer 101 with this `Sec-WebSocket-Accept` and open a session.
    Upgrade(String),
}

/// What the router knows of the node it answers for.
pub(crate) struct Site<'a> {
    /// The Engine.IO path, with a slash at both ends.
    pub(crate) path: &'a str,
    pub(crate) origins: &'a OriginRule,
    pub(crate) assets: Option<&'a Assets>,
    pub(crate) node: page::NodeFacts<'a>,
    pub(crate) is_draining: bool,
    /// Whether the session id of the request is one of ours.
    pub(crate) is_session_known: &'a dyn Fn(&str) -> bool,
}

/// The refusals of the Engine.IO path, with the codes and words of the reference.
#[derive(Clone, Copy)]
enum Refused {
    TransportUnknown,
    SessionUnknown,
    BadMethod,
    BadRequest,
    Version,
}

impl Refused {
    fn code_and_message(self) -> (u8, &'static str) {
        match self {
            Refused::TransportUnknown => (0, "Transport unknown"),
            Refused::SessionUnknown => (1, "Session ID unknown"),
            Refused::BadMethod => (2, "Bad handshake method"),
            Refused::BadRequest => (3, "Bad request"),
            Refused::Version => (5, "Unsupported protocol version"),
        }
    }
}

/// Routes a request from a client at `client`, where that is known.
pub(crate) fn route(head: &RequestHead, site: &Site<'_>, client: Option<IpAddr>) -> Action {
    let is_engine = head.path.starts_with(site.path) || head.path == site.path.trim_end_matches('/');
    // The reference takes an empty sid as none.
    let sid = is_engine.then(|| head.query_param("sid")).flatten().filter(|sid| !sid.is_empty());
    let is_session_known = sid.as_deref().is_some_and(site.is_session_known);
    if site.is_draining && !is_session_known {
        return Action::Respond(draining());
    }
    if is_engine {
        return engine(head, site, sid.is_some(), is_session_known);
    }
    let response = match head.method {
        Method::Get | Method::Head => file(head, site, client),
        _ => Response::text(405, "Only GET and HEAD are answered here.").header("Allow", "GET, HEAD"),
    };
    Action::Respond(if head.method == Method::Head { response.without_body() } else { response })
}

/// The checks come in the order of the reference: transport, Origin, session, method, version.
fn engine(head: &RequestHead, site: &Site<'_>, has_sid: bool, is_session_known: bool) -> Action {
    let key = match head.wants_websocket() {
        Ok(key) => key,
        Err(refusal) => return Action::Refuse(refusal),
    };
    let refuse = |refused| Action::Respond(engine_refusal(refused, key.is_some()));
    if head.query_param("transport").as_deref() != Some("websocket") {
        return refuse(Refused::TransportUnknown);
    }
    if let Err(refused) = site.origins.check(head.header("origin"), head.host.as_deref()) {
        return Action::Respond(forbidden(&refused.to_string(), key.is_some()));
    }
    if has_sid {
        // A session that started on WebSocket has its transport already.
        return refuse(if is_session_known { Refused::BadRequest } else { Refused::SessionUnknown });
    }
    if head.method != Method::Get {
        return refuse(Refused::BadMethod);
    }
    if head.query_param("EIO").as_deref() != Some("4") {
        return refuse(Refused::Version);
    }
    match key {
        Some(key) => Action::Upgrade(key.accept()),
        None => refuse(Refused::BadRequest),
    }
}

fn engine_refusal(refused: Refused, is_upgrade: bool) -> Response {
    let (code, message) = refused.code_and_message();
    if is_upgrade {
        return Response::text(400, message);
    }
    Response::new(400)
        .body("application/json", format!("{{\"code\":{code},\"message\":\"{message}\"}}").into_bytes())
}

fn forbidden(sentence: &str, is_upgrade: bool) -> Response {
    if is_upgrade {
        return Response::text(403, sentence);
    }
    let mut body = b"{\"code\":4,\"message\":".to_vec();
    moorline_protocol::json::push_string(&mut body, sentence);
    body.push(b'}');
    Response::new(403).body("application/json", body)
}

/// What a newcomer gets from a node that is leaving: a balancer takes it to another node, a client tries again.
fn draining() -> Response {
    Response::text(503, "This node is draining. Try again: another node will answer.")
        .header("Retry-After", "1")
}

/// What a client gets when the process can hold no more connections.
pub(crate) fn overloaded() -> Response {
    Response::text(503, "This node holds as many connections as it may. Try again later.")
        .header("Retry-After", "5")
}

fn file(head: &RequestHead, site: &Site<'_>, client: Option<IpAddr>) -> Response {
    match site.assets {
        Some(assets) => assets.response(&head.path),
        None if head.path == "/" => {
            page::embedded(&site.node, site.path, client.is_some_and(|client| client.is_loopback()))
        }
        None => Response::text(404, "There is nothing here. Clients connect to the Engine.IO path."),
    }
}

/// Who the client is: what the nearest proxy says, if that proxy is one of ours. `None` when somebody else claims it.
pub(crate) fn client_address(
    head: &RequestHead,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    if head.header("x-forwarded-for").is_none() {
        return Some(peer);
    }
    if is_trusted(peer) { head.forwarded_for_last() } else { None }
}
