//! The tables of a node together, and the few steps that every move shares: enqueue, publish, append, complete.
//!
//! Owns the tables and the queue of outputs. It never decides what an input means; moves do.
//!
//! Invariants: a place in a table is only ever reached through a key that the table gave out or an id that is compared
//! whole; sessions are closed at the end of an input, never in the middle of a delivery.

use crate::{
    acks::{backends::BackendAcks, clients::ClientAcks, counts::Counts},
    backend::stream::Entry,
    cluster::{
        bus::Bus,
        subscriptions::{node_channel, room_channel},
    },
    deadlines::timers::{TimerKind, Timers},
    session::{
        connections::Connections, drain::Drain, entry::Session, late_polls::LatePolls, meter::Rates,
        sessions::Sessions, transport::Transport,
    },
    socket::{holds::Holds, namespaces::Namespaces, rooms::Rooms, sockets::Sockets},
    words::{
        args::Args,
        cause::{DropCause, PauseCause},
        code::Code,
        completion::Completion,
        config::Config,
        ids::{Entropy, NodeTag, Secret, SocketId, parse_session_id},
        input::Dialect,
        keys::{NamespaceKey, SessionKey},
        message::Message,
        numbers::Ticket,
        output::{Destination, Output, Publication},
        pending_ack::PendingAck,
        stats::Stats,
        time::Time,
    },
};
use alloc::{boxed::Box, collections::VecDeque, string::String, vec::Vec};
use moorline_protocol::{
    Reason,
    socket::{self, Envelope},
};

/// A heartbeat always fits: what others sent is judged by its own rules, above the reserves of those.
const HEARTBEAT_RESERVE_BYTES: usize = usize::MAX >> 1;
/// Answers that are cut still have to fit, and a client that reads none of them is not read from.
const ANSWERS_RESERVE_BYTES: usize = 256 << 10;

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) entropy: Box<dyn Entropy>,
    pub(crate) tag: NodeTag,
    /// The time of the input being handled.
    pub(crate) now: Time,
    pub(crate) rates: Rates,
    /// Whether the last call to handle deadlines left some that are due.
    pub(crate) has_overdue: bool,
    pub(crate) connections: Connections,
    pub(crate) sessions: Sessions,
    pub(crate) late_polls: LatePolls,
    pub(crate) sockets: Sockets,
    pub(crate) namespaces: Namespaces,
    pub(crate) rooms: Rooms,
    pub(crate) holds: Holds,
    pub(crate) timers: Timers,
    pub(crate) bus: Bus,
    pub(crate) counts: Counts,
    pub(crate) backend_acks: BackendAcks,
    pub(crate) client_acks: ClientAcks,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) stats: Stats,
    /// Set while draining.
    pub(crate) drain: Option<Drain>,
    /// Sockets that the application wants to disconnect at the end of this input.
    pub(crate) disconnecting: Vec<SocketId>,
    /// Sockets that have ended, which the application was not told yet.
    pub(crate) ended: Vec<Ended>,
    /// Outcomes that the application was not told yet.
    pub(crate) completions: Vec<Completion>,
}

/// A socket that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) socket: SocketId,
    pub(crate) namespace: NamespaceKey,
    pub(crate) reason: Reason,
}

impl State {
    pub(crate) fn new(config: Config, mut entropy: Box<dyn Entropy>, now: Time) -> State {
        let tag = NodeTag::random(&mut *entropy);
        let namespaces = Namespaces::new(&config.namespaces);
        let own_channel = config.cluster.as_ref().map(|channels| node_channel(channels, tag));
        let public_channel = config.cluster.as_ref().map(|channels| channels.public.clone());
        let outputs =
            [own_channel.clone(), public_channel].into_iter().flatten().map(Output::Subscribe).collect();
        State {
            rates: Rates::new(&config.limits),
            has_overdue: false,
            config,
            entropy,
            tag,
            now,
            connections: Connections::default(),
            sessions: Sessions::default(),
            late_polls: LatePolls::default(),
            sockets: Sockets::default(),
            namespaces,
            rooms: Rooms::default(),
            holds: Holds::default(),
            timers: Timers::default(),
            bus: Bus::new(own_channel),
            counts: Counts::default(),
            backend_acks: BackendAcks::default(),
            client_acks: ClientAcks::default(),
            outputs,
            stats: Stats::default(),
            drain: None,
            disconnecting: Vec::new(),
            ended: Vec::new(),
            completions: Vec::new(),
        }
    }

