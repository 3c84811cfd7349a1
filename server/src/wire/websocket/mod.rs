//! The server's end of one WebSocket: bytes as read in, whole messages and finished reply frames out.
//!
//! Owns the framing state of one connection: the bytes of an incomplete frame, the message it is a fragment of, and
//! tungstenite's context while there is work for it. It never touches a socket and never sends of its own
//! accord: the server's messages go through [`super::send_queue`] as finished frames.
//!
//! Invariant: a sink that wants no more for now loses nothing: what it has not seen is kept here, and nothing after it
//! is read until it has.
//!
//! Invariant: between two whole messages nothing is allocated. tungstenite's context reserves its read buffer eagerly
//! and hides its state, so frames are walked here, the context sees only whole ones, and it is dropped after a final
//! frame. Every limit is judged by a frame's header, before its payload is kept.

use crate::causes::Violation;
use std::{
    io::{self, Cursor, Read, Write},
    mem,
};
use tungstenite::protocol::{
    Role, WebSocketConfig, WebSocketContext,
    frame::{
        FrameHeader,
        coding::{Data, OpCode},
    },
};

/// The longest payload of a control frame, in bytes (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// A close frame's reason shares those bytes with its two-byte code.
const CLOSE_REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;
/// tungstenite zero-fills its read buffer before every read: past this size the filling costs more than the reads.
const READ_BUFFER_BYTES_MAX: usize = 4096;

/// The limits of one message.
#[derive(Debug, Clone, Copy)]
pub struct MessageLimits {
    /// Bytes of its payload, over all its frames.
    pub message_bytes_max: usize,
    /// Frames that it may come in.
    pub fragments_max: usize,
}

/// One WebSocket connection after its handshake, on the server's side.
#[derive(Debug)]
pub struct WebSocket {
    admission: Admission,
    /// The start of a frame whose end has not arrived.
    partial: Vec<u8>,
    /// The whole length of that frame, header included, once its header was read and admitted.
    partial_frame_bytes: Option<usize>,
    context: Option<Box<Context>>,
    has_ended: bool,
}

/// tungstenite's state, and what it has still to read after a pause.
#[derive(Debug)]
struct Context {
    inner: WebSocketContext,
    /// `None` unless the sink paused. Frames that are whole and admitted; more may lie in tungstenite's own buffer.
    unread: Option<Vec<u8>>,
    /// The fault of the frame after those.
    error: Option<ProtocolError>,
}

/// The answer of a sink to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next one, please.
    Continue,
    /// No more for now: keep the rest until [`WebSocket::resume`].
    Pause,
    /// No more ever: the connection is being closed.
    Stop,
}

/// One whole message, fragments joined and text checked to be UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// The state of a connection after a [`WebSocket::feed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// More may come.
    Open,
    /// The sink paused it: call [`WebSocket::resume`] before feeding it more.
    Paused,
    /// The sink stopped it; bytes after that message were discarded.
    Stopped,
    /// The peer's close frame was received and its echo is in `reply`: write that and close the transport.
    Closed,
}

/// The peer broke RFC 6455 or a limit: send [`close_frame`] with this code, then close the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProtocolError {
    /// The close code: 1002 protocol, 1007 not UTF-8, 1008 too many fragments, 1009 message too big.
    pub code: u16,
    /// The rule that was broken, as a metric counts it.
    pub violation: Violation,
}

impl ProtocolError {
    const NOT_UTF8: ProtocolError = ProtocolError { code: 1007, violation: Violation::NotUtf8 };
    const TOO_MANY_FRAGMENTS: ProtocolError =
        ProtocolError { code: 1008, violation: Violation::TooManyFragments };
    const TOO_BIG: ProtocolError = ProtocolError { code: 1009, violation: Violation::MessageTooBig };

    const fn protocol(violation: Violation) -> ProtocolError {
        ProtocolError { code: 1002, violation }
    }
}

impl WebSocket {
    /// A connection whose messages keep these limits.
    pub fn new(limits: MessageLimits) -> Self {
        WebSocket {
            admission: Admission { limits, unfinished: None, overhead: 0 },
            partial: Vec::new(),
            partial_frame_bytes: None,
            context: None,
            has_ended: false,
        }
    }

