//! What sockets send and are sent: events, answers, the buffer of those that are not connected, and the queue of events
//! that are sent until they are acknowledged.
//!
//! Invariant: what one socket sends goes out in the order of its `emit`s. What may wait is bounded in number and bytes;
//! more is an error to whoever sends.

use crate::{
    AckError, AwaitedAck, Client, Emission, Output, OwedAck, SendError, SocketIndex, Time,
    client::link::Link,
    engine::{End, Engine},
    socket::acks::Waiter,
    socket::reassembly::{Incoming, IncomingKind},
    socket::{Queued, Ready, Socket, State, len_bytes},
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use moorline_protocol::{
    Frame, Reason, json,
    socket::packet::{self, Envelope},
};

/// A WebSocket with more than this unsent is too busy for what is volatile.
const BUSY_BYTES: usize = 64 << 10;

impl Client {
    /// Sends an event, now or once connected. Returns the call that will be answered or fail, if one was asked for:
    /// always later, so that its owner can note it first.
    ///
    /// # Errors
    /// [`SendError`] when it cannot be taken; then nothing was.
    pub fn emit(
        &mut self,
        now: Time,
        index: SocketIndex,
        emission: Emission,
    ) -> Result<Option<AwaitedAck>, SendError> {
        let Some(socket) = self.sockets.get(index.0) else { return Ok(None) };
        let Emission { json, attachments, wants_ack, timeout_ms, is_volatile, unsent_bytes } = emission;
        if wants_ack && socket.acks.len() >= self.options.acks_max {
            return Err(SendError::TooManyAcks);
        }
        let frames = encode(socket, wants_ack.then(|| socket.acks.next_id()), &json, &attachments);
        self.check_size(&frames)?;
        let is_queued = socket.retries.is_some() && !is_volatile;
        let is_sent_now = !is_queued && self.can_send(now, socket);
        let is_busy = unsent_bytes > BUSY_BYTES || !self.engine().is_some_and(Engine::is_writable);
        let is_dropped = is_volatile && (is_busy || !is_sent_now);
        if !is_dropped {
            self.check_room(socket, &frames, unsent_bytes, is_sent_now)?;
        }
        let ack = wants_ack.then(|| self.new_awaited_ack());
        let Some(socket) = self.sockets.get_mut(index.0) else { return Ok(None) };
        if is_queued {
            socket.queue.push(Queued { json, attachments, timeout_ms, ack, tries: 0, is_pending: false });
            self.work_off_queue(now, index);
            return Ok(ack);
        }
        let deadline = match socket.ack_due(now, timeout_ms) {
            // Nothing else would ever end the wait for an answer to what is dropped.
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

    /// Answers an event of the server. Whether who asked is still there is looked after here.
    ///
    /// # Errors
    /// [`SendError`] when it cannot be taken.
    pub fn ack(
        &mut self,
        index: SocketIndex,
        owed: OwedAck,
        json: &str,
        attachments: &[Vec<u8>],
        unsent_bytes: usize,
    ) -> Result<(), SendError> {
        let Some(socket) = self.sockets.get(index.0) else { return Ok(()) };
        if owed.epoch != socket.epoch || !socket.is_connected() {
            return Ok(());
        }
        let envelope =
            Envelope { namespace: &socket.namespace, ack: Some(owed.id), attachments: attachments.len() };
        let frames = with_attachments(packet::ack(envelope, json), attachments);
        self.check_size(&frames)?;
        self.check_room(socket, &frames, unsent_bytes, true)?;
        self.send(frames);
        Ok(())
    }

    /// Whether the server takes it, as far as that is known now.
    fn check_size(&self, frames: &[Frame]) -> Result<(), SendError> {
        if frames.len() > self.options.attachments_max + 1 {
            return Err(SendError::TooManyAttachments);
        }
        let is_taken = self.engine().is_none_or(|engine| frames.iter().all(|frame| engine.takes(frame)));
        if is_taken { Ok(()) } else { Err(SendError::TooBig) }
    }

    /// Whether there is room for it among all that waits, here and in the transport.
    fn check_room(
        &self,
        socket: &Socket,
        frames: &[Frame],
        unsent_bytes: usize,
        is_sent_now: bool,
    ) -> Result<(), SendError> {
        let held: usize =
            self.sockets.iter().map(|socket| socket.send_buffer.len_bytes + socket.queue.len_bytes).sum();
        let in_transport = unsent_bytes + self.engine().map_or(0, Engine::waiting_bytes);
        let packets = socket.send_buffer.len() + socket.queue.events.len();
        let is_full = held + in_transport + len_bytes(frames) > self.options.send_bytes_max
            || (!is_sent_now && packets >= self.options.send_packets_max);
        if is_full { Err(SendError::BufferFull) } else { Ok(()) }
    }

    fn new_awaited_ack(&mut self) -> AwaitedAck {
        self.last_awaited_ack = self.last_awaited_ack.wrapping_add(1);
        AwaitedAck(self.last_awaited_ack)
    }

    fn can_send(&self, now: Time, socket: &Socket) -> bool {
        socket.is_connected()
            && socket.send_buffer.len() == 0
            && self.engine().is_some_and(|engine| !engine.is_suspect(now))
    }

    pub(crate) fn send(&mut self, frames: Vec<Frame>) {
        if let Link::Open { engine, .. } = &mut self.link {
            for frame in frames {
                engine.send(frame, &mut self.outputs);
            }
            engine.flush(&mut self.outputs);
        }
    }

    /// The connection can be used, again: what was held goes out.
    pub(crate) fn release(&mut self, now: Time, index: SocketIndex) {
        loop {
            let Some(socket) = self.sockets.get_mut(index.0).filter(|socket| socket.is_connected()) else {
                return;
            };
            let Some(Ready { frames, id }) = socket.send_buffer.pop() else { return };
            if let Some(id) = id {
                socket.acks.sent(id);
            }
            // It may have come while nobody knew what this server takes.
            let Err(error) = self.check_size(&frames) else {
                self.send(frames);
                continue;
            };
            let Some(socket) = self.sockets.get_mut(index.0) else { return };
            match id.and_then(|id| socket.acks.end(id)) {
                Some(waiter) => self.ack_failed(now, index, waiter, AckError::NotSent(error)),
                None => self.outputs.push(Output::Dropped(index, error)),
            }
        }
    }

    /// Sends the first of the queue, unless its answer is still awaited.
    pub(crate) fn work_off_queue(&mut self, now: Time, index: SocketIndex) {
        loop {
            let Some(socket) = self.sockets.get(index.0).filter(|socket| self.can_send(now, socket)) else {
                return;
            };
            let Some(first) = socket.queue.events.front().filter(|first| !first.is_pending) else {
                return;
            };
            let frames = encode(socket, Some(socket.acks.next_id()), &first.json, &first.attachments);
            let deadline = socket.ack_due(now, first.timeout_ms);
            if let Err(error) = self.check_size(&frames) {
                self.drop_first(index, AckError::NotSent(error));
                continue;
            }
            let Some(socket) = self.sockets.get_mut(index.0) else { return };
            if let Some(first) = socket.queue.events.front_mut() {
                first.is_pending = true;
                first.tries += 1;
            }
            socket.acks.begin(Waiter::Queue, deadline, false);
            return self.send(frames);
        }
    }

    /// The first of the queue was not acknowledged: it goes again, or is given up.
    pub(crate) fn queue_failed(&mut self, now: Time, index: SocketIndex, error: AckError) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        let Some(first) = socket.queue.events.front_mut() else { return };
        first.is_pending = false;
        if first.tries > socket.retries.unwrap_or(0) {
            self.drop_first(index, error);
        }
        self.work_off_queue(now, index);
    }

    fn drop_first(&mut self, index: SocketIndex, error: AckError) {
        let Some(first) = self.sockets.get_mut(index.0).and_then(|socket| socket.queue.pop()) else { return };
        match (first.ack, error) {
            (Some(ack), error) => self.outputs.push(Output::AckFailed(ack, error)),
            (None, AckError::NotSent(error)) => self.outputs.push(Output::Dropped(index, error)),
            (None, AckError::Timeout | AckError::Disconnected) => {}
        }
    }

    /// Takes a packet that is whole.
    pub(crate) fn packet(&mut self, now: Time, incoming: Incoming) -> Result<(), End> {
        let place = self.sockets.iter().position(|socket| socket.namespace == incoming.namespace);
        // The namespace may just have been left: what was on its way is for nobody.
        let Some(index) = place.map(SocketIndex) else { return Ok(()) };
        let Some(socket) = self.sockets.get_mut(index.0) else { return Ok(()) };
        match (incoming.kind, socket.state) {
            (IncomingKind::Connected, State::Abandoned { .. }) => {
                self.send_disconnect(index);
                self.connect_abandoned(index);
            }
            // It was given up before it came.
            (IncomingKind::Connected, State::Idle | State::AwaitingAuth(_)) => self.send_disconnect(index),
            (IncomingKind::Refused, State::Abandoned { .. }) => self.connect_abandoned(index),
            (IncomingKind::Connected, State::Connecting { .. }) => self.connected(now, index, &incoming.json),
            (IncomingKind::Refused, State::Connecting { .. }) => self.refused(now, index, incoming.json),
            (IncomingKind::Disconnected, State::Connected) => {
                socket.is_wanted = false;
                self.disconnected(now, index, Reason::ServerNamespaceDisconnect, None);
                self.close_if_unwanted(now);
            }
            (IncomingKind::Event { ack, attachments }, State::Connected) => {
                self.event(index, incoming.json, ack, attachments);
            }
            (kind @ IncomingKind::Event { .. }, State::Connecting { .. }) => {
                let incoming = Incoming { kind, ..incoming };
                socket.receive_buffer_bytes =
                    socket.receive_buffer_bytes.saturating_add(incoming.held_bytes());
                if socket.receive_buffer_bytes > self.options.message_bytes_max {
                    return Err(End::parse_error("too much came before the answer to CONNECT"));
                }
                socket.receive_buffer.push(incoming);
            }
            (IncomingKind::Ack { ack, attachments }, State::Connected) => {
                self.acked(now, index, ack, incoming.json, attachments);
            }
            // Crossed with a packet of ours on the way.
            _ => {}
        }
        Ok(())
    }

    /// The answer to a CONNECT that nobody awaits any more has come: who wants to join may do so now.
    fn connect_abandoned(&mut self, index: SocketIndex) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        socket.state = State::Idle;
        if socket.is_wanted {
            self.request_auth(index);
        }
    }

    fn event(&mut self, socket: SocketIndex, json: String, ack: Option<u64>, attachments: Vec<Vec<u8>>) {
        let epoch = self.sockets.get(socket.0).map_or(0, |socket| socket.epoch);
        let owed_ack = ack.map(|id| OwedAck { id, epoch });
        self.outputs.push(Output::Event { socket, json, attachments, owed_ack });
    }

    fn acked(&mut self, now: Time, index: SocketIndex, ack: u64, json: String, attachments: Vec<Vec<u8>>) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        // An answer that comes too late, or twice, is for nobody.
        let Some(waiter) = socket.acks.end(ack) else { return };
        let owner = match waiter {
            Waiter::Caller(ack) => Some(ack),
            Waiter::Queue => socket.queue.pop().and_then(|queued| queued.ack),
        };
        if let Some(ack) = owner {
            self.outputs.push(Output::Acked { ack, json, attachments });
        }
        if waiter == Waiter::Queue {
            self.work_off_queue(now, index);
        }
    }

    fn connected(&mut self, now: Time, index: SocketIndex, data: &str) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        let Some(id) = json::member(data, "sid").and_then(json::read_string).filter(|id| !id.is_empty())
        else {
            return self.refused(now, index, NO_SID.to_string());
        };
        socket.state = State::Connected;
        socket.backoff.reset();
        socket.epoch = socket.epoch.wrapping_add(1);
        socket.receive_buffer_bytes = 0;
        for incoming in core::mem::take(&mut socket.receive_buffer) {
            if let IncomingKind::Event { ack, attachments } = incoming.kind {
                self.event(index, incoming.json, ack, attachments);
            }
        }
        self.release(now, index);
        self.work_off_queue(now, index);
        self.outputs.push(Output::Connected(index, id));
    }

    fn refused(&mut self, now: Time, index: SocketIndex, refusal: String) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        socket.is_wanted = false;
        socket.state = State::Idle;
        socket.reset();
        let message = "refused by the server";
        self.outputs.push(Output::ConnectError {
            socket: index,
            message,
            refusal: Some(refusal),
            details: None,
        });
        self.close_if_unwanted(now);
    }
}

/// What a server of an older protocol answers has no id.
const NO_SID: &str = r#"{"message":"the server speaks an older Socket.IO (v2)"}"#;

fn encode(socket: &Socket, ack: Option<u64>, json: &str, attachments: &[Vec<u8>]) -> Vec<Frame> {
    let envelope = Envelope { namespace: &socket.namespace, ack, attachments: attachments.len() };
    with_attachments(packet::event(envelope, json, core::iter::empty()), attachments)
}

fn with_attachments(packet: Frame, attachments: &[Vec<u8>]) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(1 + attachments.len());
    frames.push(packet);
    frames.extend(attachments.iter().map(|bytes| Frame::binary(bytes)));
    frames
}
