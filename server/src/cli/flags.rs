//! The flags themselves: names, variables, defaults and help, in the order the help shows them.
//!
//! Owns the words. It never judges a value: `value.rs` does, and `settings.rs` where two values meet.
#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the comments of flags are help for a terminal, not Markdown"
)]

use crate::{
    bus::RedisConfig,
    cli::{
        limit::{self, LimitSetting},
        value,
    },
    probe::{self, Endpoint, Trust},
    settings::{Settings, TlsFiles},
    wire::origin::OriginPattern,
};
use clap::{
    ArgAction, Parser,
    builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser},
};
use ipnet::IpNet;
use moorline_core::{Channels, Limits};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tracing::level_filters::LevelFilter;

const USAGE: &str = "moorline [serve] [OPTIONS]
       moorline probe <URL> [--to <URL>] [--ca <FILE> | --insecure]";

const AFTER_HELP: &str = "\
Durations are written as 25s, 500ms or 1m30s. What may repeat is comma separated in its variable.

Examples:
  One node, alone, for a first look:
    moorline

  One of several nodes behind HAProxy, in step through Redis (a password belongs in the variable):
    MOORLINE_REDIS=redis://127.0.0.1:6379/0 \\
    moorline --node s1 --listen 127.0.0.1:3001 --admin 127.0.0.1:9001 --trusted-proxy 127.0.0.1

  Two clients, one message each way, through HAProxy:
    moorline probe https://localhost:8443 --ca ca.pem";

/// A Socket.IO server: one node, alone or in step with others through Redis.
#[derive(Parser)]
#[command(name = "moorline", version, no_binary_name = true, next_line_help = true)]
#[command(override_usage = USAGE, after_help = AFTER_HELP)]
pub(super) struct ServeFlags {
    /// Public address: WebSockets and HTTP
    #[arg(long, env = "MOORLINE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:3000")]
    #[arg(value_parser = value::address, help_heading = "Network")]
    listen: SocketAddr,

    /// Second address for /healthz, /readyz and /metrics; never the public one
    #[arg(long, env = "MOORLINE_ADMIN", value_name = "ADDR")]
    #[arg(value_parser = value::address, help_heading = "Network")]
    admin: Option<SocketAddr>,

    /// Path of the Engine.IO endpoint
    #[arg(long, env = "MOORLINE_PATH", value_name = "PATH", default_value = "/socket.io/")]
    #[arg(value_parser = value::path, help_heading = "Network")]
    path: String,

    /// Folder of files to serve beside the sockets
    #[arg(long, env = "MOORLINE_ASSETS", value_name = "DIR")]
    #[arg(value_parser = value::folder, help_heading = "Network")]
    assets: Option<PathBuf>,

    /// Certificate chain (PEM), for TLS without a proxy; needs --tls-key
    #[arg(long, env = "MOORLINE_TLS_CERT", value_name = "FILE")]
    #[arg(value_parser = value::file, help_heading = "Network")]
    tls_cert: Option<PathBuf>,

    /// Private key (PEM) of --tls-cert
    #[arg(long, env = "MOORLINE_TLS_KEY", value_name = "FILE")]
    #[arg(value_parser = value::file, help_heading = "Network")]
    tls_key: Option<PathBuf>,

    /// Origin allowed besides the own host: https://app.example; may repeat
    #[arg(long, env = "MOORLINE_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    #[arg(help_heading = "Network")]
    allow_origin: Vec<OriginPattern>,

    /// Proxy or network whose X-Forwarded-For is believed; may repeat
    #[arg(long, env = "MOORLINE_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    #[arg(value_parser = value::network, help_heading = "Network")]
    trusted_proxy: Vec<IpNet>,

    /// Name of this node in HAProxy, such as s1 [default: a random one]
    #[arg(long, env = "MOORLINE_NODE", value_name = "NAME")]
    #[arg(value_parser = value::node, help_heading = "Cluster")]
    node: Option<String>,

    /// Redis between nodes: redis://[user:password@]host:port/db [default: one node]
    #[arg(long, env = "MOORLINE_REDIS", value_name = "URL", hide_env_values = true)]
    #[arg(help_heading = "Cluster")]
    redis: Option<String>,

