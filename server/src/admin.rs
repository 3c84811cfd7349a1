//! The operator's listener: liveness, readiness for the balancer, and metrics.
//!
//! Owns the paths of that listener and their answers. It never serves a client.

use crate::{
    metrics::Snapshot,
    page::NodeFacts,
    wire::http::{Method, RequestHead, Response},
};

/// Whether a balancer should send newcomers here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Redis has not been reached since the start.
    Starting,
    /// Yes, whatever Redis does from now on: clients of this node are served either way.
    Ready,
    /// No newcomers, but the requests of live sessions still belong here.
    Draining,
}

/// Answers a request on the admin listener.
pub(crate) fn route(
    head: &RequestHead,
    facts: &NodeFacts<'_>,
    readiness: Readiness,
    snapshot: impl FnOnce() -> Snapshot,
) -> Response {
    let response = match (head.method, head.path.as_str()) {
        (Method::Post | Method::Options | Method::Other, _) => Response::method_not_allowed(),
        (_, "/healthz") => Response::text(200, "ok"),
        (_, "/readyz") => ready(readiness),
        (_, "/metrics") => Response::new(200)
            .body("text/plain; version=0.0.4; charset=utf-8", snapshot().render().into_bytes()),
        (_, "/") => {
            let text = format!("node {} · {}. See /healthz, /readyz, /metrics.", facts.name, facts.line());
            Response::text(200, &text)
        }
        _ => Response::text(404, "There are /healthz, /readyz and /metrics."),
    };
    response.to_method(head.method)
}

/// 404 rather than 503 while draining: a balancer takes 503 for dead and would route live sessions away.
fn ready(readiness: Readiness) -> Response {
    match readiness {
        Readiness::Starting => Response::text(503, "Redis has not been reached yet."),
        Readiness::Ready => Response::text(200, "ready"),
        Readiness::Draining => Response::text(404, "draining"),
    }
}
