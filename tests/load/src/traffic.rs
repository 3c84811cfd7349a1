//! Messages between clients: the schedule of sending and the account of every delivery.
//!
//! Two ways to send. On schedule: every message has a due time that does not wait for anything, and its latency counts
//! from then, so a server that stalls cannot hide the messages that would have been sent meanwhile. In a closed loop:
//! each sender keeps a number of messages on their way and sends the next when one arrives.
//!
//! Invariant: every message is accounted for at every recipient, once and in its sender's order, or the run fails.

use crate::{
    client::Arrival,
    clock,
    fleet::{DEADLINE_NS, Fleet},
    frame,
    outcome::Result,
};
use std::{
    fs,
    io::Write,
    net::TcpStream,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

const SECOND_NS: u64 = 1_000_000_000;
/// The sender's schedule starts a little later than its thread.
const LEAD_NS: u64 = 20_000_000;
/// The argument of each message, in bytes: due time, sender, number, and filling.
pub(crate) const PAYLOAD_BYTES: usize = 64;
const EVENT: &[u8] = b"42[\"m\",{\"from\":\"";
const BEFORE_PAYLOAD: &[u8] = b"\"},\"";
const AFTER_PAYLOAD: &[u8] = b"\"]";
const PROBE: &[u8] = b"42[\"probe\"";

/// One sender and the recipients of its messages.
pub(crate) struct Lane {
    pub(crate) sender: usize,
    /// A socket id or a room.
    pub(crate) target: String,
    /// The clients that get the messages, the sender excepted.
    pub(crate) recipients: Range<usize>,
}

/// The messages sent and delivered, and their latencies.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) deliveries: u64,
    /// From the due time to the reading of the last byte, for each delivery.
    pub(crate) latencies_ns: Vec<u64>,
    /// How late the generator itself was, for each message on schedule.
    pub(crate) lateness_ns: Vec<u64>,
}

/// Sends one message per lane in turn, `per_second` in all, for a time.
pub(crate) fn on_schedule(
    fleet: &mut Fleet,
    lanes: &[Lane],
    per_second: u64,
    span: Duration,
) -> Result<Delivered> {
    let messages = per_second * span.as_secs();
    let mut writers = lanes.iter().map(|lane| fleet.writer(lane.sender)).collect::<Result<Vec<_>>>()?;
    let mut ledger = Ledger::new(fleet, lanes);
    let deliveries = (0..messages).map(|at| lane_of(lanes, at).1.width()).sum();
    let deadline_ns = clock::now_ns() + nanoseconds(span) + DEADLINE_NS;
    let is_over = AtomicBool::new(false);
    let lateness_ns = thread::scope(|scope| {
        let sender =
            scope.spawn(|| send_on_schedule(&mut writers, lanes, messages, SECOND_NS / per_second, &is_over));
        let received = ledger.receive_until(fleet, deliveries, deadline_ns);
        is_over.store(true, Ordering::Relaxed);
        let sent = sender.join().map_err(|_| "the sending thread panicked")?;
        received.and(sent.map_err(Into::into))
    })?;
    Ok(Delivered { deliveries, latencies_ns: ledger.latencies_ns, lateness_ns })
}

/// Keeps `window` messages of each lane on their way for a time, then waits for the last of them.
pub(crate) fn closed_loop(
    fleet: &mut Fleet,
    lanes: &[Lane],
    window: usize,
    span: Duration,
) -> Result<Delivered> {
    let mut ledger = Ledger::new(fleet, lanes);
    let mut sent = vec![0; lanes.len()];
    let end_ns = clock::now_ns() + nanoseconds(span);
    let mut due: Vec<usize> = (0..lanes.len()).flat_map(|lane| std::iter::repeat_n(lane, window)).collect();
    while clock::now_ns() < end_ns {
        for lane in due.drain(..) {
            fleet.queue(lanes[lane].sender, &packet(&lanes[lane].target, clock::now_ns(), lane, sent[lane]));
            sent[lane] += 1;
        }
        fleet.flush()?;
        ledger.receive(fleet, &mut |lane| due.push(lane))?;
    }
    let deliveries = sent.iter().zip(lanes).map(|(sent, lane)| sent * lane.width()).sum();
    ledger.receive_until(fleet, deliveries, end_ns + DEADLINE_NS)?;
    Ok(Delivered { deliveries, ..Delivered::default() })
}

