//! The choices of an operator, and every limit of the product in one place with the reason for its default.
//!
//! Values arrive here already checked by whoever parsed them; nothing in this file reads an environment.

use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;

/// The configuration of one node.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name in the balancer; the session ids start with it.
    pub name: String,
    /// The namespaces clients may join.
    pub namespaces: Vec<String>,
    /// Whether `@to` and `@ask` may name a room without being in it. For demonstrations.
    pub is_open: bool,
    /// Whether a backend reads the stream of events.
    pub has_backend: bool,
    /// Whether servers of the old design stand in the same cluster.
    pub has_legacy_peers: bool,
    /// The number of sessions, on either transport, at which this node takes no more clients that poll. Sessions on a
    /// WebSocket are bounded by their connections; one that polls needs none to live.
    pub sessions_max: usize,
    /// The channels shared with other nodes; `None` for a node that is alone.
    pub cluster: Option<Channels>,
    /// Every bound.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: String::from("n1"),
            namespaces: vec![String::from("/")],
            is_open: false,
            has_backend: false,
            has_legacy_peers: false,
            sessions_max: usize::MAX,
            cluster: None,
            limits: Limits::default(),
        }
    }
}

/// The names of a cluster's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    /// The start of every channel between nodes.
    pub prefix: String,
    /// The channel any backend may publish to.
    pub public: String,
}

/// Every limit. The first group belongs to the core, the second to the shell that does the I/O.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time between heartbeats. Socket.IO's own.
    pub ping_interval: Duration,
    /// Time a heartbeat's answer may take. Socket.IO's own.
    pub ping_timeout: Duration,
    /// Whether the first heartbeat comes at a random point in the second half of the interval, so that clients which
    /// connected together do not beat together for ever.
    pub ping_jitter: bool,
    /// Time a client may take to move from polling to a WebSocket it opened. Engine.IO's own.
    pub upgrade_timeout: Duration,
    /// Time from an open transport to the first CONNECT: what a half-open client may cost.
    pub connect_timeout: Duration,
    /// Time other nodes have to count or answer.
    pub ack_timeout: Duration,
    /// Time a room's channel stays subscribed after its last member left, so that leaving and joining again is cheap.
    pub room_linger: Duration,
    /// Largest message, in bytes; announced as `maxPayload`. Socket.IO's own.
    pub payload_bytes_max: usize,
    /// Time the attachments of one packet may take in total, as long as a request body may.
    pub assembly_timeout: Duration,
    /// Attachments of one packet.
    pub attachments_max: usize,
    /// How deep JSON may nest. Deeper JSON could exhaust the stack, here and in the client that receives it.
    pub json_depth_max: usize,
    /// Longest event name, in bytes: clients keep maps by it.
    pub event_name_bytes_max: usize,
    /// Longest room name, in bytes: the room index is keyed by it.
    pub room_name_bytes_max: usize,
    /// Namespaces one session may join.
    pub namespaces_max: usize,
    /// Rooms one socket may be in.
    pub rooms_max: usize,
    /// Acknowledgements one socket may be waiting for.
    pub pending_acks_max: usize,
    /// Acknowledgements gathered for one request; more are only counted, since the outcome is one message as well.
    pub responses_max: usize,
    /// Acknowledgements of clients this node may await at a time, over all requests: each costs memory until it comes.
    /// A quarter is for backends alone, and one socket that asks has an eighth at most.
    pub awaited_answers_max: usize,
    /// Messages one socket may send to sockets of an old cluster, per second: every node of it receives each.
    pub legacy_per_second_max: usize,
    /// Targets of one message: each multiplies the work that one sender causes.
    pub targets_max: usize,
    /// Bytes one message may put on the bus, over all nodes and rooms it goes to. More would multiply the work that one
    /// sender causes, and fill the queue that everyone's messages wait in.
    pub fanout_bytes_max: usize,
    /// Unsent bytes of one session, twice that for one that polls: a slow reader must not cost memory. Four messages of
    /// the largest size fit.
    pub outbox_bytes_max: usize,
    /// Time that a session with more than a quarter of that may take none of it, three times that for one that polls.
    pub slow_timeout: Duration,
    /// Events a client may send per second; 0 for no bound. Over a rate its input waits, unread.
    pub rate_events: usize,
    /// Events a client may send at once: a stock client may flush 10,000 that it buffered while it was away.
    pub rate_events_burst: usize,
    /// Bytes a client may send per second; 0 for no bound.
    pub rate_bytes: usize,
    /// Bytes a client may send at once.
    pub rate_bytes_burst: usize,
    /// Units of work a client may cause per second; 0 for no bound. One for a packet, one for each recipient, and one
    /// for each publication.
    pub rate_work: usize,
    /// Units of work a client may cause at once.
    pub rate_work_burst: usize,

    /// Fragments of one message, since tiny fragments could exhaust memory.
    pub fragments_max: usize,
    /// Longest request head, in bytes: the balancer's own bound, since browsers carry large cookies.
    pub head_bytes_max: usize,
    /// Most headers of one request.
    pub headers_max: usize,
    /// Time a request head may take in total: a slow client holds a connection no longer.
    pub head_timeout: Duration,
    /// Time a request body may take in total. Not a timer of inactivity: a trickle is no progress.
    pub body_timeout: Duration,
    /// Time a connection may rest between two requests. Longer than a proxy lets it rest before it (30 s here), so that
    /// the proxy never sends a request into a connection we are closing.
    pub keep_alive_timeout: Duration,
    /// Time a connection that is being closed may take to read what is left and close.
    pub close_timeout: Duration,
    /// Bytes waiting to be published, for a slow live link.
    pub publish_queue_bytes_max: usize,
    /// Connections of this process; 0 means what the process may open, less 64.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            ping_jitter: true,
            upgrade_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(10),
            room_linger: Duration::from_secs(2),
            payload_bytes_max: 1_000_000,
            assembly_timeout: Duration::from_secs(10),
            attachments_max: 10,
            json_depth_max: 64,
            event_name_bytes_max: 128,
            room_name_bytes_max: 255,
            namespaces_max: 16,
            rooms_max: 256,
            pending_acks_max: 1024,
            responses_max: 256,
            awaited_answers_max: 262_144,
            legacy_per_second_max: 10,
            targets_max: 64,
            fanout_bytes_max: 4 << 20,
            outbox_bytes_max: 4 << 20,
            slow_timeout: Duration::from_secs(5),
            rate_events: 1000,
            rate_events_burst: 20_000,
            rate_bytes: 1_000_000,
            rate_bytes_burst: 4_000_000,
            rate_work: 20_000,
            rate_work_burst: 200_000,
            fragments_max: 1024,
            head_bytes_max: 15 * 1024,
            headers_max: 64,
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(65),
            close_timeout: Duration::from_secs(2),
            publish_queue_bytes_max: 64 << 20,
            connections_max: 0,
        }
    }
}

/// The longest namespace name an operator may configure, in bytes.
pub const NAMESPACE_BYTES_MAX: usize = 128;
