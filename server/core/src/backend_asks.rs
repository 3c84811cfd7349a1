//! What backends read and what they owe: entries for the stream, and answers that clients wait for.
//!
//! A client's acknowledgement waits here until a backend answers through the public channel.
//!
//! Invariant: every question ends exactly once, by its answer, by the time, by the bus going away, or with its socket.

use crate::{
    AckId, DropCause, Ticket,
    app::{Completion, PendingAck},
    code::Code,
    ids::SocketId,
    output::{Destination, Output, Publication},
    placeholder::with_inline_binary,
    state::{Socket, State},
    time::Time,
    timer::TimerKind,
};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use moorline_protocol::{Frame, json};
use serde_json::value::RawValue;

#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// Answers that a backend owes, by ticket.
    owed: BTreeMap<u64, Owed>,
    /// The same by who waits and under which id, as a backend names it.
    tickets: BTreeMap<(SocketId, u64), u64>,
}

#[derive(Debug)]
struct Owed {
    ack: PendingAck,
    timer: Option<Time>,
}

/// One entry of the stream, its parts as JSON.
pub(crate) struct Entry<'a> {
    pub(crate) kind: &'a str,
    pub(crate) socket: SocketId,
    pub(crate) space: usize,
    /// The event's name as text.
    pub(crate) event: Option<&'a str>,
    /// Joined by commas.
    pub(crate) args: &'a str,
    pub(crate) ack: Option<u64>,
}

impl State {
    /// Puts an entry onto the stream.
    pub(crate) fn append(&mut self, entry: &Entry<'_>, ticket: Option<u64>) -> Result<(), Code> {
        if !self.config.has_backend {
            return Err(Code::NoHandler);
        }
        if !self.bus.is_up {
            self.stats.drop(DropCause::BackendLost);
            return Err(Code::BusDown);
        }
        let payload = self.write_entry(entry);
        self.stats.bus_out += 1;
        self.outputs.push_back(Output::Publish(Publication {
            destination: Destination::Stream,
            payload,
            ticket: ticket.map(Ticket::new),
        }));
        Ok(())
    }

    fn write_entry(&self, entry: &Entry<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(160 + entry.args.len());
        out.extend_from_slice(b"{\"type\":");
        json::push_string(&mut out, entry.kind);
        out.extend_from_slice(b",\"socketId\":");
        json::push_string(&mut out, entry.socket.text().as_str());
        out.extend_from_slice(b",\"node\":");
        json::push_string(&mut out, &self.config.name);
        out.extend_from_slice(b",\"namespace\":");
        json::push_string(&mut out, &self.spaces[entry.space].name);
        out.extend_from_slice(b",\"event\":");
        match entry.event {
            Some(event) => json::push_string(&mut out, event),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"args\":[");
        out.extend_from_slice(entry.args.as_bytes());
        out.extend_from_slice(b"],\"ack\":");
        match entry.ack {
            Some(number) => json::push_number(&mut out, number),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
        out
    }

    /// Puts an event onto the stream, and waits for a backend's answer if the client wants one.
    pub(crate) fn ask_backend(&mut self, entry: &Entry<'_>) -> Result<(), Code> {
        let Some(id) = entry.ack else { return self.append(entry, None) };
        let ack = PendingAck { socket: entry.socket, id: AckId::new(id) };
        let Some(key) = self.find_socket(ack.socket) else { return Ok(()) };
        if self.sockets[key].pending >= self.config.limits.pending_acks_max {
            return Err(Code::TooMany);
        }
        let ticket = self.next_sequence();
        self.append(entry, Some(ticket))?;
        // A client that uses an id twice at a time has given the first one up.
        if let Some(earlier) = self.asks.tickets.get(&(ack.socket, id)) {
            self.take_owed(*earlier);
        }
        self.sockets[key].pending += 1;
        let mut owed = Owed { ack, timer: None };
        let by = self.now + self.config.limits.ack_timeout;
        self.timers.set(TimerKind::Ask(ticket), &mut owed.timer, Some(by));
        self.asks.owed.insert(ticket, owed);
        self.asks.tickets.insert((ack.socket, id), ticket);
        Ok(())
    }

    fn take_owed(&mut self, ticket: u64) -> Option<PendingAck> {
        let mut owed = self.asks.owed.remove(&ticket)?;
        self.timers.set(TimerKind::Ask(ticket), &mut owed.timer, None);
        self.asks.tickets.remove(&(owed.ack.socket, owed.ack.id.number()));
        if let Some(key) = self.find_socket(owed.ack.socket) {
            self.sockets[key].pending = self.sockets[key].pending.saturating_sub(1);
        }
        Some(owed.ack)
    }

    /// Whether a client here waits for this answer; from now on it no longer does.
    pub(crate) fn take_asked(&mut self, socket: SocketId, id: u64) -> Option<PendingAck> {
        let ticket = *self.asks.tickets.get(&(socket, id))?;
        self.take_owed(ticket)
    }

    /// A question comes to its end without an answer.
    pub(crate) fn finish_ask(&mut self, ticket: u64, code: Code) {
        if let Some(ack) = self.take_owed(ticket) {
            self.completions.push(Completion::Unanswered { ack, code });
        }
    }

    /// The bus is away: what was asked may have been lost, and no answer would come through.
    pub(crate) fn bus_left_asks(&mut self) {
        let tickets: Vec<u64> = self.asks.owed.keys().copied().collect();
        for ticket in tickets {
            self.finish_ask(ticket, Code::BusDown);
        }
    }

    /// A client's answer to a backend's question. Errors are counted where they arise; nobody waits here for more.
    pub(crate) fn append_answer(
        &mut self,
        socket: usize,
        number: u64,
        args: &[&RawValue],
        attachments: &[Frame],
    ) {
        self.append_answer_json(socket, number, &joined(args, attachments));
    }

    /// Why a client gives a backend's question no answer.
    pub(crate) fn append_no_answer(&mut self, socket: usize, number: u64, code: Code) {
        self.append_answer_json(socket, number, &code.to_json());
    }

    fn append_answer_json(&mut self, socket: usize, number: u64, args: &str) {
        let Socket { id, space, .. } = self.sockets[socket];
        let entry = Entry { kind: "ack", socket: id, space, event: None, args, ack: Some(number) };
        let _ = self.append(&entry, None);
    }

    /// A socket is gone: a backend's answer would find nobody.
    pub(crate) fn forget_asks(&mut self, socket: SocketId) {
        let ids = (socket, 0)..=(socket, u64::MAX);
        let tickets: Vec<u64> = self.asks.tickets.range(ids).map(|(_, ticket)| *ticket).collect();
        for ticket in tickets {
            self.take_owed(ticket);
        }
    }
}

/// Arguments as JSON joined by commas, binary data in place.
pub(crate) fn joined(args: &[&RawValue], attachments: &[Frame]) -> String {
    let mut out = String::new();
    for (at, arg) in args.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match attachments {
            [] => out.push_str(arg.get()),
            _ => out.push_str(&with_inline_binary(arg.get(), attachments)),
        }
    }
    out
}

/// The one argument that says why a client disconnected.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