/// Sends until the first message of a lane arrives: the nodes may not receive from each other yet.
pub(crate) fn await_path(fleet: &mut Fleet, lane: &Lane) -> Result<()> {
    let packet = format!("42[\"@to\",\"{}\",\"probe\"]", lane.target);
    let deadline_ns = clock::now_ns() + DEADLINE_NS;
    let mut has_arrived = false;
    while !has_arrived {
        if clock::now_ns() > deadline_ns {
            return Err("no message came through".into());
        }
        fleet.queue(lane.sender, packet.as_bytes());
        fleet.flush()?;
        fleet.turn(&mut |arrival| has_arrived |= arrival.packet.starts_with(PROBE))?;
    }
    Ok(())
}

/// Spans are whole seconds.
fn nanoseconds(span: Duration) -> u64 {
    span.as_secs() * SECOND_NS
}

impl Lane {
    fn width(&self) -> u64 {
        let recipients = self.recipients.len() - usize::from(self.recipients.contains(&self.sender));
        recipients as u64
    }
}

fn lane_of(lanes: &[Lane], message: u64) -> (usize, &Lane) {
    let at = usize::try_from(message).unwrap_or_default() % lanes.len();
    (at, &lanes[at])
}

/// The lateness of each message. Runs on its own thread, so that receiving never delays sending.
fn send_on_schedule(
    writers: &mut [TcpStream],
    lanes: &[Lane],
    messages: u64,
    interval_ns: u64,
    is_over: &AtomicBool,
) -> std::result::Result<Vec<u64>, String> {
    sleep_precisely();
    let start_ns = clock::now_ns() + LEAD_NS;
    let mut lateness_ns = Vec::with_capacity(usize::try_from(messages).unwrap_or_default());
    let mut bytes = Vec::new();
    for message in 0..messages {
        let due_ns = start_ns + message * interval_ns;
        sleep_until(due_ns);
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let (at, lane) = lane_of(lanes, message);
        bytes.clear();
        frame::push_text(&mut bytes, &packet(&lane.target, due_ns, at, message / lanes.len() as u64));
        lateness_ns.push(clock::now_ns().saturating_sub(due_ns));
        // So little always fits, unless the server stopped reading; then there is nothing to measure.
        writers[at].write_all(&bytes).map_err(|error| format!("a server does not read any more: {error}"))?;
    }
    Ok(lateness_ns)
}

fn sleep_until(due_ns: u64) {
    let left_ns = due_ns.saturating_sub(clock::now_ns());
    if left_ns > 0 {
        thread::sleep(Duration::from_nanos(left_ns));
    }
}

/// The kernel rounds a sleep up by 50 µs unless told otherwise. A kernel that takes no such wish only makes the sends a
/// little later, and the report says how late they were.
fn sleep_precisely() {
    if let Ok(link) = fs::read_link("/proc/thread-self")
        && let Some(thread) = link.file_name()
    {
        let _ = fs::write(format!("/proc/{}/timerslack_ns", thread.to_string_lossy()), "1");
    }
}

fn packet(target: &str, due_ns: u64, lane: usize, sequence: u64) -> Vec<u8> {
    let stamp = format!("{due_ns:016x}{lane:08x}{sequence:08x}");
    format!("42[\"@to\",\"{target}\",\"m\",\"{stamp:x<PAYLOAD_BYTES$}\"]").into_bytes()
}

/// The account of one measurement.
struct Ledger<'a> {
    lanes: &'a [Lane],
    /// The socket id of each lane's sender, as recipients must see it.
    senders: Vec<String>,
    /// The next number of each lane at each client.
    next: Vec<u64>,
    deliveries: u64,
    latencies_ns: Vec<u64>,
}

