//! The clients of one probe: whoever waits for one of them reads all of them, so that no heartbeat goes unanswered.
//!
//! Owns the connections and what is asked over them. It chooses no step and writes no report.
//!
//! Invariant: every wait ends within [`STEP_TIMEOUT`].

use crate::{
    clock,
    printable::printable,
    probe::{
        endpoint::Endpoint,
        line::{Line, Packet},
        stream::STEP_TIMEOUT,
    },
};
use mio::{Events, Poll};
use moorline_protocol::{json, socket};
use rustls::ClientConfig;
use serde_json::Value;
use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant},
};

/// The event the clients send each other.
const EVENT: &str = "probe";
/// How long to wait for the connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Some connections and the poll that watches them.
pub(super) struct Clients {
    lines: Vec<Line>,
    poll: Poll,
    events: Events,
    tls: Arc<ClientConfig>,
}

/// One connected client that knows its own id and node.
pub(super) struct Member {
    /// Its name in the report.
    pub(super) name: &'static str,
    /// The node it is on.
    pub(super) node: String,
    /// Its socket id.
    pub(super) id: String,
    /// From the first byte to the answered CONNECT.
    pub(super) connected_in: Duration,
    line: usize,
}

impl Clients {
    /// No clients yet.
    pub(super) fn new(tls: Arc<ClientConfig>) -> Result<Clients, String> {
        let poll = Poll::new().map_err(|error| format!("the system gives no poll ({error})"))?;
        Ok(Clients { lines: Vec::new(), poll, events: Events::with_capacity(16), tls })
    }

    /// Connects one more and asks its node who it is.
    pub(super) fn join(&mut self, name: &'static str, endpoint: &Endpoint) -> Result<Member, String> {
        let started = clock::now();
        self.lines.push(Line::open(endpoint, &self.tls, self.poll.registry())?);
        let line = self.lines.len() - 1;
        self.connect(line)?;
        let connected_in = clock::now() - started;
        let answer = self.who(line).map_err(|error| {
            format!(
                "{endpoint} speaks Socket.IO but does not answer @whoami ({error}): is it a moorline node?"
            )
        })?;
        let text = |key| answer.get(key).and_then(Value::as_str);
        match (text("node"), text("id").filter(|id| socket::is_socket_id(id))) {
            (Some(node), Some(id)) => {
                Ok(Member { name, node: printable(node), id: id.to_owned(), connected_in, line })
            }
            _ => Err(format!("{endpoint} answers @whoami without a node and an id: is it a moorline node?")),
        }
    }

    fn connect(&mut self, line: usize) -> Result<(), String> {
        self.lines[line].send("40");
        let is_answer =
            |packet: &Packet| matches!(packet.kind, socket::Kind::Connect | socket::Kind::ConnectError);
        let answer = self.wait(|lines| match lines[line].take(is_answer) {
            Some(answer) => Ok(Some(answer)),
            None => lines[line].check().map(|()| None),
        })?;
        if answer.kind == socket::Kind::Connect {
            return Ok(());
        }
        let message = answer.data.get("message").and_then(Value::as_str).unwrap_or("no reason given");
        Err(format!("the server refused the CONNECT: {}", printable(message)))
    }

    fn who(&mut self, line: usize) -> Result<Value, String> {
        let request = self.lines[line].emit(&array(&["@whoami"]));
        self.wait(|lines| match lines[line].take_ack(request) {
            Some(answer) => Ok(Some(answer)),
            None => lines[line].check().map(|()| None),
        })
    }

    /// Sends one private message. Returns the time from handing it to the sender's connection to reading it from the
    /// recipient's.
    pub(super) fn send_private(&mut self, from: &Member, to: &Member) -> Result<Duration, String> {
        let text = format!("from {} to {}", from.name, to.name);
        let sent_at = clock::now();
        let request = self.lines[from.line].emit(&array(&["@to", &to.id, EVENT, &text]));
        let mut is_accepted = false;
        let mut arrived_at = None;
        let outcome = self.wait(|lines| {
            if let Some(answer) = lines[from.line].take_ack(request) {
                delivered(&answer, &from.node, &to.node)?;
                is_accepted = true;
            }
            if let Some(message) = lines[to.line].take(is_message) {
                arrived_at = Some(message.arrived_at);
                unchanged(&message, &from.id, &text)?;
            }
            match arrived_at.filter(|_| is_accepted) {
                Some(arrived_at) => Ok(Some(arrived_at)),
                None => lines[from.line].check().and_then(|()| lines[to.line].check()).map(|()| None),
            }
        });
        let is_lost = is_accepted && arrived_at.is_none();
        let lost = |error| format!("node {} took the message but it did not arrive: {error}", from.node);
        let arrived_at = outcome.map_err(|error| if is_lost { lost(error) } else { error })?;
        Ok(arrived_at.saturating_duration_since(sent_at))
    }