    pub(crate) fn insert_session(&mut self, transport: Transport, dialect: Dialect) -> SessionKey {
        let secret = Secret::random(&mut *self.entropy);
        let mut random = [0];
        self.entropy.fill(&mut random);
        self.stats.sessions_opened += 1;
        let session = Session::new(secret, transport, dialect, self.now, &self.config.limits, random[0]);
        self.sessions.insert(session)
    }

    /// The live session that `sid` names. One whose time is over is none, even before its deadline was handled.
    pub(crate) fn find_session(&self, sid: &str) -> Option<SessionKey> {
        self.sessions.find_live(parse_session_id(&self.config.name, sid)?, self.now)
    }

    /// Puts a message into a session's outbox. Returns false when the session is closing, or when the message does not
    /// fit: then the session is marked to be closed.
    pub(crate) fn enqueue(&mut self, key: SessionKey, message: &Message) -> bool {
        self.enqueue_within(key, message, 0)
    }

    /// The same for a message whose sender is elsewhere and cannot be made to wait: a session that reads may have
    /// more of those unsent.
    pub(crate) fn enqueue_from_elsewhere(&mut self, key: SessionKey, message: &Message) -> bool {
        let reserve_bytes = self.sessions[key].reserve_bytes(self.now, &self.config.limits);
        self.enqueue_within(key, message, reserve_bytes)
    }

    /// The same for a heartbeat, which is no reason to close a session that is full.
    pub(crate) fn enqueue_heartbeat(&mut self, key: SessionKey, message: &Message) -> bool {
        self.enqueue_within(key, message, HEARTBEAT_RESERVE_BYTES)
    }

    /// The same, with so many bytes above the bound.
    fn enqueue_within(&mut self, key: SessionKey, message: &Message, reserve_bytes: usize) -> bool {
        let session = &mut self.sessions[key];
        if session.is_closing() {
            return false;
        }
        let was_empty = session.outbox.is_empty();
        let bytes_max = session.outbox_bytes_max(&self.config.limits) + reserve_bytes;
        if session.outbox.push(message, bytes_max).is_err() {
            self.stats.drop(DropCause::SlowConsumer);
            self.sessions.mark_closing(key, Reason::SlowConsumer);
            return false;
        }
        if was_empty {
            self.outputs.extend(session.transport.writer().map(Output::Flush));
        }
        if self.sessions.update_crowded(key, &self.config.limits) {
            self.schedule_session(key);
        }
        true
    }

    /// Registers the session's next deadline.
    pub(crate) fn schedule_session(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        let deadline = session.deadline(&self.config.limits).max(self.now);
        self.timers.set(TimerKind::Session(key), &mut session.timer, Some(deadline));
    }

    /// The messages that wait for a recipient are looked at again at once: it took some of what it was sent before.
    pub(crate) fn hold_due_now(&mut self, recipient: SessionKey) {
        if let Some(hold) = self.holds.get_mut(recipient).filter(|hold| hold.is_on()) {
            self.timers.set(TimerKind::Hold(recipient), &mut hold.timer, Some(self.now));
        }
    }

