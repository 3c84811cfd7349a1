//! Collectors: acknowledgements of recipients, gathered for the one who asked for them.
//!
//! Owns what is gathered for one request, within the limits of one message. It never decides when a request is over.

use crate::words::{
    args::Args,
    config::Limits,
    json::push_item,
    numbers::RequestId,
    placeholder::{has_stray_placeholder, move_binary},
};
use alloc::{string::String, vec::Vec};
use moorline_protocol::Frame;

/// The bytes of the acknowledgement that carries the responses, besides these.
const ENVELOPE_BYTES: usize = 1024;

/// Acknowledgements of recipients, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// The first argument of each that fits, joined by commas.
    json: String,
    attachments: Vec<Frame>,
    kept: usize,
    bytes: usize,
    acknowledged: u64,
    /// Recipients that will not acknowledge any more.
    left: u64,
    /// The id under which the recipients on this node were asked.
    request: Option<RequestId>,
}

impl Collector {
    pub(crate) fn new(request: Option<RequestId>) -> Collector {
        Collector { request, ..Collector::default() }
    }

    /// The id under which the recipients on this node were asked.
    pub(crate) fn request(&self) -> Option<RequestId> {
        self.request
    }

    /// The bytes of the responses and their attachments.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Recipients that went away before they acknowledged.
    pub(crate) fn add_left(&mut self, recipients: u64) {
        self.left = self.left.saturating_add(recipients);
    }

    /// Whether so many recipients have all acknowledged or left.
    pub(crate) fn is_complete(&self, expected: u64) -> bool {
        self.acknowledged.saturating_add(self.left) >= expected
    }

    /// Takes the first argument of an acknowledgement; empty JSON for one that is only counted. `gathered_bytes` is
    /// what the asking socket has gathered so far, with this request and others.
    pub(crate) fn take(
        &mut self,
        json: &str,
        attachments: &[Frame],
        gathered_bytes: &mut usize,
        limits: &Limits,
    ) {
        self.acknowledged += 1;
        let attachment_bytes: usize = attachments.iter().map(Frame::len_bytes).sum();
        let ack_bytes = json.len() + 1 + attachment_bytes;
        let bytes = self.bytes + ack_bytes;
        let is_stray = has_stray_placeholder(json, attachments.len());
        let is_kept = !json.is_empty()
            && !is_stray
            && self.kept < limits.responses_max
            && bytes + ENVELOPE_BYTES <= limits.payload_bytes_max
            && *gathered_bytes + ack_bytes <= limits.outbox_bytes_max
            && self.attachments.len() + attachments.len() <= limits.attachments_max;
        if !is_kept {
            return;
        }
        self.bytes = bytes;
        *gathered_bytes += ack_bytes;
        self.kept += 1;
        push_item(&mut self.json, &move_binary(json, attachments, &mut self.attachments));
    }

    /// The responses, and how many acknowledgements came that are not among them.
    pub(crate) fn into_responses(self) -> (Args, u64) {
        let more = self.acknowledged - self.kept as u64;
        (Args::from_parts(self.json, self.attachments), more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_joined_in_order_and_those_beyond_the_limits_are_counted() {
        let limits = Limits { responses_max: 2, ..Limits::default() };
        let (mut collector, mut gathered) = (Collector::new(None), 0);
        collector.take("1", &[], &mut gathered, &limits);
        collector.take("", &[], &mut gathered, &limits);
        let placeholder = r#"{"_placeholder":true,"num":0}"#;
        collector.take(placeholder, &[Frame::binary(b"x")], &mut gathered, &limits);
        collector.take("3", &[], &mut gathered, &limits);
        assert!(collector.is_complete(4) && !collector.is_complete(5));
        collector.add_left(1);
        assert!(collector.is_complete(5));
        assert_eq!(collector.bytes(), gathered);
        let (responses, more) = collector.into_responses();
        assert_eq!(
            (responses.as_json(), responses.attachments().len()),
            ("1,{\"_placeholder\":true,\"num\":0}", 1)
        );
        assert_eq!(more, 2);
    }

    #[test]
    fn one_asker_gathers_no_more_than_its_outbox_holds() {
        let limits = Limits { outbox_bytes_max: 10, ..Limits::default() };
        let (mut first, mut second, mut gathered) = (Collector::new(None), Collector::new(None), 0);
        first.take("12345", &[], &mut gathered, &limits);
        second.take("12345", &[], &mut gathered, &limits);
        second.take("123", &[], &mut gathered, &limits);
        assert_eq!((gathered, first.bytes(), second.bytes()), (10, 6, 4));
    }
}