    /// Takes bytes just read from the transport and calls `sink` for each message they complete, in order; the sink may
    /// pause or stop that. Pongs and the close echo are appended to `reply` as finished
    /// frames: a pong is shorter than its ping. Everything after the end of the conversation is ignored.
    ///
    /// # Errors
    /// The [`ProtocolError`] of the first bad frame, after the messages before it were delivered.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        reply: &mut Vec<u8>,
        sink: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Status, ProtocolError> {
        if self.has_ended {
            return Ok(Status::Closed);
        }
        debug_assert!(!self.is_paused(), "resume it first");
        let outcome = self.feed_frames(bytes, reply, sink);
        self.finish(outcome)
    }

    /// Takes the number of frames that came and complete no message: control frames and fragments. Each of them costs
    /// about as much as a message.
    pub fn take_overhead(&mut self) -> u32 {
        mem::take(&mut self.admission.overhead)
    }

    /// Whether messages wait here that the sink has not seen.
    pub fn is_paused(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.unread.is_some())
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// As for [`WebSocket::feed`].
    pub fn resume(
        &mut self,
        reply: &mut Vec<u8>,
        sink: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Status, ProtocolError> {
        let Some(unread) = self.context.as_mut().and_then(|context| context.unread.take()) else {
            return Ok(Status::Open);
        };
        let outcome = self.read_frames(&unread, reply, sink).and_then(|status| {
            let error =
                self.context.as_mut().filter(|_| status == Status::Open).and_then(|at| at.error.take());
            error.map_or(Ok(status), Err)
        });
        self.finish(outcome)
    }

    fn finish(&mut self, outcome: Result<Status, ProtocolError>) -> Result<Status, ProtocolError> {
        match outcome {
            Ok(Status::Open) => self.release_context(),
            Ok(Status::Paused) => {}
            Ok(Status::Stopped | Status::Closed) | Err(_) => self.end(),
        }
        outcome
    }

    fn feed_frames(
        &mut self,
        mut bytes: &[u8],
        reply: &mut Vec<u8>,
        sink: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Status, ProtocolError> {
        if !self.partial.is_empty() {
            bytes = self.fill_partial(bytes)?;
            if self.partial_frame_bytes != Some(self.partial.len()) {
                return Ok(Status::Open);
            }
            self.partial_frame_bytes = None;
            let frame = mem::take(&mut self.partial);
            match self.read_frames(&frame, reply, sink)? {
                Status::Open => {}
                Status::Paused => return Ok(self.keep(bytes)),
                ended => return Ok(ended),
            }
        }
        let (whole_bytes, verdict) = self.walk(bytes);
        let (whole, rest) = bytes.split_at(whole_bytes);
        let status = self.read_frames(whole, reply, sink)?;
        match status {
            Status::Open => self.keep_partial(verdict?, rest),
            Status::Paused => self.keep_verdict(verdict, rest),
            Status::Stopped | Status::Closed => {}
        }
        Ok(status)
    }

    /// Keeps bytes that come after a pause: whole frames to read later, and the start of one.
    fn keep(&mut self, bytes: &[u8]) -> Status {
        let (whole_bytes, verdict) = self.walk(bytes);
        let (whole, rest) = bytes.split_at(whole_bytes);
        if let Some(unread) = self.context.as_mut().and_then(|context| context.unread.as_mut()) {
            unread.extend_from_slice(whole);
        }
        self.keep_verdict(verdict, rest);
        Status::Paused
    }

    fn keep_verdict(&mut self, verdict: Result<Option<usize>, ProtocolError>, rest: &[u8]) {
        match (verdict, &mut self.context) {
            (Ok(frame_bytes), _) => self.keep_partial(frame_bytes, rest),
            (Err(error), Some(context)) => context.error = Some(error),
            (Err(_), None) => {}
        }
    }

    fn keep_partial(&mut self, frame_bytes: Option<usize>, rest: &[u8]) {
        self.partial_frame_bytes = frame_bytes;
        self.partial.extend_from_slice(rest);
    }

    /// Moves bytes to the incomplete frame until it is whole, and returns those that come after it.
    fn fill_partial<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
        while self.partial_frame_bytes.is_none() {
            let Some((first, rest)) = bytes.split_first() else { return Ok(bytes) };
            self.partial.push(*first);
            self.partial_frame_bytes = self.admission.admit(&self.partial)?;
            bytes = rest;
        }
        let missing = self.partial_frame_bytes.unwrap_or(0).saturating_sub(self.partial.len());
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        self.partial.extend_from_slice(taken);
        Ok(rest)
    }

    /// Counts the bytes of the whole frames at the start of `bytes`, and says what follows them: a refused frame, a
    /// frame of known length, or a header still incomplete.
    fn walk(&mut self, bytes: &[u8]) -> (usize, Result<Option<usize>, ProtocolError>) {
        let mut whole_bytes = 0;
        loop {
            let rest = &bytes[whole_bytes..];
            match self.admission.admit(rest) {
                Ok(Some(frame_bytes)) if frame_bytes <= rest.len() => whole_bytes += frame_bytes,
                verdict => return (whole_bytes, verdict),
            }
        }
    }

    /// Lets tungstenite read `frames`, which are whole and admitted.
    fn read_frames(
        &mut self,
        frames: &[u8],
        reply: &mut Vec<u8>,
        sink: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Status, ProtocolError> {
        if frames.is_empty() && self.context.is_none() {
            return Ok(Status::Open);
        }
        let message_bytes_max = self.admission.limits.message_bytes_max;
        let context = self.context.get_or_insert_with(|| new_context(frames.len(), message_bytes_max));
        let mut frame_io = FrameIo { input: frames, reply };
        loop {
            let flow = match context.inner.read(&mut frame_io) {
                Ok(tungstenite::Message::Text(text)) => sink(Message::Text(&text)),
                Ok(tungstenite::Message::Binary(bytes)) => sink(Message::Binary(&bytes)),
                Ok(_) => Flow::Continue,
                Err(error) => return status_of(&error),
            };
            match flow {
                Flow::Continue => {}
                Flow::Pause => {
                    context.unread = Some(frame_io.input.to_vec());
                    return Ok(Status::Paused);
                }
                Flow::Stop => return Ok(Status::Stopped),
            }
        }
    }

    /// Gives the context back when no fragment waits in it for the rest of its message. An admitted frame that is still
    /// arriving may be that rest.
    fn release_context(&mut self) {
        if self.admission.unfinished.is_none() && self.partial_frame_bytes.is_none() {
            self.context = None;
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.context = None;
        self.partial = Vec::new();
    }
}

/// A context for a first input of `input_bytes`. The buffer is twice that, because tungstenite reserves room for a
/// frame's payload on top of what it has already read of it.
fn new_context(input_bytes: usize, message_bytes_max: usize) -> Box<Context> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES_MAX.min(2 * input_bytes))
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max.max(CONTROL_BYTES_MAX)));
    let inner = WebSocketContext::new(Role::Server, Some(config));
    Box::new(Context { inner, unread: None, error: None })
}