    #[arg(help = "What the nodes' own Redis channels start with")]
    #[arg(long, env = "MOORLINE_REDIS_PREFIX", value_name = "NAME", default_value = "moorline")]
    #[arg(value_parser = value::channel, help_heading = "Cluster")]
    redis_prefix: String,

    /// Redis channel on which any backend may publish
    #[arg(long, env = "MOORLINE_REDIS_CHANNEL", value_name = "NAME", default_value = "socket")]
    #[arg(value_parser = value::channel, help_heading = "Cluster")]
    redis_channel: String,

    /// Redis Stream of connects, events and disconnects, for backends
    #[arg(long, env = "MOORLINE_EVENTS", value_name = "STREAM")]
    #[arg(value_parser = value::channel, help_heading = "Cluster")]
    events: Option<String>,

    /// Also reach sockets of old Node.js servers on --redis-channel
    #[arg(long, env = "MOORLINE_LEGACY_PEERS", action = ArgAction::SetTrue)]
    #[arg(value_parser = BoolishValueParser::new(), help_heading = "Cluster")]
    legacy_peers: bool,

    /// Namespace clients may join, besides /; may repeat
    #[arg(long, env = "MOORLINE_NAMESPACE", value_name = "NAME", value_delimiter = ',', default_value = "/")]
    #[arg(value_parser = value::namespace, help_heading = "Relay")]
    namespace: Vec<String>,

    /// Let anybody send to any room without being in it; for demonstrations
    #[arg(long, env = "MOORLINE_OPEN", action = ArgAction::SetTrue)]
    #[arg(value_parser = BoolishValueParser::new(), help_heading = "Relay")]
    open: bool,

    /// Time between heartbeats
    #[arg(long, env = "MOORLINE_PING_INTERVAL", value_name = "DURATION", default_value = "25s")]
    #[arg(value_parser = value::duration, help_heading = "Limits")]
    ping_interval: Duration,

    /// Time a heartbeat's answer may take
    #[arg(long, env = "MOORLINE_PING_TIMEOUT", value_name = "DURATION", default_value = "20s")]
    #[arg(value_parser = value::duration, help_heading = "Limits")]
    ping_timeout: Duration,

    /// Time from an open transport to the first CONNECT
    #[arg(long, env = "MOORLINE_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = value::duration, help_heading = "Limits")]
    connect_timeout: Duration,

    /// Time other nodes have to answer
    #[arg(long, env = "MOORLINE_ACK_TIMEOUT", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = value::duration, help_heading = "Limits")]
    ack_timeout: Duration,

    /// Largest message, in bytes
    #[arg(long, env = "MOORLINE_MAX_PAYLOAD", value_name = "BYTES", default_value = "1000000")]
    #[arg(value_parser = value::payload, help_heading = "Limits")]
    max_payload: usize,

    /// Events per second of one client; 0: no bound
    #[arg(long, env = "MOORLINE_RATE_EVENTS", value_name = "COUNT", default_value = "1000")]
    #[arg(value_parser = value::rate, help_heading = "Limits")]
    rate_events: usize,

    /// Bytes per second of one client; 0: no bound
    #[arg(long, env = "MOORLINE_RATE_BYTES", value_name = "BYTES", default_value = "1000000")]
    #[arg(value_parser = value::rate, help_heading = "Limits")]
    rate_bytes: usize,

    /// Any other limit by its name (a wrong name lists them); may repeat
    #[arg(long, env = "MOORLINE_LIMIT", value_name = "NAME=VALUE", value_delimiter = ',')]
    #[arg(value_parser = limit::parse, help_heading = "Limits")]
    limit: Vec<LimitSetting>,

    /// Time over which SIGTERM spreads the closing of connections
    #[arg(long, env = "MOORLINE_DRAIN", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = value::duration_or_zero, help_heading = "Operation")]
    drain: Duration,

    #[arg(help = "What is logged on stderr: error, warn, info, debug or trace")]
    #[arg(long, env = "MOORLINE_LOG", value_name = "LEVEL", default_value = "info", value_parser = log_level())]
    #[arg(ignore_case = true, hide_possible_values = true, help_heading = "Operation")]
    log: LevelFilter,
}

