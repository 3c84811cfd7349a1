//! The client: one connection to one server, kept up, and the sockets that share it.
//!
//! Owns the sockets' ways through their namespaces, the order of what is told, and what is due. When there is a
//! connection is decided in `link.rs`; what sockets send and are sent is in `traffic.rs`. It never parses a packet.

pub(crate) mod link;
mod traffic;

use crate::{
    AckError, Details, Input, Options, Output, SocketIndex, Ticket, Time, TransportKind,
    backoff::{Backoff, Entropy},
    client::link::Link,
    engine::closing::Closing,
    engine::{End, Engine, EngineEvent, Env},
    output_queue::OutputQueue,
    socket::acks::Waiter,
    socket::reassembly::Reassembly,
    socket::{Socket, State},
};
use alloc::{string::String, vec, vec::Vec};
use moorline_protocol::{Reason, socket::packet};

/// Goodbyes under way at a time; the oldest is cut short.
const CLOSING_MAX: usize = 4;

/// One connection and its sockets; see the crate's documentation.
#[derive(Debug)]
pub struct Client {
    pub(crate) options: Options,
    pub(crate) outputs: OutputQueue,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) link: Link,
    pub(crate) reassembly: Reassembly,
    pub(crate) last_awaited_ack: u32,
    pub(crate) entropy: Entropy,
    pub(crate) backoff: Backoff,
    /// The node to ask for at the next attempt.
    pub(crate) preferred_node: Option<String>,
    pub(crate) last_transport: Option<TransportKind>,
    pub(crate) is_online: bool,
    /// Until then the server asked to be left alone.
    pub(crate) not_before: Time,
    /// Attempts to reconnect since the last connection.
    pub(crate) attempts: u32,
    last_ticket: u32,
    closing: Vec<Closing>,
}

impl Client {
    /// A client that does nothing until a socket is to connect.
    pub fn new(options: Options) -> Client {
        Client {
            entropy: Entropy::new(options.seed),
            preferred_node: options.node.clone(),
            last_transport: options.last_transport,
            options,
            outputs: OutputQueue::default(),
            sockets: Vec::new(),
            link: Link::Idle,
            reassembly: Reassembly::default(),
            last_awaited_ack: 0,
            backoff: Backoff::default(),
            is_online: true,
            not_before: Time::default(),
            attempts: 0,
            last_ticket: 0,
            closing: Vec::new(),
        }
    }

    // Getters.

    /// The node this connection is on, if the server says so.
    pub fn node(&self) -> Option<&str> {
        self.engine().and_then(Engine::node)
    }

    /// How packets travel; `None` while there is no connection.
    pub fn transport(&self) -> Option<TransportKind> {
        self.engine().map(Engine::kind)
    }

    /// The transport that worked last.
    pub fn last_transport(&self) -> Option<TransportKind> {
        self.last_transport
    }

    /// Whether a socket is connected, or will be without being told.
    pub fn is_active(&self, socket: SocketIndex) -> bool {
        self.sockets.get(socket.0).is_some_and(|socket| socket.is_wanted)
    }

    /// Whether there is a connection, or is to be one: then the network matters.
    pub fn is_linked(&self) -> bool {
        !matches!(self.link, Link::Idle)
    }

    /// Whether nothing is under way and nothing is due: nobody needs to listen to anything for it.
    pub fn is_idle(&self) -> bool {
        matches!(self.link, Link::Idle) && self.closing.is_empty() && self.poll_timeout().is_none()
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        let link = match &self.link {
            Link::Idle => Time::NEVER,
            Link::Opening(attempt) => attempt.engine.deadline(),
            Link::Open { engine, .. } => engine.deadline(),
            Link::Waiting { until, .. } if self.is_online => *until,
            Link::Waiting { .. } => Time::NEVER,
        };
        let sockets = self.sockets.iter().map(Socket::deadline);
        let closing = self.closing.iter().map(|closing| closing.give_up_at);
        let next = sockets.chain(closing).fold(link, Time::min);
        (next != Time::NEVER).then_some(next)
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    // Commands.

    /// A new socket of a namespace. `retries` and `ack_timeout_ms` are as in the stock client.
    pub fn add_socket(
        &mut self,
        namespace: String,
        retries: Option<u32>,
        ack_timeout_ms: Option<u64>,
    ) -> SocketIndex {
        self.sockets.push(Socket::new(namespace, retries, ack_timeout_ms));
        SocketIndex(self.sockets.len() - 1)
    }

    /// The socket is to be connected, and to stay so.
    pub fn connect(&mut self, now: Time, index: SocketIndex) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        socket.is_wanted = true;
        match self.link {
            // Nor does leaving and coming back overtake what the server asked for.
            Link::Idle if self.not_before > now => {
                self.link = Link::Waiting { until: self.not_before, is_retry: false };
            }
            Link::Idle => self.begin(now, false),
            // Who asks now does not want to wait.
            Link::Waiting { .. } => self.retry_now(now),
            Link::Opening(_) => {}
            Link::Open { .. } => {
                if let State::Abandoned { give_up_at } = &mut socket.state {
                    *give_up_at = now.plus_ms(self.options.timeout_ms);
                }
                self.request_auth(index);
            }
        }
    }

