//! The bytes of all connections: reads and writes within budgets, deadlines, and closing.
//!
//! Owns the connection table and the lists of connections with work left. It never looks at a byte.
//!
//! Invariant: a connection whose reading or writing a budget cut short stands in a list, and the next poll does not
//! sleep, unless the core wants none of its messages: then the core says when to go on. Every drop of a connection
//! tells the core within the same call.

use crate::{
    connection::{Connection, Phase},
    connections::Connections,
    listener::Audience,
    reactor::budget::{Budget, Class, HANDSHAKE_UNITS, with_share},
    wire::{
        http::Response,
        send_queue::{Progress, SendQueue},
        websocket::close_frame,
    },
};
use moorline_core::{App, ConnId, Input, Intake, Limits, Node, Time};
use moorline_protocol::{Frame, Reason};
use std::{
    collections::VecDeque,
    io::{self, Read},
    mem,
    time::Duration,
};

/// Bytes of one read, and of one write; flushing starts once this much came in.
const CHUNK_BYTES: usize = 64 << 10;
/// Writes of one connection per round of flushing.
const WRITES_PER_ROUND: usize = 4;
/// A process that comes to its work so much late has stood still, long enough for a proxy to give its connections up.
pub(super) const STALL: Duration = Duration::from_secs(1);
/// For so long after a stall of this process, connections that have ended are taken to be gone.
const DISTRUST: Duration = Duration::from_secs(1);

pub(crate) struct ConnectionIo {
    /// The time of this turn.
    now: Time,
    pub(super) limits: Limits,
    pub(super) connections: Connections,
    /// Connections to serve, and how much may be done for them in this turn.
    pub(super) budget: Budget,
    /// The connection that is served, the core's count of work before, and that at which it has used up its share.
    serving: Option<ConnId>,
    work_before: u64,
    share_end: u64,
    /// Units of a served connection besides those that the core counts.
    extra_units: i64,
    /// Those of them that its messages cause, and that come out of its share.
    shell_work: u64,
    /// Until then, a connection that has ended is gone: its peer gave it up while this process stood still.
    distrust_until: Time,
    /// Connections to flush.
    dirty: VecDeque<ConnId>,
    pub(super) unflushed: Unflushed,
    /// Room for one read, shared by all connections.
    buffer: Box<[u8]>,
    /// Room for the frames of one pull, shared by all connections.
    pub(super) frames: Vec<Frame>,
}

/// Bytes that came in since the last flush.
#[derive(Default)]
pub(super) struct Unflushed(usize);

impl Unflushed {
    /// Counts bytes that came in.
    pub(super) fn note_received(&mut self, bytes: usize) {
        self.0 += bytes;
    }
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

/// The next connection to serve.
pub(super) enum Next {
    Connection(ConnId),
    /// It is gone, or its turn has not come.
    Skip,
    /// Nobody waits, or the budget is used up.
    None,
}

impl ConnectionIo {
    pub(crate) fn new(limits: Limits, now: Time) -> ConnectionIo {
        ConnectionIo {
            now,
            limits,
            connections: Connections::default(),
            budget: Budget::default(),
            serving: None,
            work_before: 0,
            share_end: u64::MAX,
            extra_units: 0,
            shell_work: 0,
            distrust_until: now,
            dirty: VecDeque::new(),
            unflushed: Unflushed::default(),
            buffer: vec![0; CHUNK_BYTES].into_boxed_slice(),
            frames: Vec::new(),
        }
    }

    /// The time of this turn.
    pub(super) fn now(&self) -> Time {
        self.now
    }

    /// Begins a turn at this time.
    pub(super) fn set_time(&mut self, now: Time) {
        self.now = now;
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(id)
    }

    /// Whether the next poll must not sleep.
    pub(super) fn has_work(&self) -> bool {
        self.budget.has_work() || !self.dirty.is_empty()
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

    /// This process stood still until now.
    pub(super) fn note_stall(&mut self) {
        self.distrust_until = self.now + DISTRUST;
    }

    /// Whether the peer of a connection that has ended is known to be gone, so that nothing it sent is acted on any
    /// more. It may be on another node by now, and have sent newer messages there.
    pub(super) fn is_gone(&self) -> bool {
        self.now < self.distrust_until
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
        if connection.stream.is_handshaking() {
            self.extra_units += HANDSHAKE_UNITS;
        }
        match connection.stream.read(buffer) {
            Ok(0) => Chunk::Ended,
            Ok(len) => {
                let is_short = connection.stream.is_drained_by(len, buffer);
                self.unflushed.note_received(len);
                self.budget.spend_bytes(len);
                Chunk::Bytes { len, is_last: is_short && !connection.has_peer_ended }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Chunk::Blocked,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Chunk::Interrupted,
            Err(_) => Chunk::Failed,
        }
    }

    /// An event says that a connection has something to read.
    pub(super) fn readable(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.has_input = true;
            self.serve_again(id);
        }
    }

    /// Nothing is left to read from a connection; an event will say when there is.
    pub(super) fn note_drained(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.has_input = false;
        }
    }

    /// Notes that a connection is to be served, once, unless the core wants none of its messages now.
    pub(super) fn serve_again(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.is_paused || mem::replace(&mut connection.is_listed, true) {
            return;
        }
        let class = class(connection);
        self.budget.push(class, id);
    }

    /// The core does not want the messages of a connection now.
    pub(super) fn pause(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.is_paused = true;
        }
    }

