//! A client in a test harness: a virtual clock, every transport played by the story, every output checked and noted.
//!
//! It plays the shell and holds the client to its contract: after `handle_timeout` the next deadline lies in the
//! future; nothing is sent on a WebSocket that is not open; no channel is given up twice; a session has at most one
//! GET and one POST under way.

use crate::text;
use moorline_client_core::{
    AwaitedAck, Channel, Client, Emission, Input, NetworkChange, Options, Output, SendError, SocketKey,
    SocketOptions, Ticket, Time,
};
use moorline_protocol::TransportKind;
use std::collections::BTreeMap;

pub(crate) const SERVER: &str = "https://example.org/socket.io/";
/// The start of every virtual clock: not zero, so that a time which was never set is noticed.
const START_MS: u64 = 1_000_000;

pub(crate) struct Harness {
    pub(crate) client: Client,
    pub(crate) now_ms: u64,
    /// Whether auth is given by the story; otherwise there is none, at once.
    pub(crate) gives_auth: bool,
    pub(crate) tickets: Vec<(SocketKey, Ticket)>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) channels: BTreeMap<Channel, Carrier>,
}

/// A WebSocket or a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carrier {
    pub(crate) kind: CarrierKind,
    pub(crate) url: String,
    /// Whether the other side has opened it.
    pub(crate) is_open: bool,
    /// Whether the other side, or the network, has ended it.
    pub(crate) has_ended: bool,
    /// Whether the client has given it up.
    pub(crate) is_given_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CarrierKind {
    WebSocket,
    Get,
    Post,
}

impl Carrier {
    pub(crate) fn is_live(&self) -> bool {
        !self.has_ended && !self.is_given_up
    }
}

impl Harness {
    /// A client with the default options and a socket of the main namespace that is not connected. Delays are not
    /// random, so that stories can count on them.
    pub(crate) fn new() -> Harness {
        Harness::with(|_| {})
    }

    pub(crate) fn with(adapt: impl FnOnce(&mut Options)) -> Harness {
        let mut options = Options::new(SERVER.into());
        options.random_permille = 0;
        adapt(&mut options);
        let mut harness = Harness::bare(options);
        harness.client.add_socket("/".into(), SocketOptions::default());
        harness
    }

    /// A client without any socket.
    pub(crate) fn bare(options: Options) -> Harness {
        Harness {
            client: Client::new(options),
            now_ms: START_MS,
            gives_auth: false,
            tickets: Vec::new(),
            outputs: Vec::new(),
            channels: BTreeMap::new(),
        }
    }

    pub(crate) fn polling_only() -> Harness {
        Harness::with(|options| options.transports = vec![TransportKind::Polling])
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_ms(self.now_ms)
    }

    /// The socket of the main namespace, which most stories are about.
    pub(crate) fn main(&self) -> SocketKey {
        self.socket(0)
    }

    /// The socket that was added as the n-th, from zero.
    pub(crate) fn socket(&self, number: u32) -> SocketKey {
        SocketKey::from_number(number)
    }

    /// The n-th ticket that the client made, from one.
    pub(crate) fn ticket(&self, number: u32) -> Ticket {
        Ticket::from_number(number)
    }

    // Calls of a page.

    pub(crate) fn connect(&mut self) {
        self.connect_socket(self.main());
    }

    pub(crate) fn connect_socket(&mut self, socket: SocketKey) {
        self.client.connect(self.now(), socket);
        self.take_outputs();
    }

    pub(crate) fn disconnect(&mut self) {
        self.disconnect_socket(self.main());
    }

    pub(crate) fn disconnect_socket(&mut self, socket: SocketKey) {
        self.client.disconnect(self.now(), socket);
        self.take_outputs();
    }

    pub(crate) fn authorize(&mut self, socket: SocketKey, ticket: Ticket, auth: &str) {
        self.client.authorize(self.now(), socket, ticket, auth);
        self.take_outputs();
    }

    pub(crate) fn auth_failed(&mut self, socket: SocketKey, ticket: Ticket) {
        self.client.auth_failed(self.now(), socket, ticket);
        self.take_outputs();
    }

    pub(crate) fn emit_from(
        &mut self,
        socket: SocketKey,
        emission: Emission,
    ) -> Result<Option<AwaitedAck>, SendError> {
        let outcome = self.client.emit(self.now(), socket, emission);
        self.take_outputs();
        outcome
    }

    /// An event without an acknowledgement, which must be taken.
    pub(crate) fn emit(&mut self, json: &str) {
        let emission = Emission { json: json.into(), ..Emission::default() };
        assert_eq!(self.emit_from(self.main(), emission), Ok(None));
    }

