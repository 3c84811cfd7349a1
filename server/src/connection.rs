//! One connection of the shell: its stream, its phase, and the bytes it still has to write.
//!
//! Owns the stream and the state of its exchange. It never decides anything: the wire, the router and the core judge
//! bytes.
//!
//! Invariant: an idle WebSocket connection holds no buffer.

use crate::{
    listener::Audience,
    wire::{
        http::{Body, HeadScanner},
        send_queue::{Progress, SendQueue},
        tls::Stream,
        websocket::WebSocket,
    },
};
use moorline_core::Time;
use moorline_protocol::engine::Payload;
use std::{
    io::{self, Write},
    net::{IpAddr, Shutdown},
};

pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// The other end of the TCP connection: the client, or the proxy before it.
    pub(crate) peer: IpAddr,
    pub(crate) audience: Audience,
    pub(crate) phase: Phase,
    pub(crate) out: SendQueue,
    /// Kept by the connection table.
    pub(crate) deadline: Option<Time>,
    /// The core's outbox for this connection is not empty.
    pub(crate) has_frames: bool,
    /// The last write did not take everything: an event will say when to go on.
    pub(crate) is_blocked: bool,
    /// The core knows that frames wait here and nothing takes them.
    pub(crate) is_stall_told: bool,
    /// The peer will send no more: read until the end, no event will say so again.
    pub(crate) has_peer_ended: bool,
    /// Noted in the list of connections to flush.
    pub(crate) is_dirty: bool,
    /// Noted in a list of connections to serve.
    pub(crate) is_listed: bool,
    /// Bytes may wait in the stream that no event will announce again.
    pub(crate) has_input: bool,
    /// The core does not want its messages now, and will say when it does.
    pub(crate) is_paused: bool,
    /// The work that its last share left; zero or a debt for one that used up all of it.
    pub(crate) credit: i32,
    /// The request under way, or the last one. Boxed: a WebSocket has none and should not pay for it.
    pub(crate) exchange: Option<Box<Exchange>>,
}

/// The state of a request until it is answered.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Another request may follow it.
    pub(crate) is_kept: bool,
    /// The origin of the page that may read the answer.
    pub(crate) origin: Option<String>,
    /// Bytes that came after it before it was answered.
    pub(crate) pipelined: Vec<u8>,
    /// It was answered though packets of its body are still to be handed over.
    pub(crate) is_answered_early: bool,
}

/// The step a connection is in.
pub(crate) enum Phase {
    /// Reading a request head, or waiting for one.
    Head(PartialHead),
    /// Holding a GET until there is something to say.
    Poll,
    /// Reading the body of a POST.
    Body(Body),
    /// Handing over the packets of a body.
    Packets(Payload),
    /// Carrying a session.
    WebSocket(WebSocket),
    /// Sending the rest of its queue; bytes it still receives are discarded.
    Closing {
        /// Whether our half is shut.
        is_shut: bool,
    },
}

/// A request head as far as it has arrived.
#[derive(Debug, Default)]
pub(crate) struct PartialHead {
    pub(crate) bytes: Vec<u8>,
    pub(crate) scanner: HeadScanner,
}

impl Connection {
    pub(crate) fn new(stream: Stream, peer: IpAddr, audience: Audience) -> Connection {
        Connection {
            stream,
            peer,
            audience,
            phase: Phase::Head(PartialHead::default()),
            out: SendQueue::default(),
            deadline: None,
            has_frames: false,
            is_blocked: false,
            is_stall_told: false,
            has_peer_ended: false,
            is_dirty: false,
            is_listed: false,
            has_input: false,
            is_paused: false,
            credit: 1,
            exchange: None,
        }
    }

    /// The request under way.
    pub(crate) fn exchange_mut(&mut self) -> &mut Exchange {
        self.exchange.get_or_insert_default()
    }

    /// Takes the bytes that came before the last request was answered.
    pub(crate) fn take_pipelined(&mut self) -> Vec<u8> {
        self.exchange.as_mut().map(|exchange| std::mem::take(&mut exchange.pipelined)).unwrap_or_default()
    }

    pub(crate) fn has_pipelined(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| !exchange.pipelined.is_empty())
    }

    /// Writes the queue, as far as the stream takes it. In the closing phase, shuts our half once all is written.
    pub(crate) fn write(&mut self) -> io::Result<Progress> {
        let progress = self.out.write_to(&mut self.stream)?;
        self.is_blocked = progress == Progress::Blocked;
        if let Phase::Closing { is_shut: is_shut @ false } = &mut self.phase
            && progress == Progress::Done
        {
            *is_shut = true;
            self.stream.close_notify();
            // A TLS alert that cannot be sent now is not worth waiting for.
            let _ = self.stream.flush();
            self.stream.socket_mut().shutdown(Shutdown::Write)?;
        }
        Ok(progress)
    }

    /// Whether it was answered though packets of its body are still to be handed over.
    pub(crate) fn is_answered_early(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.is_answered_early)
    }

    /// Whether both sides have ended their half.
    pub(crate) fn is_over(&self) -> bool {
        self.has_peer_ended && matches!(self.phase, Phase::Closing { is_shut: true })
    }

    /// Whether the process must wait for it before it ends.
    pub(crate) fn is_busy(&self) -> bool {
        match self.phase {
            Phase::Head(_) => !self.out.is_empty(),
            Phase::Poll | Phase::Body(_) | Phase::Packets(_) | Phase::WebSocket(_) => true,
            Phase::Closing { is_shut } => !is_shut,
        }
    }
}