    /// Sends an acknowledgement, unless the socket that waits for it is gone. One that its client has left no room for
    /// is cut to an error: an answer never ends the connection of whoever asked.
    pub(crate) fn acknowledge(&mut self, ack: PendingAck, args: &Args) {
        let Some(key) = self.sockets.find(ack.socket) else { return };
        let socket = &self.sockets[key];
        let (session, namespace) = (socket.session, &*self.namespaces[socket.namespace]);
        let attachments = args.attachments();
        let envelope = Envelope { namespace, ack: Some(ack.id.number()), attachments: attachments.len() };
        let frame = socket::ack(envelope, args.as_json());
        let mut message = Message::new(frame, attachments.to_vec());
        if message.len_bytes() > self.sessions[session].room_bytes(&self.config.limits) {
            self.stats.drop(DropCause::CutAnswer);
            let envelope = Envelope { attachments: 0, ..envelope };
            message = socket::ack(envelope, &Code::TooMany.to_json()).into();
        }
        if self.enqueue_answer(session, &message) {
            self.stats.events_out += 1;
        }
    }

    /// Puts an answer into the outbox of whoever asked; false as for [`State::enqueue`]. A client that asks for more
    /// than it reads is not read from until it has read some.
    pub(crate) fn enqueue_answer(&mut self, key: SessionKey, message: &Message) -> bool {
        let is_queued = self.enqueue_within(key, message, ANSWERS_RESERVE_BYTES);
        if is_queued && self.sessions[key].is_crowded() {
            let has_begun = self.sessions[key].pause.set_unread(true);
            self.pause_if(key, has_begun, PauseCause::UnreadAnswers);
        }
        is_queued
    }

    /// Counts a pause that has begun, and sets the client's clock aside.
    pub(crate) fn pause_if(&mut self, key: SessionKey, has_begun: bool, cause: PauseCause) {
        if has_begun {
            self.stats.pauses.add(cause);
            self.sessions[key].heartbeat.pause(self.now, self.config.limits.ping_interval);
        }
        self.schedule_session(key);
    }

    /// Hands an outcome to the application, unless the socket that waits for it is gone.
    pub(crate) fn complete(&mut self, ack: PendingAck, completion: Completion) {
        if let Some(key) = self.sockets.find(ack.socket) {
            self.sockets.end_ack(key);
            self.completions.push(completion);
        }
    }

    /// The channel on which the node `tag` receives what is for it alone; `None` for a node that is alone.
    pub(crate) fn node_channel(&self, tag: NodeTag) -> Option<String> {
        self.config.cluster.as_ref().map(|channels| node_channel(channels, tag))
    }

    /// The channel of a room; `None` for a node that is alone.
    pub(crate) fn room_channel(&self, namespace: NamespaceKey, room: &str) -> Option<String> {
        self.config.cluster.as_ref().map(|channels| room_channel(channels, &self.namespaces[namespace], room))
    }

    pub(crate) fn publish(&mut self, channel: String, payload: Vec<u8>, ticket: Option<Ticket>) {
        self.stats.bus_out += 1;
        self.stats.work += 1;
        let destination = Destination::Channel(channel);
        self.outputs.push_back(Output::Publish(Publication { destination, payload, ticket }));
    }

    pub(crate) fn publish_to_node(&mut self, tag: NodeTag, payload: Vec<u8>) {
        if let Some(channel) = self.node_channel(tag) {
            self.publish(channel, payload, None);
        }
    }

    /// Puts an entry onto the stream.
    ///
    /// # Errors
    /// [`Code::NoHandler`] without a backend, [`Code::BusDown`] without a way to it.
    pub(crate) fn append(&mut self, entry: &Entry<'_>, ticket: Option<Ticket>) -> Result<(), Code> {
        if !self.config.has_backend {
            return Err(Code::NoHandler);
        }
        if !self.bus.is_up() {
            self.stats.drop(DropCause::BackendLost);
            return Err(Code::BusDown);
        }
        let payload = entry.write(&self.config.name, &self.namespaces[entry.namespace]);
        self.stats.bus_out += 1;
        self.stats.work += 1;
        let destination = Destination::Stream;
        self.outputs.push_back(Output::Publish(Publication { destination, payload, ticket }));
        Ok(())
    }
}