    /// Closes every connection and waits for the answers, so that the nodes have no broken connection to count.
    pub(super) fn close(mut self) {
        self.lines.iter_mut().for_each(Line::close);
        let is_over = |lines: &mut [Line]| Ok(lines.iter().all(|line| line.check().is_err()).then_some(()));
        // The probe is over: a missing answer changes nothing.
        let _ = self.wait_until(clock::now() + CLOSE_TIMEOUT, is_over);
    }

    fn wait<T>(&mut self, wanted: impl FnMut(&mut [Line]) -> Result<Option<T>, String>) -> Result<T, String> {
        self.wait_until(clock::now() + STEP_TIMEOUT, wanted)
    }

    /// Reads all lines until `wanted` finds something or fails.
    fn wait_until<T>(
        &mut self,
        deadline: Instant,
        mut wanted: impl FnMut(&mut [Line]) -> Result<Option<T>, String>,
    ) -> Result<T, String> {
        loop {
            let mut has_more = false;
            for line in &mut self.lines {
                has_more |= line.receive();
            }
            if let Some(found) = wanted(&mut self.lines)? {
                return Ok(found);
            }
            self.sleep_until(deadline, has_more)?;
        }
    }

    fn sleep_until(&mut self, deadline: Instant, has_more: bool) -> Result<(), String> {
        let left = deadline.saturating_duration_since(clock::now());
        if left.is_zero() {
            return Err(format!("no answer within {} seconds", STEP_TIMEOUT.as_secs()));
        }
        let sleep = if has_more { Duration::ZERO } else { left };
        let interrupted = |error: &io::Error| error.kind() == ErrorKind::Interrupted;
        match self.poll.poll(&mut self.events, Some(sleep)) {
            Err(error) if !interrupted(&error) => Err(format!("the poll failed ({error})")),
            _ => Ok(()),
        }
    }
}

fn is_message(packet: &Packet) -> bool {
    packet.kind == socket::Kind::Event && packet.data.get(0).and_then(Value::as_str) == Some(EVENT)
}

/// Whether a message came as it was sent, under its sender's id.
fn unchanged(message: &Packet, sender_id: &str, text: &str) -> Result<(), String> {
    let from = message.data.get(1).and_then(|first| first.get("from")).and_then(Value::as_str);
    if from != Some(sender_id) {
        return Err(String::from("the message arrived without its sender's id as first argument"));
    }
    if message.data.get(2).and_then(Value::as_str) != Some(text) || message.data.get(3).is_some() {
        return Err(String::from("the message arrived with other content than was sent"));
    }
    Ok(())
}

/// The answer of the sender's node about the delivery.
fn delivered(answer: &Value, from_node: &str, to_node: &str) -> Result<(), String> {
    match (answer.get("error").and_then(Value::as_str), answer.get("expected").and_then(Value::as_u64)) {
        (None, Some(1)) => Ok(()),
        (None, Some(0)) => Err(format!(
            "node {from_node} does not find the recipient on node {to_node}: \
             give both the same --redis and --redis-prefix"
        )),
        (Some("bus_down"), _) => Err(format!(
            "Redis cannot be reached by node {from_node}: check that it runs and the node's --redis"
        )),
        (Some("timeout"), _) => {
            Err(format!("node {to_node} did not answer node {from_node} in time: is it overloaded?"))
        }
        _ => Err(format!("node {from_node} answered @to with {}", printable(&answer.to_string()))),
    }
}

/// A JSON array of strings.
fn array(items: &[&str]) -> String {
    let mut out = vec![b'['];
    json::push_separated(&mut out, b",", items, |out, item| json::push_string(out, item));
    out.push(b']');
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undelivered_message_says_what_to_do() {
        let judge = |json: &str| delivered(&serde_json::from_str(json).unwrap(), "s1", "s2");
        assert_eq!(judge("{\"expected\":1}"), Ok(()));
        for (answer, advice) in [
            ("{\"expected\":0}", "the same --redis"),
            ("{\"error\":\"bus_down\",\"expected\":0}", "Redis cannot be reached by node s1"),
            ("{\"error\":\"timeout\",\"expected\":1}", "node s2 did not answer node s1"),
            ("{\"error\":\"bad_target\"}", "bad_target"),
            ("{\"expected\":2}", "answered @to with"),
            ("null", "answered @to with null"),
        ] {
            let sentence = judge(answer).expect_err(answer);
            assert!(sentence.contains(advice), "{sentence}");
        }
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(array(&["@to", "a\"b"]), "[\"@to\",\"a\\\"b\"]");
    }
}
