//! The router: the answer to each request of a client, on the Engine.IO path and on the site beside it.
//!
//! Owns the order of checks and the wording of refusals. It reads no socket and changes nothing; the caller carries out
//! the returned [`Action`].
//!
//! Invariant: while draining, a request that names no live session gets 503 whatever it asks for, so that a balancer
//! can send it elsewhere.

use crate::{
    assets::Assets,
    causes::Violation,
    cors, page,
    wire::{
        http::{Method, Refusal, RequestHead, Response, WebSocketKey},
        origin::{OriginRule, RefusedOrigin},
    },
};
use moorline_core::Dialect;
use moorline_protocol::{TransportKind, json};
use std::net::IpAddr;

/// The action a request leads to.
pub(crate) enum Action {
    /// Send this and close.
    Respond(Response),
    /// Send this; the connection may take another request.
    Answer(Response),
    /// The request breaks a rule of HTTP: count it by kind, answer and close.
    Refuse(Refusal),
    /// The request breaks a rule of Engine.IO: count it, send this and close.
    RefuseEngine(EngineRefusal, Response),
    /// Give it to the core.
    Engine(EngineRequest),
}

/// A request of the Engine.IO path that passed every check.
pub(crate) struct EngineRequest {
    pub(crate) kind: EngineKind,
    /// The origin of the page that asks, which may read the answer.
    pub(crate) origin: Option<String>,
}

/// The kinds of requests on the Engine.IO path.
pub(crate) enum EngineKind {
    /// A new session, this GET its first poll.
    Open(Dialect),
    /// The next messages of a session.
    Poll { sid: String, packets_max: usize },
    /// To send messages in a session.
    Post {
        sid: String,
        /// A body that is not text, which this version of the protocol has no use for.
        is_binary: bool,
    },
    /// A new session on a WebSocket, answered 101 with this `Sec-WebSocket-Accept`.
    WebSocket { accept: String, dialect: Dialect },
    /// The same for a session that there is.
    Upgrade { accept: String, sid: String },
}

/// The node a request is answered for.
pub(crate) struct Site<'a> {
    /// The Engine.IO path of Socket.IO, with a slash at both ends.
    pub(crate) path: &'a str,
    /// The path of Engine.IO alone, if there is one.
    pub(crate) engine_path: Option<&'a str>,
    pub(crate) origins: &'a OriginRule,
    pub(crate) assets: Option<&'a Assets>,
    pub(crate) node: page::NodeFacts<'a>,
    pub(crate) is_draining: bool,
    /// The transport of the session with this id, if it is one of ours.
    pub(crate) transport_of: &'a dyn Fn(&str) -> Option<TransportKind>,
}

/// The refusals of the Engine.IO path, with the codes and words of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineRefusal {
    TransportUnknown,
    SessionUnknown,
    BadMethod,
    BadRequest,
    Forbidden,
    Version,
}

impl EngineRefusal {
    fn code_and_message(self) -> (u8, &'static str) {
        match self {
            EngineRefusal::TransportUnknown => (0, "Transport unknown"),
            EngineRefusal::SessionUnknown => (1, "Session ID unknown"),
            EngineRefusal::BadMethod => (2, "Bad handshake method"),
            EngineRefusal::BadRequest => (3, "Bad request"),
            EngineRefusal::Forbidden => (4, "Forbidden"),
            EngineRefusal::Version => (5, "Unsupported protocol version"),
        }
    }

    /// The rule that was broken, as a metric counts it.
    pub(crate) fn violation(self) -> Violation {
        match self {
            EngineRefusal::TransportUnknown => Violation::TransportUnknown,
            EngineRefusal::SessionUnknown => Violation::SessionUnknown,
            EngineRefusal::BadMethod => Violation::BadHandshakeMethod,
            EngineRefusal::BadRequest => Violation::BadRequest,
            EngineRefusal::Forbidden => Violation::ForbiddenOrigin,
            EngineRefusal::Version => Violation::ProtocolVersion,
        }
    }

    /// The answer. A WebSocket client shows its user the status and nothing else, so it gets a plain sentence.
    pub(crate) fn response(self, is_upgrade: bool, origin: Option<&str>) -> Response {
        let (_, message) = self.code_and_message();
        if is_upgrade {
            return Response::text(400, message);
        }
        cors::grant(self.json_response(400, message), origin)
    }

    /// The answer in the form of the reference.
    fn json_response(self, status: u16, message: &str) -> Response {
        let (code, _) = self.code_and_message();
        let mut body = b"{\"code\":".to_vec();
        body.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
        body.extend_from_slice(b",\"message\":");
        json::push_string(&mut body, message);
        body.push(b'}');
        Response::new(status).body("application/json", body)
    }
}

/// Routes a request from a client at `client`, where that is known.
pub(crate) fn route(head: &RequestHead, site: &Site<'_>, client: Option<IpAddr>) -> Action {
    let dialect = site.dialect(&head.path);
    // The reference takes an empty sid as none.
    let sid = dialect.and_then(|_| head.query_param("sid")).filter(|sid| !sid.is_empty());
    let transport = sid.as_deref().and_then(site.transport_of);
    if site.is_draining && transport.is_none() {
        let allowed = head.header("origin").filter(|_| dialect.is_some() && judge_origin(head, site).is_ok());
        return Action::Respond(cors::grant(draining(), allowed).to_method(head.method));
    }
    if let Some(dialect) = dialect {
        return engine(head, site, &Session { dialect, sid: sid.as_deref(), transport });
    }
    let response = match head.method {
        Method::Get | Method::Head => file(head, site, client),
        _ => Response::method_not_allowed(),
    };
    Action::Respond(response.to_method(head.method))
}

