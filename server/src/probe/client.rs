//! A Socket.IO client as small as a probe needs it: WebSocket only, one namespace, one question at a time.
//!
//! Owns the session of one client. It answers heartbeats whenever it reads and never reconnects: what fails is what
//! the probe is there to report.

use super::stream::{self, Breaker, Stream, is_timeout};
use super::{Endpoint, STEP_TIMEOUT, upgrade};
use crate::clock;
use moorline_protocol::{engine, json, socket};
use rustls::ClientConfig;
use serde_json::Value;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

const READ_BUFFER_BYTES: usize = 4096;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The event both clients send each other.
const EVENT: &str = "probe";

/// A connected client that knows its own id and node.
pub(super) struct Client {
    /// What the report calls it.
    pub(super) name: &'static str,
    /// The node it is on.
    pub(super) node: String,
    /// Its socket id.
    pub(super) id: String,
    /// From the first byte to the answered CONNECT.
    pub(super) connected_in: Duration,
    line: Line,
}

impl Client {
    /// Connects and asks the node who it is.
    pub(super) fn open(
        name: &'static str,
        endpoint: &Endpoint,
        tls: &Arc<ClientConfig>,
    ) -> Result<Client, String> {
        let started = clock::now();
        let mut line = Line::open(endpoint, tls)?;
        line.connect()?;
        let connected_in = clock::now() - started;
        let answer = line.ask("[\"@whoami\"]").map_err(|error| {
            format!(
                "{endpoint} speaks Socket.IO but does not answer @whoami ({error}): is it a moorline node?"
            )
        })?;
        let text = |key| answer.get(key).and_then(Value::as_str).map(|text| text.escape_debug().to_string());
        match (text("node"), text("id")) {
            (Some(node), Some(id)) => Ok(Client { name, node, id, connected_in, line }),
            _ => Err(format!("{endpoint} answers @whoami without a node and an id: is it a moorline node?")),
        }
    }

    /// Takes leave, so that the node has no broken connection to count.
    pub(super) fn close(mut self) {
        self.line.step();
        // The probe is over: whether the other side still listens changes nothing.
        let _ = self.line.socket.close(None).and_then(|()| self.line.socket.flush());
    }
}

/// Sends one message from client to client, reading on both sides at once, so that neither waits for the other's turn.
/// Returns the time from handing it to the sender's connection to reading it from the recipient's.
pub(super) fn send_private(from: &mut Client, to: &mut Client) -> Result<Duration, String> {
    let text = format!("from {} to {}", from.name, to.name);
    let question = array(&["@to", &to.id, EVENT, &text]);
    let breaker = to.line.breaker()?;
    let (recipient, sender_id) = (&mut to.line, from.id.as_str());
    recipient.step();
    thread::scope(|scope| {
        let arrival = scope.spawn(|| recipient.expect_message(sender_id, &text));
        let sent_at = clock::now();
        let accepted = from.line.ask(&question).and_then(|answer| delivered(&answer, &from.node, &to.node));
        if accepted.is_err() {
            breaker.cut();
        }
        let arrival = arrival.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        accepted?;
        let arrived_at =
            arrival.map_err(|error| format!("the node accepted the message, but then: {error}"))?;
        Ok(arrived_at.saturating_duration_since(sent_at))
    })
}

/// What the sender's node says about the delivery.
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
        _ => Err(format!("node {from_node} answered @to with {}", answer.to_string().escape_debug())),
    }
}

/// The connection below a client.
struct Line {
    socket: WebSocket<Stream>,
    next_ack: u64,
}

/// A Socket.IO packet, owned.
struct Packet {
    kind: socket::Kind,
    ack: Option<u64>,
    data: Value,
}

impl Line {
    fn open(endpoint: &Endpoint, tls: &Arc<ClientConfig>) -> Result<Line, String> {
        let mut stream = stream::dial(endpoint, tls)?;
        stream.start_step();
        let early = upgrade::upgrade(&mut stream, endpoint)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let socket = WebSocket::from_partially_read(stream, early, Role::Client, Some(config));
        Ok(Line { socket, next_ack: 0 })
    }

    fn step(&mut self) {
        self.socket.get_mut().start_step();
    }

    fn breaker(&self) -> Result<Breaker, String> {
        self.socket.get_ref().breaker().map_err(|error| format!("a socket could not be shared ({error})"))
    }

