//! Accepting: new connections from the listeners, within a budget per turn and up to the most a process may hold.
//!
//! Owns the listeners, the pause when descriptors run out, and the TLS configuration of new connections. It never reads
//! from a connection.
//!
//! Invariant: a listener whose queue may hold connections is looked at again without an event, now or after the pause.

use crate::{
    connection::Connection,
    connections::token,
    listener::{Accepted, Audience, Listener},
    log::REACTOR,
    reactor::exchange::HttpExchange,
    route,
    wire::tls::Stream,
};
use mio::{Interest, Registry, Token, net::TcpStream};
use moorline_core::Time;
use rustls::ServerConfig;
use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Connections accepted per listener and turn.
const ACCEPTS_PER_TURN: usize = 64;
/// The pause of accepting when the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Acceptor {
    /// The listeners, each at the index that is its token's number.
    listeners: Vec<Listener>,
    tls: Option<Arc<ServerConfig>>,
    /// The most connections of clients.
    connections_max: usize,
    paused_until: Option<Time>,
}

impl Acceptor {
    pub(crate) fn new(
        listeners: Vec<Listener>,
        tls: Option<Arc<ServerConfig>>,
        connections_max: usize,
    ) -> Acceptor {
        Acceptor { listeners, tls, connections_max, paused_until: None }
    }

    /// The address of the listener with this token.
    pub(crate) fn address(&self, token: Token) -> Option<SocketAddr> {
        self.listeners.get(token.0)?.local_addr().ok()
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// Notes that connections wait at the listener with this token.
    pub(super) fn note_waiting(&mut self, token: Token) {
        self.listeners[token.0].is_waiting = true;
    }

    /// Whether connections may wait that could be accepted now.
    pub(super) fn has_work(&self) -> bool {
        self.paused_until.is_none() && self.listeners.iter().any(|listener| listener.is_waiting)
    }

    pub(super) fn paused_until(&self) -> Option<Time> {
        self.paused_until
    }

    /// Accepts the connections that wait, up to the budget of each listener, unless there is a pause.
    #[inline]
    pub(super) fn accept(&mut self, registry: &Registry, http: &mut HttpExchange) {
        if self.paused_until.is_some_and(|at| at > http.io.now()) {
            return;
        }
        self.paused_until = None;
        if self.has_work() {
            self.accept_waiting(registry, http);
        }
    }

    fn accept_waiting(&mut self, registry: &Registry, http: &mut HttpExchange) {
        for at in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.listeners[at].is_waiting {
                    break;
                }
                match self.listeners[at].accept() {
                    Accepted::Connection(stream, peer) => {
                        self.add(stream, peer.ip(), self.listeners[at].audience, registry, http);
                    }
                    Accepted::None => break,
                    Accepted::Exhausted(error) => return self.pause(&error, http),
                }
            }
        }
    }

    /// Pauses accepting. No event will announce the connections that wait already, so a timer has to look again.
    fn pause(&mut self, error: &io::Error, http: &mut HttpExchange) {
        http.stats.exhausted += 1;
        self.paused_until = Some(http.io.now() + ACCEPT_PAUSE);
        tracing::warn!(target: REACTOR, %error, "cannot accept connections for now");
    }

    fn add(
        &self,
        mut stream: TcpStream,
        peer: IpAddr,
        audience: Audience,
        registry: &Registry,
        http: &mut HttpExchange,
    ) {
        http.stats.accepted += 1;
        let io = &mut http.io;
        if audience == Audience::Public && io.connections.clients() >= self.connections_max {
            http.stats.overloaded += 1;
            return self.refuse_overloaded(stream);
        }
        let id = io.connections.next_id();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.register(&mut stream, token(id), interest) {
            return tracing::warn!(target: REACTOR, %error, "cannot watch a connection");
        }
        let stream = match &self.tls {
            Some(config) if audience == Audience::Public => Stream::tls(stream, config),
            _ => Ok(Stream::Plain(stream)),
        };
        match stream {
            Ok(stream) => {
                io.connections.insert(Connection::new(stream, peer, audience));
                io.set_deadline_in(id, io.limits.head_timeout);
            }
            Err(error) => tracing::warn!(target: REACTOR, %error, "cannot start TLS"),
        }
    }

    /// Best effort: the buffer of a fresh socket takes this much at once. Where the answer would need a TLS handshake
    /// first, the connection is only closed.
    fn refuse_overloaded(&self, mut stream: TcpStream) {
        if self.tls.is_none() {
            let _ = stream.write(&route::overloaded().to_bytes(false));
        }
    }
}
