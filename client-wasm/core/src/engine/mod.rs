//! One Engine.IO session, from the first request to its end: handshake, heartbeat, and the transport of its packets.
//!
//! It never decides whether, when and where there is another attempt: the client does. An error of any method is the
//! end of the session; the caller then calls `abandon`.
//!
//! ```text
//! open(WebSocket) ──► handshake ──────────────────────────────────────► WebSocket
//! open(Polling)  ──► handshake ──► polling ──► probe: Opening, Probing ─► Pausing ──► WebSocket
//!                                     ▲                      │ failed       │ failed
//!                                     └──────────────────────┴──────────────┘
//! ```

mod closing;
mod end;
mod polling;
mod probe;
mod session;

use self::{
    polling::{OK, Polling},
    probe::{Probe, Step},
    session::Session,
};
use crate::{
    Channel, DisconnectReason, Failure, Input, Options, Output, Time,
    output_queue::OutputQueue,
    url::{self, Target},
};
use alloc::{string::String, vec::Vec};
use moorline_protocol::{
    Frame, TransportKind,
    engine::{self, Packet, Part, Payload},
};

pub(crate) use closing::Closing;
pub(crate) use end::End;

/// The surroundings of a session.
pub(crate) struct Env<'a> {
    pub(crate) now: Time,
    pub(crate) options: &'a Options,
    pub(crate) outputs: &'a mut OutputQueue,
    pub(crate) events: &'a mut Vec<EngineEvent>,
}

/// An event of a session for the client.
#[derive(Debug)]
pub(crate) enum EngineEvent {
    /// The handshake is done.
    Opened,
    /// Packets travel by WebSocket from now on.
    Upgraded,
    /// A Socket.IO packet.
    Packet(String),
    /// An attachment.
    Binary(Vec<u8>),
    /// Packets come again after a silence that was too long.
    Responsive,
}

#[derive(Debug)]
pub(crate) struct Engine {
    transport: Transport,
    probe: Option<Probe>,
    session: Option<Session>,
    give_up_at: Time,
}

#[derive(Debug)]
enum Transport {
    WebSocket(Channel),
    Polling(Polling),
}

impl Engine {
    /// Begins a session; it has until `give_up_at` to open.
    pub(crate) fn open(
        kind: TransportKind,
        preferred_node: Option<&str>,
        give_up_at: Time,
        options: &Options,
        outputs: &mut OutputQueue,
    ) -> Engine {
        let url = url::of(options, kind, Target::New { preferred_node });
        let transport = match kind {
            TransportKind::WebSocket => {
                let channel = outputs.new_channel();
                outputs.push(Output::Open(channel, url));
                Transport::WebSocket(channel)
            }
            TransportKind::Polling => Transport::Polling(Polling::open(url, outputs)),
        };
        Engine { transport, probe: None, session: None, give_up_at }
    }

    pub(crate) fn kind(&self) -> TransportKind {
        match self.transport {
            Transport::WebSocket(_) => TransportKind::WebSocket,
            Transport::Polling(_) => TransportKind::Polling,
        }
    }

    /// The node this session is on, if its id says so.
    pub(crate) fn node(&self) -> Option<&str> {
        url::node_of(&self.session.as_ref()?.opened.sid)
    }

    /// When the last packet came.
    pub(crate) fn received_at(&self) -> Time {
        self.session.as_ref().map_or(Time::default(), |session| session.received_at)
    }

