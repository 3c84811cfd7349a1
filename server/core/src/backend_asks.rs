//! Questions between clients and backends: what a backend still owes a client, and a client a backend.
//!
//! A client's acknowledgement waits here until a backend answers through the public channel. A backend's question is
//! sent to clients with an acknowledgement id of this node; the answers go onto the stream.
//!
//! Invariant: every question ends exactly once, by its answer, by the time, by the bus going away, or with its socket.

use crate::{
    app::{Completion, Reply},
    code::Code,
    ids::SocketId,
    output::{Outlet, Output, Publication},
    placeholder::with_inline_binary,
    state::State,
    time::Time,
    timer::TimerKind,
};
use alloc::{collections::BTreeMap, collections::BTreeSet, format, string::String, vec::Vec};
use moorline_protocol::{Frame, json};
use serde_json::value::RawValue;

/// The largest acknowledgement id this node gives out: some clients keep them in 31 bits.
const ACK_ID_MAX: u32 = (1 << 31) - 1;
/// How many answers of clients may be awaited for backends at a time.
const ANSWERS_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// Answers that a backend owes, by ticket.
    owed: BTreeMap<u64, Owed>,
    /// The same by who waits and under which id, as a backend names it.
    tickets: BTreeMap<(SocketId, u64), u64>,
    /// Answers that clients owe, by the id they were asked under.
    awaited: BTreeMap<u32, Awaited>,
    last_id: u32,
}

#[derive(Debug)]
struct Owed {
    reply: Reply,
    timer: Option<Time>,
}

/// A backend's question to the clients here.
#[derive(Debug)]
struct Awaited {
    /// The backend's own number for it.
    number: u64,
    /// Who has not answered yet.
    sockets: BTreeSet<SocketId>,
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
            self.stats.drop("backend_lost");
            return Err(Code::BusDown);
        }
        let payload = self.write_entry(entry);
        self.stats.bus_out += 1;
        self.outputs.push_back(Output::Publish(Publication { outlet: Outlet::Stream, payload, ticket }));
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
        let reply = Reply { socket: entry.socket, id };
        let Some(key) = self.find_socket(reply.socket) else { return Ok(()) };
        if self.sockets[key].pending >= self.config.limits.pending_acks_max {
            return Err(Code::TooMany);
        }
        let ticket = self.next_sequence();
        self.append(entry, Some(ticket))?;
        // A client that uses an id twice at a time has given the first one up.
        if let Some(earlier) = self.asks.tickets.get(&(reply.socket, id)) {
            self.take_owed(*earlier);
        }
        self.sockets[key].pending += 1;
        let mut owed = Owed { reply, timer: None };
        let by = self.now + self.config.limits.ack_timeout;
        self.timers.set(TimerKind::Ask(ticket), &mut owed.timer, Some(by));
        self.asks.owed.insert(ticket, owed);
        self.asks.tickets.insert((reply.socket, id), ticket);
        Ok(())
    }

    fn take_owed(&mut self, ticket: u64) -> Option<Reply> {
        let mut owed = self.asks.owed.remove(&ticket)?;
        self.timers.set(TimerKind::Ask(ticket), &mut owed.timer, None);
        self.asks.tickets.remove(&(owed.reply.socket, owed.reply.id));
        if let Some(key) = self.find_socket(owed.reply.socket) {
            self.sockets[key].pending = self.sockets[key].pending.saturating_sub(1);
        }
        Some(owed.reply)
    }

    /// Whether a client here waits for this answer; from now on it no longer does.
    pub(crate) fn take_asked(&mut self, socket: SocketId, id: u64) -> Option<Reply> {
        let ticket = *self.asks.tickets.get(&(socket, id))?;
        self.take_owed(ticket)
    }

    /// A question comes to its end without an answer.
    pub(crate) fn finish_ask(&mut self, ticket: u64, code: Code) {
        if let Some(reply) = self.take_owed(ticket) {
            self.completions.push(Completion::Unanswered { reply, code });
        }
    }

    /// The bus is away: what was asked may have been lost, and no answer would come through.
    pub(crate) fn bus_left_asks(&mut self) {
        let tickets: Vec<u64> = self.asks.owed.keys().copied().collect();
        for ticket in tickets {
            self.finish_ask(ticket, Code::BusDown);
        }
    }

    /// Gives out the id under which clients are asked a backend's question; `None` at the limit.
    pub(crate) fn await_answers(&mut self, number: u64, sockets: BTreeSet<SocketId>) -> Option<u64> {
        if self.asks.awaited.len() >= ANSWERS_MAX {
            return None;
        }
        let id = loop {
            self.asks.last_id = if self.asks.last_id >= ACK_ID_MAX { 1 } else { self.asks.last_id + 1 };
            if !self.asks.awaited.contains_key(&self.asks.last_id) {
                break self.asks.last_id;
            }
        };
        let mut awaited = Awaited { number, sockets, timer: None };
        let by = self.now + self.config.limits.ack_timeout;
        self.timers.set(TimerKind::Answer(id), &mut awaited.timer, Some(by));
        self.asks.awaited.insert(id, awaited);
        Some(u64::from(id))
    }

    /// A client answered. An answer that nobody waits for, or not from this client, is counted and dropped.
    pub(crate) fn client_answered(
        &mut self,
        socket: usize,
        id: u64,
        args: &[&RawValue],
        attachments: &[Frame],
    ) {
        let (address, space) = (self.sockets[socket].id, self.sockets[socket].space);
        let awaited = u32::try_from(id).ok().and_then(|id| self.asks.awaited.get_mut(&id).map(|it| (id, it)));
        let found = awaited.and_then(|(id, awaited)| {
            let is_waiting = awaited.sockets.remove(&address);
            is_waiting.then_some((id, awaited.number, awaited.sockets.is_empty()))
        });
        let Some((id, number, is_last)) = found else { return self.stats.drop("unknown_ack") };
        if is_last {
            self.take_awaited(id);
        }
        let args = joined(args, attachments);
        self.append_answer(address, space, number, &args);
    }

    /// Errors are counted where they arise; nobody waits here for more.
    fn append_answer(&mut self, socket: SocketId, space: usize, number: u64, args: &str) {
        let entry = Entry { kind: "ack", socket, space, event: None, args, ack: Some(number) };
        let _ = self.append(&entry, None);
    }

    fn take_awaited(&mut self, id: u32) -> Option<Awaited> {
        let mut awaited = self.asks.awaited.remove(&id)?;
        self.timers.set(TimerKind::Answer(id), &mut awaited.timer, None);
        Some(awaited)
    }

    /// Who has not answered in time is reported so.
    pub(crate) fn answer_due(&mut self, id: u32) {
        let Some(awaited) = self.take_awaited(id) else { return };
        for socket in awaited.sockets {
            if let Some(key) = self.find_socket(socket) {
                self.append_answer(
                    socket,
                    self.sockets[key].space,
                    awaited.number,
                    "{\"error\":\"timeout\"}",
                );
            }
        }
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
