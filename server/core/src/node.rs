//! A node: told what happened and when, it says what it wants done.
//!
//! Owns the API and nothing else: four kinds of methods that never mix. Getters; `handle*`, which take what happened;
//! `poll_*`, which give what is wanted; `pull`, which gives frames to the connection that can send them.
//!
//! Invariant: no input fails, and its work is bounded by what the node holds; a peer that breaks the protocol is closed
//! and counted, and nobody else notices.

use crate::{
    app::{hooks::App, settle::settle},
    cluster::moves::bus_event,
    deadlines::{moves::advance, moves::due, timers::TimerKind},
    session::{
        moves::{
            blocked, connection_closed, open, poll, post, post_late, posted, pull, start_drain, transport_of,
            upgrade,
        },
        pausing::intake,
    },
    socket::packets::{binary, text},
    state::State,
    words::{
        config::Config,
        conn::ConnId,
        ids::{Entropy, NodeTag},
        input::{Input, Intake},
        output::Output,
        stats::{Gauges, Stats},
        time::Time,
    },
};
use alloc::{boxed::Box, vec::Vec};
use moorline_protocol::{Frame, TransportKind};

/// One node with its application.
///
/// # Contract
///
/// The caller owns the connections, the clock and the bus. It keeps to this:
///
/// * **Time never goes back.** Each `now` is at least the one before it; any start will do.
/// * **Outputs are done in order, and all of them, before the caller sleeps**: call [`Node::poll_output`] until it
///   gives `None` after [`Node::new`], `handle` and `handle_timeout`. Several inputs may come before it, but an outbox
///   that nobody pulls from meanwhile fills up, and a full one ends its session.
/// * **[`Output::Flush`] obliges the caller to [`Node::pull`]** from that connection until `pull` returns false, as
///   fast as the connection takes frames. While it returns true more frames wait, and no further `Flush` announces
///   them. A held GET is answered with the frames of one `pull`; if that gave none, it stays held.
/// * **[`Output::Answer`] answers the request** that the connection holds, once, or each test of a WebSocket. A
///   connection must bring no other request until the one it holds is answered.
/// * **[`Output::Close`]**: `pull` once more without a bound, send that, close, and say [`Input::Closed`]. A held GET
///   is answered with that and a close packet. After its `Closed` the node says nothing new to a connection, and its
///   [`ConnId`] must never be used again with the same generation.
/// * **[`Node::intake`]** says before each message of a client whether to hand it over. While it says
///   [`Intake::Paused`], the caller leaves the rest unread until [`Output::Resume`]. One that hands it over all the
///   same breaks no promise to anybody but those who wait for their turn.
/// * **[`Input::Blocked`]** tells that a WebSocket took bytes and takes no more for now, while frames wait for it.
///   Without it nobody is ever too slow, only full.
/// * **A connection that goes away** is told by [`Input::Closed`] at once, also while outputs for it are still queued:
///   those may be skipped.
/// * **[`Node::poll_timeout`]** says until when to sleep at most; `None` means until something happens. Then call
///   [`Node::handle_timeout`] until it returns false; after that the next deadline lies in the future, until a `pull`
///   makes room for what waits: then that is due at once.
/// * **The bus** (subscriptions, publications) exists only for a node with [`Config::cluster`]. [`BusEvent`] says
///   what is to be told of it.
///
/// In return no input fails, none blocks unless a hook of the application does, and the work of each is bounded by what
/// the node holds. Equal calls at equal times, `pull` included, with equal entropy give equal outputs byte for byte.
///
/// # A run loop
///
/// ```
/// use moorline_core::{Config, ConnId, Dialect, Entropy, Input, Node, Output, Relay, Time};
/// use moorline_protocol::{Frame, TransportKind};
///
/// struct Dice(u8); // A server asks the operating system.
///
/// impl Entropy for Dice {
///     fn fill(&mut self, bytes: &mut [u8]) {
///         bytes.iter_mut().for_each(|byte| {
///             self.0 = self.0.wrapping_mul(73).wrapping_add(41);
///             *byte = self.0;
///         });
///     }
/// }
///
/// /// Does everything the node wants; returns the packets it sent.
/// fn run(node: &mut Node<Relay>, now: Time) -> Vec<String> {
///     let mut sent = Vec::new();
///     let mut send = |frames: &mut Vec<Frame>| {
///         sent.extend(frames.drain(..).map(|frame| String::from_utf8_lossy(frame.as_packet()).into_owned()));
///     };
///     let mut frames = Vec::new();
///     while let Some(output) = node.poll_output() {
///         match output {
///             Output::Flush(conn) => {
///                 while node.pull(conn, 64 * 1024, &mut frames) {}
///                 send(&mut frames);
///             }
///             Output::Close { conn, reason } => {
///                 _ = node.pull(conn, usize::MAX, &mut frames);
///                 send(&mut frames);
///                 assert_eq!(reason.close_code(), 1008, "the close frame of a WebSocket says why");
///                 node.handle(now, Input::Closed { conn, reason });
///             }
///             other => unreachable!("a node alone with one WebSocket wants no {other:?}"),
///         }
///     }
///     sent
/// }
///
/// let mut now = Time::ZERO;
/// let mut node = Node::new(Config::default(), Relay, Box::new(Dice(7)), now);
/// let conn = ConnId { slot: 0, generation: 0 };
/// let (transport, dialect) = (TransportKind::WebSocket, Dialect::SocketIo);
/// node.handle(now, Input::Open { conn, transport, dialect });
/// assert!(run(&mut node, now)[0].starts_with("0{\"sid\":"));
/// node.handle(now, Input::Text { conn, text: "40" });
/// assert!(run(&mut node, now)[0].starts_with("40{\"sid\":"));
/// node.handle(now, Input::Text { conn, text: "421[\"@join\",\"lobby\"]" });
/// assert_eq!(run(&mut node, now), ["431[{\"ok\":true}]"]);
///
/// // Nothing more is said: the node pings, waits for the pong in vain, and ends the session.
/// let mut sent = Vec::new();
/// while let Some((at, _)) = node.poll_timeout() {
///     now = at; // A server sleeps until then, or until something happens.
///     while node.handle_timeout(now, 64) {}
///     sent.extend(run(&mut node, now));
/// }
/// assert_eq!((sent, node.gauges().sessions), (vec![String::from("2")], 0));
/// ```
///
/// [`BusEvent`]: crate::BusEvent
pub struct Node<A> {
    app: A,
    state: State,
    /// When the invariants are checked next.
    #[cfg(debug_assertions)]
    turn: crate::invariants::Turn,
}

