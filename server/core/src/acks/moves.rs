//! Moves of acknowledgements: counts that complete, clients and backends that acknowledge, and waits that end without.
//!
//! Owns how each wait ends, exactly once. It never delivers an event.

use crate::{
    acks::{
        backends::BackendAck,
        clients::{Request, Requester},
        counts::Count,
    },
    backend::stream::{Entry, EntryKind, joined},
    cluster::node_message::{write_ack, write_left},
    deadlines::timers::TimerKind,
    socket::sockets::Socket,
    state::State,
    words::{
        cause::DropCause,
        code::Code,
        completion::{Completion, CountOutcome},
        ids::{NodeTag, SocketId},
        keys::SocketKey,
        numbers::{AckId, BackendAckId, RequestId, Ticket},
        pending_ack::PendingAck,
    },
};
use moorline_protocol::Frame;
use serde_json::value::RawValue;

// Counts.

/// Waits until a count is complete.
pub(crate) fn await_count(state: &mut State, ticket: Ticket, mut count: Count) {
    let by = state.now + state.config.limits.ack_timeout;
    state.timers.set(TimerKind::Count(ticket), &mut count.timer, Some(by));
    if let Some(key) = state.sockets.find(count.ack().socket) {
        state.sockets.start_ack(key);
    }
    state.counts.insert(ticket, count);
}

/// Redis said how many subscribers got one of the publications.
pub(crate) fn receivers_known(state: &mut State, ticket: Ticket, receivers: u32) {
    if state.counts.add_receivers(ticket, receivers) {
        state.stats.drop(DropCause::UnknownTarget);
    }
    finish_if_complete(state, ticket);
}

/// A node said how many recipients it has.
pub(crate) fn node_counted(state: &mut State, ticket: Ticket, recipients: u64) {
    state.counts.add_node_count(ticket, recipients);
    finish_if_complete(state, ticket);
}

/// Recipients on another node are behind with reading; that node's count follows.
pub(crate) fn node_busy(state: &mut State, ticket: Ticket) {
    if let Some(count) = state.counts.get_mut(ticket) {
        count.mark_busy();
    }
}

/// A recipient acknowledged.
pub(crate) fn response(state: &mut State, ticket: Ticket, json: &str, attachments: &[Frame]) {
    let State { counts, config, sockets, .. } = state;
    let Some(count) = counts.get_mut(ticket) else { return };
    let (Some(asking), Some(collector)) = (sockets.find(count.ack().socket), count.collector_mut()) else {
        return;
    };
    collector.take(json, attachments, sockets.gathered_bytes_mut(asking), &config.limits);
    finish_if_complete(state, ticket);
}

/// Recipients went away before they acknowledged.
pub(crate) fn recipients_left(state: &mut State, ticket: Ticket, recipients: u64) {
    let count = state.counts.get_mut(ticket);
    let Some(collector) = count.and_then(Count::collector_mut) else { return };
    collector.add_left(recipients);
    finish_if_complete(state, ticket);
}

fn finish_if_complete(state: &mut State, ticket: Ticket) {
    if state.counts.is_complete(ticket) {
        finish_count(state, ticket, CountOutcome::Complete);
    }
}

/// Time is up. Where every node has counted, only acknowledgements are missing, and that is no error.
pub(crate) fn count_due(state: &mut State, ticket: Ticket) {
    let is_counted = state.counts.get(ticket).is_some_and(Count::is_counted);
    finish_count(state, ticket, if is_counted { CountOutcome::Complete } else { CountOutcome::Timeout });
}

/// The bus is away: other nodes' counts and acknowledgements would not come through any more.
pub(crate) fn bus_lost_counts(state: &mut State) {
    for ticket in state.counts.spanning_nodes() {
        finish_count(state, ticket, CountOutcome::BusDown);
    }
}

