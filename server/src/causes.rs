//! Causes: the rules of HTTP, WebSocket and Engine.IO that a peer can break, and the tables of all that a node counts.
//!
//! Owns the labels of `violations_total` with their explanations, and the two lists that operators read: causes that
//! share a metric, and causes with a metric of their own. It counts nothing itself.
//!
//! Invariant: a label is a fixed word, never text that came from a peer.

use moorline_core::{Code, DropCause, PauseCause};
use moorline_protocol::{Cause, Reason};

moorline_protocol::causes! {
    /// A rule of HTTP, WebSocket or Engine.IO that a peer broke.
    #[non_exhaustive]
    pub enum Violation {
        /// A request line is not a method, a path and a version.
        BadRequestLine = "bad_request_line" =>
            "Something that is no HTTP client connects: look for its address in the access log of the proxy.",
        /// A client speaks TLS on a port without TLS.
        TlsToPlain = "tls_to_plain" =>
            "Use http:// for this port, or give the node --tls-cert and --tls-key.",
        /// A line of a request head ends with a bare LF.
        BareLf = "bare_lf" => "A broken client or an attempt at request smuggling: look at the proxy.",
        /// A request head contains a bare CR.
        BareCr = "bare_cr" => "A broken client or an attempt at request smuggling: look at the proxy.",
        /// A request head is longer than allowed.
        HeadTooLong = "head_too_long" => "Send fewer or smaller cookies, or raise --limit head_bytes_max.",
        /// A request has more headers than allowed.
        TooManyHeaders = "too_many_headers" => "Send fewer headers, or raise --limit headers_max.",
        /// A request names a version other than HTTP/1.1 or HTTP/1.0.
        BadVersion = "bad_version" => "Let the proxy speak HTTP/1.1 to the node.",
        /// A header line is folded, its name is malformed, or its value contains a control byte.
        BadHeader = "bad_header" => "A broken client or an attempt at request smuggling: look at the proxy.",
        /// A header that may come once came twice.
        RepeatedHeader = "repeated_header" => "Look for a proxy that adds a header the client already sent.",
        /// The target of a request is not a path in ASCII.
        BadTarget = "bad_target" => "Something takes the node for a proxy, or does not encode its path.",
        /// An HTTP/1.1 request has no Host header.
        NoHost = "no_host" => "A broken client, or a proxy that drops the header.",
        /// The Host header is not a host and a port.
        BadHost = "bad_host" => "A broken client, or a proxy that rewrites the header.",
        /// The Content-Length is not a number of bytes.
        BadLength = "bad_length" => "A broken client or an attempt at request smuggling: look at the proxy.",
        /// A request carries both Content-Length and Transfer-Encoding.
        LengthAndCoding = "length_and_coding" =>
            "A broken client or an attempt at request smuggling: look at the proxy.",
        /// A transfer coding is not chunked, or the request is not HTTP/1.1.
        BadCoding = "bad_coding" => "Let clients and the proxy send bodies by length or in chunks.",
        /// A GET or HEAD request has a body.
        BodyOnGet = "body_on_get" => "A broken client or an attempt at request smuggling: look at the proxy.",
        /// A request head did not end in time.
        HeadTimeout = "head_timeout" =>
            "A stalled or hostile client; on slow networks raise --limit head_timeout.",
        /// A client sent more than one head's worth of requests before the first one was answered.
        Pipelined = "pipelined" => "A broken or hostile client: browsers and proxies do not pipeline.",
        /// Bytes followed a WebSocket handshake before it was answered.
        EarlyBytes = "early_bytes" => "A broken client, or a proxy that does not wait for the 101.",
        /// A WebSocket handshake is not an HTTP/1.1 GET, or lacks `Connection: Upgrade`.
        BadUpgrade = "bad_upgrade" => "Let the proxy pass the Upgrade and Connection headers on.",
        /// A WebSocket handshake names a version other than 13.
        WebSocketVersion = "websocket_version" => "Update the client: version 13 is the standard's.",
        /// A WebSocket handshake has no key of 16 bytes in base64.
        WebSocketKey = "websocket_key" => "A broken client, or a proxy that drops the header.",
        /// A transport is neither polling nor websocket.
        TransportUnknown = "transport_unknown" => "A scanner, or a client with a transport of its own.",
        /// A request names a session that is not on this node.
        SessionUnknown = "session_unknown" =>
            "Usual after a restart; otherwise the balancer does not send a session to the node in its sid.",
        /// A session was asked for with a method other than GET.
        BadHandshakeMethod = "bad_handshake_method" => "A broken client: sessions are opened with GET.",
        /// A request does not fit the transport of its session.
        BadRequest = "bad_request" =>
            "A broken client, or a proxy that repeats requests or drops Upgrade headers.",
        /// A page of an origin that is not allowed asked.
        ForbiddenOrigin = "forbidden_origin" => "If the page is yours, start moorline with --allow-origin.",
        /// A client asked for a version of Engine.IO other than 4.
        ProtocolVersion = "protocol_version" => "Update the client to Socket.IO 3 or 4.",
        /// A body is longer than maxPayload.
        BodyTooBig = "body_too_big" => "Send less at once, or raise --max-payload.",
        /// A body is not in well-formed chunks.
        BadChunk = "bad_chunk" => "A broken client or an attempt at request smuggling: look at the proxy.",
        /// A body did not end in time.
        BodyTimeout = "body_timeout" =>
            "A stalled or hostile client; on slow networks raise --limit body_timeout.",
        /// A body is binary, which this version of the protocol has no use for.
        BinaryBody = "binary_body" => "Update the client to Socket.IO 3 or 4.",
        /// A body is not UTF-8.
        BodyNotUtf8 = "body_not_utf8" =>
            "A broken client, or a proxy that changes bodies: try without the proxy.",
        /// A binary packet of a body is not base64.
        BadBase64 = "bad_base64" => "A broken client, or a proxy that changes bodies: try without the proxy.",
        /// A frame has an opcode outside the standard.
        BadOpcode = "bad_opcode" => "A broken or hostile client: check which library it uses.",
        /// A frame uses a reserved bit, though no extension was negotiated.
        ReservedBits = "reserved_bits" =>
            "A client or proxy that compresses without asking: check its settings.",
        /// A frame of a client is not masked.
        Unmasked = "unmasked" => "A broken or hostile client: check which library it uses.",
        /// A control frame is fragmented.
        FragmentedControl = "fragmented_control" =>
            "A broken or hostile client: check which library it uses.",
        /// A control frame is longer than 125 bytes.
        ControlTooLong = "control_too_long" => "A broken or hostile client: check which library it uses.",
        /// A continuation frame continues no message.
        UnexpectedContinuation = "unexpected_continuation" =>
            "A broken or hostile client: check which library it uses.",
        /// A new message began before the last one ended.
        UnfinishedMessage = "unfinished_message" =>
            "A broken or hostile client: check which library it uses.",
        /// A text message or the reason of a close frame is not UTF-8.
        NotUtf8 = "not_utf8" => "A broken or hostile client: check which library it uses.",
        /// A message has more fragments than allowed.
        TooManyFragments = "too_many_fragments" => "Send larger fragments, or raise --limit fragments_max.",
        /// A message is longer than maxPayload.
        MessageTooBig = "message_too_big" => "Send less at once, or raise --max-payload.",
        /// Another rule of RFC 6455 was broken.
        Protocol = "protocol" => "A broken or hostile client: check which library it uses.",
    }
}

