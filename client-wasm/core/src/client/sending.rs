//! Sending: events, acknowledgements, the buffer of sockets that are not connected, and the queue of events that are
//! sent until they are acknowledged.
//!
//! Owns the bounds on what may wait. It never receives. Invariant: the events of one socket go out in the order of
//! their `emit`s. Events that wait are bounded in number and bytes; one more is an error of its sender.

use super::Client;
use crate::{
    AckError, AwaitedAck, Emission, Output, OwedAck, SendError, SocketKey, Time,
    engine::Engine,
    link::Link,
    socket::{AckId, Queued, Ready, Socket, Waiter, len_bytes},
};
use alloc::vec::Vec;
use moorline_protocol::{
    Frame,
    socket::{self, Envelope},
};

/// A WebSocket with more than this unsent is too busy for volatile events.
const BUSY_BYTES: usize = 64 << 10;

impl Client {
    /// Sends an event, now or once connected. Returns the acknowledgement that it awaits, if it wants one; that ends
    /// by a later output, so that the caller can note it first.
    ///
    /// # Errors
    /// [`SendError`] when it cannot be taken; then nothing was.
    pub fn emit(
        &mut self,
        now: Time,
        key: SocketKey,
        emission: Emission,
    ) -> Result<Option<AwaitedAck>, SendError> {
        let Some(socket) = self.sockets.get(key) else { return Ok(None) };
        let Emission { json, attachments, wants_ack, timeout_ms, is_volatile, unsent_bytes } = emission;
        if wants_ack && socket.acks.len() >= self.options.acks_max {
            return Err(SendError::TooManyAcks);
        }
        let frames = encode(socket, wants_ack.then(|| socket.acks.next_id()), &json, &attachments);
        self.check_size(&frames)?;
        let is_queued = socket.retries.is_some() && !is_volatile;
        let is_sent_now = !is_queued && self.can_send(now, socket);
        let is_busy = unsent_bytes > BUSY_BYTES || !self.link.engine().is_some_and(Engine::is_writable);
        let is_dropped = is_volatile && (is_busy || !is_sent_now);
        if !is_dropped {
            self.check_room(socket, &frames, unsent_bytes, is_sent_now)?;
        }
        let ack = wants_ack.then(|| self.awaited_acks.next());
        let Some(socket) = self.sockets.get_mut(key) else { return Ok(None) };
        if is_queued {
            socket.queue.push(Queued { json, attachments, timeout_ms, ack, tries: 0, is_pending: false });
            self.work_off_queue(now, key);
            return Ok(ack);
        }
        let deadline = match socket.ack_deadline(now, timeout_ms) {
            // Nothing else would ever end the wait for the ack of a dropped event.
            Time::NEVER if is_dropped && !socket.is_connected() => now,
            due => due,
        };
        let is_held = !is_dropped && !is_sent_now;
        let id = ack.map(|ack| socket.acks.begin(Waiter::Caller(ack), deadline, is_held));
        if !is_dropped && is_sent_now {
            self.send(frames);
        } else if is_held {
            socket.send_buffer.push(Ready { frames, id });
        }
        Ok(ack)
    }

    /// Acknowledges an event of the server. If its connection has ended since, nothing is sent.
    ///
    /// # Errors
    /// [`SendError`] when it cannot be taken.
    pub fn ack(
        &mut self,
        key: SocketKey,
        owed: OwedAck,
        json: &str,
        attachments: &[Vec<u8>],
        unsent_bytes: usize,
    ) -> Result<(), SendError> {
        let Some(socket) = self.sockets.get(key) else { return Ok(()) };
        let id = owed.id_in(socket.epoch).filter(|_| socket.is_connected());
        let Some(id) = id else { return Ok(()) };
        let envelope =
            Envelope { namespace: &socket.namespace, ack: Some(id), attachments: attachments.len() };
        let frames = with_attachments(socket::ack(envelope, json), attachments);
        self.check_size(&frames)?;
        self.check_room(socket, &frames, unsent_bytes, true)?;
        self.send(frames);
        Ok(())
    }

    /// Whether the server takes the frames, as far as that is known now.
    fn check_size(&self, frames: &[Frame]) -> Result<(), SendError> {
        if frames.len() > self.options.attachments_max + 1 {
            return Err(SendError::TooManyAttachments);
        }
        let is_taken = self.link.engine().is_none_or(|engine| frames.iter().all(|frame| engine.takes(frame)));
        if is_taken { Ok(()) } else { Err(SendError::TooBig) }
    }