    fn connect(&mut self) -> Result<(), String> {
        self.step();
        self.send("40")?;
        let answer = self.receive_until(|packet| {
            matches!(packet.kind, socket::Kind::Connect | socket::Kind::ConnectError).then_some(packet)
        })?;
        if answer.kind == socket::Kind::Connect {
            return Ok(());
        }
        let message = answer.data.get("message").and_then(Value::as_str).unwrap_or("no reason given");
        Err(format!("the server refused the CONNECT: {}", message.escape_debug()))
    }

    /// Emits an event and waits for the first argument of its acknowledgement.
    fn ask(&mut self, event: &str) -> Result<Value, String> {
        self.step();
        let id = self.next_ack;
        self.next_ack += 1;
        self.send(&format!("42{id}{event}"))?;
        self.receive_until(|mut packet| {
            let is_answer = packet.kind == socket::Kind::Ack && packet.ack == Some(id);
            is_answer.then(|| packet.data.get_mut(0).map_or(Value::Null, Value::take))
        })
    }

    /// Waits for the other client's message and checks it; returns when it came.
    fn expect_message(&mut self, sender_id: &str, text: &str) -> Result<Instant, String> {
        let (args, arrived_at) = self.receive_until(|packet| {
            let is_message =
                packet.kind == socket::Kind::Event && packet.data.get(0) == Some(&Value::from(EVENT));
            is_message.then(|| (packet.data, clock::now()))
        })?;
        let from = args.get(1).and_then(|first| first.get("from")).and_then(Value::as_str);
        if from != Some(sender_id) {
            return Err(String::from("the message arrived without its sender's id as first argument"));
        }
        if args.get(2).and_then(Value::as_str) != Some(text) || args.get(3).is_some() {
            return Err(String::from("the message arrived with other content than was sent"));
        }
        Ok(arrived_at)
    }

    /// Reads packets until `wanted` takes one, and answers heartbeats on the way.
    fn receive_until<T>(&mut self, wanted: impl Fn(Packet) -> Option<T>) -> Result<T, String> {
        loop {
            let message = self.socket.read().map_err(|error| broken(&error))?;
            let text = match &message {
                Message::Text(text) => text.as_str(),
                Message::Close(frame) => {
                    let why =
                        frame.as_ref().map_or(String::new(), |frame| format!(" ({})", u16::from(frame.code)));
                    return Err(format!("the server closed the connection{why}"));
                }
                _ => continue,
            };
            match engine::decode(text)
                .map_err(|error| format!("the server sent no Engine.IO packet ({error})"))?
            {
                engine::Packet::Ping(_) => self.send("3")?,
                engine::Packet::Close => return Err(String::from("the server closed the session")),
                engine::Packet::Message(text) => {
                    if let Some(found) = wanted(packet(text)?) {
                        return Ok(found);
                    }
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, text: &str) -> Result<(), String> {
        self.socket.send(Message::text(text)).map_err(|error| broken(&error))
    }
}

fn packet(text: &str) -> Result<Packet, String> {
    let packet =
        socket::decode(text).map_err(|error| format!("the server sent no Socket.IO packet ({error})"))?;
    if packet.kind == socket::Kind::Disconnect {
        return Err(String::from("the server disconnected the client"));
    }
    let data = if packet.data.is_empty() { Value::Null } else { parsed(packet.data)? };
    Ok(Packet { kind: packet.kind, ack: packet.ack, data })
}

fn parsed(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| format!("the server sent broken JSON ({error})"))
}

fn broken(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Io(error) if is_timeout(error) => {
            format!("no answer within {} seconds", STEP_TIMEOUT.as_secs())
        }
        _ => format!("the connection broke ({error})"),
    }
}

/// A JSON array of strings.
fn array(items: &[&str]) -> String {
    let mut out = vec![b'['];
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_string(&mut out, item);
    }
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
    fn packets_of_the_server_are_understood() {
        let ack = packet("30[{\"expected\":1}]").unwrap();
        assert_eq!((ack.kind, ack.ack), (socket::Kind::Ack, Some(0)));
        assert_eq!(ack.data[0]["expected"], 1);
        assert_eq!(packet("0{\"sid\":\"a\"}").unwrap().kind, socket::Kind::Connect);
        for text in ["1", "9", "2[", "30[}"] {
            assert!(packet(text).is_err(), "{text}");
        }
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(array(&["@to", "a\"b"]), "[\"@to\",\"a\\\"b\"]");
    }
}