/// The end of a read: input used up, conversation closed, or a violation only the payload could show.
fn status_of(error: &tungstenite::Error) -> Result<Status, ProtocolError> {
    match error {
        tungstenite::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Status::Open),
        tungstenite::Error::ConnectionClosed => Ok(Status::Closed),
        tungstenite::Error::Utf8(_) => Err(ProtocolError::NOT_UTF8),
        tungstenite::Error::Capacity(_) => Err(ProtocolError::TOO_BIG),
        _ => Err(ProtocolError::protocol(Violation::Protocol)),
    }
}

/// Judges frames by their headers, in order, each once.
#[derive(Debug)]
struct Admission {
    limits: MessageLimits,
    unfinished: Option<Fragments>,
    /// Frames that complete no message.
    overhead: u32,
}

/// The admitted part of a message whose final frame is still to come.
#[derive(Debug, Default, Clone, Copy)]
struct Fragments {
    count: usize,
    bytes: usize,
}

impl Admission {
    /// The whole length of the frame that starts `bytes`, or `None` while its header is incomplete.
    fn admit(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let mut cursor = Cursor::new(bytes);
        let parsed =
            FrameHeader::parse(&mut cursor).map_err(|_| ProtocolError::protocol(Violation::BadOpcode))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let payload_bytes = usize::try_from(length).map_err(|_| ProtocolError::TOO_BIG)?;
        refuse_bad_bits(&header)?;
        if !header.is_final || matches!(header.opcode, OpCode::Control(_)) {
            self.overhead = self.overhead.saturating_add(1);
        }
        match header.opcode {
            OpCode::Control(_) => admit_control(header.is_final, payload_bytes)?,
            OpCode::Data(data) => self.admit_data(data, header.is_final, payload_bytes)?,
        }
        let frame_bytes = cursor.position() + length;
        Ok(Some(usize::try_from(frame_bytes).map_err(|_| ProtocolError::TOO_BIG)?))
    }

