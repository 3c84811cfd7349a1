//! The bytes one connection has still to write: finished ones, in order, shared frames never copied.
//!
//! Owns the place where the last write stopped. It never encodes, never drops and never judges which peer is too slow:
//! the core does, whose outbox holds the rest.
//!
//! Invariant: bounded by its caller, which pulls from the outbox only while [`SendQueue::has_room`], and gives up a
//! peer that asks for pongs without reading them. An empty queue holds no memory.

use moorline_protocol::Frame;
use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
};

/// At most so many chunks go into one system call.
const SLICES_MAX: usize = 64;
/// From so many unwritten bytes on, the queue takes a pause; one write of this size fills a socket's buffer.
const ROOM_BYTES: usize = 64 * 1024;

/// Bytes on their way to one transport.
#[derive(Debug, Default)]
pub struct SendQueue {
    chunks: VecDeque<Chunk>,
    /// The bytes of the first chunk that are written.
    written_bytes: usize,
    len_bytes: usize,
}

#[derive(Debug)]
enum Chunk {
    Frame(Frame),
    Bytes(Vec<u8>),
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything is with the kernel.
    Done,
    /// The transport takes no more for now: go on when it is writable.
    Blocked,
}

impl SendQueue {
    /// Queues a shared frame, as its finished WebSocket bytes.
    pub fn push_frame(&mut self, frame: Frame) {
        self.push(Chunk::Frame(frame));
    }

    /// Queues bytes that are finished: an HTTP answer, a pong, a close frame.
    pub fn push_bytes(&mut self, bytes: Vec<u8>) {
        self.push(Chunk::Bytes(bytes));
    }

    fn push(&mut self, chunk: Chunk) {
        let chunk_bytes = chunk.as_bytes().len();
        if chunk_bytes > 0 {
            self.len_bytes += chunk_bytes;
            self.chunks.push_back(chunk);
        }
    }

    /// Whether nothing waits here. The transport may still hold bytes of its own; after [`Progress::Done`] it holds
    /// none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The bytes not yet taken by the transport.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Whether more should be pulled for this connection.
    pub fn has_room(&self) -> bool {
        self.len_bytes < ROOM_BYTES
    }

    /// Writes until everything is out or the transport blocks, and flushes it. Call it on every writable event, also
    /// when the queue is empty: a TLS transport keeps records of its own until it is flushed.
    ///
    /// # Errors
    /// Those of the transport but `WouldBlock` and `Interrupted`; the connection is lost then.
    pub fn write_to(&mut self, transport: &mut impl Write) -> io::Result<Progress> {
        while !self.chunks.is_empty() {
            match self.write_once(transport) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written_bytes) => self.advance(written_bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return blocked_or(error),
            }
        }
        transport.flush().map_or_else(blocked_or, |()| Ok(Progress::Done))
    }

    fn write_once(&self, transport: &mut impl Write) -> io::Result<usize> {
        if let (Some(only), 1) = (self.chunks.front(), self.chunks.len()) {
            // The usual case in a room, and cheaper for the kernel than a list of one.
            return transport.write(&only.as_bytes()[self.written_bytes..]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut skipped_bytes = self.written_bytes;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk.as_bytes()[skipped_bytes..]);
            skipped_bytes = 0;
        }
        transport.write_vectored(&slices[..self.chunks.len().min(SLICES_MAX)])
    }

    fn advance(&mut self, written_bytes: usize) {
        self.len_bytes -= written_bytes;
        self.written_bytes += written_bytes;
        while let Some(first) = self.chunks.front() {
            let first_bytes = first.as_bytes().len();
            if self.written_bytes < first_bytes {
                return;
            }
            self.written_bytes -= first_bytes;
            self.chunks.pop_front();
        }
        self.chunks = VecDeque::new();
    }
}

impl Chunk {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Chunk::Frame(frame) => frame.as_websocket(),
            Chunk::Bytes(bytes) => bytes,
        }
    }
}