impl Violation {
    /// The label in the metrics, also the reason of the close frame.
    pub fn as_str(self) -> &'static str {
        Cause::as_str(self)
    }
}

/// One cause, as the operators' table shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CauseRow {
    /// The metric that counts it, without the prefix `moorline_`.
    pub metric: &'static str,
    /// The name of the label that tells the metric's causes apart.
    pub label_name: &'static str,
    /// The value of that label.
    pub label: &'static str,
    /// One line that explains the cause.
    pub meaning: &'static str,
    /// One line that says what an operator can do about it.
    pub remedy: &'static str,
}

/// Every cause a node counts, metric by metric, in the order of `/metrics`.
pub fn table() -> Vec<CauseRow> {
    let mut rows = Vec::new();
    push_rows::<Reason>(&mut rows, SESSIONS_CLOSED);
    push_rows::<DropCause>(&mut rows, DROPS);
    push_rows::<Code>(&mut rows, REFUSALS);
    push_rows::<PauseCause>(&mut rows, PAUSES);
    push_rows::<Violation>(&mut rows, VIOLATIONS);
    rows
}

fn push_rows<C: Cause>(rows: &mut Vec<CauseRow>, (metric, label_name): CauseMetric) {
    rows.extend(C::ALL.iter().map(|cause| CauseRow {
        metric,
        label_name,
        label: cause.as_str(),
        meaning: cause.meaning(),
        remedy: cause.remedy(),
    }));
}

