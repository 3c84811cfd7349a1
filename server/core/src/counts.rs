//! What senders wait for: how many recipients there are on all nodes, and what they answer.
//!
//! Redis says how many subscribers got each publication, and each of them answers each hearing, the sender's own echo
//! included. A count is complete when as many answers came as there were receivers. Who asked for the recipients' own
//! answers also waits for those, as long as they can come.
//!
//! Invariants: everything awaited here ends exactly once: complete, by the time, by the bus going away, or with the
//! socket that waits. What is gathered for one answer stays within the limits of one message, and for all answers one socket
//! waits for, within those of its outbox, where they go.

use crate::{
    DropCause,
    app::{Completion, CountOutcome, PendingAck},
    args::Args,
    config::Limits,
    ids::SocketId,
    placeholder::{has_stray_placeholder, move_binary},
    state::State,
    time::Time,
    timer::TimerKind,
};
use alloc::{boxed::Box, collections::BTreeMap, collections::BTreeSet, string::String, vec::Vec};
use moorline_protocol::Frame;

/// What the answer holds besides the responses, in bytes.
const ENVELOPE_BYTES: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Counts {
    open: BTreeMap<u64, Count>,
    by_socket: BTreeSet<(SocketId, u64)>,
}

/// A count in the making.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) ack: PendingAck,
    /// Recipients known so far.
    pub(crate) expected: u64,
    /// Publications whose receivers Redis has not named yet.
    pub(crate) unconfirmed: usize,
    receivers: u64,
    answers: u64,
    /// Whether it went to single nodes only, so that no receiver means an id that nobody has.
    pub(crate) is_unicast: bool,
    /// Whether other nodes should have heard of it and could not.
    pub(crate) is_cut: bool,
    /// The recipients' own answers, if they are wanted.
    pub(crate) gather: Option<Box<Gather>>,
    timer: Option<Time>,
}

/// Answers of recipients, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// The first argument of each that fits, joined by commas.
    json: String,
    attachments: Vec<Frame>,
    kept: usize,
    bytes: usize,
    answered: u64,
    /// Recipients that will not answer any more.
    left: u64,
    /// The id under which the recipients on this node were asked.
    asked_as: Option<u32>,
}

impl Count {
    pub(crate) fn new(ack: PendingAck, expected: u64) -> Count {
        Count {
            ack,
            expected,
            unconfirmed: 0,
            receivers: 0,
            answers: 0,
            is_unicast: false,
            is_cut: false,
            gather: None,
            timer: None,
        }
    }

    fn is_counted(&self) -> bool {
        self.unconfirmed == 0 && self.answers >= self.receivers
    }

    fn is_complete(&self) -> bool {
        let is_gathered = |gather: &Gather| gather.answered.saturating_add(gather.left) >= self.expected;
        self.is_counted() && self.gather.as_deref().is_none_or(is_gathered)
    }

    /// Whether other nodes still have a part in it.
    fn spans_nodes(&self) -> bool {
        self.unconfirmed > 0 || self.receivers > 0
    }
}

impl Gather {
    pub(crate) fn new(asked_as: Option<u32>) -> Gather {
        Gather { asked_as, ..Gather::default() }
    }

    /// Takes the first argument of an answer; empty JSON for one that is only counted. `gathered_bytes` is what the asking
    /// socket has gathered so far, with this question and others.
    fn take(&mut self, json: &str, attachments: &[Frame], gathered_bytes: &mut usize, limits: &Limits) {
        self.answered += 1;
        let attachment_bytes: usize = attachments.iter().map(Frame::len_bytes).sum();
        let answer_bytes = json.len() + 1 + attachment_bytes;
        let bytes = self.bytes + answer_bytes;
        let is_stray = has_stray_placeholder(json, attachments.len());
        let is_kept = !json.is_empty()
            && !is_stray
            && self.kept < limits.responses_max
            && bytes + ENVELOPE_BYTES <= limits.payload_bytes_max
            && *gathered_bytes + answer_bytes <= limits.outbox_bytes_max
            && self.attachments.len() + attachments.len() <= limits.attachments_max;
        if !is_kept {
            return;
        }
        self.bytes = bytes;
        *gathered_bytes += answer_bytes;
        if self.kept > 0 {
            self.json.push(',');
        }
        self.kept += 1;
        self.json.push_str(&move_binary(json, attachments, &mut self.attachments));
    }
}

impl State {
    /// Waits until a count is complete; at once if it is already.
    pub(crate) fn await_count(&mut self, ticket: u64, mut count: Count) {
        let by = self.now + self.config.limits.ack_timeout;
        self.timers.set(TimerKind::Count(ticket), &mut count.timer, Some(by));
        if let Some(key) = self.find_socket(count.ack.socket) {
            self.sockets[key].pending += 1;
        }
        self.counts.by_socket.insert((count.ack.socket, ticket));
        self.counts.open.insert(ticket, count);
    }