fn log_level() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"])
        .try_map(|level| level.parse::<LevelFilter>())
}

/// The reason why flags that parse are not settings.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A value clap must not repeat because it may hold a password.
    Value {
        /// The flag, as the help shows it.
        flag: &'static str,
        /// The reason why its value is wrong.
        reason: String,
    },
    /// A sentence about two flags.
    Pair(String),
}

impl ServeFlags {
    /// Lowers the flags to what they mean.
    pub(super) fn into_settings(self) -> Result<Settings, Refusal> {
        let limits = self.limits();
        let redis =
            self.redis.as_deref().map(|url| redis(url, &limits, self.events.as_deref())).transpose()?;
        Ok(Settings {
            limits,
            namespaces: with_root(self.namespace),
            tls: tls(self.tls_cert, self.tls_key)?,
            redis,
            listen: self.listen,
            admin: self.admin,
            node: self.node,
            channels: Channels { prefix: self.redis_prefix, public: self.redis_channel },
            events: self.events,
            has_legacy_peers: self.legacy_peers,
            is_open: self.open,
            assets: self.assets,
            allow_origins: self.allow_origin,
            trusted_proxies: self.trusted_proxy,
            drain: self.drain,
            path: self.path,
            engine_path: None,
            log: self.log,
        })
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits {
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            connect_timeout: self.connect_timeout,
            ack_timeout: self.ack_timeout,
            payload_bytes_max: self.max_payload,
            rate_events: self.rate_events,
            rate_bytes: self.rate_bytes,
            ..Limits::default()
        };
        for setting in &self.limit {
            setting.apply(&mut limits);
        }
        limits
    }
}

/// Not a value parser, because clap repeats what those refuse.
fn redis(url: &str, limits: &Limits, stream: Option<&str>) -> Result<RedisConfig, Refusal> {
    let config = url.parse::<RedisConfig>();
    let config =
        config.map_err(|error| Refusal::Value { flag: "--redis <URL>", reason: error.to_string() })?;
    let stream = stream.map_or_else(|| config.stream.clone(), str::to_owned);
    Ok(RedisConfig { publish_queue_bytes_max: limits.publish_queue_bytes_max, stream, ..config })
}

fn with_root(named: Vec<String>) -> Vec<String> {
    let mut namespaces = vec![String::from("/")];
    for namespace in named {
        if !namespaces.contains(&namespace) {
            namespaces.push(namespace);
        }
    }
    namespaces
}

fn tls(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, Refusal> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(Refusal::Pair(String::from("--tls-cert needs --tls-key, the file with its private key")))
        }
        (None, Some(_)) => {
            Err(Refusal::Pair(String::from("--tls-key needs --tls-cert, the file with its certificate")))
        }
    }
}

/// Connects two clients, sends one message each way, and says who was on which node and how long it took.
#[derive(Parser)]
#[command(name = "moorline", bin_name = "moorline probe", version, no_binary_name = true)]
#[command(after_help = "Exits with 0 if both messages arrived, with 1 and one sentence if not.

Examples:
  moorline probe http://127.0.0.1:3000
  moorline probe https://localhost:8443 --ca ca.pem
  moorline probe http://127.0.0.1:3001 --to http://127.0.0.1:3002")]
pub(super) struct ProbeFlags {
    #[arg(
        help = "Where the first client connects: http, https, ws or wss; the path is /socket.io/ unless given"
    )]
    #[arg(value_name = "URL")]
    url: Endpoint,

    #[arg(help = "Where the second client connects [default: the same URL, until it lands on another node]")]
    #[arg(long, value_name = "URL")]
    to: Option<Endpoint>,

    /// Certificates (PEM) to trust instead of the system's
    #[arg(long, value_name = "FILE", value_parser = value::file, conflicts_with = "insecure")]
    ca: Option<PathBuf>,

    /// Trust any certificate; for tests only
    #[arg(long)]
    insecure: bool,
}

impl ProbeFlags {
    /// Lowers the flags to what they mean.
    pub(super) fn into_options(self) -> probe::Options {
        let trust = match self.ca {
            Some(file) => Trust::File(file),
            None if self.insecure => Trust::Anything,
            None => Trust::System,
        };
        probe::Options { first: self.url, second: self.to, trust }
    }
}
