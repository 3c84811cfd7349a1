//! The publisher thread: the only writer to Redis Pub/Sub.
//!
//! Owns the publishing link. It never sends a publication twice.
//!
//! Invariant: one connection, one pipeline at a time, in the order queued: what was published earlier is sent
//! earlier. Every publication taken is either published or lost. Idle, the thread sleeps in a poll on
//! its socket without a time-out: a closed link wakes it at once, and when the subscriber's link dies in silence it
//! is woken to ask Redis on its own.

use crate::{
    bus::{
        link::{Link, LinkError, LinkPoll, Role},
        outgoing::Work,
        retry::{Backoff, LinkLog, LinkThread},
        shared::Shared,
    },
    clock,
};
use moorline_core::{Destination, Publication, Ticket};
use redis::{ServerError, Value};
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// A pipeline is closed at this size: large enough to be cheap, small enough that answers keep coming.
const CHUNK_BYTES: usize = 1 << 20;
/// About how many entries the stream keeps for backends that are behind.
const STREAM_ENTRIES_MAX: usize = 1_000_000;

/// The thread's state.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    link_poll: LinkPoll,
    chunk: VecDeque<Publication>,
    backoff: Backoff,
    link_log: LinkLog,
    last_refusal: Option<String>,
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>, link_poll: LinkPoll) -> Publisher {
        Publisher {
            shared,
            link_poll,
            chunk: VecDeque::new(),
            backoff: Backoff::new(),
            link_log: LinkLog::new(Role::Publisher),
            last_refusal: None,
        }
    }

    fn serve(&mut self, link: &mut Link) -> Result<Infallible, LinkError> {
        loop {
            match self.shared.outgoing.take(&mut self.chunk, CHUNK_BYTES) {
                Work::Send(bytes) => {
                    self.send(link)?;
                    self.shared.outgoing.answered(bytes);
                }
                Work::CheckLink => {
                    link.push(&redis::cmd("PING"));
                    link.exchange(&mut self.link_poll, 1, |_| Ok(()))?;
                }
                Work::Nothing => self.idle(link)?,
                Work::Finished => return Err(LinkError::Stopped),
            }
        }
    }

    /// Sends the chunk as one pipeline and reports on each publication as its answer comes. Publications that
    /// remain in the chunk after an error were not answered for.
    fn send(&mut self, link: &mut Link) -> Result<(), LinkError> {
        let mut answers = 0;
        for publication in &self.chunk {
            answers += push_publication(link, publication, &self.shared.config.stream);
        }
        let started = clock::now();
        let mut published = None;
        let Publisher { shared, link_poll, chunk, last_refusal, .. } = self;
        link.exchange(link_poll, answers, |answer| {
            let wants_count = chunk.front().is_some_and(is_counted);
            let (answer, count) = match published.take() {
                None if wants_count => {
                    published = Some(answer);
                    return Ok(());
                }
                None => (answer, None),
                Some(first) => (first, Some(answer)),
            };
            if let Some(publication) = chunk.pop_front() {
                report(shared, publication.ticket, answer, count.as_ref(), last_refusal);
            }
            Ok(())
        })?;
        let round_trip_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.counters.publish_round_trip_us.store(round_trip_us, Ordering::Relaxed);
        Ok(())
    }

    /// Redis says nothing unasked here, so an idle link that can be read was closed or is out of step.
    fn idle(&mut self, link: &mut Link) -> Result<(), LinkError> {
        if link.read()?.is_some() {
            return Err(LinkError::NotRedis);
        }
        self.link_poll.wait(None)
    }
}

impl LinkThread for Publisher {
    fn connect_and_serve(&mut self) -> Result<Infallible, LinkError> {
        let mut link = Link::open(&self.shared.config, Role::Publisher, &mut self.link_poll)?;
        self.shared.counters.publisher_connects.fetch_add(1, Ordering::Relaxed);
        self.link_log.link_up(&self.shared.config);
        let live_since = clock::now();
        self.shared.outgoing.link_up();
        self.shared.events.set_live(Role::Publisher, true);
        let end = self.serve(&mut link);
        let queued = self.shared.outgoing.link_down();
        self.shared.events.set_live(Role::Publisher, false);
        self.backoff.link_ended(Some(live_since));
        for publication in self.chunk.drain(..).chain(queued) {
            self.shared.lost(publication.ticket);
        }
        end
    }

    fn is_over(&self) -> bool {
        self.shared.outgoing.is_closing()
    }

    fn link_ended(&mut self, reason: &LinkError) -> Duration {
        self.link_log.link_down(&self.shared.config, reason);
        self.backoff.next_pause()
    }

    fn pause(&mut self, timeout: Duration) -> Result<(), LinkError> {
        self.link_poll.pause(timeout)
    }
}

/// Whether Redis is asked how many received a publication. PUBLISH's own answer also counts subscribers by pattern.
fn is_counted(publication: &Publication) -> bool {
    publication.ticket.is_some() && matches!(publication.destination, Destination::Channel(_))
}

/// Returns how many answers Redis will give.
fn push_publication(link: &mut Link, publication: &Publication, stream: &str) -> usize {
    let payload = publication.payload.as_slice();
    match &publication.destination {
        Destination::Channel(channel) => link.push(redis::cmd("PUBLISH").arg(channel).arg(payload)),
        Destination::Stream => {
            let bound = ("MAXLEN", "~", STREAM_ENTRIES_MAX);
            link.push(redis::cmd("XADD").arg(stream).arg(bound).arg("*").arg("data").arg(payload));
        }
    }
    if let Destination::Channel(channel) = &publication.destination
        && is_counted(publication)
    {
        link.push(redis::cmd("PUBSUB").arg("NUMSUB").arg(channel));
        return 2;
    }
    1
}

fn report(
    shared: &Shared,
    ticket: Option<Ticket>,
    answer: Value,
    count: Option<&Value>,
    last_refusal: &mut Option<String>,
) {
    match answer {
        Value::Int(reached) => {
            shared.counters.published.fetch_add(1, Ordering::Relaxed);
            if let Some(ticket) = ticket {
                let reached = u32::try_from(reached).unwrap_or_default();
                shared
                    .events
                    .published(ticket, count.and_then(subscribers).map_or(reached, |n| n.min(reached)));
            }
        }
        // The id of a new entry on the stream.
        Value::BulkString(_) => _ = shared.counters.published.fetch_add(1, Ordering::Relaxed),
        Value::ServerError(error) => {
            log_refusal_once(&error, last_refusal);
            shared.lost(ticket);
        }
        _ => shared.lost(ticket),
    }
}

/// Reads the answer of PUBSUB NUMSUB: the channel's name and its count. An ACL may deny the command; then PUBLISH's
/// own count has to do.
fn subscribers(answer: &Value) -> Option<u32> {
    match answer {
        Value::Array(items) => match items.get(1) {
            Some(Value::Int(count)) => u32::try_from(*count).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Each publication of a flood may be refused for the same reason: it is logged when the reason changes.
fn log_refusal_once(error: &ServerError, last_refusal: &mut Option<String>) {
    if last_refusal.as_deref() != Some(error.code()) {
        tracing::warn!(reason = %LinkError::refused("PUBLISH", error), "Redis refused a publication");
        *last_refusal = Some(error.code().to_owned());
    }
}
