//! The subscriber thread: the only reader of Redis Pub/Sub.
//!
//! Owns the subscribing link and the set of wanted channels. It never publishes and never looks into a message.
//!
//! Invariant: connected and idle, it sleeps without a time-out. After every reconnect all wanted channels are
//! subscribed again, and the link counts as live only when Redis has confirmed them all.

use crate::{
    bus::{
        channels::{Channels, Confirmed, Step},
        link::{ANSWER_MS, Link, LinkError, LinkPoll, Role},
        retry::{Backoff, LinkLog, LinkThread},
        shared::Shared,
    },
    clock,
};
use redis::Value;
use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// Channels per SUBSCRIBE: small enough that confirmations flow while the next batch is written.
const BATCH: usize = 500;

/// The thread's state.
pub(super) struct Subscriber {
    shared: Arc<Shared>,
    link_poll: LinkPoll,
    channels: Channels,
    requests: Requests,
    backoff: Backoff,
    link_log: LinkLog,
    live_since: Option<Instant>,
}

/// The time a confirmation may still take. Only sleep counts: while there is a backlog to read, a confirmation may well
/// be behind it.
#[derive(Default)]
struct ConfirmationDeadline {
    answers: u64,
    asleep: Duration,
}

impl ConfirmationDeadline {
    /// The time the thread may sleep; `None` when nothing is due.
    ///
    /// # Errors
    /// `NoAnswer` when Redis does not answer although there was nothing else to read.
    fn left(&mut self, channels: &Channels) -> Result<Option<Duration>, LinkError> {
        if !channels.has_unanswered() || channels.answers() != self.answers {
            *self = ConfirmationDeadline { answers: channels.answers(), asleep: Duration::ZERO };
        }
        match Duration::from_millis(ANSWER_MS).saturating_sub(self.asleep) {
            _ if !channels.has_unanswered() => Ok(None),
            Duration::ZERO => Err(LinkError::NoAnswer),
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
    pub(super) fn new(shared: Arc<Shared>, link_poll: LinkPoll) -> Subscriber {
        Subscriber {
            shared,
            link_poll,
            channels: Channels::default(),
            requests: Requests::default(),
            backoff: Backoff::new(),
            link_log: LinkLog::new(Role::Subscriber),
            live_since: None,
        }
    }

    fn serve(&mut self, link: &mut Link) -> Result<Infallible, LinkError> {
        self.apply_intents()?;
        self.requests.subscribe = self.channels.restore();
        let mut deadline = ConfirmationDeadline::default();
        loop {
            self.requests.push_to(link);
            link.write()?;
            self.read(link)?;
            self.note_live();
            let timeout = deadline.left(&self.channels)?;
            let asleep_since = clock::now();
            self.link_poll.wait(timeout)?;
            deadline.asleep += asleep_since.elapsed();
            self.apply_intents()?;
        }
    }

    /// Reads all there is. Intents are applied in between, so that a flood of messages cannot hold back the
    /// unsubscription that would end it.
    fn read(&mut self, link: &mut Link) -> Result<(), LinkError> {
        while let Some(value) = link.read()? {
            self.receive(value)?;
            if self.shared.interest.has_changes() {
                self.apply_intents()?;
            }
            if self.requests.is_worth_sending() {
                self.requests.push_to(link);
                link.write()?;
            }
        }
        self.requests.push_to(link);
        link.write()
    }

    fn receive(&mut self, value: Value) -> Result<(), LinkError> {
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

    fn apply_intents(&mut self) -> Result<(), LinkError> {
        for (channel, intent) in self.shared.interest.take() {
            let step = self.channels.apply(&channel, intent);
            self.follow(&channel, step)?;
        }
        Ok(())
    }

    fn follow(&mut self, channel: &Arc<str>, step: Step) -> Result<(), LinkError> {
        match step {
            Step::Nothing => {}
            Step::Subscribe => self.requests.subscribe.push(Arc::clone(channel)),
            Step::Unsubscribe => self.requests.unsubscribe.push(Arc::clone(channel)),
            Step::Report(intent) => self.shared.events.subscribed(channel.to_string(), intent)?,
        }
        Ok(())
    }

    fn note_live(&mut self) {
        if self.live_since.is_none() && self.channels.is_restored() {
            self.live_since = Some(clock::now());
            self.link_log.link_up(&self.shared.config);
            self.shared.events.set_live(Role::Subscriber, true);
        }
    }
}

impl LinkThread for Subscriber {
    fn connect_and_serve(&mut self) -> Result<Infallible, LinkError> {
        let mut link = Link::open(&self.shared.config, Role::Subscriber, &mut self.link_poll)?;
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
        self.link_log.link_down(&self.shared.config, reason);
        self.backoff.next_pause()
    }

    /// Intents are applied meanwhile, so that they do not pile up.
    fn pause(&mut self, timeout: Duration) -> Result<(), LinkError> {
        self.link_poll.pause(timeout)?;
        self.apply_intents()
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