    /// The socket is to be connected no more.
    pub fn disconnect(&mut self, now: Time, index: SocketIndex) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        socket.is_wanted = false;
        if socket.is_connected() {
            self.send_disconnect(index);
        }
        self.disconnected(now, index, Reason::ClientNamespaceDisconnect, None);
        self.close_if_unwanted(now);
    }

    pub(crate) fn send_disconnect(&mut self, index: SocketIndex) {
        let Some(socket) = self.sockets.get(index.0) else { return };
        self.send(vec![packet::disconnect(&socket.namespace)]);
    }

    /// What to join a namespace with: a JSON object, or nothing. An answer to an old question is ignored.
    pub fn authorize(&mut self, now: Time, index: SocketIndex, ticket: Ticket, auth: &str) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        // Only while connected does anybody ask.
        if socket.state == State::AwaitingAuth(ticket) {
            socket.state = State::Connecting { give_up_at: now.plus_ms(self.options.timeout_ms) };
            let packet = packet::connect(&socket.namespace, auth);
            self.send(vec![packet]);
        }
    }

    /// What to join a namespace with could not be had; the question comes again later. Returns whether it was still
    /// asked: to an old question that makes no difference.
    pub fn auth_failed(&mut self, now: Time, index: SocketIndex, ticket: Ticket) -> bool {
        let socket =
            self.sockets.get_mut(index.0).filter(|socket| socket.state == State::AwaitingAuth(ticket));
        let Some(socket) = socket else { return false };
        socket.state = State::Idle;
        let delay_ms = socket.backoff.next_ms(&self.options, &mut self.entropy);
        socket.auth_retry_at = Some(now.plus_ms(delay_ms));
        true
    }

    // What happened.

    /// Takes one thing that happened.
    pub fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Network(change) => self.network_changed(now, change),
            // An attempt has handed nothing out yet: that was a message of the connection before.
            Input::Unreadable if self.engine().is_none() => {}
            Input::Unreadable => self.link_ended(now, &End::parse_error("a message is not readable")),
            input => {
                let outputs = &mut self.outputs;
                self.closing.retain_mut(|closing| !closing.handle(&input, outputs));
                self.with_engine(now, |engine, env| engine.handle(input, env));
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.abort_closing(now, CLOSING_MAX);
        if let Link::Waiting { until, is_retry } = self.link
            && until <= now
            && self.is_online
        {
            self.begin(now, is_retry);
        }
        self.with_engine(now, Engine::handle_timeout);
        for index in (0..self.sockets.len()).map(SocketIndex) {
            self.socket_timeout(now, index);
        }
    }

    /// Lets the session take something, and takes what it has to tell.
    fn with_engine(&mut self, now: Time, take: impl FnOnce(&mut Engine, &mut Env<'_>) -> Result<(), End>) {
        let engine = match &mut self.link {
            Link::Opening(attempt) => &mut attempt.engine,
            Link::Open { engine, .. } => engine,
            Link::Idle | Link::Waiting { .. } => return,
        };
        let mut events = Vec::new();
        let mut env = Env { now, options: &self.options, outputs: &mut self.outputs, events: &mut events };
        let outcome = take(engine, &mut env);
        for event in events {
            let outcome = self.engine_event(now, event);
            if let Err(end) = outcome {
                return self.link_ended(now, &end);
            }
            // What it told may have been the end of it: nobody wants it any more.
            if !matches!(self.link, Link::Open { .. }) {
                return;
            }
        }
        if let Err(end) = outcome {
            self.link_ended(now, &end);
        }
    }

    fn engine_event(&mut self, now: Time, event: EngineEvent) -> Result<(), End> {
        match event {
            EngineEvent::Opened => self.link_opened(now),
            EngineEvent::Upgraded => {
                self.last_transport = Some(TransportKind::WebSocket);
                self.outputs.push(Output::LinkUpgraded(TransportKind::WebSocket));
            }
            EngineEvent::Packet(text) => {
                let whole = self.reassembly.text(&text, &self.options).map_err(End::parse_error)?;
                return whole.map_or(Ok(()), |packet| self.packet(now, packet));
            }
            EngineEvent::Binary(bytes) => {
                let whole = self.reassembly.binary(bytes, &self.options).map_err(End::parse_error)?;
                return whole.map_or(Ok(()), |packet| self.packet(now, packet));
            }
            EngineEvent::Alive => {
                for index in (0..self.sockets.len()).map(SocketIndex) {
                    self.release(now, index);
                    self.work_off_queue(now, index);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn request_auth(&mut self, index: SocketIndex) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        if socket.state == State::Idle {
            self.last_ticket = self.last_ticket.wrapping_add(1);
            socket.state = State::AwaitingAuth(Ticket(self.last_ticket));
            socket.auth_retry_at = None;
            self.outputs.push(Output::WantAuth(index, Ticket(self.last_ticket)));
        }
    }

    pub(crate) fn connect_error(&mut self, socket: SocketIndex, details: Details) {
        let message = details.description;
        self.outputs.push(Output::ConnectError { socket, message, refusal: None, details: Some(details) });
    }

    /// The socket is connected no more: its owner hears so, and whoever awaits an answer to what was sent.
    pub(crate) fn disconnected(
        &mut self,
        now: Time,
        index: SocketIndex,
        reason: Reason,
        details: Option<Details>,
    ) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        if socket.is_connected() {
            self.outputs.push(Output::Disconnected(index, in_words(reason), details));
        }
        socket.reset();
        for (_, waiter) in socket.acks.end_sent() {
            self.ack_failed(now, index, waiter, AckError::Disconnected);
        }
    }

    /// Closes a connection that nobody outputs any more.
    pub(crate) fn close_if_unwanted(&mut self, now: Time) {
        if self.sockets.iter().any(|socket| socket.is_wanted) {
            return;
        }
        self.attempts = 0;
        match core::mem::replace(&mut self.link, Link::Idle) {
            Link::Opening(mut attempt) => attempt.engine.abandon(&mut self.outputs),
            Link::Open { engine, .. } => {
                self.reassembly.reset();
                self.abort_closing(now, CLOSING_MAX - 1);
                self.closing.extend(engine.close(now, &mut self.outputs));
                self.outputs.push(Output::LinkClosed(in_words(Reason::ClientNamespaceDisconnect), None));
            }
            Link::Idle | Link::Waiting { .. } => {}
        }
    }

    /// Ends the goodbyes that take too long, and the oldest beyond so many.
    fn abort_closing(&mut self, now: Time, most: usize) {
        let excess = self.closing.len().saturating_sub(most);
        let outputs = &mut self.outputs;
        let mut at = 0;
        self.closing.retain_mut(|closing| {
            at += 1;
            let is_kept = at > excess && closing.give_up_at > now;
            if !is_kept {
                closing.abort(outputs);
            }
            is_kept
        });
    }

    fn socket_timeout(&mut self, now: Time, index: SocketIndex) {
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        for (id, waiter) in socket.acks.end_due(now) {
            // What still waits to be sent for it is not sent any more.
            if let Some(socket) = self.sockets.get_mut(index.0) {
                socket.send_buffer.remove(id);
            }
            self.ack_failed(now, index, waiter, AckError::Timeout);
        }
        let Some(socket) = self.sockets.get_mut(index.0) else { return };
        if socket.auth_retry_at.is_some_and(|at| at <= now) {
            socket.auth_retry_at = None;
            self.request_auth(index);
        } else if let State::Connecting { give_up_at } | State::Abandoned { give_up_at } = socket.state
            && give_up_at <= now
        {
            self.connect_timed_out(now, index);
        }
    }

    /// The server took the connection but never answered for the namespace.
    fn connect_timed_out(&mut self, now: Time, index: SocketIndex) {
        let end = End::new(Reason::TransportError, "timeout");
        if !self.sockets.iter().any(Socket::is_connected) {
            return self.link_ended(now, &end);
        }
        // The others are well: only this one is lost.
        if let Some(socket) = self.sockets.get_mut(index.0) {
            if matches!(socket.state, State::Abandoned { .. }) {
                // The answer to an earlier CONNECT is not waited for any longer.
                socket.state = State::Idle;
                return self.request_auth(index);
            }
            socket.is_wanted = false;
            socket.reset();
        }
        self.connect_error(index, end.details);
    }

    /// Tells whoever awaits a call that there is no answer.
    pub(crate) fn ack_failed(&mut self, now: Time, index: SocketIndex, waiter: Waiter, error: AckError) {
        match waiter {
            Waiter::Caller(ack) => self.outputs.push(Output::AckFailed(ack, error)),
            Waiter::Queue => self.queue_failed(now, index, error),
        }
    }

    pub(crate) fn engine(&self) -> Option<&Engine> {
        match &self.link {
            Link::Open { engine, .. } => Some(engine),
            Link::Idle | Link::Opening(_) | Link::Waiting { .. } => None,
        }
    }
}

/// A reason as clients know it: where the reference's server and client say it differently, as its client does.
fn in_words(reason: Reason) -> &'static str {
    match reason {
        Reason::ClientNamespaceDisconnect => "io client disconnect",
        Reason::ServerNamespaceDisconnect => "io server disconnect",
        other => other.as_str(),
    }
}