pub(crate) fn finish_count(state: &mut State, ticket: Ticket, outcome: CountOutcome) {
    let Some(count) = remove_count(state, ticket) else { return };
    let outcome = match outcome {
        CountOutcome::Complete if count.is_cut() => CountOutcome::BusDown,
        CountOutcome::Complete if count.is_busy() => CountOutcome::Busy,
        outcome => outcome,
    };
    let (ack, expected) = (count.ack(), count.expected());
    let completion = match count.into_collector() {
        None => Completion::Counted { ack, expected, outcome },
        Some(collector) => {
            let (responses, more) = collector.into_responses();
            Completion::Gathered { ack, expected, responses, more, outcome }
        }
    };
    state.complete(ack, completion);
}

fn remove_count(state: &mut State, ticket: Ticket) -> Option<Count> {
    let mut count = state.counts.remove(ticket)?;
    state.timers.set(TimerKind::Count(ticket), &mut count.timer, None);
    if let Some(collector) = count.collector() {
        if let Some(key) = state.sockets.find(count.ack().socket) {
            state.sockets.forget_gathered(key, collector.bytes());
        }
        collector.request().and_then(|id| remove_request(state, id));
    }
    Some(count)
}

// Acknowledgements that backends owe.

/// Puts an event onto the stream, and waits for a backend's acknowledgement if the client wants one.
///
/// # Errors
/// As for [`State::append`], and [`Code::TooMany`] when the client waits for too many already.
pub(crate) fn forward_to_backend(
    state: &mut State,
    entry: &Entry<'_>,
    ack: Option<PendingAck>,
) -> Result<(), Code> {
    let Some(ack) = ack else { return state.append(entry, None) };
    let Some(key) = state.sockets.find(ack.socket) else { return Ok(()) };
    if state.sockets[key].pending_acks() >= state.config.limits.pending_acks_max {
        return Err(Code::TooMany);
    }
    let ticket = state.bus.sequences.next().ticket();
    state.append(entry, Some(ticket))?;
    // A client that uses an id twice at a time has given the first one up.
    take_backend_ack(state, ack);
    state.sockets.start_ack(key);
    let mut owed = BackendAck::new(ack);
    let by = state.now + state.config.limits.ack_timeout;
    state.timers.set(TimerKind::BackendAck(ticket), &mut owed.timer, Some(by));
    state.backend_acks.insert(ticket, owed);
    Ok(())
}

/// Takes an acknowledgement that a backend owes a client; false when it owes none under this number.
pub(crate) fn take_backend_ack(state: &mut State, ack: PendingAck) -> bool {
    let ticket = state.backend_acks.find(ack);
    ticket.and_then(|ticket| remove_backend_ack(state, ticket)).is_some()
}

/// A wait for a backend ends without an acknowledgement.
pub(crate) fn finish_backend_ack(state: &mut State, ticket: Ticket, code: Code) {
    if let Some(ack) = remove_backend_ack(state, ticket) {
        state.completions.push(Completion::NotAcknowledged { ack, code });
    }
}

/// The bus is away: an entry may have been lost, and no acknowledgement would come through.
pub(crate) fn bus_lost_backend_acks(state: &mut State) {
    for ticket in state.backend_acks.tickets() {
        finish_backend_ack(state, ticket, Code::BusDown);
    }
}

fn remove_backend_ack(state: &mut State, ticket: Ticket) -> Option<PendingAck> {
    let mut owed = state.backend_acks.remove(ticket)?;
    state.timers.set(TimerKind::BackendAck(ticket), &mut owed.timer, None);
    if let Some(key) = state.sockets.find(owed.ack.socket) {
        state.sockets.end_ack(key);
    }
    Some(owed.ack)
}

// Acknowledgements that clients owe.

/// Waits for acknowledgements of clients here.
pub(crate) fn await_clients(state: &mut State, id: RequestId, mut request: Request) {
    let by = state.now + state.config.limits.ack_timeout;
    state.timers.set(TimerKind::ClientAcks(id), &mut request.timer, Some(by));
    state.client_acks.insert(id, request);
}