impl Site<'_> {
    /// The dialect spoken on a path, if it is one of Engine.IO's.
    fn dialect(&self, path: &str) -> Option<Dialect> {
        let is_below = |root: &str| path.starts_with(root) || path == root.trim_end_matches('/');
        if is_below(self.path) {
            return Some(Dialect::SocketIo);
        }
        self.engine_path.is_some_and(is_below).then_some(Dialect::EngineIo)
    }
}

/// Whether the page that sent the request, if it was one, may speak to this node.
fn judge_origin(head: &RequestHead, site: &Site<'_>) -> Result<(), RefusedOrigin> {
    site.origins.check(head.header("origin"), head.host.as_deref())
}

/// The session a request names, or the one it asks for.
struct Session<'a> {
    dialect: Dialect,
    sid: Option<&'a str>,
    transport: Option<TransportKind>,
}

/// The checks come in the order of the reference: transport, Origin, session, its transport, method, version. A
/// preflight comes before them all, as it names no method of its own.
fn engine(head: &RequestHead, site: &Site<'_>, session: &Session<'_>) -> Action {
    let key = match head.wants_websocket() {
        Ok(key) => key,
        Err(refusal) => return Action::Refuse(refusal),
    };
    let origin = head.header("origin");
    let verdict = judge_origin(head, site);
    if head.method == Method::Options && origin.is_some() && verdict.is_ok() {
        return Action::Answer(cors::grant(cors::preflight(head), origin));
    }
    let wanted = match head.query_param("transport").as_deref() {
        Some("polling") => TransportKind::Polling,
        Some("websocket") => TransportKind::WebSocket,
        _ => {
            let allowed = origin.filter(|_| verdict.is_ok());
            return refuse(head, EngineRefusal::TransportUnknown, key.is_some(), allowed);
        }
    };
    if let Err(refused) = verdict {
        let response = forbidden(&refused.to_string(), key.is_some()).to_method(head.method);
        return Action::RefuseEngine(EngineRefusal::Forbidden, response);
    }
    let is_upgrade = key.is_some();
    match kind(head, session, wanted, key) {
        Ok(kind) => Action::Engine(EngineRequest { kind, origin: origin.map(str::to_owned) }),
        Err(refusal) => refuse(head, refusal, is_upgrade, origin),
    }
}

fn refuse(head: &RequestHead, refusal: EngineRefusal, is_upgrade: bool, origin: Option<&str>) -> Action {
    Action::RefuseEngine(refusal, refusal.response(is_upgrade, origin).to_method(head.method))
}

fn kind(
    head: &RequestHead,
    session: &Session<'_>,
    wanted: TransportKind,
    key: Option<WebSocketKey<'_>>,
) -> Result<EngineKind, EngineRefusal> {
    let accept = key.map(|key| key.accept());
    let Session { dialect, sid, transport } = *session;
    if let Some(sid) = sid {
        return continued(head, sid, transport, wanted, accept);
    }
    if head.method != Method::Get {
        return Err(EngineRefusal::BadMethod);
    }
    if head.query_param("EIO").as_deref() != Some("4") {
        return Err(EngineRefusal::Version);
    }
    if (wanted == TransportKind::WebSocket) != accept.is_some() {
        return Err(EngineRefusal::BadRequest);
    }
    Ok(match accept {
        Some(accept) => EngineKind::WebSocket { accept, dialect },
        None => EngineKind::Open(dialect),
    })
}

/// A request that names a session. A WebSocket is welcome whatever the session's transport: the core closes one too
/// many, since clients expect that and not a refused handshake.
fn continued(
    head: &RequestHead,
    sid: &str,
    transport: Option<TransportKind>,
    wanted: TransportKind,
    accept: Option<String>,
) -> Result<EngineKind, EngineRefusal> {
    let transport = transport.ok_or(EngineRefusal::SessionUnknown)?;
    let sid = sid.to_owned();
    match (wanted, accept, head.method) {
        (TransportKind::WebSocket, Some(accept), _) => Ok(EngineKind::Upgrade { accept, sid }),
        (TransportKind::Polling, None, Method::Get) if transport == wanted => {
            Ok(EngineKind::Poll { sid, packets_max: packets_max(head) })
        }
        (TransportKind::Polling, None, Method::Post) if transport == wanted => {
            let is_binary = head.header("content-type").is_some_and(is_octet_stream);
            Ok(EngineKind::Post { sid, is_binary })
        }
        _ => Err(EngineRefusal::BadRequest),
    }
}

/// The most packets a client takes in one answer. python-engineio ends the session over a payload of more than 16;
/// other clients take any number.
fn packets_max(head: &RequestHead) -> usize {
    const PYTHON_PACKETS_MAX: usize = 16;
    let agent = head.header("user-agent").unwrap_or_default();
    if agent.to_ascii_lowercase().contains("python") { PYTHON_PACKETS_MAX } else { usize::MAX }
}

fn is_octet_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/octet-stream")
}

fn forbidden(sentence: &str, is_upgrade: bool) -> Response {
    if is_upgrade {
        return Response::text(403, sentence);
    }
    EngineRefusal::Forbidden.json_response(403, sentence)
}

/// The answer to a newcomer while the node drains: a balancer takes it to another node, a client tries again.
fn draining() -> Response {
    Response::text(503, "This node is draining. Try again: another node will answer.")
        .header("Retry-After", "1")
}

/// The answer when the process can hold no more connections or sessions.
pub(crate) fn overloaded() -> Response {
    Response::text(503, "This node holds as many clients as it may. Try again later.")
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

/// The address of the client: the peer's, or the one a trusted proxy forwards. `None` when an untrusted peer claims
/// one.
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