fn blocked_or(error: io::Error) -> io::Result<Progress> {
    if error.kind() == io::ErrorKind::WouldBlock { Ok(Progress::Blocked) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `step` bytes a call, is interrupted before each, and blocks after `budget` bytes.
    struct Narrow {
        taken: Vec<u8>,
        step: usize,
        budget: usize,
        slices_seen_max: usize,
        is_interrupted: bool,
        is_flush_blocked: bool,
    }

    impl Narrow {
        fn new(step: usize, budget: usize) -> Self {
            let taken = Vec::new();
            Narrow { taken, step, budget, slices_seen_max: 0, is_interrupted: false, is_flush_blocked: false }
        }
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.is_interrupted = !self.is_interrupted;
            if self.is_interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.budget == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            assert!(slices.iter().all(|slice| !slice.is_empty()));
            self.slices_seen_max = self.slices_seen_max.max(slices.len());
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken_bytes = all.len().min(self.step).min(self.budget);
            self.taken.extend_from_slice(&all[..taken_bytes]);
            self.budget -= taken_bytes;
            Ok(taken_bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            if self.is_flush_blocked { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        }
    }

    fn filled() -> (SendQueue, Vec<u8>) {
        let (mut queue, mut expected) = (SendQueue::default(), Vec::new());
        for index in 0..100_u8 {
            let frame = Frame::text(1, |out| out.resize(out.len() + usize::from(index), b'x'));
            expected.extend_from_slice(frame.as_websocket());
            queue.push_frame(frame);
            expected.extend_from_slice(&[index; 3]);
            queue.push_bytes(vec![index; 3]);
            queue.push_bytes(Vec::new());
        }
        (queue, expected)
    }

    #[test]
    fn everything_is_written_in_order_whatever_a_call_takes() {
        for step in [1, 2, 3, 5, 64, 1000, usize::MAX] {
            let (mut queue, expected) = filled();
            assert_eq!(queue.len_bytes(), expected.len());
            let mut narrow = Narrow::new(step, usize::MAX);
            assert_eq!(queue.write_to(&mut narrow).unwrap(), Progress::Done);
            assert!(narrow.taken == expected, "{step} bytes at a time");
            assert!(narrow.slices_seen_max == SLICES_MAX);
        }
    }

    #[test]
    fn a_blocked_write_goes_on_where_it_stopped() {
        let (mut queue, expected) = filled();
        let mut narrow = Narrow::new(usize::MAX, 0);
        while queue.write_to(&mut narrow).unwrap() == Progress::Blocked {
            assert_eq!(queue.len_bytes(), expected.len() - narrow.taken.len());
            narrow.budget = 7;
        }
        assert_eq!(narrow.taken, expected);
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let (mut queue, _) = filled();
        assert!(!queue.is_empty());
        queue.write_to(&mut Narrow::new(100, usize::MAX)).unwrap();
        assert!(queue.is_empty());
        assert_eq!((queue.chunks.capacity(), queue.len_bytes(), queue.written_bytes), (0, 0, 0));
    }

    #[test]
    fn there_is_room_until_64_kib_wait() {
        let mut queue = SendQueue::default();
        queue.push_bytes(vec![0; ROOM_BYTES - 1]);
        assert!(queue.has_room());
        queue.push_bytes(vec![0]);
        assert!(!queue.has_room());
    }

    #[test]
    fn a_transport_that_cannot_flush_is_not_done() {
        let mut narrow = Narrow::new(usize::MAX, usize::MAX);
        narrow.is_flush_blocked = true;
        assert_eq!(SendQueue::default().write_to(&mut narrow).unwrap(), Progress::Blocked);
        narrow.is_flush_blocked = false;
        assert_eq!(SendQueue::default().write_to(&mut narrow).unwrap(), Progress::Done);
    }

    #[test]
    fn a_transport_that_takes_nothing_is_lost() {
        let (mut queue, _) = filled();
        let error = queue.write_to(&mut Narrow::new(0, 1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