/// A client acknowledged. An acknowledgement that nobody waits for, or not from this client, is counted and dropped.
pub(crate) fn client_acked(
    state: &mut State,
    socket: SocketKey,
    id: AckId,
    args: &[&RawValue],
    attachments: &[Frame],
) {
    let address = state.sockets[socket].id;
    let id = u32::try_from(id.number()).ok().map(RequestId::new);
    let Some((id, (requester, is_last))) = id.and_then(|id| Some((id, state.client_acks.take(id, address)?)))
    else {
        return state.stats.drop(DropCause::UnknownAck);
    };
    match requester {
        Requester::Backend(number) => append_ack(state, socket, number, &joined(args, attachments)),
        Requester::Node(asker, ticket) => send_ack(state, id, (asker.node(), ticket), args, attachments),
    }
    if is_last {
        remove_request(state, id);
    }
}

/// Hands the first argument to the node of the socket that asked. One that would not fit there is only counted.
fn send_ack(
    state: &mut State,
    id: RequestId,
    (tag, ticket): (NodeTag, Ticket),
    args: &[&RawValue],
    attachments: &[Frame],
) {
    let Some(request) = state.client_acks.get_mut(id) else { return };
    let json = args.first().map_or("null", |arg| arg.get());
    let bytes = json.len() + attachments.iter().map(Frame::len_bytes).sum::<usize>();
    let is_sent = request.admit(bytes, &state.config.limits);
    let (json, attachments) = if is_sent { (json, attachments) } else { ("", &[][..]) };
    if tag == state.tag {
        response(state, ticket, json, attachments);
    } else if state.bus.is_up() {
        state.publish_to_node(tag, write_ack(ticket, json, attachments));
    }
}

/// The time of a request is up. A backend is told who has not acknowledged; a node that asked has its own deadline.
pub(crate) fn client_acks_due(state: &mut State, id: RequestId) {
    let Some(request) = remove_request(state, id) else { return };
    let Requester::Backend(number) = request.requester else { return };
    for socket in request.sockets() {
        if let Some(key) = state.sockets.find(*socket) {
            append_no_ack(state, key, number, Code::Timeout);
        }
    }
}

/// Nobody waits for these acknowledgements any more, or all have come.
fn remove_request(state: &mut State, id: RequestId) -> Option<Request> {
    let mut request = state.client_acks.remove(id)?;
    state.timers.set(TimerKind::ClientAcks(id), &mut request.timer, None);
    Some(request)
}

/// Tells a backend why a client gives it no acknowledgement.
pub(crate) fn append_no_ack(state: &mut State, socket: SocketKey, number: BackendAckId, code: Code) {
    append_ack(state, socket, number, &code.to_json());
}

/// Tells a backend what a client acknowledged. Without a backend nobody reads it; one lost with the bus is counted.
fn append_ack(state: &mut State, socket: SocketKey, number: BackendAckId, args: &str) {
    let Socket { id: socket, namespace, .. } = state.sockets[socket];
    let entry = Entry { kind: EntryKind::Ack(number), socket, namespace, args };
    let _ = state.append(&entry, None);
}

// Sockets that are gone.

/// A socket is gone: it waits for nothing any more, and acknowledges nothing.
pub(crate) fn remove_waits(state: &mut State, socket: SocketId) {
    for ticket in state.backend_acks.of_socket(socket) {
        remove_backend_ack(state, ticket);
    }
    for ticket in state.counts.of_socket(socket) {
        remove_count(state, ticket);
    }
    for id in state.client_acks.of_socket(socket) {
        remove_owed(state, id, socket);
    }
}

fn remove_owed(state: &mut State, id: RequestId, socket: SocketId) {
    let Some((requester, is_last)) = state.client_acks.take(id, socket) else { return };
    if is_last {
        remove_request(state, id);
    }
    match requester {
        Requester::Backend(_) => {}
        Requester::Node(asker, ticket) if asker.node() == state.tag => recipients_left(state, ticket, 1),
        Requester::Node(asker, ticket) if state.bus.is_up() => {
            state.publish_to_node(asker.node(), write_left(ticket, 1));
        }
        Requester::Node(..) => {}
    }
}
