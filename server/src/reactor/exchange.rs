//! HTTP on a connection: a request head in, an answer out, and the next request after it.
//!
//! Owns the connections' bytes below it, the configuration of the site, and the counts of answers and violations. It
//! never routes a request and never looks into a body.
//!
//! Invariant: a connection takes its next request only after the last one was answered; bytes that come before wait,
//! within the bound of one head.

use crate::{
    assets::Assets,
    causes::Violation,
    connection::{PartialHead, Phase},
    cors,
    metrics::ShellStats,
    reactor::io::ConnectionIo,
    wire::{
        http::{HeadLimits, Parsed, Refusal, RequestHead, Response},
        origin::OriginRule,
    },
};
use ipnet::IpNet;
use moorline_core::{App, ConnId, Node};
use moorline_protocol::Reason;
use std::net::IpAddr;

pub(crate) struct HttpExchange {
    pub(super) io: ConnectionIo,
    pub(super) site: SiteConfig,
    pub(super) stats: ShellStats,
}

/// The settings that requests are routed by.
pub(crate) struct SiteConfig {
    /// The Engine.IO path of Socket.IO, with a slash at both ends.
    pub(crate) path: String,
    /// The path of Engine.IO alone, if there is one.
    pub(crate) engine_path: Option<String>,
    pub(crate) origins: OriginRule,
    pub(crate) assets: Option<Assets>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
}

impl SiteConfig {
    pub(super) fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}

impl HttpExchange {
    pub(crate) fn new(io: ConnectionIo, site: SiteConfig) -> HttpExchange {
        HttpExchange { io, site, stats: ShellStats::default() }
    }

    /// Takes bytes of a request head. Returns the head once it is whole, and the bytes that came after it.
    pub(super) fn receive_head(&mut self, id: ConnId, bytes: &[u8]) -> Option<(RequestHead, Vec<u8>)> {
        let limits = &self.io.limits;
        let limits = HeadLimits { head_bytes_max: limits.head_bytes_max, headers_max: limits.headers_max };
        let connection = self.io.get_mut(id)?;
        let Phase::Head(PartialHead { bytes: head, scanner }) = &mut connection.phase else { return None };
        let is_first = head.is_empty() && !bytes.is_empty();
        head.extend_from_slice(bytes);
        match scanner.parse(head, limits) {
            Ok(Parsed::Incomplete) => {
                // The first head of a connection has had its deadline since the connection was accepted.
                if is_first && connection.exchange.is_some() {
                    self.io.set_deadline_in(id, self.io.limits.head_timeout);
                }
                None
            }
            Ok(Parsed::Head { head: request, consumed }) => {
                let rest = head.split_off(consumed);
                connection.exchange_mut().is_kept = request.keeps_alive();
                Some((request, rest))
            }
            Err(refusal) => {
                self.refuse(id, &refusal);
                None
            }
        }
    }

    /// Keeps bytes that come before the request under way was answered, up to the bound of one head.
    pub(super) fn keep_pipelined<A: App>(&mut self, node: &mut Node<A>, id: ConnId, bytes: &[u8]) {
        let bytes_max = self.io.limits.head_bytes_max;
        let Some(connection) = self.io.get_mut(id) else { return };
        let pipelined = &mut connection.exchange_mut().pipelined;
        pipelined.extend_from_slice(bytes);
        if pipelined.len() > bytes_max {
            self.stats.violations.add(Violation::Pipelined);
            self.io.drop_connection(node, id, Reason::TransportError);
        }
    }

    /// Takes the origin of the page that may read the answer to the request under way.
    pub(super) fn take_origin(&mut self, id: ConnId) -> Option<String> {
        self.io.get_mut(id)?.exchange.as_mut()?.origin.take()
    }

    /// Answers a request that breaks a rule of HTTP, and closes.
    pub(super) fn refuse(&mut self, id: ConnId, refusal: &Refusal) {
        self.refuse_with(id, refusal.violation, &refusal.response());
    }

    /// Counts a violation, answers and closes.
    pub(super) fn refuse_with(&mut self, id: ConnId, violation: Violation, response: &Response) {
        self.stats.violations.add(violation);
        self.respond(id, response);
    }

    /// Sends an answer and closes.
    pub(super) fn respond(&mut self, id: ConnId, response: &Response) {
        *self.stats.responses.entry(response.status()).or_default() += 1;
        self.io.send_last(id, response);
    }

    /// Sends the answer to a request of a session, which the page that asked may read.
    pub(super) fn answer_granted<A: App>(&mut self, node: &mut Node<A>, id: ConnId, response: Response) {
        let response = cors::grant(response, self.take_origin(id).as_deref());
        self.answer(node, id, &response);
    }

    /// Sends an answer after which the connection takes its next request, unless the client or a drain wants it closed,
    /// or the body of this one was not read to its end.
    pub(super) fn answer<A: App>(&mut self, node: &mut Node<A>, id: ConnId, response: &Response) {
        let Some(connection) = self.io.get_mut(id) else { return };
        let is_half_read = matches!(connection.phase, Phase::Body(_));
        let is_last =
            node.is_draining() || is_half_read || connection.has_peer_ended && !connection.has_pipelined();
        if is_last || !connection.exchange_mut().is_kept {
            return self.respond(id, response);
        }
        *self.stats.responses.entry(response.status()).or_default() += 1;
        connection.out.push_bytes(response.to_bytes(true));
        connection.has_frames = false;
        // A body that was left unread until now belonged to this request; the next one is another's business.
        connection.is_paused = false;
        connection.phase = Phase::Head(PartialHead::default());
        if connection.has_pipelined() || connection.has_input {
            self.io.serve_again(id);
        }
        self.io.set_deadline_in(id, self.io.limits.keep_alive_timeout);
        self.io.mark_dirty(id);
        self.io.check_send_queue(node, id);
    }
}
