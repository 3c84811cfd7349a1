//! The Socket.IO connection of one client, as small as a probe needs it: WebSocket only, the root namespace only.
//!
//! Owns the session of that client. It answers heartbeats whenever it is read and never reconnects: what fails is what
//! the probe is there to report.
//!
//! It is not built over the core of moorline's own client: that one says only that a packet is wrong, while the probe
//! reports the decoder's error, and the binary would grow by about 87 KB.
//!
//! Invariant: once open it never blocks, and it keeps at most [`INBOX_PACKETS_MAX`] packets nobody took, the newest.

use crate::{
    clock,
    probe::{
        endpoint::Endpoint,
        stream::{self, Stream},
        upgrade,
    },
};
use mio::{Interest, Registry, Token};
use moorline_protocol::{engine, socket};
use rustls::ClientConfig;
use serde_json::Value;
use std::{collections::VecDeque, io::ErrorKind, sync::Arc, time::Instant};
use tungstenite::{
    Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

const READ_BUFFER_BYTES: usize = 4096;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const INBOX_PACKETS_MAX: usize = 64;

/// An open connection.
pub(super) struct Line {
    socket: WebSocket<Stream>,
    /// Held, not used: the poll knows the connection by this descriptor.
    _watched: mio::net::TcpStream,
    inbox: VecDeque<Packet>,
    ended: Option<String>,
    next_ack: u64,
}

/// A Socket.IO packet, owned, and when it came.
pub(super) struct Packet {
    pub(super) kind: socket::Kind,
    pub(super) ack: Option<u64>,
    pub(super) data: Value,
    pub(super) arrived_at: Instant,
}

impl Line {
    /// Connects and upgrades, then leaves the waiting to whoever polls `registry`.
    pub(super) fn open(
        endpoint: &Endpoint,
        tls: &Arc<ClientConfig>,
        registry: &Registry,
    ) -> Result<Line, String> {
        let mut stream = stream::dial(endpoint, tls)?;
        let after_head = upgrade::upgrade(&mut stream, endpoint)?;
        let watched = stream.watched().and_then(|mut watched| {
            // One token for all: whoever waits reads every line, since each has heartbeats to answer.
            registry.register(&mut watched, Token(0), Interest::READABLE | Interest::WRITABLE)?;
            Ok(watched)
        });
        let watched = watched.map_err(|error| format!("the connection cannot be polled ({error})"))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let socket = WebSocket::from_partially_read(stream, after_head, Role::Client, Some(config));
        Ok(Line { socket, _watched: watched, inbox: VecDeque::new(), ended: None, next_ack: 0 })
    }

    /// Emits an event, a JSON array, and returns the id its acknowledgement will carry.
    pub(super) fn emit(&mut self, event: &str) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        self.send(&format!("42{id}{event}"));
        id
    }

    /// Sends an Engine.IO packet, or keeps it for the next [`Line::receive`] if the socket is full.
    pub(super) fn send(&mut self, text: &str) {
        let sent = self.socket.send(Message::text(text));
        self.note(sent);
    }

    /// Takes what has come, a bounded number of messages, and answers heartbeats. Returns whether there may be more.
    pub(super) fn receive(&mut self) -> bool {
        let flushed = self.socket.flush();
        self.note(flushed);
        for _ in 0..INBOX_PACKETS_MAX {
            if self.ended.is_some() {
                return false;
            }
            match self.socket.read() {
                Ok(message) => self.ended = self.take_in(&message).err(),
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => self.note(Err(error)),
            }
        }
        true
    }

    fn take_in(&mut self, message: &Message) -> Result<(), String> {
        let text = match message {
            Message::Text(text) => text.as_str(),
            Message::Close(frame) => {
                let why =
                    frame.as_ref().map_or(String::new(), |frame| format!(" ({})", u16::from(frame.code)));
                return Err(format!("the server closed the connection{why}"));
            }
            _ => return Ok(()),
        };
        match engine::decode(text)
            .map_err(|error| format!("the server sent no Engine.IO packet ({error})"))?
        {
            engine::Packet::Ping(_) => self.send("3"),
            engine::Packet::Close => return Err(String::from("the server closed the session")),
            engine::Packet::Message(text) => self.keep(packet(text)?),
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, packet: Packet) {
        if self.inbox.len() == INBOX_PACKETS_MAX {
            self.inbox.pop_front();
        }
        self.inbox.push_back(packet);
    }

    /// The oldest packet that fits, wherever it is in the inbox.
    pub(super) fn take(&mut self, fits: impl Fn(&Packet) -> bool) -> Option<Packet> {
        let index = self.inbox.iter().position(fits)?;
        self.inbox.remove(index)
    }

    /// The first argument of an acknowledgement.
    pub(super) fn take_ack(&mut self, id: u64) -> Option<Value> {
        let mut packet = self.take(|packet| packet.kind == socket::Kind::Ack && packet.ack == Some(id))?;
        Some(packet.data.get_mut(0).map_or(Value::Null, Value::take))
    }

    /// The reason why nothing more will come.
    pub(super) fn check(&self) -> Result<(), String> {
        self.ended.clone().map_or(Ok(()), Err)
    }

    /// Sends a close frame; the server's own ends the connection.
    pub(super) fn close(&mut self) {
        let closed = self.socket.close(None);
        self.note(closed);
    }

    fn note(&mut self, done: Result<(), tungstenite::Error>) {
        match done {
            Ok(()) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.ended = Some(format!("the connection broke ({error})")),
        }
    }
}

fn packet(text: &str) -> Result<Packet, String> {
    let packet =
        socket::decode(text).map_err(|error| format!("the server sent no Socket.IO packet ({error})"))?;
    if packet.kind == socket::Kind::Disconnect {
        return Err(String::from("the server disconnected the client"));
    }
    let data = if packet.data.is_empty() { Value::Null } else { parsed(packet.data)? };
    Ok(Packet { kind: packet.kind, ack: packet.ack, data, arrived_at: clock::now() })
}

fn parsed(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| format!("the server sent broken JSON ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
