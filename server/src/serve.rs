//! From settings to a running loop.
//!
//! Owns the start: everything that can fail then fails here, in one sentence. It never serves a connection itself.

use crate::{
    assets::Assets,
    bus::RedisBus,
    clock::{self, Clock},
    listener::{Audience, Listener},
    reactor::{
        ADMIN, Acceptor, BusPort, ConnectionIo, Dispatcher, HttpExchange, PUBLIC, Reactor, SIGNALS,
        SiteConfig, WAKER,
    },
    settings::Settings,
    signal::Signals,
    wire::{origin::OriginRule, tls},
};
use mio::{Poll, Registry, Waker};
use moorline_core::{App, Config, Entropy, Limits, Node, Relay};
use std::{io, sync::Arc, time::Duration};

/// File descriptors kept back for listeners, the bus, the admin port and the standard streams.
const DESCRIPTORS_RESERVED: u64 = 64;
/// The time the end waits for the queue to Redis to empty.
const BUS_GRACE: Duration = Duration::from_secs(2);

/// Serves until a signal ends it; returns the process's exit code.
///
/// # Errors
/// One sentence that names the missing thing and the flag that asked for it.
pub fn serve(settings: Settings) -> Result<u8, String> {
    serve_app(settings, Relay)
}

/// The same with an application in the place of the built-in one.
///
/// # Errors
/// As for [`serve`].
pub fn serve_app<A: App>(settings: Settings, app: A) -> Result<u8, String> {
    let is_open = settings.is_open;
    let mut reactor = prepare(settings, app)?;
    announce(&reactor, is_open);
    let outcome = reactor.run().map_err(|error| format!("the event loop failed: {error}"));
    reactor.shutdown_bus(clock::now() + BUS_GRACE);
    if let Ok(code) = outcome {
        tracing::info!(code, "ended");
    }
    outcome
}

fn prepare<A: App>(settings: Settings, app: A) -> Result<Reactor<A>, String> {
    let tls = settings.tls.as_ref().map(|files| tls::server_config(&files.cert, &files.key)).transpose()?;
    let assets = settings.assets.as_deref().map(Assets::read).transpose()?;
    let connections_max = connections_max(&settings.limits)?;
    let poll = Poll::new().map_err(|error| format!("the system refuses a poll: {error}"))?;
    let listeners = listen(&settings, poll.registry())?;
    let signals = Signals::register(poll.registry(), SIGNALS)
        .map_err(|error| format!("the system refuses signal handlers: {error}"))?;
    let clock = Clock::start();
    let mut entropy = SystemEntropy::default();
    let config = core_config(&settings, connections_max, &mut entropy);
    let bus = start_bus(&settings, &config.name, poll.registry())?;
    let now = clock.time();
    let node = Node::new(config, app, Box::new(entropy), now);
    let io = ConnectionIo::new(settings.limits, now);
    let site = SiteConfig {
        path: settings.path,
        engine_path: settings.engine_path,
        origins: OriginRule::new(settings.allow_origins),
        assets,
        trusted_proxies: settings.trusted_proxies,
    };
    let acceptor = Acceptor::new(listeners, tls, connections_max);
    let dispatcher = Dispatcher::new(node, HttpExchange::new(io, site), BusPort::new(bus));
    Ok(Reactor::new(poll, clock, signals, settings.drain, acceptor, dispatcher))
}

fn announce<A: App>(reactor: &Reactor<A>, is_open: bool) {
    let (acceptor, dispatcher) = (reactor.acceptor(), reactor.dispatcher());
    tracing::info!(
        node = dispatcher.name(),
        version = env!("CARGO_PKG_VERSION"),
        listen = ?acceptor.address(PUBLIC),
        admin = ?acceptor.address(ADMIN),
        cluster = dispatcher.bus().is_clustered(),
        tls = acceptor.has_tls(),
        connections_max = acceptor.connections_max(),
        "serving; there is no authentication yet: whoever reaches this port may use it"
    );
    if is_open {
        tracing::warn!(
            "--open: anyone may send to any room without being in it; use it for demonstrations only"
        );
    }
}

fn listen(settings: &Settings, registry: &Registry) -> Result<Vec<Listener>, String> {
    let bind = |flag: &str, address, audience, token| -> Result<Listener, String> {
        let sentence = |error: io::Error| format!("{flag} {address} cannot be listened on: {error}");
        let mut listener = Listener::bind(address, audience).map_err(sentence)?;
        listener.register(registry, token).map_err(sentence)?;
        Ok(listener)
    };
    let mut listeners = vec![bind("--listen", settings.listen, Audience::Public, PUBLIC)?];
    if let Some(admin) = settings.admin {
        listeners.push(bind("--admin", admin, Audience::Admin, ADMIN)?);
    }
    Ok(listeners)
}

/// The node's name goes into the names of its links, so that `CLIENT LIST` tells nodes apart.
fn start_bus(settings: &Settings, node: &str, registry: &Registry) -> Result<Option<RedisBus>, String> {
    let Some(mut config) = settings.redis.clone() else { return Ok(None) };
    config.client_name = format!("moorline-{node}");
    let sentence =
        |error: io::Error| format!("--redis: the threads that speak to Redis cannot start: {error}");
    let waker = Waker::new(registry, WAKER).map_err(sentence)?;
    let wake = Arc::new(move || {
        // A waker fails only when the loop is gone, and then nobody needs waking.
        let _ = waker.wake();
    });
    RedisBus::start(config, wake).map(Some).map_err(sentence)
}

fn core_config(settings: &Settings, sessions_max: usize, entropy: &mut SystemEntropy) -> Config {
    Config {
        name: settings.node.clone().unwrap_or_else(|| moorline_core::NodeTag::random(entropy).to_string()),
        namespaces: settings.namespaces.clone(),
        is_open: settings.is_open,
        has_backend: settings.events.is_some(),
        has_legacy_peers: settings.has_legacy_peers,
        sessions_max,
        cluster: settings.redis.is_some().then(|| settings.channels.clone()),
        limits: settings.limits.clone(),
    }
}

/// Raises the soft limit on file descriptors to the hard one; what remains after the reserve is for clients.
fn connections_max(limits: &Limits) -> Result<usize, String> {
    let descriptors = rlimit::increase_nofile_limit(u64::MAX)
        .map_err(|error| format!("the limit on file descriptors cannot be read: {error}"))?;
    let most = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
    Ok(if limits.connections_max == 0 { most } else { most.min(limits.connections_max) })
}

/// The operating system's random bits, fetched a page at a time: a system call per id would cost more than the id.
struct SystemEntropy {
    page: [u8; 1024],
    used: usize,
}

impl Default for SystemEntropy {
    fn default() -> SystemEntropy {
        SystemEntropy { page: [0; 1024], used: 1024 }
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.page.len() {
                self.refill();
            }
            // Taken bits are wiped: what was given out must not be found in memory again.
            *byte = std::mem::take(&mut self.page[self.used]);
            self.used += 1;
        }
    }
}

impl SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "without random bits every id could be guessed: the process must not go on"
    )]
    fn refill(&mut self) {
        getrandom::fill(&mut self.page).expect("the operating system gives random bits");
        self.used = 0;
    }
}
