//! Collectors: acknowledgements of recipients, gathered for the one who asked for them.
//!
//! Owns what is gathered for one request, within the limits of one message. It never decides when a request is over.
//!
//! Invariant: an answer gives way only to smaller ones. One that takes most of the room leaves no less of it to others,
//! and alone it is kept, too.

use crate::words::{
    args::Args,
    config::Limits,
    json::push_item,
    numbers::RequestId,
    placeholder::{has_stray_placeholder, move_binary},
};
use alloc::{boxed::Box, string::String, vec, vec::Vec};
use core::cmp::Reverse;
use moorline_protocol::Frame;

/// The bytes of the acknowledgement that carries the responses, besides these.
const ENVELOPE_BYTES: usize = 1024;

/// The memory that a kept answer takes besides its bytes.
const KEPT_BYTES: usize = 64;

/// Acknowledgements of recipients, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    kept: Vec<Response>,
    /// The sum over what is kept.
    size: Size,
    acknowledged: u64,
    /// Recipients that will not acknowledge any more.
    left: u64,
    /// The id under which the recipients on this node were asked.
    request: Option<RequestId>,
}

/// The first argument of an acknowledgement, with the attachments that it points at.
#[derive(Debug)]
struct Response {
    json: Box<str>,
    attachments: Box<[Frame]>,
}

/// The room that responses take.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Size {
    responses: usize,
    /// In the message that carries them.
    bytes: usize,
    attachments: usize,
}

impl Collector {
    pub(crate) fn new(request: Option<RequestId>) -> Collector {
        Collector { request, ..Collector::default() }
    }

    /// The id under which the recipients on this node were asked.
    pub(crate) fn request(&self) -> Option<RequestId> {
        self.request
    }

    /// The bytes of the responses and their attachments, and the memory to keep them in.
    pub(crate) fn bytes(&self) -> usize {
        self.size.held_bytes()
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
        if json.is_empty() || has_stray_placeholder(json, attachments.len()) {
            return;
        }
        let elsewhere = *gathered_bytes - self.bytes();
        self.push(Response::new(json, attachments), elsewhere, limits);
        *gathered_bytes = elsewhere + self.bytes();
    }

    /// Keeps a response. What does not fit gives way, the largest first and of equal ones the later; the new one gives
    /// way alone if it is among them.
    fn push(&mut self, response: Response, elsewhere: usize, limits: &Limits) {
        self.size = self.size.and(response.size());
        self.kept.push(response);
        let newest = self.kept.len() - 1;
        let mut giving_way = Vec::new();
        let mut size = self.size;
        while let Some(excess) = size.excess(elsewhere, limits) {
            let left = self.kept.iter().enumerate().filter(|(at, _)| !giving_way.contains(at));
            let largest = left.max_by_key(|(_, response)| response.size().measure(excess));
            let Some((at, response)) = largest else { break };
            size = size.without(response.size());
            giving_way.push(at);
        }
        if giving_way.contains(&newest) {
            giving_way = vec![newest];
        }
        giving_way.sort_unstable_by_key(|at| Reverse(*at));
        for at in giving_way {
            self.size = self.size.without(self.kept.remove(at).size());
        }
    }

    /// The responses, and how many acknowledgements came that are not among them.
    pub(crate) fn into_responses(self) -> (Args, u64) {
        let more = self.acknowledged - self.kept.len() as u64;
        let mut json = String::with_capacity(self.size.bytes);
        let mut attachments = Vec::with_capacity(self.size.attachments);
        for response in &self.kept {
            push_item(&mut json, &move_binary(&response.json, &response.attachments, &mut attachments));
        }
        (Args::from_parts(json, attachments), more)
    }
}

impl Response {
    /// Attachments that the argument does not point at are left out.
    fn new(json: &str, attachments: &[Frame]) -> Response {
        let mut own = Vec::new();
        let json = move_binary(json, attachments, &mut own).into_boxed_str();
        Response { json, attachments: own.into_boxed_slice() }
    }

    fn size(&self) -> Size {
        let attachment_bytes: usize = self.attachments.iter().map(Frame::len_bytes).sum();
        // A comma stands before the next one.
        let bytes = self.json.len() + 1 + attachment_bytes;
        Size { responses: 1, bytes, attachments: self.attachments.len() }
    }
}

/// The room that is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excess {
    Attachments,
    Bytes,
}

impl Size {
    fn held_bytes(self) -> usize {
        self.bytes + self.responses * KEPT_BYTES
    }

    fn and(self, other: Size) -> Size {
        Size {
            responses: self.responses + other.responses,
            bytes: self.bytes + other.bytes,
            attachments: self.attachments + other.attachments,
        }
    }

    fn without(self, other: Size) -> Size {
        Size {
            responses: self.responses - other.responses,
            bytes: self.bytes - other.bytes,
            attachments: self.attachments - other.attachments,
        }
    }

    /// The room that is short when the asking socket has gathered so much elsewhere.
    fn excess(self, elsewhere: usize, limits: &Limits) -> Option<Excess> {
        if self.attachments > limits.attachments_max {
            return Some(Excess::Attachments);
        }
        let fits = self.responses <= limits.responses_max
            && self.bytes + ENVELOPE_BYTES <= limits.payload_bytes_max
            && elsewhere + self.held_bytes() <= limits.outbox_bytes_max;
        (!fits).then_some(Excess::Bytes)
    }

