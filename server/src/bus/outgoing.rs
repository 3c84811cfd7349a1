//! The queue of publications from the loop to the publisher thread.
//!
//! Owns the publications that wait, and the account of the bytes Redis has not answered for. It never waits.
//!
//! Invariant: bounded in bytes, those in flight included; a publication that does not fit is refused, and so is
//! everything while the link is down. Publications leave in the order they were queued.

use crate::bus::lock::lock;
use moorline_core::{Destination, Publication, Ticket};
use std::{collections::VecDeque, sync::Mutex};

/// Shared by the loop, which pushes, and the publisher, which takes.
pub(super) struct Outgoing {
    state: Mutex<State>,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Publication>,
    /// Of the queue and of the publications in flight.
    bytes: usize,
    is_live: bool,
    is_closing: bool,
    /// The publisher found nothing to do and must be woken.
    is_idle: bool,
    must_check_link: bool,
}

/// The outcome of pushing a batch.
pub(super) struct Pushed {
    /// The publisher sleeps and must be woken.
    pub(super) must_wake: bool,
    /// The tickets of the refused publications.
    pub(super) refused: Vec<Option<Ticket>>,
}

/// The next work of the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Send the chunk, which holds so many bytes of the account.
    Send(usize),
    /// Ask Redis whether the link still works.
    CheckLink,
    /// Sleep until woken.
    Nothing,
    /// Everything was sent, and nothing more is accepted.
    Finished,
}

impl Outgoing {
    pub(super) fn new(bytes_max: usize) -> Outgoing {
        Outgoing { state: Mutex::default(), bytes_max }
    }

    /// Empties `batch` into the queue, as far as it fits.
    pub(super) fn push(&self, batch: &mut Vec<Publication>) -> Pushed {
        let mut state = lock(&self.state);
        let is_open = state.is_live && !state.is_closing;
        let mut refused = Vec::new();
        for publication in batch.drain(..) {
            let bytes = cost(&publication);
            if is_open && state.bytes + bytes <= self.bytes_max {
                state.bytes += bytes;
                state.queue.push_back(publication);
            } else {
                refused.push(publication.ticket);
            }
        }
        let must_wake = !state.queue.is_empty() && std::mem::take(&mut state.is_idle);
        Pushed { must_wake, refused }
    }

    /// Moves publications to `chunk` until it holds `chunk_bytes` or the queue is empty.
    pub(super) fn take(&self, chunk: &mut VecDeque<Publication>, chunk_bytes: usize) -> Work {
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.must_check_link) {
            return Work::CheckLink;
        }
        let mut bytes = 0;
        while bytes < chunk_bytes
            && let Some(publication) = state.queue.pop_front()
        {
            bytes += cost(&publication);
            chunk.push_back(publication);
        }
        match (bytes, state.is_closing) {
            (0, true) => Work::Finished,
            (0, false) => {
                state.is_idle = true;
                Work::Nothing
            }
            _ => Work::Send(bytes),
        }
    }

    /// Redis answered for so many bytes.
    pub(super) fn answered(&self, bytes: usize) {
        lock(&self.state).bytes -= bytes;
    }

    /// The link is up: publications are accepted from now on.
    pub(super) fn link_up(&self) {
        let mut state = lock(&self.state);
        state.is_live = true;
        state.must_check_link = false;
    }

    /// The link is gone: nothing is accepted any more, and the queue is returned.
    pub(super) fn link_down(&self) -> VecDeque<Publication> {
        let mut state = lock(&self.state);
        state.is_live = false;
        state.bytes = 0;
        std::mem::take(&mut state.queue)
    }

    /// Something suggests that Redis is gone; returns whether the publisher must be woken to see for itself.
    pub(super) fn suspect_link(&self) -> bool {
        let mut state = lock(&self.state);
        state.must_check_link = true;
        std::mem::take(&mut state.is_idle)
    }

    /// Accepts nothing more. Returns whether there is a link to send the rest through.
    pub(super) fn close(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_closing = true;
        state.is_live
    }

    /// Whether nothing more is accepted.
    pub(super) fn is_closing(&self) -> bool {
        lock(&self.state).is_closing
    }

    /// Bytes that Redis has not answered for.
    pub(super) fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }
}

