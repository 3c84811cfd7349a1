//! The bytes of all connections: reads and writes within budgets, deadlines, and closing.
//!
//! Owns the connection table and the lists of connections with work left. It never looks at a byte.
//!
//! Invariant: a connection whose reading or writing a budget cut short stands in a list, and the next poll does not
//! sleep; every drop of a connection tells the core within the same call.

use crate::{
    connection::{Connection, Phase},
    connections::Connections,
    wire::{http::Response, send_queue::Progress, websocket::close_frame},
};
use moorline_core::{App, ConnId, Input, Limits, Node, Time};
use moorline_protocol::{Frame, Reason};
use std::{
    io::{self, Read},
    mem,
    time::Duration,
};

/// Bytes of one read, and of one write; flushing starts once this much came in.
const CHUNK_BYTES: usize = 64 << 10;
/// Writes of one connection per round of flushing.
const WRITES_PER_ROUND: usize = 4;

pub(crate) struct ConnectionIo {
    /// The time of this turn.
    pub(super) now: Time,
    pub(super) limits: Limits,
    pub(super) connections: Connections,
    /// Connections to read from again: a budget cut their reading short, or pipelined bytes wait.
    readable: Vec<ConnId>,
    /// Connections to flush this turn.
    dirty: Vec<ConnId>,
    /// Bytes that came in since the last flush.
    pub(super) unflushed_bytes: usize,
    /// Room for one read, shared by all connections.
    buffer: Box<[u8]>,
    /// Room for the frames of one pull, shared by all connections.
    pub(super) frames: Vec<Frame>,
}

/// The outcome of one read.
pub(super) enum Chunk {
    /// So many bytes came; `is_last` when none are left for now.
    Bytes { len: usize, is_last: bool },
    /// None are left for now.
    Blocked,
    /// A signal came in between: try again.
    Interrupted,
    /// The peer sends no more.
    Ended,
    /// The connection broke.
    Failed,
    /// There is no such connection any more.
    Gone,
}

impl ConnectionIo {
    pub(crate) fn new(limits: Limits, now: Time) -> ConnectionIo {
        ConnectionIo {
            now,
            limits,
            connections: Connections::default(),
            readable: Vec::new(),
            dirty: Vec::new(),
            unflushed_bytes: 0,
            buffer: vec![0; CHUNK_BYTES].into_boxed_slice(),
            frames: Vec::new(),
        }
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(id)
    }

    /// Whether the next poll must not sleep.
    pub(super) fn has_work(&self) -> bool {
        !self.readable.is_empty() || !self.dirty.is_empty()
    }

    /// Gives a connection this much time for the step it is in.
    pub(super) fn set_deadline_in(&mut self, id: ConnId, timeout: Duration) {
        self.connections.set_deadline(id, Some(self.now + timeout));
    }

    pub(super) fn clear_deadline(&mut self, id: ConnId) {
        self.connections.set_deadline(id, None);
    }

