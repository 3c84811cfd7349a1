//! One Socket.IO client on one non-blocking connection: handshake, heartbeat, packets.
//!
//! Owns the connection and the bytes not sent yet. It never waits, and it measures nothing but the moment at which
//! bytes were read.
//!
//! Invariant: an idle client holds no buffer, so five thousand of them weigh little on the machine under test.

use crate::{
    clock,
    frame::{self, Parsed},
    outcome::Result,
};
use mio::net::TcpStream;
use std::{
    io::{self, Read, Write},
    net::SocketAddr,
};

const PING: &[u8] = b"2";
const PONG: &[u8] = b"3";
const CONNECT: &[u8] = b"40";
const CONNECTED: &[u8] = b"40{\"sid\":\"";

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    stage: Stage,
    /// Its socket id, once it is ready.
    id: String,
    /// The start of a frame whose end has not arrived.
    input: Vec<u8>,
    output: Vec<u8>,
}

/// How far the handshake has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Upgrading,
    Opening,
    Connecting,
    Ready,
}

/// A Socket.IO packet as it came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// The client of the fleet that got it.
    pub(crate) client: usize,
    /// The text, its Engine.IO type included.
    pub(crate) packet: &'a [u8],
    /// When its last bytes were read.
    pub(crate) at_ns: u64,
}

impl Client {
    /// A client whose connection is being established.
    pub(crate) fn new(stream: TcpStream, server: SocketAddr) -> Client {
        let output = upgrade_request(server).into_bytes();
        Client { stream, stage: Stage::Upgrading, id: String::new(), input: Vec::new(), output }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Queues a packet; `flush` sends it.
    pub(crate) fn push(&mut self, packet: &[u8]) {
        frame::push_text(&mut self.output, packet);
    }

    /// Writes what is queued, as far as the connection takes it; a later writable event goes on.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return Err("a connection takes no more bytes".into()),
                Ok(written) => _ = self.output.drain(..written),
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.output = Vec::new();
        Ok(())
    }

    /// Reads all there is and gives each packet of the application to `sink`.
    pub(crate) fn read(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        sink: &mut dyn FnMut(Arrival<'_>),
    ) -> Result<()> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err("a server closed a connection".into()),
                Ok(read) => read,
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let at_ns = clock::now_ns();
            self.take(&buffer[..read], &mut |packet| sink(Arrival { client: index, packet, at_ns }))?;
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        if self.input.is_empty() {
            let used = self.take_whole(bytes, sink)?;
            self.input.extend_from_slice(&bytes[used..]);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let used = self.take_whole(&input, sink)?;
            if used < input.len() {
                self.input = input.split_off(used);
            }
        }
        if self.stage != Stage::Ready || !self.output.is_empty() {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes everything that is complete; returns how many bytes that was.
    fn take_whole(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut used = 0;
        if self.stage == Stage::Upgrading {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(0) };
            self.upgraded(&bytes[..end])?;
            used = end + 4;
        }
        loop {
            let rest = &bytes[used..];
            match frame::parse(rest) {
                Parsed::Incomplete => return Ok(used),
                Parsed::Text(payload) => {
                    used += payload.end;
                    self.take_packet(&rest[payload], sink)?;
                }
                Parsed::Close(code) => {
                    return Err(format!("a server closed a connection with code {code}").into());
                }
                Parsed::Unexpected(byte) => return Err(format!("an unexpected frame ({byte:#04x})").into()),
            }
        }
    }

    fn upgraded(&mut self, head: &[u8]) -> Result<()> {
        if !head.starts_with(b"HTTP/1.1 101 ") {
            let head = String::from_utf8_lossy(head);
            return Err(
                format!("a handshake was answered: {}", head.lines().next().unwrap_or_default()).into()
            );
        }
        self.stage = Stage::Opening;
        Ok(())
    }

    fn take_packet(&mut self, packet: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        match self.stage {
            _ if packet == PING => self.push(PONG),
            Stage::Ready => sink(packet),
            Stage::Opening if packet.starts_with(b"0{") => {
                self.push(CONNECT);
                self.stage = Stage::Connecting;
            }
            Stage::Connecting if packet.starts_with(CONNECTED) => {
                let id = packet[CONNECTED.len()..].split(|byte| *byte == b'"').next().unwrap_or_default();
                self.id = String::from_utf8_lossy(id).into_owned();
                self.stage = Stage::Ready;
            }
            stage => {
                let packet = String::from_utf8_lossy(packet);
                return Err(format!("an unexpected packet while {stage:?}: {packet}").into());
            }
        }
        Ok(())
    }
}

fn upgrade_request(server: SocketAddr) -> String {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Also while the connection is still being established.
fn is_not_yet(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotConnected, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | NotConnected)
}
