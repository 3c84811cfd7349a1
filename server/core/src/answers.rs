//! Answers that clients here owe: to a backend that asked them, or to a socket on this or another node.
//!
//! Whoever asks, this node asks its clients under an id of its own, so the ids of two nodes or namespaces cannot
//! collide. A backend's answers go onto the stream; a socket's go to its node.
//!
//! Invariants: an answer counts once, and only from a client that was asked. Each question ends: with the last answer,
//! by the time, or with who asked. How many answers are awaited is bounded, whoever asks.

use crate::{
    DropCause,
    code::Code,
    ids::{NodeTag, SocketId},
    message::Message,
    parcel,
    state::State,
    time::Time,
    timer::TimerKind,
};
use alloc::{collections::BTreeMap, collections::BTreeSet, vec::Vec};
use moorline_protocol::{Frame, socket::packet};
use serde_json::value::RawValue;

/// The largest acknowledgement id this node gives out: some clients keep them in 31 bits.
const ACK_ID_MAX: u32 = (1 << 31) - 1;

#[derive(Debug, Default)]
pub(crate) struct Answers {
    open: BTreeMap<u32, Question>,
    /// The same by who owes an answer.
    by_socket: BTreeSet<(SocketId, u32)>,
    last_id: u32,
}

/// A question to clients here.
#[derive(Debug)]
pub(crate) struct Question {
    asker: Asker,
    /// Who has not answered yet.
    sockets: BTreeSet<SocketId>,
    /// Answers that were sent on whole, and their bytes.
    sent: usize,
    sent_bytes: usize,
    timer: Option<Time>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A backend, under its own number.
    Backend(u64),
    /// A socket of this node or another, under its node's ticket.
    Node(NodeTag, u64),
}

impl State {
    /// Delivers an event that its recipients are to acknowledge, encoded for each group of them. Returns how many there
    /// are and the id they were asked under, if there are any; `None` when too many answers are awaited already, and then
    /// nobody received it.
    pub(crate) fn deliver_asking(
        &mut self,
        asker: Asker,
        groups: Vec<(Vec<usize>, Message)>,
    ) -> Option<(u64, Option<u32>)> {
        let wanted: usize = groups.iter().map(|(recipients, _)| recipients.len()).sum();
        if wanted == 0 {
            return Some((0, None));
        }
        // Half of what is left at most, so that questions to many never leave none for questions to one.
        let left = self.config.limits.awaited_answers_max.saturating_sub(self.answers.by_socket.len());
        if wanted > left / 2 {
            return None;
        }
        let id = self.next_ack_id();
        let (mut count, mut sockets) = (0, BTreeSet::new());
        for (mut recipients, message) in groups {
            count += self.deliver(&mut recipients, &asking(&message, id));
            sockets.extend(recipients.iter().map(|key| self.sockets[*key].id));
        }
        if sockets.is_empty() {
            return Some((0, None));
        }
        self.answers.by_socket.extend(sockets.iter().map(|socket| (*socket, id)));
        let mut question = Question { asker, sockets, sent: 0, sent_bytes: 0, timer: None };
        let by = self.now + self.config.limits.ack_timeout;
        self.timers.set(TimerKind::Answer(id), &mut question.timer, Some(by));
        self.answers.open.insert(id, question);
        Some((count, Some(id)))
    }

    fn next_ack_id(&mut self) -> u32 {
        let Answers { open, last_id, .. } = &mut self.answers;
        loop {
            *last_id = if *last_id >= ACK_ID_MAX { 1 } else { *last_id + 1 };
            if !open.contains_key(last_id) {
                return *last_id;
            }
        }
    }