/// The cost of a publication, the entry itself included, so that empty ones count as well.
fn cost(publication: &Publication) -> usize {
    let name_bytes = match &publication.destination {
        Destination::Channel(channel) => channel.len(),
        Destination::Stream => 0,
    };
    size_of::<Publication>() + name_bytes + publication.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(count: u64) -> Vec<Publication> {
        let publication = |ticket| Publication {
            destination: Destination::Channel("c".into()),
            payload: vec![0; 99],
            ticket: Some(ticket),
        };
        (0..count).map(Ticket::new).map(publication).collect()
    }

    fn live(bytes_max: usize) -> Outgoing {
        let outgoing = Outgoing::new(bytes_max);
        outgoing.link_up();
        outgoing
    }

    #[test]
    fn what_does_not_fit_is_refused_until_redis_answers() {
        let one = cost(&batch(1)[0]);
        let outgoing = live(2 * one);
        assert_eq!(outgoing.push(&mut batch(3)).refused, [Some(Ticket::new(2))]);

        let mut chunk = VecDeque::new();
        assert_eq!(outgoing.take(&mut chunk, usize::MAX), Work::Send(2 * one));
        assert_eq!(outgoing.push(&mut batch(1)).refused.len(), 1, "what is in flight counts");
        outgoing.answered(2 * one);
        assert!(outgoing.push(&mut batch(2)).refused.is_empty());
    }

    #[test]
    fn nothing_is_accepted_without_a_link_or_while_closing() {
        let outgoing = Outgoing::new(usize::MAX);
        let pushed = outgoing.push(&mut batch(2));
        assert_eq!((pushed.must_wake, pushed.refused.len()), (false, 2));
        outgoing.link_up();
        assert!(outgoing.close());
        assert_eq!(outgoing.push(&mut batch(2)).refused.len(), 2);
    }

    #[test]
    fn the_publisher_is_woken_only_when_idle() {
        let outgoing = live(usize::MAX);
        assert!(!outgoing.push(&mut batch(1)).must_wake);
        let mut chunk = VecDeque::new();
        outgoing.take(&mut chunk, usize::MAX);
        assert_eq!(outgoing.take(&mut chunk, usize::MAX), Work::Nothing);
        assert!(!outgoing.push(&mut Vec::new()).must_wake);
        assert!(outgoing.push(&mut batch(1)).must_wake);
        assert!(!outgoing.push(&mut batch(1)).must_wake);
    }

    #[test]
    fn a_chunk_ends_at_its_size_and_keeps_the_order() {
        let outgoing = live(usize::MAX);
        outgoing.push(&mut batch(3));
        let mut chunk = VecDeque::new();
        outgoing.take(&mut chunk, cost(&batch(1)[0]) + 1);
        assert_eq!(
            chunk.iter().map(|sent| sent.ticket).collect::<Vec<_>>(),
            [Some(Ticket::new(0)), Some(Ticket::new(1))]
        );
    }

    #[test]
    fn closing_lets_the_rest_go_first() {
        let outgoing = live(usize::MAX);
        outgoing.push(&mut batch(1));
        outgoing.close();
        let mut chunk = VecDeque::new();
        assert!(matches!(outgoing.take(&mut chunk, usize::MAX), Work::Send(_)));
        assert_eq!(outgoing.take(&mut chunk, usize::MAX), Work::Finished);
    }

    #[test]
    fn a_lost_link_gives_back_what_was_queued_and_clears_the_account() {
        let outgoing = live(usize::MAX);
        outgoing.push(&mut batch(2));
        assert_eq!(outgoing.link_down().len(), 2);
        assert_eq!(outgoing.bytes(), 0);
    }
}