    /// Whether the server has been silent for longer than two heartbeats should be apart.
    pub(crate) fn is_suspect(&self, now: Time) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_suspect(now))
    }

    /// Whether a frame fits into what the server takes, on the transport of this moment.
    pub(crate) fn takes(&self, frame: &Frame) -> bool {
        let bytes = match self.transport {
            Transport::WebSocket(_) => frame.as_packet().len(),
            Transport::Polling(_) => polling::posted_bytes(frame),
        };
        self.session.as_ref().is_none_or(|session| bytes <= session.payload_bytes_max())
    }

    /// Bytes that wait here for the transport. A WebSocket counts its own.
    pub(crate) fn waiting_bytes(&self) -> usize {
        match &self.transport {
            Transport::WebSocket(_) => 0,
            Transport::Polling(polling) => polling.waiting_bytes(),
        }
    }

    /// Whether a packet sent now goes out now.
    pub(crate) fn is_writable(&self) -> bool {
        match &self.transport {
            Transport::WebSocket(_) => true,
            Transport::Polling(polling) => polling.post.is_none() && !self.is_pausing(),
        }
    }

    pub(crate) fn send(&mut self, frame: Frame, outputs: &mut OutputQueue) {
        match &mut self.transport {
            Transport::WebSocket(channel) => outputs.push(Output::Send(*channel, frame)),
            Transport::Polling(polling) => polling.push(frame),
        }
    }

    /// Makes the request for packets that `send` took.
    pub(crate) fn flush(&mut self, outputs: &mut OutputQueue) {
        if !self.is_pausing()
            && let Transport::Polling(polling) = &mut self.transport
        {
            polling.post(outputs);
        }
    }

    /// When `handle_timeout` is due.
    pub(crate) fn deadline(&self) -> Time {
        let own = self.session.as_ref().map_or(self.give_up_at, |session| session.dead_at);
        self.probe.as_ref().map_or(own, |probe| probe.give_up_at.min(own))
    }

    pub(crate) fn handle_timeout(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        if self.probe.as_ref().is_some_and(|probe| probe.give_up_at <= env.now) {
            self.drop_probe(env);
        }
        let Some(session) = &mut self.session else {
            let is_over = self.give_up_at <= env.now;
            return if is_over {
                Err(End::new(DisconnectReason::TransportError, Failure::TIMEOUT))
            } else {
                Ok(())
            };
        };
        if session.has_timed_out(env.now) {
            return Err(End::new(DisconnectReason::PingTimeout, Failure::NO_HEARTBEAT));
        }
        Ok(())
    }

    pub(crate) fn handle(&mut self, input: Input, env: &mut Env<'_>) -> Result<(), End> {
        match input {
            Input::Opened(channel) if self.is_probe(channel) => {
                env.outputs.push(Output::Send(channel, engine::probe()));
                self.set_step(Step::Probing);
            }
            Input::Text(channel, text) if self.is_probe(channel) => self.probe_received(&text, env),
            Input::Binary(channel, _) | Input::Closed { channel, .. } | Input::TooBig(channel)
                if self.is_probe(channel) =>
            {
                self.drop_probe(env);
            }
            Input::Text(channel, text) if self.is_websocket(channel) => {
                self.received(env);
                self.packet(&text, env)?;
            }
            Input::Binary(channel, bytes) if self.is_websocket(channel) => {
                self.received(env);
                self.binary(bytes, env)?;
            }
            Input::Closed { channel, code, reason } if self.is_websocket(channel) => {
                return Err(End::of_websocket(self.session.is_some(), code, reason));
            }
            Input::Response { channel, status, retry_after_ms, body } if self.is_request(channel) => {
                if status != OK {
                    return Err(End::of_status(status, retry_after_ms, &body));
                }
                self.responded(channel, body, env)?;
            }
            Input::Failed(channel) if self.is_request(channel) => {
                return Err(End::new(DisconnectReason::TransportError, Failure::POLLING_ERROR));
            }
            Input::TooBig(channel) if self.is_websocket(channel) || self.is_request(channel) => {
                return Err(End::parse_error(Failure::MESSAGE_TOO_BIG));
            }
            // Other inputs are of a transport that was given up, or of none.
            _ => {}
        }
        Ok(())
    }

    fn is_websocket(&self, channel: Channel) -> bool {
        matches!(self.transport, Transport::WebSocket(own) if own == channel)
    }

    fn is_request(&self, channel: Channel) -> bool {
        match &self.transport {
            Transport::WebSocket(_) => false,
            Transport::Polling(polling) => [polling.poll, polling.post].contains(&Some(channel)),
        }
    }

    fn is_probe(&self, channel: Channel) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.channel == channel)
    }

    fn is_pausing(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.step == Step::Pausing)
    }

    fn received(&mut self, env: &mut Env<'_>) {
        if let Some(session) = &mut self.session {
            let was_suspect = session.is_suspect(env.now);
            session.received(env.now);
            if was_suspect {
                env.events.push(EngineEvent::Responsive);
            }
        }
    }

    fn packet(&mut self, text: &str, env: &mut Env<'_>) -> Result<(), End> {
        match (engine::decode(text), self.session.is_some()) {
            (Ok(Packet::Open(data)), false) => self.opened(data, env),
            (Ok(Packet::Message(packet)), true) => {
                env.events.push(EngineEvent::Packet(packet.into()));
                Ok(())
            }
            (Ok(Packet::Ping(_)), true) => {
                // One waiting pong is enough, however many pings came while it could not go.
                if !matches!(&self.transport, Transport::Polling(polling) if polling.ends_with(b"3")) {
                    self.send(engine::pong(), env.outputs);
                    self.flush(env.outputs);
                }
                Ok(())
            }
            (Ok(Packet::Close), _) => Err(End::of_close_packet()),
            (Ok(Packet::Noop | Packet::Pong(_)), true) => Ok(()),
            _ => Err(End::parse_error(Failure::NO_PACKET)),
        }
    }

    fn binary(&mut self, bytes: Vec<u8>, env: &mut Env<'_>) -> Result<(), End> {
        if self.session.is_none() {
            return Err(End::parse_error(Failure::EARLY_BINARY));
        }
        env.events.push(EngineEvent::Binary(bytes));
        Ok(())
    }

    fn opened(&mut self, data: &str, env: &mut Env<'_>) -> Result<(), End> {
        let Ok(opened) = engine::decode_handshake(data) else {
            return Err(End::parse_error(Failure::BAD_HANDSHAKE));
        };
        let session = Session::new(opened, env.now);
        let sid = session.opened.sid.as_str();
        if let Transport::Polling(polling) = &mut self.transport {
            let url = url::of(env.options, TransportKind::Polling, Target::Session(sid));
            polling.settle(url, session.payload_bytes_max());
            let is_wanted = env.options.upgrade && env.options.transports.contains(&TransportKind::WebSocket);
            if session.opened.has_upgrade && is_wanted {
                let url = url::of(env.options, TransportKind::WebSocket, Target::Session(sid));
                let channel = env.outputs.new_channel();
                env.outputs.push(Output::Open(channel, url));
                self.probe = Some(Probe::new(channel, env.now));
            }
        }
        self.session = Some(session);
        env.events.push(EngineEvent::Opened);
        Ok(())
    }

    fn responded(&mut self, channel: Channel, body: String, env: &mut Env<'_>) -> Result<(), End> {
        let Transport::Polling(polling) = &mut self.transport else { return Ok(()) };
        if polling.post == Some(channel) {
            polling.post = None;
        } else {
            polling.poll = None;
            self.received(env);
            self.take_body(body, env)?;
        }
        self.go_on(env);
        Ok(())
    }

    fn take_body(&mut self, body: String, env: &mut Env<'_>) -> Result<(), End> {
        let mut payload = Payload::new(body);
        while let Some(part) = payload.next_part() {
            match part {
                Ok(Part::Text(text)) => self.packet(text, env)?,
                Ok(Part::Binary(bytes)) => self.binary(bytes, env)?,
                Err(_) => return Err(End::parse_error(Failure::NOT_BASE64)),
            }
        }
        Ok(())
    }

    /// Makes the next requests, or upgrades once those under way have ended.
    fn go_on(&mut self, env: &mut Env<'_>) {
        let is_pausing = self.is_pausing();
        let Transport::Polling(polling) = &mut self.transport else { return };
        if !is_pausing {
            polling.poll(env.outputs);
            polling.post(env.outputs);
        } else if polling.is_idle() {
            self.upgrade(env);
        }
    }

    fn set_step(&mut self, step: Step) {
        if let Some(probe) = &mut self.probe {
            probe.step = step;
        }
    }

    fn probe_received(&mut self, text: &str, env: &mut Env<'_>) {
        let is_probing = self.probe.as_ref().is_some_and(|probe| probe.step == Step::Probing);
        if is_probing && engine::decode(text) == Ok(Packet::Pong("probe")) {
            self.set_step(Step::Pausing);
            self.go_on(env);
        } else {
            self.drop_probe(env);
        }
    }

    fn upgrade(&mut self, env: &mut Env<'_>) {
        let (Some(probe), Transport::Polling(polling)) = (self.probe.take(), &mut self.transport) else {
            return;
        };
        let outbox = polling.take_outbox();
        self.transport = Transport::WebSocket(probe.channel);
        env.outputs.push(Output::Send(probe.channel, engine::upgrade()));
        for frame in outbox {
            env.outputs.push(Output::Send(probe.channel, frame));
        }
        env.events.push(EngineEvent::Upgraded);
    }

    /// Closes the probe; the session goes on polling.
    fn drop_probe(&mut self, env: &mut Env<'_>) {
        if let Some(probe) = self.probe.take() {
            env.outputs.push(Output::Close(probe.channel));
            self.go_on(env);
        }
    }

    /// Ends the session at once, without a word to the server.
    pub(crate) fn abandon(&mut self, outputs: &mut OutputQueue) {
        if let Some(probe) = self.probe.take() {
            outputs.push(Output::Close(probe.channel));
        }
        match &mut self.transport {
            Transport::WebSocket(channel) => outputs.push(Output::Close(*channel)),
            Transport::Polling(polling) => polling.abort(outputs),
        }
    }

    /// Closes the session: packets that `send` took still go out, which over polling takes requests after this one.
    pub(crate) fn close(mut self, now: Time, outputs: &mut OutputQueue) -> Option<Closing> {
        if self.session.is_none() || matches!(self.transport, Transport::WebSocket(_)) {
            self.abandon(outputs);
            return None;
        }
        if let Some(probe) = self.probe.take() {
            outputs.push(Output::Close(probe.channel));
        }
        let Transport::Polling(mut polling) = self.transport else { return None };
        polling.push(engine::close());
        Some(Closing::new(polling, now, outputs))
    }
}
