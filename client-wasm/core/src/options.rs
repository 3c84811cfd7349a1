//! Every setting and every limit of a client, each with its default and the reason for it. It never enforces one.

use alloc::{string::String, vec, vec::Vec};
use moorline_protocol::TransportKind;

/// The settings of a [`Client`](crate::Client). Names follow the stock client's.
#[derive(Debug, Clone)]
pub struct Options {
    /// Scheme, authority and path of the server, such as `https://example.org/socket.io/`; no query.
    pub url: String,
    /// More query parameters, encoded, without `?`; may be empty.
    pub query: String,
    /// The node to prefer for the first connection, as if this tab had been there.
    pub node: Option<String>,
    /// The transports to use, in the order in which to try them.
    pub transports: Vec<TransportKind>,
    /// The last transport that connected to this server, if known; it is tried first.
    pub last_transport: Option<TransportKind>,
    /// Whether a polling session is upgraded to WebSocket.
    pub upgrade: bool,
    /// Whether a lost connection is opened again.
    pub reconnection: bool,
    /// How many attempts in a row may fail; `None`: any number.
    pub attempts_max: Option<u32>,
    /// The first ceiling of the random delay before an attempt.
    pub delay_ms: u64,
    /// The highest ceiling.
    pub delay_max_ms: u64,
    /// The random part of a delay, in thousandths: 1,000 is full jitter.
    pub random_permille: u32,
    /// How long one attempt may take, all its transports together.
    pub timeout_ms: u64,
    /// Messages that wait to be sent. A page that is offline for an hour must not fill memory.
    pub send_packets_max: usize,
    /// Bytes that wait to be sent, whatever they wait for.
    pub send_bytes_max: usize,
    /// The largest message taken from the server, attachments included.
    pub message_bytes_max: usize,
    /// How deep the JSON of a message may nest: the page's own parser recurses.
    pub depth_max: usize,
    /// Attachments of one message, both ways; servers of the reference take ten.
    pub attachments_max: usize,
    /// Acknowledgements awaited at a time.
    pub acks_max: usize,
    /// The seed of this client's randomness, which must differ from other clients'.
    pub seed: u64,
}

impl Options {
    /// The defaults for a server.
    pub fn new(url: String) -> Options {
        Options {
            url,
            query: String::new(),
            node: None,
            transports: vec![TransportKind::WebSocket, TransportKind::Polling],
            last_transport: None,
            upgrade: true,
            reconnection: true,
            attempts_max: None,
            delay_ms: 1_000,
            delay_max_ms: 5_000,
            random_permille: 1_000,
            timeout_ms: 20_000,
            send_packets_max: 10_000,
            send_bytes_max: 4 << 20,
            message_bytes_max: 10_000_000,
            depth_max: 64,
            attachments_max: 10,
            acks_max: 65_536,
            seed: 0,
        }
    }

    /// Whether the server is this machine, which needs no network to be reached.
    pub(crate) fn is_loopback(&self) -> bool {
        let rest = self.url.trim_start_matches(|char| char != '/').trim_start_matches('/');
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // The colons of an IPv6 address are not the one before a port.
        let host = match authority.split_once(']') {
            Some((address, _)) => return address == "[::1",
            None => authority.split(':').next().unwrap_or_default(),
        };
        let is_address = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        host == "localhost" || (is_address && host.starts_with("127."))
    }
}

/// The settings of one socket. Names follow the stock client's.
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketOptions {
    /// How often an event is sent again without an acknowledgement; with it, events queue and go one at a time.
    pub retries: Option<u32>,
    /// How long an acknowledgement may take, unless the event says otherwise; `None`: any time.
    pub ack_timeout_ms: Option<u64>,
}
