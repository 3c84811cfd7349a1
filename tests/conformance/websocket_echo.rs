//! A plain echo server over exactly the product's WebSocket layer, so that the Autobahn suite can judge that layer.
//!
//! Owns the rest of a server around `moorline::wire`: blocking sockets, a thread for each connection, and the echo. It
//! never parses, frames or judges a byte itself, and knows nothing of Engine.IO, so the suite's findings are about the
//! layer alone.
//!
//! Invariant: bytes go out through one send queue, and nothing follows a close frame.

use moorline::wire::{
    http::{HeadLimits, HeadScanner, Parsed, RequestHead, Response, switching_protocols},
    send_queue::SendQueue,
    websocket::{Flow, Message, MessageLimits, Status, WebSocket, close_frame},
};
use moorline_core::Limits;
use moorline_protocol::Frame;
use std::{
    env,
    io::{self, Read, Write},
    mem,
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

/// The address at which the suite's own examples look for a server.
const LISTEN: &str = "127.0.0.1:9001";
/// The suite sends up to 16 MiB in one message and up to 65,536 fragments: 16 and 64 times what the product takes.
const LIMITS: MessageLimits = MessageLimits { message_bytes_max: 64 << 20, fragments_max: 1_000_000 };
/// The most that one read takes.
const CHUNK_BYTES: usize = 64 * 1024;

fn main() -> io::Result<()> {
    let listen = env::args().nth(1).unwrap_or_else(|| LISTEN.to_owned());
    let listener = TcpListener::bind(listen)?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = Connection::new(stream).serve() {
                eprintln!("echo    | lost a connection: {error}");
            }
        });
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    chunk: Vec<u8>,
    out: SendQueue,
}

impl Connection {
    fn new(stream: TcpStream) -> Connection {
        Connection { stream, chunk: vec![0; CHUNK_BYTES], out: SendQueue::default() }
    }

    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        if self.shake_hands()? {
            self.echo()?;
        }
        self.leave()
    }

    /// Answers the request; returns whether the connection is a WebSocket now.
    fn shake_hands(&mut self) -> io::Result<bool> {
        let Limits { head_bytes_max, headers_max, .. } = Limits::default();
        let (mut scanner, mut head) = (HeadScanner::default(), Vec::new());
        loop {
            let read_bytes = self.stream.read(&mut self.chunk)?;
            head.extend_from_slice(&self.chunk[..read_bytes]);
            let accept = match scanner.parse(&head, HeadLimits { head_bytes_max, headers_max }) {
                Ok(Parsed::Incomplete) if read_bytes == 0 => return Ok(false),
                Ok(Parsed::Incomplete) => continue,
                Ok(Parsed::Head { head: request, consumed }) => judge(&request, consumed < head.len()),
                Err(refusal) => Err(refusal.response()),
            };
            let is_websocket = accept.is_ok();
            self.out.push_bytes(match accept {
                Ok(accept) => switching_protocols(&accept),
                Err(response) => response.to_bytes(false),
            });
            self.out.write_to(&mut self.stream)?;
            return Ok(is_websocket);
        }
    }

    /// Sends every message back as it came, until either side ends the conversation.
    fn echo(&mut self) -> io::Result<()> {
        let mut websocket = WebSocket::new(LIMITS);
        let mut is_open = true;
        while is_open {
            let read_bytes = self.stream.read(&mut self.chunk)?;
            if read_bytes == 0 {
                return Ok(());
            }
            is_open = self.take_frames(&mut websocket, read_bytes);
            self.out.write_to(&mut self.stream)?;
        }
        Ok(())
    }

    /// Queues the answers to one read; returns whether more may come. A ping may stand between the fragments of a
    /// message, so its pong goes before the echo, as in the product. The close frame goes last.
    fn take_frames(&mut self, websocket: &mut WebSocket, read_bytes: usize) -> bool {
        let (mut reply, mut echoes) = (Vec::new(), Vec::new());
        let outcome = websocket.feed(&self.chunk[..read_bytes], &mut reply, &mut |message| {
            echoes.push(frame(message));
            Flow::Continue
        });
        let close = match outcome {
            Ok(Status::Closed) => mem::take(&mut reply),
            Err(error) => close_frame(error.code, error.violation.as_str()),
            Ok(_) => Vec::new(),
        };
        self.out.push_bytes(reply);
        echoes.into_iter().for_each(|echo| self.out.push_frame(echo));
        self.out.push_bytes(close);
        outcome == Ok(Status::Open)
    }

    /// Closes our half and reads to the end: closing with bytes unread would reset the connection, and the peer could
    /// lose our last words.
    fn leave(mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.set_read_timeout(Some(Limits::default().close_timeout))?;
        io::copy(&mut self.stream, &mut io::sink()).map(|_| ())
    }
}

/// The `Sec-WebSocket-Accept` to agree with, or the answer that refuses.
fn judge(request: &RequestHead, has_more: bool) -> Result<String, Response> {
    match request.wants_websocket() {
        Ok(Some(_)) if has_more => {
            Err(Response::text(400, "Nothing may follow the handshake before it is answered."))
        }
        Ok(Some(key)) => Ok(key.accept()),
        Ok(None) => Err(Response::text(400, "Only WebSockets are served here.")),
        Err(refusal) => Err(refusal.response()),
    }
}

fn frame(message: Message<'_>) -> Frame {
    match message {
        Message::Text(text) => Frame::text(text.len(), |out| out.extend_from_slice(text.as_bytes())),
        Message::Binary(bytes) => Frame::binary(bytes),
    }
}
