//! A listening socket, and accepting from it without ever losing a connection that is waiting.
//!
//! Owns the socket. mio reports a waiting connection once: a caller that stops before the queue is empty, at its budget
//! or for want of file descriptors, must come back by itself. `is_waiting` remembers that. It never closes a
//! connection.

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, net::SocketAddr};

/// Connections the kernel may hold for us while we are busy.
const BACKLOG: i32 = 4096;

/// The peers a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Clients.
    Public,
    /// The operator and the balancer.
    Admin,
}

#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) audience: Audience,
    /// Set while connections may be waiting that no event will announce again.
    pub(crate) is_waiting: bool,
}

/// The outcome of one attempt to accept.
pub(crate) enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// No connection waits.
    None,
    /// The process or the system is out of file descriptors or memory: try again later.
    Exhausted(io::Error),
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr, audience: Audience) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Listener { socket: TcpListener::from_std(socket.into()), audience, is_waiting: false })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    pub(crate) fn accept(&mut self) -> Accepted {
        loop {
            match self.socket.accept() {
                Ok((stream, peer)) => {
                    // Small frames must leave at once; a socket without the option still works.
                    let _ = stream.set_nodelay(true);
                    return Accepted::Connection(stream, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_waiting = false;
                    return Accepted::None;
                }
                // The client gave up while it waited, or we were interrupted: the next one may be fine.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => return Accepted::Exhausted(error),
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
