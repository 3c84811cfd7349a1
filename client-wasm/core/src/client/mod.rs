//! The client: one connection to one server, kept up, and the sockets that share it.
//!
//! Owns the API, the lifecycle of the sockets, the order of outputs, and the deadlines. It never parses a packet. The
//! connection is in `connection.rs`, sending in `sending.rs`, receiving in `receiving.rs`.

mod connection;
mod receiving;
mod sending;

use crate::{
    AckError, Details, DisconnectReason, Failure, Input, Options, Output, SocketKey, SocketOptions, Ticket,
    Time,
    backoff::{Backoff, Entropy},
    engine::{Closing, End, Engine, EngineEvent, Env},
    link::Link,
    output_queue::OutputQueue,
    socket::{AckId, AwaitedAckCount, Reassembly, Socket, State, Tickets, Waiter},
    sockets::Sockets,
};
use alloc::{string::String, vec, vec::Vec};
use moorline_protocol::{TransportKind, socket};

/// The most sessions that are being closed at a time; one more aborts the oldest.
const CLOSING_MAX: usize = 4;

/// One connection to one server, and the sockets that share it.
///
/// # Contract
///
/// The client does nothing by itself; a *shell* around it owns the WebSockets, requests and the timer.
///
/// **Time.** Inputs and commands come with the time, except `add_socket` and `ack`, which need none. It never goes
/// back; a step of any length is fine.
///
/// **The loop.** After each command or input the shell calls [`poll_output`](Client::poll_output) until it returns
/// `None`, and only then sleeps: until something happens, or until [`poll_timeout`](Client::poll_timeout), whichever
/// comes first. When that time has come it calls [`handle_timeout`](Client::handle_timeout), after which the next
/// deadline lies in the future. A call that comes early does nothing.
///
/// **Order.** Outputs are done one by one in the order in which they come. The inputs of one
/// [`Channel`](crate::Channel) are handed in in the order of the network; those of two channels may be handed in in
/// any order.
///
/// **Obligations.** `Open` obliges the shell to report `Opened` once the WebSocket is open. `Open`, `Get` and `Post`
/// oblige it to report the end of that channel once, by `Closed` for a WebSocket and by `Response`, `Failed` or
/// `TooBig` for a request, unless the client gives it up first by `Close` or `Abort`. A message of a WebSocket that is
/// larger than `message_bytes_max` is reported by `TooBig` in its place. An `Event` or `Acked` that the shell cannot
/// read is reported by `Unreadable`. `Send` needs no report: a failure shows as `Closed`. `Close` lets earlier packets
/// go out, `Abort` does not wait. Inputs of a channel that has ended or was given up are ignored. `WantAuth` obliges it
/// to call [`authorize`](Client::authorize) or [`auth_failed`](Client::auth_failed) with that ticket, now or later. The
/// others are events for the owner of the sockets.
///
/// **Re-entrancy.** Commands may be called between two outputs, as by a handler of one of them: their outputs come
/// after those that wait already. No output is about a command that has not returned.
///
/// **Ends.** Each acknowledgement that [`emit`](Client::emit) returned ends once, by `Acked` or `AckFailed`, and
/// never inside `emit`. A socket is `Connected` and `Disconnected` in turn; events that came before the reply to its
/// CONNECT are handed out before `Connected`. A client that [`is_idle`](Client::is_idle), once its outputs are taken,
/// has no channel, no deadline and no output of its own accord any more, and may be dropped or connected again.
///
/// **Errors.** Inputs never fail: an error of the server ends the connection with a reason. Equal commands and inputs
/// at equal times, with equal options (the seed is one), give equal outputs.
///
/// # Example
///
/// A whole run loop, with a server in memory in place of a WebSocket:
///
/// ```
/// use moorline_client_core::{Channel, Client, Emission, Input, Options, Output, SocketOptions, Time};
/// use moorline_protocol::Frame;
/// use std::collections::VecDeque;
///
/// /// A server that accepts every WebSocket and acknowledges the first event.
/// fn serve(channel: Channel, packet: Option<&Frame>) -> Option<Input> {
///     let reply = match packet.map(Frame::as_packet) {
///         None => r#"0{"sid":"s1.a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#,
///         Some(b"40") => r#"40{"sid":"me"}"#,
///         Some(br#"420["hello"]"#) => r#"430["hi"]"#,
///         Some(_) => return None,
///     };
///     Some(Input::Text(channel, reply.into()))
/// }
///
/// let mut client = Client::new(Options::new("https://example.org/socket.io/".into()));
/// let mut now = Time::from_ms(0);
/// let mut arriving = VecDeque::new();
///
/// let socket = client.add_socket("/".into(), SocketOptions::default());
/// client.connect(now, socket);
/// let hello = Emission { json: r#""hello""#.into(), wants_ack: true, ..Emission::default() };
/// let awaited = client.emit(now, socket, hello).expect("there is room");
/// let mut acked = None;
///
/// loop {
///     while let Some(output) = client.poll_output() {
///         match output {
///             Output::Open(channel, _url) => {
///                 arriving.push_back(Input::Opened(channel));
///                 arriving.extend(serve(channel, None));
///             }
///             Output::Send(channel, frame) => arriving.extend(serve(channel, Some(&frame))),
///             Output::Close(_) => arriving.clear(),
///             Output::WantAuth(socket, ticket) => client.authorize(now, socket, ticket, ""),
///             Output::Acked { ack, json, .. } => {
///                 assert_eq!(Some(ack), awaited);
///                 acked = Some(json);
///                 client.disconnect(now, socket);
///             }
///             Output::Get(..) | Output::Post(..) | Output::Abort(_) => unreachable!("the WebSocket works"),
///             event => println!("{event:?}"),
///         }
///     }
///     match (arriving.pop_front(), client.poll_timeout()) {
///         (Some(input), _) => client.handle(now, input),
///         (None, Some(at)) => {
///             now = at; // A real shell sleeps until then.
///             client.handle_timeout(now);
///         }
///         (None, None) => break,
///     }
/// }
/// assert!(client.is_idle());
/// assert_eq!(acked.as_deref(), Some(r#"["hi"]"#));
/// ```
#[derive(Debug)]
pub struct Client {
    options: Options,
    outputs: OutputQueue,
    sockets: Sockets,
    link: Link,
    reassembly: Reassembly,
    closing: Vec<Closing>,
    tickets: Tickets,
    awaited_acks: AwaitedAckCount,
    entropy: Entropy,
    backoff: Backoff,
    /// The node to ask for at the next attempt.
    preferred_node: Option<String>,
    last_transport: Option<TransportKind>,
    is_online: bool,
    /// The end of the last `Retry-After`.
    not_before: Time,
    /// Attempts to reconnect since the last connection.
    attempts: u32,
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
            sockets: Sockets::default(),
            link: Link::Idle,
            reassembly: Reassembly::default(),
            closing: Vec::new(),
            tickets: Tickets::default(),
            awaited_acks: AwaitedAckCount::default(),
            backoff: Backoff::default(),
            is_online: true,
            not_before: Time::default(),
            attempts: 0,
        }
    }

    // Getters.

    /// The node this connection is on, if the server says so.
    pub fn node(&self) -> Option<&str> {
        self.link.engine().and_then(Engine::node)
    }

    /// How packets travel; `None` while there is no connection.
    pub fn transport(&self) -> Option<TransportKind> {
        self.link.engine().map(Engine::kind)
    }

    /// The last transport that connected.
    pub fn last_transport(&self) -> Option<TransportKind> {
        self.last_transport
    }

    /// Whether a socket is connected, or will be without another command.
    pub fn is_active(&self, socket: SocketKey) -> bool {
        self.sockets.get(socket).is_some_and(|socket| socket.is_wanted)
    }

    /// Whether there is a connection, or is to be one: then the network matters.
    pub fn is_linked(&self) -> bool {
        !matches!(self.link, Link::Idle)
    }

    /// Whether nothing is under way and nothing is due: the shell may let go of everything it holds for this client.
    pub fn is_idle(&self) -> bool {
        matches!(self.link, Link::Idle) && self.closing.is_empty() && self.poll_timeout().is_none()
    }

    /// When `handle_timeout` is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let link = self.link.deadline(self.is_online);
        let sockets = self.sockets.iter().map(Socket::deadline);
        let closing = self.closing.iter().map(|closing| closing.give_up_at);
        let next = sockets.chain(closing).fold(link, Time::min);
        (next != Time::NEVER).then_some(next)
    }

    /// The next thing to do, in order.
    #[must_use = "an output that is not done breaks the contract"]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    // Commands.

    /// Adds a socket of a namespace, which is not connected yet.
    pub fn add_socket(&mut self, namespace: String, options: SocketOptions) -> SocketKey {
        self.sockets.insert(namespace, options)
    }

    /// Connects a socket and keeps it connected.
    pub fn connect(&mut self, now: Time, key: SocketKey) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        socket.is_wanted = true;
        match self.link {
            // Disconnecting and connecting does not get around `Retry-After`.
            Link::Idle if self.not_before > now => {
                self.link = Link::Waiting { until: self.not_before, is_retry: false };
            }
            Link::Idle => self.begin(now, false),
            Link::Waiting { .. } => self.retry_now(now),
            Link::Opening(_) => {}
            Link::Open { .. } => {
                if let State::Abandoned { give_up_at } = &mut socket.state {
                    *give_up_at = now.plus_ms(self.options.timeout_ms);
                }
                self.request_auth(key);
            }
        }
    }

    /// Disconnects a socket. The connection is closed with the last one.
    pub fn disconnect(&mut self, now: Time, key: SocketKey) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        socket.is_wanted = false;
        if socket.is_connected() {
            self.send_disconnect(key);
        }
        self.disconnected(now, key, DisconnectReason::ClientDisconnect, None);
        self.close_if_unwanted(now);
    }

    /// Gives the auth payload of a `WantAuth`: a JSON object, or nothing. A ticket that is not current is ignored.
    pub fn authorize(&mut self, now: Time, key: SocketKey, ticket: Ticket, auth: &str) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        // The state implies an open connection.
        if socket.state == State::AwaitingAuth(ticket) {
            socket.state = State::Connecting { give_up_at: now.plus_ms(self.options.timeout_ms) };
            let packet = socket::connect(&socket.namespace, auth);
            self.send(vec![packet]);
        }
    }

    /// Reports that there is no auth payload for a `WantAuth`, which then comes again after a delay. Returns whether
    /// the ticket was current: otherwise the failure is of no interest to anybody.
    pub fn auth_failed(&mut self, now: Time, key: SocketKey, ticket: Ticket) -> bool {
        let socket = self.sockets.get_mut(key).filter(|socket| socket.state == State::AwaitingAuth(ticket));
        let Some(socket) = socket else { return false };
        socket.state = State::Idle;
        let delay_ms = socket.backoff.next_ms(&self.options, &mut self.entropy);
        socket.auth_retry_at = Some(now.plus_ms(delay_ms));
        true
    }

    // Inputs.

    /// Takes one input.
    pub fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Network(change) => self.network_changed(now, change),
            // An attempt has handed nothing out yet: the message was of the previous connection.
            Input::Unreadable if self.link.engine().is_none() => {}
            Input::Unreadable => self.link_ended(now, &End::parse_error(Failure::UNREADABLE_MESSAGE)),
            input => {
                let outputs = &mut self.outputs;
                self.closing.retain_mut(|closing| !closing.handle(&input, outputs));
                self.with_engine(now, |engine, env| engine.handle(input, env));
            }
        }
    }

    /// Does everything that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.abort_closing(now, CLOSING_MAX);
        if let Link::Waiting { until, is_retry } = self.link
            && until <= now
            && self.is_online
        {
            self.begin(now, is_retry);
        }
        self.with_engine(now, Engine::handle_timeout);
        for key in self.sockets.keys() {
            self.socket_timeout(now, key);
        }
    }

    /// Lets the session handle something, and takes its events.
    fn with_engine(&mut self, now: Time, take: impl FnOnce(&mut Engine, &mut Env<'_>) -> Result<(), End>) {
        let Some(engine) = self.link.receiver() else { return };
        let mut events = Vec::new();
        let mut env = Env { now, options: &self.options, outputs: &mut self.outputs, events: &mut events };
        let outcome = take(engine, &mut env);
        for event in events {
            let outcome = self.engine_event(now, event);
            if let Err(end) = outcome {
                return self.link_ended(now, &end);
            }
            // The event may have closed the connection: its last socket left.
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
            EngineEvent::Responsive => {
                for key in self.sockets.keys() {
                    self.release(now, key);
                    self.work_off_queue(now, key);
                }
            }
        }
        Ok(())
    }

    // The lifecycle of a socket.

    /// Requests the auth payload, if the namespace can be joined now.
    fn request_auth(&mut self, key: SocketKey) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        if socket.state == State::Idle {
            let ticket = self.tickets.next();
            socket.state = State::AwaitingAuth(ticket);
            socket.auth_retry_at = None;
            self.outputs.push(Output::WantAuth(key, ticket));
        }
    }

    fn connect_error(&mut self, socket: SocketKey, details: Details) {
        let failure = details.failure;
        self.outputs.push(Output::ConnectError { socket, failure, refusal: None, details: Some(details) });
    }

    fn send_disconnect(&mut self, key: SocketKey) {
        let Some(socket) = self.sockets.get(key) else { return };
        self.send(vec![socket::disconnect(&socket.namespace)]);
    }

    /// A socket is not connected any more: tells its owner, and fails the acks of the events that were sent.
    fn disconnected(
        &mut self,
        now: Time,
        key: SocketKey,
        reason: DisconnectReason,
        details: Option<Details>,
    ) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        if socket.is_connected() {
            self.outputs.push(Output::Disconnected(key, reason, details));
        }
        socket.reset();
        for (_, waiter) in socket.acks.end_sent() {
            self.ack_failed(now, key, waiter, AckError::Disconnected);
        }
    }

    fn socket_timeout(&mut self, now: Time, key: SocketKey) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        for (id, waiter) in socket.acks.end_due(now) {
            self.ack_timed_out(now, key, id, waiter);
        }
        let Some(socket) = self.sockets.get_mut(key) else { return };
        if socket.auth_retry_at.is_some_and(|at| at <= now) {
            socket.auth_retry_at = None;
            self.request_auth(key);
        } else if let State::Connecting { give_up_at } | State::Abandoned { give_up_at } = socket.state
            && give_up_at <= now
        {
            self.connect_timed_out(now, key);
        }
    }

    fn ack_timed_out(&mut self, now: Time, key: SocketKey, id: AckId, waiter: Waiter) {
        // An event that still waits for the connection is not sent any more.
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.send_buffer.remove(id);
        }
        self.ack_failed(now, key, waiter, AckError::Timeout);
    }

    /// The server took the connection but never replied to CONNECT.
    fn connect_timed_out(&mut self, now: Time, key: SocketKey) {
        let end = End::new(DisconnectReason::TransportError, Failure::TIMEOUT);
        if !self.sockets.iter().any(Socket::is_connected) {
            return self.link_ended(now, &end);
        }
        // Other sockets are connected: only this one is lost.
        if let Some(socket) = self.sockets.get_mut(key) {
            if matches!(socket.state, State::Abandoned { .. }) {
                // The reply to the earlier CONNECT is not waited for any longer.
                socket.state = State::Idle;
                return self.request_auth(key);
            }
            socket.is_wanted = false;
            socket.reset();
        }
        self.connect_error(key, end.details);
    }

    /// Tells the waiter of an acknowledgement that it will not come.
    fn ack_failed(&mut self, now: Time, key: SocketKey, waiter: Waiter, error: AckError) {
        match waiter {
            Waiter::Caller(ack) => self.outputs.push(Output::AckFailed(ack, error)),
            Waiter::Queue => self.queue_failed(now, key, error),
        }
    }

    // The end of the connection.

    /// Closes the connection once no socket wants it.
    fn close_if_unwanted(&mut self, now: Time) {
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
                self.outputs.push(Output::LinkClosed(DisconnectReason::ClientDisconnect, None));
            }
            Link::Idle | Link::Waiting { .. } => {}
        }
    }

    /// Aborts the closing sessions that take too long, and the oldest beyond so many.
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
}
