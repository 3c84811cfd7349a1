//! One Engine.IO session, from the first request to its end: handshake, heartbeat, and the way its packets travel.
//!
//! It never decides what comes after it: whether there is another attempt, where, and when, is the client's. An error of
//! any method is the end of the session; whoever gets it calls `abandon`.
//!
//! ```text
//! open(WebSocket) ──► handshake ──────────────────────────────────────► WebSocket
//! open(Polling)  ──► handshake ──► polling ──► probe: Opening, Asked ──► Pausing ──► WebSocket
//!                                     ▲                      │ failed       │ failed
//!                                     └──────────────────────┴──────────────┘
//! ```

pub(crate) mod closing;
mod polling;
mod probe;

use crate::{
    Channel, Context, Details, Input, Options, Output, Time, TransportKind,
    engine::closing::Closing,
    engine::polling::Polling,
    engine::probe::{PROBE_MS, Probe, Step},
    output_queue::OutputQueue,
    url,
};
use alloc::{string::String, vec::Vec};
use moorline_protocol::{
    Frame, Reason,
    engine::{self, Opened, Packet, Part, Payload, handshake},
    json,
};

/// A timer this late was held up: the page was throttled or frozen, or the machine slept.
const LATE_MS: u64 = 1_000;
/// After that, what came in meanwhile has so long to be heard before silence counts.
const GRACE_MS: u64 = 2_000;
/// Close codes with which a server says that this node is leaving: service restart, going away.
const GOING_AWAY_CODES: [u16; 2] = [1012, 1001];
pub(crate) const OK: u16 = 200;
const SERVER_ERROR: u16 = 500;
/// What a server says of a session it does not have.
const SESSION_UNKNOWN: &str = "1";
/// Nothing came and nobody said why.
const CUT_OFF: u16 = 1006;

/// What a session needs of its surroundings.
pub(crate) struct Env<'a> {
    pub(crate) now: Time,
    pub(crate) options: &'a Options,
    pub(crate) outputs: &'a mut OutputQueue,
    pub(crate) events: &'a mut Vec<EngineEvent>,
}

/// What a session tells the client.
#[derive(Debug)]
pub(crate) enum EngineEvent {
    /// The handshake is done.
    Opened,
    /// Packets travel by WebSocket now.
    Upgraded,
    /// A Socket.IO packet.
    Packet(String),
    /// An attachment.
    Binary(Vec<u8>),
    /// It was silent for too long, and is heard again.
    Alive,
}

/// Why a session ended, or never began.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) reason: Reason,
    pub(crate) details: Details,
    pub(crate) retry_after_ms: Option<u64>,
    /// Whether the node is no place to come back to.
    pub(crate) is_node_unusable: bool,
}

impl End {
    pub(crate) fn new(reason: Reason, description: &'static str) -> End {
        let details = Details { description, context: Context::default() };
        End { reason, details, retry_after_ms: None, is_node_unusable: false }
    }

    pub(crate) fn parse_error(description: &'static str) -> End {
        End::new(Reason::ParseError, description)
    }

    fn of_status(status: u16, retry_after_ms: Option<u64>, body: &str) -> End {
        let mut end = End::new(Reason::TransportError, "polling error");
        end.details.context.status = Some(status);
        end.retry_after_ms = retry_after_ms;
        // It takes nobody, or somebody else answers in its place. Any other refusal is about the request: a browser
        // repeats one whose connection broke, and the node that has seen it already lives.
        let is_unknown = json::member(body, "code") == Some(SESSION_UNKNOWN);
        end.is_node_unusable = status >= SERVER_ERROR || is_unknown;
        end
    }
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

#[derive(Debug)]
struct Session {
    opened: Opened,
    received_at: Time,
    /// When silence counts as death.
    dead_at: Time,
    is_on_grace: bool,
}

impl Session {
    fn new(opened: Opened, now: Time) -> Session {
        let mut session = Session { opened, received_at: now, dead_at: now, is_on_grace: false };
        session.received(now);
        session
    }

    fn received(&mut self, now: Time) {
        let silence_ms = self.opened.ping_interval_ms.saturating_add(self.opened.ping_timeout_ms);
        self.received_at = now;
        self.dead_at = now.plus_ms(silence_ms);
        self.is_on_grace = false;
    }

    fn is_suspect(&self, now: Time) -> bool {
        self.is_on_grace || now >= self.dead_at
    }

    fn payload_bytes_max(&self) -> usize {
        // Zero is how some servers say that there is no bound.
        let announced = self.opened.payload_bytes_max.filter(|&bytes| bytes > 0);
        announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX)
    }
}

