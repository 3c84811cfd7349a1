//! Many clients on one thread.
//!
//! Owns the clients and the poll they sleep in. Invariant: no client is ever lost in silence; a closed connection, a
//! refused handshake or an unknown frame ends the run with a sentence.

use crate::{
    client::{Arrival, Client},
    clock,
    outcome::Result,
};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use std::{io::ErrorKind, net::SocketAddr, ops::Range, os::fd::AsFd, time::Duration};

/// Few enough that neither server's accept queue overflows.
const HANDSHAKES_AT_ONCE: usize = 64;
const READ_BYTES: usize = 64 << 10;
/// How long anything that must happen may take.
pub(crate) const DEADLINE_NS: u64 = 20_000_000_000;
/// How long one turn sleeps at most.
pub(crate) const NAP: Duration = Duration::from_millis(50);

pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    ready: usize,
    buffer: Box<[u8]>,
    /// Clients with packets queued by `queue`.
    dirty: Vec<usize>,
}

impl Fleet {
    pub(crate) fn new() -> Result<Fleet> {
        let poll = Poll::new()?;
        let events = Events::with_capacity(1024);
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Fleet { poll, events, clients: Vec::new(), ready: 0, buffer, dirty: Vec::new() })
    }

    /// Connects `count` more clients, a few at once, until all are in the main namespace; returns which they are.
    pub(crate) fn connect(&mut self, server: SocketAddr, count: usize) -> Result<Range<usize>> {
        let first = self.clients.len();
        let wanted = first + count;
        let deadline_ns = clock::now_ns() + DEADLINE_NS;
        while self.ready < wanted {
            while self.clients.len() < wanted && self.clients.len() < self.ready + HANDSHAKES_AT_ONCE {
                self.open(server)?;
            }
            self.turn(&mut |_| {})?;
            if clock::now_ns() > deadline_ns {
                return Err(format!("only {} of {wanted} clients could connect", self.ready).into());
            }
        }
        Ok(first..wanted)
    }

    fn open(&mut self, server: SocketAddr) -> Result<()> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        let token = Token(self.clients.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.clients.push(Client::new(stream, server));
        Ok(())
    }

    /// Sleeps until something comes in, or for a short while, and gives every packet to `sink`.
    pub(crate) fn turn(&mut self, sink: &mut dyn FnMut(Arrival<'_>)) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(NAP)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.events {
            let index = event.token().0;
            let client = &mut self.clients[index];
            let was_ready = client.is_ready();
            if event.is_writable() {
                client.flush()?;
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                client.read(index, &mut self.buffer, sink)?;
            }
            self.ready += usize::from(client.is_ready() && !was_ready);
        }
        Ok(())
    }

    /// Queues a packet of a client until `flush`, so that all packets of one turn go out in one write.
    pub(crate) fn queue(&mut self, client: usize, packet: &[u8]) {
        self.clients[client].push(packet);
        self.dirty.push(client);
    }

    /// Sends what was queued.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.dirty.drain(..).try_for_each(|client| self.clients[client].flush())
    }

    pub(crate) fn id(&self, client: usize) -> &str {
        self.clients[client].id()
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// A second way to write to a client's connection, for a thread that sends on schedule.
    pub(crate) fn writer(&self, client: usize) -> Result<std::net::TcpStream> {
        Ok(self.clients[client].stream.as_fd().try_clone_to_owned()?.into())
    }
}