    /// The size by which the largest is found when something is short.
    fn measure(self, excess: Excess) -> (usize, usize) {
        match excess {
            Excess::Attachments => (self.attachments, self.bytes),
            Excess::Bytes => (self.bytes, self.attachments),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

    const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

    /// Hands JSON to a collector; returns the responses, the number of the others, and what is gathered.
    fn gathered(limits: &Limits, answers: &[&str]) -> (String, u64, usize) {
        let (mut collector, mut gathered) = (Collector::new(None), 0);
        for json in answers {
            collector.take(json, &[], &mut gathered, limits);
            assert_eq!(collector.bytes(), gathered);
        }
        let (responses, more) = collector.into_responses();
        (responses.as_json().to_string(), more, gathered)
    }

    #[test]
    fn responses_are_joined_in_order_and_those_beyond_the_limits_are_counted() {
        let limits = Limits { responses_max: 2, ..Limits::default() };
        let (mut collector, mut gathered) = (Collector::new(None), 0);
        collector.take("1", &[], &mut gathered, &limits);
        collector.take("", &[], &mut gathered, &limits);
        collector.take(PLACEHOLDER, &[Frame::binary(b"x")], &mut gathered, &limits);
        collector.take(r#""a text that is longer than what is kept""#, &[], &mut gathered, &limits);
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
    fn the_largest_gives_way_wherever_it_stands_and_alone_it_is_kept() {
        let limits = Limits { payload_bytes_max: ENVELOPE_BYTES + 12, ..Limits::default() };
        for at in 0..=3 {
            let mut answers = Vec::from(["11", "22", "33"]);
            answers.insert(at, "9999999999");
            let (kept, more, bytes) = gathered(&limits, &answers);
            assert_eq!((kept.as_str(), more, bytes), ("11,22,33", 1, 9 + 3 * KEPT_BYTES), "{answers:?}");
        }
        assert_eq!(gathered(&limits, &["9999999999"]).0, "9999999999");
        assert_eq!(gathered(&limits, &["99999999999", "999999999999"]), ("99999999999".into(), 1, 76));
    }

    #[test]
    fn of_equal_ones_the_later_gives_way_and_of_many_the_larger() {
        let limits = Limits { responses_max: 3, ..Limits::default() };
        assert_eq!(gathered(&limits, &["1", "2", "3", "4"]).0, "1,2,3");
        assert_eq!(gathered(&limits, &["10", "20", "30", "4"]).0, "10,20,4");
        assert_eq!(gathered(&limits, &["1", "2", "3", "40"]).0, "1,2,3");
    }

    #[test]
    fn of_attachments_who_has_most_gives_way_and_each_stays_with_its_own() {
        let limits = Limits { attachments_max: 2, ..Limits::default() };
        let (mut collector, mut gathered) = (Collector::new(None), 0);
        let two = format!("[{PLACEHOLDER},{}]", PLACEHOLDER.replace('0', "1"));
        collector.take(&two, &[b"a", b"b"].map(|bytes| Frame::binary(bytes)), &mut gathered, &limits);
        collector.take(PLACEHOLDER, &[Frame::binary(b"c")], &mut gathered, &limits);
        collector.take(
            r#""none, and longer than all the others that were sent""#,
            &[],
            &mut gathered,
            &limits,
        );
        collector.take(PLACEHOLDER, &[Frame::binary(b"d")], &mut gathered, &limits);
        collector.take("5", &[Frame::binary(b"not pointed at")], &mut gathered, &limits);
        assert_eq!(collector.bytes(), gathered);
        let (responses, more) = collector.into_responses();
        assert_eq!((responses.attachments(), more), (&[Frame::binary(b"c"), Frame::binary(b"d")][..], 1));
        assert!(responses.as_json().ends_with(r#"sent",{"_placeholder":true,"num":1},5"#));
    }

    #[test]
    fn a_newcomer_that_gives_way_takes_nobody_along() {
        let limits =
            Limits { attachments_max: 2, payload_bytes_max: ENVELOPE_BYTES + 80, ..Limits::default() };
        let (mut collector, mut gathered) = (Collector::new(None), 0);
        let two = format!("[{PLACEHOLDER},{}]", PLACEHOLDER.replace('0', "1"));
        collector.take(&two, &[b"a", b"b"].map(|bytes| Frame::binary(bytes)), &mut gathered, &limits);
        let before = gathered;
        collector.take(PLACEHOLDER, &[Frame::binary(&[0; 60])], &mut gathered, &limits);
        assert_eq!((collector.into_responses().0.as_json(), gathered), (two.as_str(), before));
    }

    #[test]
    fn one_asker_gathers_no_more_than_its_outbox_holds() {
        let limits = Limits { outbox_bytes_max: 10 + 2 * KEPT_BYTES, ..Limits::default() };
        let (mut first, mut second, mut gathered) = (Collector::new(None), Collector::new(None), 0);
        first.take("12345", &[], &mut gathered, &limits);
        second.take("12345", &[], &mut gathered, &limits);
        second.take("123", &[], &mut gathered, &limits);
        assert_eq!((gathered, first.bytes(), second.bytes()), (138, 70, 68));
        second.take("1", &[], &mut gathered, &limits);
        assert_eq!((gathered, second.into_responses().0.as_json()), (136, "1"), "its own make way");
    }
}