impl Engine {
    /// Begins a session; it has until `give_up_at` to open.
    pub(crate) fn open(
        kind: TransportKind,
        node: Option<&str>,
        give_up_at: Time,
        options: &Options,
        outputs: &mut OutputQueue,
    ) -> Engine {
        let url = url::of(options, kind, None, node);
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

    /// When the server was last heard.
    pub(crate) fn received_at(&self) -> Time {
        self.session.as_ref().map_or(Time::default(), |session| session.received_at)
    }

    /// Whether it may be dead: nothing was heard for longer than there should be between two heartbeats.
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

    /// Bytes that wait for the transport here. What a WebSocket has not sent yet it knows itself.
    pub(crate) fn waiting_bytes(&self) -> usize {
        match &self.transport {
            Transport::WebSocket(_) => 0,
            Transport::Polling(polling) => polling.waiting_bytes(),
        }
    }

    /// Whether what is sent now goes out now.
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

    /// Sends on what `send` was given.
    pub(crate) fn flush(&mut self, outputs: &mut OutputQueue) {
        if !self.is_pausing()
            && let Transport::Polling(polling) = &mut self.transport
        {
            polling.post(outputs);
        }
    }

    /// When it needs `handle_timeout`.
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
            return if is_over { Err(End::new(Reason::TransportError, "timeout")) } else { Ok(()) };
        };
        if env.now < session.dead_at {
            return Ok(());
        }
        if !session.is_on_grace && env.now.ms_since(session.dead_at) > LATE_MS {
            session.is_on_grace = true;
            session.dead_at = env.now.plus_ms(GRACE_MS);
            return Ok(());
        }
        Err(End::new(Reason::PingTimeout, "no heartbeat from the server"))
    }

    pub(crate) fn handle(&mut self, input: Input, env: &mut Env<'_>) -> Result<(), End> {
        match input {
            Input::Opened(channel) if self.is_probe(channel) => {
                env.outputs.push(Output::Send(channel, engine::probe()));
                self.set_step(Step::Asked);
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
                return Err(self.websocket_closed(code, reason));
            }
            Input::Response { channel, status, retry_after_ms, body } if self.is_request(channel) => {
                if status != OK {
                    return Err(End::of_status(status, retry_after_ms, &body));
                }
                self.responded(channel, body, env)?;
            }
            Input::Failed(channel) if self.is_request(channel) => {
                return Err(End::new(Reason::TransportError, "polling error"));
            }
            Input::TooBig(channel) if self.is_websocket(channel) || self.is_request(channel) => {
                return Err(End::parse_error("a message is too big"));
            }
            // Of a transport that was given up, or not about one.
            _ => {}
        }
        Ok(())
    }

    fn is_websocket(&self, channel: Channel) -> bool {
        matches!(self.transport, Transport::WebSocket(own) if own == channel)
    }

    fn is_request(&self, channel: Channel) -> bool {
        matches!(&self.transport, Transport::Polling(polling) if [polling.poll, polling.post].contains(&Some(channel)))
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
                env.events.push(EngineEvent::Alive);
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
                // One answer that waits is enough, however many pings came while it could not go.
                if !matches!(&self.transport, Transport::Polling(polling) if polling.ends_with(b"3")) {
                    self.send(engine::pong(), env.outputs);
                    self.flush(env.outputs);
                }
                Ok(())
            }
            (Ok(Packet::Close), _) => {
                let mut end = End::new(Reason::TransportClose, "closed by the server");
                end.is_node_unusable = true;
                Err(end)
            }
            (Ok(Packet::Noop | Packet::Pong(_)), true) => Ok(()),
            _ => Err(End::parse_error("not a packet of the protocol")),
        }
    }

    fn binary(&mut self, bytes: Vec<u8>, env: &mut Env<'_>) -> Result<(), End> {
        if self.session.is_none() {
            return Err(End::parse_error("binary data before the handshake"));
        }
        env.events.push(EngineEvent::Binary(bytes));
        Ok(())
    }

    fn opened(&mut self, data: &str, env: &mut Env<'_>) -> Result<(), End> {
        let Ok(opened) = handshake::decode(data) else {
            return Err(End::parse_error("a malformed handshake"));
        };
        let session = Session::new(opened, env.now);
        let sid = session.opened.sid.as_str();
        if let Transport::Polling(polling) = &mut self.transport {
            let url = url::of(env.options, TransportKind::Polling, Some(sid), None);
            polling.settle(url, session.payload_bytes_max());
            let is_wanted = env.options.upgrade && env.options.transports.contains(&TransportKind::WebSocket);
            if session.opened.has_upgrade && is_wanted {
                let url = url::of(env.options, TransportKind::WebSocket, Some(sid), None);
                let channel = env.outputs.new_channel();
                env.outputs.push(Output::Open(channel, url));
                let give_up_at = env.now.plus_ms(PROBE_MS);
                self.probe = Some(Probe { channel, step: Step::Opening, give_up_at });
            }
        }
        self.session = Some(session);
        env.events.push(EngineEvent::Opened);
        Ok(())
    }

    fn websocket_closed(&self, code: u16, words: String) -> End {
        let mut end = match &self.session {
            Some(_) => End::new(Reason::TransportClose, "websocket connection closed"),
            None => End::new(Reason::TransportError, "websocket error"),
        };
        // A code nobody sent is only the browser's way to say so.
        end.details.context =
            Context { code: Some(if code == 0 { CUT_OFF } else { code }), reason: words, status: None };
        end.is_node_unusable = GOING_AWAY_CODES.contains(&code);
        end
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
                Err(_) => return Err(End::parse_error("a packet is not base64")),
            }
        }
        Ok(())
    }

    /// The next requests, or the move to the WebSocket once those under way have ended.
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
        let is_asked = self.probe.as_ref().is_some_and(|probe| probe.step == Step::Asked);
        if is_asked && engine::decode(text) == Ok(Packet::Pong("probe")) {
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

    /// The session goes on polling as if there had been no WebSocket.
    fn drop_probe(&mut self, env: &mut Env<'_>) {
        if let Some(probe) = self.probe.take() {
            env.outputs.push(Output::Close(probe.channel));
            self.go_on(env);
        }
    }

    /// Gives everything up at once.
    pub(crate) fn abandon(&mut self, outputs: &mut OutputQueue) {
        if let Some(probe) = self.probe.take() {
            outputs.push(Output::Close(probe.channel));
        }
        match &mut self.transport {
            Transport::WebSocket(channel) => outputs.push(Output::Close(*channel)),
            Transport::Polling(polling) => polling.abort(outputs),
        }
    }

    /// Says goodbye: everything it was given still goes out, which over polling takes a moment.
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