impl<A: App> Node<A> {
    /// A new incarnation, at `now`. It wants its own channels subscribed, if it has a cluster.
    pub fn new(config: Config, app: A, entropy: Box<dyn Entropy>, now: Time) -> Node<A> {
        Node {
            app,
            state: State::new(config, entropy, now),
            #[cfg(debug_assertions)]
            turn: crate::invariants::Turn::default(),
        }
    }

    /// Takes in one thing that happened.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        let Node { app, state, .. } = self;
        advance(state, now);
        match input {
            Input::Text { conn, text: packet } => text(app, state, conn, packet),
            Input::Binary { conn, bytes } => binary(app, state, conn, bytes),
            Input::Bus(event) => bus_event(state, event),
            Input::Open { conn, transport, dialect } => open(state, conn, transport, dialect),
            Input::Poll { conn, sid, packets_max } => poll(state, conn, sid, packets_max),
            Input::Post { conn, sid } => post(state, conn, sid),
            Input::Posted { conn } => posted(state, conn),
            Input::PostLate { conn } => post_late(state, conn),
            Input::Blocked { conn } => blocked(state, conn),
            Input::Upgrade { conn, sid } => upgrade(state, conn, sid),
            Input::Closed { conn, reason } => connection_closed(state, conn, reason),
            Input::Drain { over } => start_drain(state, over),
        }
        settle(app, state);
        self.check_in_turn();
    }

    /// Handles at most `budget` deadlines that are due. Returns whether more are.
    #[must_use = "true means that more is due: call again before sleeping"]
    pub fn handle_timeout(&mut self, now: Time, budget: usize) -> bool {
        advance(&mut self.state, now);
        for _ in 0..budget {
            let Some(kind) = self.state.timers.pop_due(now) else { break };
            due(&mut self.state, kind);
            settle(&mut self.app, &mut self.state);
            self.check_in_turn();
        }
        self.state.has_overdue = self.state.timers.next().is_some_and(|(at, _)| at <= now);
        self.state.has_overdue
    }

    /// The next thing this node wants done.
    #[must_use = "an output that is not done is lost"]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.state.outputs.pop_front()
    }

    /// The time at which this node next wants `handle_timeout`, and what for.
    pub fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        self.state.timers.next()
    }

    /// Moves about `bytes` of frames for this connection to `frames`. Returns whether more remain. For a held GET it is
    /// as much as its client takes at once, and if there was anything, that GET is answered with it.
    #[must_use = "true means that more frames wait, and no flush will announce them"]
    pub fn pull(&mut self, conn: ConnId, bytes: usize, frames: &mut Vec<Frame>) -> bool {
        let has_more = pull(&mut self.state, conn, bytes, frames);
        self.check_in_turn();
        has_more
    }

    /// The transport by which this node takes requests for `sid` at `now`, if it knows it.
    pub fn transport(&self, sid: &str, now: Time) -> Option<TransportKind> {
        transport_of(&self.state, sid, now)
    }

    /// Whether messages on this connection are to be handed over now.
    pub fn intake(&self, conn: ConnId) -> Intake {
        intake(&self.state, conn)
    }

    /// Whether this node is draining: it closes its sessions over time, and a new one at once.
    pub fn is_draining(&self) -> bool {
        self.state.drain.is_some()
    }

    /// Whether draining has come to its end.
    pub fn is_drained(&self) -> bool {
        self.is_draining() && self.state.sessions.len() == 0
    }

    /// Whether the bus can be used; `None` for a node that is alone.
    pub fn bus_is_up(&self) -> Option<bool> {
        self.state.config.cluster.as_ref().map(|_| self.state.bus.is_up())
    }

    /// Whether the bus was up at least once. A node that is alone is ready from the start.
    pub fn is_ready(&self) -> bool {
        self.state.config.cluster.is_none() || self.state.bus.has_been_up()
    }

    /// The tag of this incarnation.
    pub fn tag(&self) -> NodeTag {
        self.state.tag
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.state.stats
    }

    /// The sizes of this node's tables.
    pub fn gauges(&self) -> Gauges {
        let State { sessions, sockets, rooms, timers, .. } = &self.state;
        Gauges { sessions: sessions.len(), sockets: sockets.len(), rooms: rooms.len(), timers: timers.len() }
    }

    /// Panics when the tables of this node disagree. Debug builds call it after every input, less often the more the
    /// node holds; in release builds it does nothing.
    pub fn check_invariants(&self) {
        #[cfg(debug_assertions)]
        crate::invariants::check(&self.state);
    }

    #[cfg(debug_assertions)]
    fn check_in_turn(&mut self) {
        self.turn.check(&self.state);
    }

    #[cfg(not(debug_assertions))]
    fn check_in_turn(&self) {}
}