    /// Notes whether the peer has ended its half. An end announced together with the last bytes is not announced again.
    pub(super) fn note_end(&mut self, id: ConnId, has_ended: bool) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.has_peer_ended |= has_ended;
        }
    }

    /// Lends the read buffer, to be given back with [`ConnectionIo::give_back`].
    pub(super) fn take_buffer(&mut self) -> Box<[u8]> {
        mem::take(&mut self.buffer)
    }

    pub(super) fn give_back(&mut self, buffer: Box<[u8]>) {
        self.buffer = buffer;
    }

    /// Reads once.
    #[inline]
    pub(super) fn read(&mut self, id: ConnId, buffer: &mut [u8]) -> Chunk {
        let Some(connection) = self.connections.get_mut(id) else { return Chunk::Gone };
        match connection.stream.read(buffer) {
            Ok(0) => Chunk::Ended,
            Ok(len) => {
                let is_short = connection.stream.is_drained_by(len, buffer);
                self.unflushed_bytes += len;
                Chunk::Bytes { len, is_last: is_short && !connection.has_peer_ended }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Chunk::Blocked,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Chunk::Interrupted,
            Err(_) => Chunk::Failed,
        }
    }

    /// Notes that a connection is to be read from again without an event.
    pub(super) fn read_again(&mut self, id: ConnId) {
        self.readable.push(id);
    }

    /// The connections to read from again.
    pub(super) fn take_readable(&mut self) -> Vec<ConnId> {
        mem::take(&mut self.readable)
    }

    /// The stream takes bytes again.
    pub(super) fn writable(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.is_blocked = false;
            if !connection.out.is_empty() || connection.has_frames || connection.stream.wants_write() {
                self.mark_dirty(id);
            }
        }
    }

    /// Notes that a connection is to be flushed this turn.
    pub(super) fn mark_dirty(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Whether enough came in since the last flush that the next one should not wait for the end of the turn.
    pub(super) fn is_flush_due(&self) -> bool {
        self.unflushed_bytes >= CHUNK_BYTES
    }

    /// The connections to flush; the count of bytes that came in starts over.
    pub(super) fn take_dirty(&mut self) -> Vec<ConnId> {
        self.unflushed_bytes = 0;
        mem::take(&mut self.dirty)
    }

    /// Pulls and writes, a chunk at a time. Bytes that a full round leaves wait for the next one, or for the peer.
    pub(super) fn flush<A: App>(&mut self, node: &mut Node<A>, id: ConnId) {
        let ConnectionIo { connections, frames, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        connection.is_dirty = false;
        for _ in 0..WRITES_PER_ROUND {
            if connection.is_blocked {
                return;
            }
            if connection.has_frames && connection.out.has_room() {
                connection.has_frames = node.pull(id, CHUNK_BYTES, frames);
                frames.drain(..).for_each(|frame| connection.out.push_frame(frame));
            }
            match connection.write() {
                Ok(Progress::Done) if connection.has_frames => {}
                Ok(Progress::Done) if connection.is_over() => return self.remove(id),
                Ok(_) => return,
                Err(_) => return self.drop_connection(node, id, Reason::TransportError),
            }
        }
        self.mark_dirty(id);
    }

    /// Queues an answer after which nothing more is said.
    pub(super) fn send_last(&mut self, id: ConnId, response: &Response) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.out.push_bytes(response.to_bytes(false));
        self.close(id);
    }

    /// Drops a connection whose queue of bytes is over its bound. Pongs, and answers to pipelined requests, are all
    /// that a client can make the shell queue past the core's outbox.
    pub(super) fn check_send_queue<A: App>(&mut self, node: &mut Node<A>, id: ConnId) {
        let bytes_max = self.limits.outbox_bytes_max;
        if self.connections.get_mut(id).is_some_and(|connection| connection.out.len_bytes() > 2 * bytes_max) {
            self.drop_connection(node, id, Reason::SlowConsumer);
        }
    }

    /// Drops a connection that can go no further, here and in the core.
    pub(super) fn drop_connection<A: App>(&mut self, node: &mut Node<A>, id: ConnId, reason: Reason) {
        node.handle(self.now, Input::Closed { conn: id, reason });
        self.remove(id);
    }

    pub(super) fn remove(&mut self, id: ConnId) {
        // Dropping it closes the descriptor, and that unregisters it.
        self.connections.remove(id);
    }

    /// Queues a close frame behind everything that is queued, then closes.
    pub(super) fn close_with_code(&mut self, id: ConnId, code: u16, reason: &str) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.out.push_bytes(close_frame(code, reason));
        }
        self.close(id);
    }

    /// From here on the connection only sends its queue, and not for long.
    pub(super) fn close(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.phase = Phase::Closing { is_shut: false };
            connection.has_frames = false;
        }
        self.set_deadline_in(id, self.limits.close_timeout);
        self.mark_dirty(id);
    }
}
