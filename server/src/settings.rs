//! The operator's settings, checked: the one form in which flags and environment variables reach the server.
//!
//! Owns the checks that need more than one value. It never reads arguments or the environment itself.
//!
//! Invariant: a `Settings` that [`Settings::contradiction`] finds nothing in can be served as it stands.

use crate::{bus::RedisConfig, wire::origin::OriginPattern};
use ipnet::IpNet;
use moorline_core::{Channels, Limits};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tracing::level_filters::LevelFilter;

/// Everything `moorline serve` needs to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The public address.
    pub listen: SocketAddr,
    /// The address of `/healthz`, `/readyz` and `/metrics`; never the public one.
    pub admin: Option<SocketAddr>,
    /// The node's name in the balancer; `None` for a random one.
    pub node: Option<String>,
    /// The address of Redis; `None` for a node that is alone.
    pub redis: Option<RedisConfig>,
    /// The channels shared with other nodes, in use only with `redis`.
    pub channels: Channels,
    /// The stream that backends read; `None` without a backend.
    pub events: Option<String>,
    /// Whether servers of the old design stand in the same cluster.
    pub has_legacy_peers: bool,
    /// Whether `@to` a room is allowed without being in it. For demonstrations.
    pub is_open: bool,
    /// The folder whose files are served beside the sockets.
    pub assets: Option<PathBuf>,
    /// The certificate, when the node itself speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Origins allowed besides the node's own host.
    pub allow_origins: Vec<OriginPattern>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Every bound.
    pub limits: Limits,
    /// Time over which SIGTERM spreads the closing of connections.
    pub drain: Duration,
    /// The Engine.IO path; begins and ends with `/`.
    pub path: String,
    /// A second path, whose sessions speak Engine.IO alone, to an application of one's own; the built-in one is silent
    /// there.
    pub engine_path: Option<String>,
    /// The namespaces clients may join; `/` is always among them.
    pub namespaces: Vec<String>,
    /// The lowest level that is logged.
    pub log: LevelFilter,
}

/// The files of a certificate and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by the chain up to its root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Settings {
    /// The first pair of values that cannot both be meant, as one sentence that names their flags.
    pub fn contradiction(&self) -> Option<String> {
        self.shared_port()
            .or_else(|| self.without_redis())
            .or_else(|| self.shared_channel())
            .or_else(|| self.payload_over_queue())
    }

    fn without_redis(&self) -> Option<String> {
        let named = [("--events", self.events.is_some()), ("--legacy-peers", self.has_legacy_peers)];
        let (flag, _) = named.into_iter().find(|(_, is_given)| *is_given && self.redis.is_none())?;
        Some(format!("{flag} needs --redis, where the others are"))
    }

    fn shared_port(&self) -> Option<String> {
        let admin = self.admin?;
        let is_same_host = admin.ip() == self.listen.ip()
            || admin.ip().is_unspecified()
            || self.listen.ip().is_unspecified();
        (admin.port() == self.listen.port() && admin.port() != 0 && is_same_host)
            .then(|| format!("--admin {admin} never shares the public port: --listen is {}", self.listen))
    }

    /// A channel that any backend may publish to must not be one on which nodes trust each other.
    fn shared_channel(&self) -> Option<String> {
        let Channels { prefix, public } = &self.channels;
        let is_shared = public.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with(':'));
        is_shared.then(|| {
            format!(
                "--redis-channel {public} must not start with '{prefix}:', \
                 with which --redis-prefix starts the nodes' own channels"
            )
        })
    }

    /// A message that may come in must fit where it waits to go out, or it would close its recipients.
    fn payload_over_queue(&self) -> Option<String> {
        let limits = &self.limits;
        let payload = limits.payload_bytes_max;
        [
            ("outbox_bytes_max", limits.outbox_bytes_max),
            ("fanout_bytes_max", limits.fanout_bytes_max),
            ("publish_queue_bytes_max", limits.publish_queue_bytes_max),
        ]
        .into_iter()
        .find(|&(_, bytes_max)| payload.saturating_add(ENVELOPE_BYTES) > bytes_max)
        .map(|(name, bytes_max)| {
            format!(
                "--max-payload {payload} does not fit {name}, which is {bytes_max}: \
                     raise it with --limit {name}=BYTES"
            )
        })
    }
}

/// The bytes the relay adds to a message on its way: sender, namespace, framing.
const ENVELOPE_BYTES: usize = 1024;