impl Ledger<'_> {
    fn new<'a>(fleet: &Fleet, lanes: &'a [Lane]) -> Ledger<'a> {
        let senders = lanes.iter().map(|lane| fleet.id(lane.sender).to_owned()).collect();
        let next = vec![0; fleet.len() * lanes.len()];
        Ledger { lanes, senders, next, deliveries: 0, latencies_ns: Vec::new() }
    }

    fn receive_until(&mut self, fleet: &mut Fleet, deliveries: u64, deadline_ns: u64) -> Result<()> {
        while self.deliveries < deliveries {
            if clock::now_ns() > deadline_ns {
                return Err(
                    format!("{} of {deliveries} deliveries were lost", deliveries - self.deliveries).into()
                );
            }
            self.receive(fleet, &mut |_| {})?;
        }
        Ok(())
    }

    /// Takes what comes in during one turn, and names the lane of each delivery.
    fn receive(&mut self, fleet: &mut Fleet, arrived: &mut dyn FnMut(usize)) -> Result<()> {
        let mut fault = None;
        fleet.turn(&mut |arrival| match self.record(arrival) {
            Ok(lane) => lane.into_iter().for_each(&mut *arrived),
            Err(error) => fault = Some(error),
        })?;
        fault.map_or(Ok(()), Err)
    }

    fn record(&mut self, arrival: Arrival<'_>) -> Result<Option<usize>> {
        if arrival.packet.starts_with(PROBE) {
            return Ok(None);
        }
        let Some(message) = Message::parse(arrival.packet) else {
            return Err(format!("not a message of ours: {}", String::from_utf8_lossy(arrival.packet)).into());
        };
        let lane = self.lanes.get(message.lane).ok_or("a message of no sender")?;
        let is_right = lane.recipients.contains(&arrival.client) && lane.sender != arrival.client;
        if !is_right || self.senders[message.lane].as_bytes() != message.from {
            return Err("a message reached somebody it was not for, or names another sender".into());
        }
        let next = &mut self.next[arrival.client * self.lanes.len() + message.lane];
        if message.sequence != *next {
            return Err(format!(
                "message {} came where {next} was due: lost, doubled or out of order",
                message.sequence
            )
            .into());
        }
        *next += 1;
        self.deliveries += 1;
        self.latencies_ns.push(arrival.at_ns.saturating_sub(message.due_ns));
        Ok(Some(message.lane))
    }
}

/// A message as a recipient gets it.
#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    from: &'a [u8],
    due_ns: u64,
    lane: usize,
    sequence: u64,
}

impl Message<'_> {
    fn parse(packet: &[u8]) -> Option<Message<'_>> {
        let rest = packet.strip_prefix(EVENT)?;
        let (from, rest) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'"')?)?;
        let payload = rest.strip_prefix(BEFORE_PAYLOAD)?.strip_suffix(AFTER_PAYLOAD)?;
        if payload.len() != PAYLOAD_BYTES {
            return None;
        }
        let stamp = str::from_utf8(payload).ok()?;
        let number = |range: Range<usize>| u64::from_str_radix(&stamp[range], 16).ok();
        Some(Message {
            from,
            due_ns: number(0..16)?,
            lane: usize::try_from(number(16..24)?).ok()?,
            sequence: number(24..32)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_reads_back_as_a_recipient_gets_it() {
        let sent = String::from_utf8(packet("abcdefghijabcdefghij", 77, 3, 9)).unwrap();
        let payload = sent.strip_prefix("42[\"@to\",\"abcdefghijabcdefghij\",\"m\",\"").unwrap();
        let received = format!("42[\"m\",{{\"from\":\"ABCDEFGHIJABCDEFGHIJ\"}},\"{payload}");
        let message = Message { from: b"ABCDEFGHIJABCDEFGHIJ", due_ns: 77, lane: 3, sequence: 9 };
        assert_eq!(Message::parse(received.as_bytes()), Some(message));
        assert_eq!(Message::parse(received.replace("xx\"", "x\"").as_bytes()), None);
        assert_eq!(Message::parse(sent.as_bytes()), None);
    }

    #[test]
    fn a_sender_in_the_room_is_no_recipient() {
        let lane = |sender| Lane { sender, target: String::from("room"), recipients: 0..10 };
        assert_eq!((lane(3).width(), lane(10).width()), (9, 10));
    }
}
