//! Long polling: one GET that waits for the server, and one POST at a time.
//!
//! Owns the two requests and the outbox of the second; it never reads a packet. Invariant: packets are posted in the
//! order they were pushed, and a body holds no more than the server takes, unless a single packet does.

use crate::{Channel, Output, output_queue::OutputQueue};
use alloc::{collections::VecDeque, string::String, vec::Vec};
use moorline_protocol::{Frame, engine};

/// The status of a request that succeeded.
pub(crate) const OK: u16 = 200;

#[derive(Debug)]
pub(crate) struct Polling {
    url: String,
    pub(crate) poll: Option<Channel>,
    pub(crate) post: Option<Channel>,
    outbox: VecDeque<Frame>,
    outbox_bytes: usize,
    body_bytes_max: usize,
}

impl Polling {
    /// Requests a session.
    pub(crate) fn open(url: String, outputs: &mut OutputQueue) -> Polling {
        let outbox = VecDeque::new();
        let mut polling =
            Polling { url, poll: None, post: None, outbox, outbox_bytes: 0, body_bytes_max: usize::MAX };
        polling.poll(outputs);
        polling
    }

    /// The session is open: later requests belong to it.
    pub(crate) fn settle(&mut self, url: String, body_bytes_max: usize) {
        self.url = url;
        self.body_bytes_max = body_bytes_max;
    }

    /// Makes the next GET, unless one is under way.
    pub(crate) fn poll(&mut self, outputs: &mut OutputQueue) {
        if self.poll.is_none() {
            let channel = outputs.new_channel();
            self.poll = Some(channel);
            outputs.push(Output::Get(channel, self.url.clone()));
        }
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        self.outbox_bytes += frame.len_bytes();
        self.outbox.push_back(frame);
    }

    /// Posts the outbox, as much as one body holds, unless a POST is under way.
    pub(crate) fn post(&mut self, outputs: &mut OutputQueue) {
        if self.post.is_none() && !self.outbox.is_empty() {
            let channel = outputs.new_channel();
            self.post = Some(channel);
            let body = String::from_utf8(engine::encode_payload(&self.take_body())).unwrap_or_default();
            outputs.push(Output::Post(channel, self.url.clone(), body));
        }
    }

    fn take_body(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        while let Some(frame) = self.outbox.front() {
            bytes += posted_bytes(frame) + 1;
            // No separator follows the last packet.
            if !frames.is_empty() && bytes - 1 > self.body_bytes_max {
                break;
            }
            frames.extend(self.outbox.pop_front());
        }
        self.outbox_bytes -= frames.iter().map(Frame::len_bytes).sum::<usize>();
        frames
    }

    /// Takes the outbox, for the WebSocket that takes over.
    pub(crate) fn take_outbox(&mut self) -> VecDeque<Frame> {
        self.outbox_bytes = 0;
        core::mem::take(&mut self.outbox)
    }

    /// Whether this packet is the last in the outbox.
    pub(crate) fn ends_with(&self, packet: &[u8]) -> bool {
        self.outbox.back().is_some_and(|last| last.as_packet() == packet)
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox_bytes
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.poll.is_none() && self.post.is_none()
    }

    pub(crate) fn abort(&mut self, outputs: &mut OutputQueue) {
        for channel in [self.poll.take(), self.post.take()].into_iter().flatten() {
            outputs.push(Output::Abort(channel));
        }
    }
}

/// The length of a packet in a body: binary ones travel as `b` and base64.
pub(crate) fn posted_bytes(frame: &Frame) -> usize {
    let bytes = frame.as_packet().len();
    if frame.is_binary() { 1 + bytes.div_ceil(3) * 4 } else { bytes }
}