    /// An event with an acknowledgement, which must be taken; returns the number of the awaited ack.
    pub(crate) fn emit_with_ack(&mut self, json: &str, timeout_ms: Option<u64>) -> u32 {
        let emission = Emission { json: json.into(), wants_ack: true, timeout_ms, ..Emission::default() };
        self.emit_from(self.main(), emission).expect("it is taken").expect("an ack").number()
    }

    pub(crate) fn volatile(&mut self, json: &str, unsent_bytes: usize) {
        let emission = Emission { json: json.into(), is_volatile: true, unsent_bytes, ..Emission::default() };
        assert_eq!(self.emit_from(self.main(), emission), Ok(None));
    }

    pub(crate) fn network(&mut self, change: NetworkChange) {
        self.handle(Input::Network(change));
    }

    // Actions of the other side, on the channel that was opened last.

    pub(crate) fn handle(&mut self, input: Input) {
        self.note(&input);
        self.client.handle(self.now(), input);
        self.take_outputs();
    }

    fn note(&mut self, input: &Input) {
        let (channel, is_websocket) = match input {
            Input::Opened(channel) | Input::Text(channel, _) | Input::Binary(channel, _) => (channel, true),
            Input::Closed { channel, .. } => (channel, true),
            Input::Response { channel, .. } | Input::Failed(channel) => (channel, false),
            _ => return,
        };
        let Some(carrier) = self.channels.get_mut(channel) else { return };
        // No shell reports such an input for this kind of channel.
        if is_websocket == (carrier.kind == CarrierKind::WebSocket) {
            carrier.is_open = true;
            carrier.has_ended |=
                matches!(input, Input::Closed { .. } | Input::Response { .. } | Input::Failed(_));
        }
    }

    /// The last WebSocket opens.
    pub(crate) fn opened(&mut self) {
        let channel = self.last(CarrierKind::WebSocket);
        self.handle(Input::Opened(channel));
    }

    /// The last WebSocket brings a text.
    pub(crate) fn text(&mut self, text: &str) {
        let channel = self.last(CarrierKind::WebSocket);
        self.handle(Input::Text(channel, text.into()));
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        let channel = self.last(CarrierKind::WebSocket);
        self.handle(Input::Binary(channel, bytes.into()));
    }

    /// The last WebSocket ends.
    pub(crate) fn closed(&mut self, code: u16) {
        let channel = self.last(CarrierKind::WebSocket);
        self.handle(Input::Closed { channel, code, reason: String::new() });
    }

    /// The last GET is answered with these packets.
    pub(crate) fn polled(&mut self, packets: &[&str]) {
        let channel = self.last(CarrierKind::Get);
        let body = packets.join("\x1e");
        self.handle(Input::Response { channel, status: 200, retry_after_ms: None, body });
    }

    /// The last POST is taken.
    pub(crate) fn posted(&mut self) {
        let channel = self.last(CarrierKind::Post);
        self.handle(Input::Response { channel, status: 200, retry_after_ms: None, body: "ok".into() });
    }

    /// The last GET is refused.
    pub(crate) fn refused(&mut self, status: u16, retry_after_ms: Option<u64>) {
        self.refused_with(status, retry_after_ms, "");
    }

    /// The last GET is answered with a status and a body that says why.
    pub(crate) fn refused_with(&mut self, status: u16, retry_after_ms: Option<u64>, body: &str) {
        let channel = self.last(CarrierKind::Get);
        self.handle(Input::Response { channel, status, retry_after_ms, body: body.into() });
    }

    /// The last GET fails.
    pub(crate) fn failed(&mut self) {
        let channel = self.last(CarrierKind::Get);
        self.handle(Input::Failed(channel));
    }

    /// The last channel of a kind.
    pub(crate) fn last(&self, kind: CarrierKind) -> Channel {
        let carrier = self.channels.iter().rev().find(|(_, carrier)| carrier.kind == kind);
        *carrier.unwrap_or_else(|| panic!("no {kind:?} yet")).0
    }

    fn carrier(&mut self, channel: Channel) -> &mut Carrier {
        self.channels.get_mut(&channel).expect("a channel the client has named")
    }

    // Openings of stories.

    /// Connected by WebSocket to the node `s1`; nothing of it is noted.
    pub(crate) fn on_websocket(mut self) -> Harness {
        self.connect();
        self.accept_websocket("s1.x");
        self
    }

    /// The last WebSocket opens, and a session on it, of a server that names no node.
    pub(crate) fn opens_session(&mut self) {
        self.opened();
        self.text(&handshake("x", ""));
    }