    fn admit_data(&mut self, data: Data, is_final: bool, payload_bytes: usize) -> Result<(), ProtocolError> {
        let before = match (data, self.unfinished.take()) {
            (Data::Continue, Some(before)) => before,
            (Data::Continue, None) => return Err(ProtocolError::protocol(Violation::UnexpectedContinuation)),
            (_, Some(_)) => return Err(ProtocolError::protocol(Violation::UnfinishedMessage)),
            (_, None) => Fragments::default(),
        };
        if payload_bytes > self.limits.message_bytes_max - before.bytes {
            return Err(ProtocolError::TOO_BIG);
        }
        if before.count >= self.limits.fragments_max {
            return Err(ProtocolError::TOO_MANY_FRAGMENTS);
        }
        let admitted = Fragments { count: before.count + 1, bytes: before.bytes + payload_bytes };
        self.unfinished = (!is_final).then_some(admitted);
        Ok(())
    }
}

/// No extension is ever negotiated, so a reserved bit means nothing; a client must mask (RFC 6455, 5.1 and 5.2).
fn refuse_bad_bits(header: &FrameHeader) -> Result<(), ProtocolError> {
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(ProtocolError::protocol(Violation::ReservedBits));
    }
    if header.mask.is_none() {
        return Err(ProtocolError::protocol(Violation::Unmasked));
    }
    Ok(())
}

fn admit_control(is_final: bool, payload_bytes: usize) -> Result<(), ProtocolError> {
    if !is_final {
        return Err(ProtocolError::protocol(Violation::FragmentedControl));
    }
    if payload_bytes > CONTROL_BYTES_MAX {
        return Err(ProtocolError::protocol(Violation::ControlTooLong));
    }
    Ok(())
}

/// The transport as tungstenite sees it: the frames at hand, and a place for its replies.
struct FrameIo<'a> {
    input: &'a [u8],
    reply: &'a mut Vec<u8>,
}

impl Read for FrameIo<'_> {
    /// Nothing left is "would block", not the end: zero would mean that the peer vanished.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.input.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read_bytes => Ok(read_bytes),
        }
    }
}

impl Write for FrameIo<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reply.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A finished close frame of the server. The reason is cut to 123 bytes at a character boundary. After it is queued,
/// feed the connection no more: nothing may be sent after a close frame.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    const FINAL_CLOSE: u8 = 0x88;
    let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)];
    let payload_bytes = u8::try_from(2 + reason.len()).unwrap_or(2);
    let mut frame = vec![FINAL_CLOSE, payload_bytes];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

/// The `Sec-WebSocket-Accept` value that answers a `Sec-WebSocket-Key` (RFC 6455, 4.2.2).
pub fn accept_key(key: &str) -> String {
    use base64::Engine as _;
    use ring::digest;

    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key.as_bytes());
    sha1.update(GUID);
    base64::engine::general_purpose::STANDARD.encode(sha1.finish())
}

#[cfg(test)]
mod tests;