    /// Redis said how many subscribers got one of the publications.
    pub(crate) fn receivers_known(&mut self, ticket: u64, receivers: u32) {
        self.legacy_receivers_known(ticket, receivers);
        let Some(count) = self.counts.open.get_mut(&ticket) else { return };
        count.unconfirmed = count.unconfirmed.saturating_sub(1);
        count.receivers += u64::from(receivers);
        if receivers == 0 && count.is_unicast {
            self.stats.drop(DropCause::UnknownTarget);
        }
        self.finish_if_complete(ticket);
    }

    /// A node said how many recipients it has.
    pub(crate) fn count_answered(&mut self, ticket: u64, recipients: u64) {
        let Some(count) = self.counts.open.get_mut(&ticket) else { return };
        count.answers += 1;
        count.expected = count.expected.saturating_add(recipients);
        self.finish_if_complete(ticket);
    }

    /// A recipient answered.
    pub(crate) fn response(&mut self, ticket: u64, json: &str, attachments: &[Frame]) {
        let State { counts, config, sockets, .. } = self;
        let Some(count) = counts.open.get_mut(&ticket) else { return };
        let asking = sockets.get_mut(count.ack.socket.slot() as usize);
        let asking = asking.filter(|socket| socket.id == count.ack.socket);
        let (Some(asking), Some(gather)) = (asking, count.gather.as_deref_mut()) else { return };
        gather.take(json, attachments, &mut asking.gathered_bytes, &config.limits);
        self.finish_if_complete(ticket);
    }

    /// Recipients went away before they answered.
    pub(crate) fn recipients_left(&mut self, ticket: u64, recipients: u64) {
        let count = self.counts.open.get_mut(&ticket);
        let Some(gather) = count.and_then(|count| count.gather.as_deref_mut()) else { return };
        gather.left = gather.left.saturating_add(recipients);
        self.finish_if_complete(ticket);
    }

    fn finish_if_complete(&mut self, ticket: u64) {
        if self.counts.open.get(&ticket).is_some_and(Count::is_complete) {
            self.finish_count(ticket, CountOutcome::Complete);
        }
    }

    /// Time is up. Where every node has counted, only answers are missing, and that is no error.
    pub(crate) fn count_due(&mut self, ticket: u64) {
        let is_counted = self.counts.open.get(&ticket).is_some_and(Count::is_counted);
        let outcome = if is_counted { CountOutcome::Complete } else { CountOutcome::Timeout };
        self.finish_count(ticket, outcome);
    }

    /// The bus is away: other nodes' counts and answers would not come through any more.
    pub(crate) fn bus_left_counts(&mut self) {
        let open = self.counts.open.iter().filter(|(_, count)| count.spans_nodes());
        let tickets: Vec<u64> = open.map(|(ticket, _)| *ticket).collect();
        for ticket in tickets {
            self.finish_count(ticket, CountOutcome::BusDown);
        }
    }

    pub(crate) fn finish_count(&mut self, ticket: u64, outcome: CountOutcome) {
        let Some(count) = self.take_count(ticket) else { return };
        let outcome = match outcome {
            CountOutcome::Complete if count.is_cut => CountOutcome::BusDown,
            outcome => outcome,
        };
        let (ack, expected) = (count.ack, count.expected);
        let completion = match count.gather {
            None => Completion::Counted { ack, expected, outcome },
            Some(gather) => {
                let Gather { json, attachments, answered, kept, .. } = *gather;
                let more = answered - kept as u64;
                let responses = Args::from_parts(json, attachments);
                Completion::Gathered { ack, expected, responses, more, outcome }
            }
        };
        self.complete(ack, completion);
    }

    fn take_count(&mut self, ticket: u64) -> Option<Count> {
        let mut count = self.counts.open.remove(&ticket)?;
        self.counts.by_socket.remove(&(count.ack.socket, ticket));
        self.timers.set(TimerKind::Count(ticket), &mut count.timer, None);
        if let Some(gather) = &count.gather {
            if let Some(key) = self.find_socket(count.ack.socket) {
                self.sockets[key].gathered_bytes -= gather.bytes;
            }
            gather.asked_as.and_then(|id| self.forget_question(id));
        }
        Some(count)
    }

    /// The socket that waits is gone: nobody wants to know any more.
    pub(crate) fn forget_counts(&mut self, socket: SocketId) {
        let tickets = self.counts.by_socket.range((socket, 0)..=(socket, u64::MAX));
        let tickets: Vec<u64> = tickets.map(|(_, ticket)| *ticket).collect();
        for ticket in tickets {
            self.take_count(ticket);
        }
    }
}