    /// A client answered. An answer that nobody waits for, or not from this client, is counted and dropped.
    pub(crate) fn client_answered(
        &mut self,
        socket: usize,
        id: u64,
        args: &[&RawValue],
        attachments: &[Frame],
    ) {
        let address = self.sockets[socket].id;
        let owed = u32::try_from(id).ok().filter(|id| self.answers.by_socket.remove(&(address, *id)));
        let Some((id, question)) = owed.and_then(|id| Some((id, self.answers.open.get_mut(&id)?))) else {
            return self.stats.drop(DropCause::UnknownAck);
        };
        question.sockets.remove(&address);
        match question.asker {
            Asker::Backend(number) => self.append_answer(socket, number, args, attachments),
            Asker::Node(tag, ticket) => self.send_answer(id, tag, ticket, args, attachments),
        }
        if self.answers.open.get(&id).is_some_and(|question| question.sockets.is_empty()) {
            self.forget_question(id);
        }
    }

    /// Hands the first argument to the node of the socket that asked. What would not fit there is only counted.
    fn send_answer(&mut self, id: u32, tag: NodeTag, ticket: u64, args: &[&RawValue], attachments: &[Frame]) {
        let limits = &self.config.limits;
        let Some(question) = self.answers.open.get_mut(&id) else { return };
        let json = args.first().map_or("null", |arg| arg.get());
        let bytes = json.len() + attachments.iter().map(Frame::len_bytes).sum::<usize>();
        let is_sent =
            question.sent < limits.responses_max && question.sent_bytes + bytes <= limits.payload_bytes_max;
        let (json, attachments) = if is_sent { (json, attachments) } else { ("", &[][..]) };
        question.sent += usize::from(is_sent);
        question.sent_bytes += if is_sent { bytes } else { 0 };
        if tag == self.tag {
            self.response(ticket, json, attachments);
        } else if self.bus.is_up {
            self.publish_to_node(tag, parcel::write_answer(ticket, json, attachments));
        }
    }

    /// Time is up. A backend is told who has not answered; a node counts its time itself.
    pub(crate) fn answer_due(&mut self, id: u32) {
        let Some(question) = self.forget_question(id) else { return };
        let Asker::Backend(number) = question.asker else { return };
        for socket in question.sockets {
            if let Some(key) = self.find_socket(socket) {
                self.append_no_answer(key, number, Code::Timeout);
            }
        }
    }

    /// Nobody waits for these answers any more, or all have come.
    pub(crate) fn forget_question(&mut self, id: u32) -> Option<Question> {
        let mut question = self.answers.open.remove(&id)?;
        self.timers.set(TimerKind::Answer(id), &mut question.timer, None);
        for socket in &question.sockets {
            self.answers.by_socket.remove(&(*socket, id));
        }
        Some(question)
    }

    /// A client is gone and will answer nothing.
    pub(crate) fn forget_answers(&mut self, socket: SocketId) {
        let owed = self.answers.by_socket.range((socket, 0)..=(socket, u32::MAX));
        let ids: Vec<u32> = owed.map(|(_, id)| *id).collect();
        for id in ids {
            self.answers.by_socket.remove(&(socket, id));
            let Some(question) = self.answers.open.get_mut(&id) else { continue };
            question.sockets.remove(&socket);
            let (asker, is_last) = (question.asker, question.sockets.is_empty());
            if is_last {
                self.forget_question(id);
            }
            match asker {
                Asker::Backend(_) => {}
                Asker::Node(tag, ticket) if tag == self.tag => self.recipients_left(ticket, 1),
                Asker::Node(tag, ticket) if self.bus.is_up => {
                    self.publish_to_node(tag, parcel::write_left(ticket, 1));
                }
                Asker::Node(..) => {}
            }
        }
    }
}

/// An event as it asks for an acknowledgement under this id.
fn asking(event: &Message, id: u32) -> Message {
    let bare = event.frame().as_packet().get(1..).unwrap_or_default();
    let frame = packet::with_ack(core::str::from_utf8(bare).unwrap_or_default(), u64::from(id));
    Message::new(frame, event.attachments().to_vec())
}