    /// The core wants the messages of a connection again.
    pub(super) fn resume(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.is_paused = false;
            self.serve_again(id);
        }
    }

    /// Begins to serve the next connection of a class, `work` being the core's count.
    pub(super) fn start_serving(&mut self, class: Class, work: u64) -> Next {
        let Some(id) = self.budget.pop(class) else { return Next::None };
        let Some(connection) = self.connections.get_mut(id) else { return Next::Skip };
        connection.is_listed = false;
        if connection.is_paused {
            return Next::Skip;
        }
        connection.credit = with_share(connection.credit);
        let Some(share) = u64::try_from(connection.credit).ok().filter(|share| *share > 0) else {
            // It pays a debt, and goes to the end of its queue.
            self.serve_again(id);
            return Next::Skip;
        };
        (self.work_before, self.share_end) = (work, work + share);
        (self.extra_units, self.shell_work) = (0, 0);
        self.serving = Some(id);
        Next::Connection(id)
    }

    /// Ends it: the connection and its class pay for what it caused.
    pub(super) fn end_serving(&mut self, class: Class, id: ConnId, work: u64) {
        self.serving = None;
        let caused = i64::try_from(work - self.work_before + self.shell_work).unwrap_or(i64::MAX);
        if let Some(connection) = self.connections.get_mut(id) {
            let left = i64::from(connection.credit).saturating_sub(caused);
            connection.credit = i32::try_from(left).unwrap_or(i32::MIN);
        }
        let units = caused.saturating_add(1 + self.extra_units);
        self.budget.spend(class, units);
    }

    /// The core's count of work at which the connection that is served has used up its share.
    pub(super) fn share_end(&self) -> u64 {
        self.share_end
    }

    /// The connection that is served sent what costs work and never comes to the core.
    pub(super) fn add_work(&mut self, units: u32) {
        self.shell_work += u64::from(units);
        self.share_end = self.share_end.saturating_sub(u64::from(units));
    }

    /// The connection that is served costs so many units besides those that the core counts.
    pub(super) fn add_units(&mut self, units: i64) {
        self.extra_units += units;
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
            // Answers do not wait behind the fan-outs of others.
            if self.serving == Some(id) { self.dirty.push_front(id) } else { self.dirty.push_back(id) }
        }
    }

    /// Queues finished bytes for a connection, to go out with the next flush.
    pub(super) fn queue(&mut self, id: ConnId, bytes: Vec<u8>) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.out.push_bytes(bytes);
            self.mark_dirty(id);
        }
    }

    /// Whether enough came in since the last flush that the next one should not wait for the end of the turn.
    pub(super) fn is_flush_due(&self) -> bool {
        self.unflushed.0 >= CHUNK_BYTES
    }

    /// A round of flushing begins: the count of bytes that came in starts over. Returns how many connections wait.
    pub(super) fn start_flush(&mut self) -> usize {
        self.unflushed.0 = 0;
        self.dirty.len()
    }

    /// The next connection to flush, while the budget of the turn lasts.
    pub(super) fn next_dirty(&mut self) -> Option<ConnId> {
        if self.budget.may_flush() { self.dirty.pop_front() } else { None }
    }

    /// Whether a budget left connections to flush for the next turn.
    pub(super) fn has_flush_debt(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Pulls and writes, a chunk at a time. Bytes that a full round leaves wait for the next one, or for the peer.
    pub(super) fn flush<A: App>(&mut self, node: &mut Node<A>, id: ConnId) {
        let ConnectionIo { connections, frames, budget, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        connection.is_dirty = false;
        let mut has_taken = false;
        for _ in 0..WRITES_PER_ROUND {
            if connection.is_blocked {
                // Frames may come to a connection that was blocked before there were any.
                if connection.has_frames && !mem::replace(&mut connection.is_stall_told, true) {
                    node.handle(self.now, Input::Blocked { conn: id });
                }
                return;
            }
            if connection.has_frames && connection.out.has_room() {
                connection.is_stall_told = false;
                connection.has_frames = node.pull(id, CHUNK_BYTES, frames);
                frames.drain(..).for_each(|frame| connection.out.push_frame(frame));
            }
            let queued = connection.out.len_bytes();
            let written = connection.write();
            let taken = queued - connection.out.len_bytes();
            has_taken |= taken > 0;
            let may_go_on = budget.spend_flush(taken);
            match written {
                Ok(Progress::Done) if connection.has_frames && may_go_on => {}
                Ok(Progress::Done) if connection.has_frames => break,
                Ok(Progress::Done) if connection.is_over() => return self.remove(id),
                Ok(Progress::Blocked)
                    if connection.has_frames && (has_taken || !connection.is_stall_told) =>
                {
                    connection.is_stall_told = true;
                    return node.handle(self.now, Input::Blocked { conn: id });
                }
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

    /// Drops a connection that can go no further, here and in the core. One that has its answer and whose packets are
    /// still handed over needs no peer for that.
    pub(super) fn drop_connection<A: App>(&mut self, node: &mut Node<A>, id: ConnId, reason: Reason) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.is_answered_early() && node.intake(id) != Intake::Closed {
            connection.out = SendQueue::default();
            return;
        }
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
            // Bytes left unread would turn the end into a reset, and the peer might never see what is sent before it.
            if mem::take(&mut connection.is_paused) {
                self.serve_again(id);
            }
        }
        self.set_deadline_in(id, self.limits.close_timeout);
        self.mark_dirty(id);
    }
}

/// The queue in which a connection waits. A request head is a newcomer's, on whatever connection it comes.
fn class(connection: &Connection) -> Class {
    match (connection.audience, &connection.phase) {
        (Audience::Admin, _) => Class::Admin,
        (Audience::Public, Phase::Head(_) | Phase::Closing { .. }) => Class::Newcomer,
        (Audience::Public, _) if connection.credit <= 0 => Class::Heavy,
        (Audience::Public, _) => Class::Session,
    }
}