/// One refusal or loss with a metric of its own, as the operators' table shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CounterRow {
    /// The metric that counts it, without the prefix `moorline_`.
    pub metric: &'static str,
    /// One line that explains it.
    pub meaning: &'static str,
    /// One line that says what an operator can do about it.
    pub remedy: &'static str,
}

/// Every refusal and loss that has a metric of its own, in the order of `/metrics`. A node without Redis does not list
/// those of Redis.
pub fn counters() -> Vec<CounterRow> {
    vec![
        CounterRow {
            metric: "connections_overloaded_total",
            meaning: "The node holds as many clients as it may, and answered 503 to one more.",
            remedy: "Start more nodes, or raise --limit connections_max and the limit on open files.",
        },
        CounterRow {
            metric: "accept_exhausted_total",
            meaning: "The system had no file descriptor or memory for a connection, so accepting paused.",
            remedy: "Raise the limit on open files, or lower --limit connections_max.",
        },
        CounterRow {
            metric: "redis_lost_total",
            meaning: "A message to Redis was lost with its link, or refused by a full queue or without a link.",
            remedy: "Look at Redis and the network to it; if redis_publish_queue_bytes is high, Redis is too slow.",
        },
        CounterRow {
            metric: "redis_missed_total",
            meaning: "A message of another node never arrived.",
            remedy: "Look at the network to Redis, and at the output buffer that Redis allows its subscribers.",
        },
        CounterRow {
            metric: "redis_resets_total",
            meaning: "A link to Redis was open and carried nothing any more, so both links were replaced.",
            remedy: "Look for a firewall between this node and Redis that forgets connections.",
        },
    ]
}

/// A metric of causes and the name of its label.
pub(crate) type CauseMetric = (&'static str, &'static str);

pub(crate) const SESSIONS_CLOSED: CauseMetric = ("sessions_closed_total", "reason");
pub(crate) const DROPS: CauseMetric = ("drops_total", "cause");
pub(crate) const REFUSALS: CauseMetric = ("refusals_total", "code");
pub(crate) const PAUSES: CauseMetric = ("pauses_total", "cause");
pub(crate) const VIOLATIONS: CauseMetric = ("violations_total", "kind");

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_a_label_and_sentences_of_its_own() {
        let rows = table();
        let labels: BTreeSet<_> = rows.iter().map(|row| (row.metric, row.label)).collect();
        assert_eq!(labels.len(), rows.len(), "two causes of one metric share a label");
        let sentences = rows.iter().flat_map(|row| [row.meaning, row.remedy]);
        for sentence in sentences.chain(counters().iter().flat_map(|row| [row.meaning, row.remedy])) {
            assert!(sentence.ends_with('.') && sentence.len() > 10, "{sentence}");
        }
    }
}