    /// The last WebSocket opens a session and joins the main namespace.
    pub(crate) fn accept_websocket(&mut self, sid: &str) {
        self.opened();
        self.text(&handshake(sid, ""));
        self.text(r#"40{"sid":"me"}"#);
        self.lines();
    }

    /// Connected by polling to the node `s1`, which offers these upgrades, with a GET under way.
    pub(crate) fn on_polling(self, upgrades: &str) -> Harness {
        self.on_polling_as("s1.x", upgrades)
    }

    pub(crate) fn on_polling_as(mut self, sid: &str, upgrades: &str) -> Harness {
        self.connect();
        self.polled(&[&handshake(sid, upgrades)]);
        self.posted();
        self.polled(&[r#"40{"sid":"me"}"#]);
        self.lines();
        self
    }

    // Time.

    /// Lets so much time pass, and whatever becomes due in it happen when it is due.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(at) = self.client.poll_timeout().filter(|at| at.as_ms() <= until) {
            self.now_ms = self.now_ms.max(at.as_ms());
            self.timer();
        }
        self.now_ms = until;
    }

    /// As `pass`, but timers are held up until the end of it.
    pub(crate) fn sleep(&mut self, ms: u64) {
        self.now_ms += ms;
        self.timer();
    }

    /// Goes on to the next thing that is due; how long that took.
    pub(crate) fn pass_to_deadline(&mut self) -> u64 {
        let at = self.client.poll_timeout().expect("something is due").as_ms();
        let ms = at.saturating_sub(self.now_ms);
        self.pass(ms);
        ms
    }

    /// Does what is due now, if anything is.
    pub(crate) fn timer(&mut self) {
        self.client.handle_timeout(self.now());
        self.take_outputs();
        let next = self.client.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now()), "{next:?} is not after {}", self.now_ms);
    }

    // Observations of a story.

    /// The outputs since the last look, as lines.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let lines = self.outputs.iter().map(text::of).collect();
        self.outputs.clear();
        lines
    }

    /// The packets sent on WebSockets and in POSTs since the last look, and nothing else.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        self.outputs.drain(..).flat_map(|output| packets_of(&output)).collect()
    }

    /// Nothing is under way and nothing is left open.
    pub(crate) fn assert_idle(&self) {
        assert!(self.client.is_idle(), "it is not idle");
        assert_eq!(self.client.poll_timeout(), None);
        let live: Vec<_> = self.channels.iter().filter(|(_, carrier)| carrier.is_live()).collect();
        assert!(live.is_empty(), "{live:?}");
    }

    // Outputs.

    pub(crate) fn take_outputs(&mut self) {
        while let Some(output) = self.client.poll_output() {
            self.check(&output);
            match output {
                Output::WantAuth(socket, ticket) if !self.gives_auth => {
                    self.client.authorize(self.now(), socket, ticket, "");
                    continue;
                }
                Output::WantAuth(socket, ticket) => self.tickets.push((socket, ticket)),
                _ => {}
            }
            self.outputs.push(output);
        }
    }

    fn check(&mut self, output: &Output) {
        match output {
            Output::Open(channel, url) => self.begin(*channel, CarrierKind::WebSocket, url),
            Output::Get(channel, url) => self.begin(*channel, CarrierKind::Get, url),
            Output::Post(channel, url, body) => {
                assert!(!body.is_empty(), "an empty POST");
                self.begin(*channel, CarrierKind::Post, url);
            }
            Output::Send(channel, _) => {
                let carrier = self.carrier(*channel);
                assert!(carrier.is_live() && carrier.is_open, "sent on {channel:?}: {carrier:?}");
            }
            Output::Close(channel) | Output::Abort(channel) => {
                let is_websocket = matches!(output, Output::Close(_));
                let carrier = self.carrier(*channel);
                assert_eq!(is_websocket, carrier.kind == CarrierKind::WebSocket);
                assert!(!carrier.is_given_up, "{channel:?} given up twice");
                carrier.is_given_up = true;
            }
            _ => {}
        }
    }

    fn begin(&mut self, channel: Channel, kind: CarrierKind, url: &str) {
        if kind != CarrierKind::WebSocket && url.contains("sid=") {
            let mut others = self.channels.values();
            let is_alone =
                !others.any(|carrier| carrier.kind == kind && carrier.is_live() && carrier.url == url);
            assert!(is_alone, "a second {kind:?} of {url}");
        }
        let url = url.into();
        let carrier = Carrier { kind, url, is_open: false, has_ended: false, is_given_up: false };
        assert!(self.channels.insert(channel, carrier).is_none(), "{channel:?} was used before");
    }
}

/// An open packet.
pub(crate) fn handshake(sid: &str, upgrades: &str) -> String {
    format!(
        r#"0{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}}"#
    )
}

/// The one upgrade there is.
pub(crate) const UPGRADE: &str = r#""websocket""#;

fn packets_of(output: &Output) -> Vec<String> {
    match output {
        Output::Send(_, frame) => vec![text::packet(frame)],
        Output::Post(_, _, body) => body.split('\x1e').map(String::from).collect(),
        _ => Vec::new(),
    }
}