    /// Whether there is room for the frames beside everything that waits, here and in the transport.
    fn check_room(
        &self,
        socket: &Socket,
        frames: &[Frame],
        unsent_bytes: usize,
        is_sent_now: bool,
    ) -> Result<(), SendError> {
        let held: usize =
            self.sockets.iter().map(|socket| socket.send_buffer.len_bytes + socket.queue.len_bytes).sum();
        let in_transport = unsent_bytes + self.link.engine().map_or(0, Engine::waiting_bytes);
        let packets = socket.send_buffer.len() + socket.queue.events.len();
        let is_full = held + in_transport + len_bytes(frames) > self.options.send_bytes_max
            || (!is_sent_now && packets >= self.options.send_packets_max);
        if is_full { Err(SendError::BufferFull) } else { Ok(()) }
    }

    fn can_send(&self, now: Time, socket: &Socket) -> bool {
        socket.is_connected()
            && socket.send_buffer.len() == 0
            && self.link.engine().is_some_and(|engine| !engine.is_suspect(now))
    }

    pub(super) fn send(&mut self, frames: Vec<Frame>) {
        if let Link::Open { engine, .. } = &mut self.link {
            for frame in frames {
                engine.send(frame, &mut self.outputs);
            }
            engine.flush(&mut self.outputs);
        }
    }

    /// The connection can be used: the send buffer goes out.
    pub(super) fn release(&mut self, now: Time, key: SocketKey) {
        loop {
            let Some(socket) = self.sockets.get_mut(key).filter(|socket| socket.is_connected()) else {
                return;
            };
            let Some(Ready { frames, id }) = socket.send_buffer.pop() else { return };
            if let Some(id) = id {
                socket.acks.sent(id);
            }
            // The bounds of this server were not known when the packet was buffered.
            let Err(error) = self.check_size(&frames) else {
                self.send(frames);
                continue;
            };
            let Some(socket) = self.sockets.get_mut(key) else { return };
            match id.and_then(|id| socket.acks.end(id)) {
                Some(waiter) => self.ack_failed(now, key, waiter, AckError::NotSent(error)),
                None => self.outputs.push(Output::Dropped(key, error)),
            }
        }
    }

    /// Sends the first event of the queue, unless its ack is still awaited.
    pub(super) fn work_off_queue(&mut self, now: Time, key: SocketKey) {
        loop {
            let Some(socket) = self.sockets.get(key).filter(|socket| self.can_send(now, socket)) else {
                return;
            };
            let Some(first) = socket.queue.events.front().filter(|first| !first.is_pending) else {
                return;
            };
            let frames = encode(socket, Some(socket.acks.next_id()), &first.json, &first.attachments);
            let deadline = socket.ack_deadline(now, first.timeout_ms);
            if let Err(error) = self.check_size(&frames) {
                self.drop_first(key, AckError::NotSent(error));
                continue;
            }
            let Some(socket) = self.sockets.get_mut(key) else { return };
            if let Some(first) = socket.queue.events.front_mut() {
                first.is_pending = true;
                first.tries += 1;
            }
            socket.acks.begin(Waiter::Queue, deadline, false);
            return self.send(frames);
        }
    }

    /// The first event of the queue was not acknowledged: sends it again, or gives it up.
    pub(super) fn queue_failed(&mut self, now: Time, key: SocketKey, error: AckError) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let Some(first) = socket.queue.events.front_mut() else { return };
        first.is_pending = false;
        if first.tries > socket.retries.unwrap_or(0) {
            self.drop_first(key, error);
        }
        self.work_off_queue(now, key);
    }

    fn drop_first(&mut self, key: SocketKey, error: AckError) {
        let Some(first) = self.sockets.get_mut(key).and_then(|socket| socket.queue.pop()) else { return };
        match (first.ack, error) {
            (Some(ack), error) => self.outputs.push(Output::AckFailed(ack, error)),
            (None, AckError::NotSent(error)) => self.outputs.push(Output::Dropped(key, error)),
            (None, AckError::Timeout | AckError::Disconnected) => {}
        }
    }
}

fn encode(socket: &Socket, ack: Option<AckId>, json: &str, attachments: &[Vec<u8>]) -> Vec<Frame> {
    let envelope = Envelope {
        namespace: &socket.namespace,
        ack: ack.map(AckId::to_wire),
        attachments: attachments.len(),
    };
    with_attachments(socket::event(envelope, json, core::iter::empty()), attachments)
}

fn with_attachments(packet: Frame, attachments: &[Vec<u8>]) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(1 + attachments.len());
    frames.push(packet);
    frames.extend(attachments.iter().map(|bytes| Frame::binary(bytes)));
    frames
}
