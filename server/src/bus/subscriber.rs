//! The subscriber thread: the only reader of Redis Pub/Sub.
//!
//! Owns the subscribing link and the set of wanted channels. It never publishes and never looks into a message.
//!
//! Invariant: connected and idle, it sleeps without a time-out. After every reconnect all wanted channels are
//! subscribed again, and the link counts as live only when Redis has confirmed them all.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::Value;

use super::channels::{Channels, Confirmed, Step};
use super::link::{ANSWER_MS, Link, LinkError, Role, Sleeper};
use super::redis::Shared;
use super::retry::{Backoff, Complaint, LinkThread};
use crate::clock;

/// Channels per SUBSCRIBE: small enough that confirmations flow while the next batch is written.
const BATCH: usize = 500;

/// The thread's state.
pub(super) struct Subscriber {
    shared: Arc<Shared>,
    sleeper: Sleeper,
    channels: Channels,
    requests: Requests,
    backoff: Backoff,
    complaint: Complaint,
    live_since: Option<Instant>,
}

/// How long a confirmation may still take. Only sleep counts: while there is a backlog to read, a confirmation may well
/// be behind it.
#[derive(Default)]
struct Patience {
    answers: u64,
    asleep: Duration,
}

impl Patience {
    /// How long the thread may sleep; for ever when nothing is due.
    ///
    /// # Errors
    /// `Mute` when Redis does not answer although there was nothing else to read.
    fn left(&mut self, channels: &Channels) -> Result<Option<Duration>, LinkError> {
        if !channels.has_unanswered() || channels.answers() != self.answers {
            *self = Patience { answers: channels.answers(), asleep: Duration::ZERO };
        }
        match Duration::from_millis(ANSWER_MS).saturating_sub(self.asleep) {
            _ if !channels.has_unanswered() => Ok(None),
            Duration::ZERO => Err(LinkError::Mute),
            left => Ok(Some(left)),
        }
    }
}

/// Channels to name in the next SUBSCRIBE and UNSUBSCRIBE.
#[derive(Default)]
struct Requests {
    subscribe: Vec<Arc<str>>,
    unsubscribe: Vec<Arc<str>>,
}

impl Subscriber {
    pub(super) fn new(shared: Arc<Shared>, sleeper: Sleeper) -> Subscriber {
        Subscriber {
            shared,
            sleeper,
            channels: Channels::default(),
            requests: Requests::default(),
            backoff: Backoff::new(),
            complaint: Complaint::new(Role::Subscriber),
            live_since: None,
        }
    }

    fn serve(&mut self, link: &mut Link) -> Result<Infallible, LinkError> {
        self.hear_wishes()?;
        self.requests.subscribe = self.channels.restore();
        let mut patience = Patience::default();
        loop {
            self.requests.push_to(link);
            link.write()?;
            self.read(link)?;
            self.note_live();
            let timeout = patience.left(&self.channels)?;
            let asleep_since = clock::now();
            self.sleeper.sleep(timeout)?;
            patience.asleep += asleep_since.elapsed();
            self.hear_wishes()?;
        }
    }

    /// Reads all there is. Wishes are heard in between, so that a flood of messages cannot hold back the very
    /// unsubscription that would end it.
    fn read(&mut self, link: &mut Link) -> Result<(), LinkError> {
        while let Some(value) = link.read()? {
            self.take(value)?;
            if self.shared.interest.has_news() {
                self.hear_wishes()?;
            }
            if self.requests.is_worth_sending() {
                self.requests.push_to(link);
                link.write()?;
            }
        }
        self.requests.push_to(link);
        link.write()
    }

    fn take(&mut self, value: Value) -> Result<(), LinkError> {
        let items = match value {
            Value::Array(items) => items,
            Value::ServerError(error) => return Err(LinkError::refused("SUBSCRIBE", &error)),
            _ => return Ok(()),
        };
        let mut items = items.into_iter();
        let (Some(Value::BulkString(kind)), Some(Value::BulkString(channel)), Some(last)) =
            (items.next(), items.next(), items.next())
        else {
            return Ok(());
        };
        let Ok(channel) = String::from_utf8(channel) else { return Ok(()) };
        match (kind.as_slice(), last) {
            (b"message", Value::BulkString(payload)) => self.message(channel, payload),
            (b"subscribe", _) => self.confirmed(&channel, Confirmed::Subscribe),
            (b"unsubscribe", _) => self.confirmed(&channel, Confirmed::Unsubscribe),
            _ => Ok(()),
        }
    }

    fn message(&mut self, channel: String, payload: Vec<u8>) -> Result<(), LinkError> {
        self.shared.events.message(channel, payload)?;
        self.shared.counters.messages_in.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn confirmed(&mut self, channel: &str, what: Confirmed) -> Result<(), LinkError> {
        let step = self.channels.confirmed(channel, what);
        self.follow(&Arc::from(channel), step)?;
        self.note_live();
        Ok(())
    }

    fn hear_wishes(&mut self) -> Result<(), LinkError> {
        for (channel, wish) in self.shared.interest.take() {
            let step = self.channels.wish(&channel, wish);
            self.follow(&channel, step)?;
        }
        Ok(())
    }

    fn follow(&mut self, channel: &Arc<str>, step: Step) -> Result<(), LinkError> {
        match step {
            Step::Nothing => {}
            Step::Subscribe => self.requests.subscribe.push(Arc::clone(channel)),
            Step::Unsubscribe => self.requests.unsubscribe.push(Arc::clone(channel)),
            Step::Tell(wish) => self.shared.events.subscribed(channel.to_string(), wish)?,
        }
        Ok(())
    }

    fn note_live(&mut self) {
        if self.live_since.is_none() && self.channels.is_restored() {
            self.live_since = Some(clock::now());
            self.complaint.link_up(&self.shared.config);
            self.shared.events.set_live(Role::Subscriber, true);
        }
    }
}

impl LinkThread for Subscriber {
    fn connect_and_serve(&mut self) -> Result<Infallible, LinkError> {
        let mut link = Link::open(&self.shared.config, Role::Subscriber, &mut self.sleeper)?;
        self.shared.counters.subscriber_connects.fetch_add(1, Ordering::Relaxed);
        let end = self.serve(&mut link);
        self.backoff.link_ended(self.live_since.take());
        self.requests = Requests::default();
        self.channels.link_lost();
        self.shared.events.set_live(Role::Subscriber, false);
        self.shared.events.subscriptions_lost();
        self.shared.suspect_publisher();
        end
    }

    fn is_over(&self) -> bool {
        false
    }

    fn link_ended(&mut self, reason: &LinkError) -> Duration {
        self.complaint.link_down(&self.shared.config, reason);
        self.backoff.pause()
    }

    /// Wishes are heard meanwhile, so that they do not pile up.
    fn rest(&mut self, timeout: Duration) -> Result<(), LinkError> {
        self.sleeper.rest(timeout)?;
        self.hear_wishes()
    }
}

impl Requests {
    /// Single requests gather into batches while there is more to read.
    fn is_worth_sending(&self) -> bool {
        self.subscribe.len() + self.unsubscribe.len() >= BATCH
    }

    fn push_to(&mut self, link: &mut Link) {
        for (command, channels) in
            [("SUBSCRIBE", &mut self.subscribe), ("UNSUBSCRIBE", &mut self.unsubscribe)]
        {
            for batch in channels.chunks(BATCH) {
                let mut request = redis::cmd(command);
                for channel in batch {
                    request.arg(channel.as_ref());
                }
                link.push(&request);
            }
            channels.clear();
        }
    }
}
