//! Messages that wait for a recipient, and how long each recipient has made others wait.
//!
//! Owns the messages, by the session of the recipient that had no room. It never sends one and never pauses a sender;
//! moves do.
//!
//! Invariant: a recipient makes senders wait for [`HOLD_MAX`] in all, and earns that again over a minute. How many wait
//! for it at a time makes no difference.

use crate::{
    deadlines::timers::Timer,
    words::{
        ids::{SessionId, SocketId},
        keys::{NamespaceKey, SessionKey},
        message::Message,
        target::{Outgoing, Receipt, Source, Target},
        time::Time,
    },
};
use alloc::{
    borrow::ToOwned, boxed::Box, collections::BTreeMap, collections::VecDeque, string::String, vec::Vec,
};
use core::time::Duration;
use serde_json::value::RawValue;

/// The time for which one recipient may make senders wait, all in all.
const HOLD_MAX: Duration = Duration::from_secs(1);
/// It earns that time again over so many times as long.
const EARNED_OVER: u32 = 60;
/// Less time than this is not worth making anyone wait.
const HOLD_MIN: Duration = Duration::from_millis(10);

/// A message of a client that waits, with everything that is needed to send it.
#[derive(Debug)]
pub(crate) struct HeldMessage {
    pub(crate) namespace: NamespaceKey,
    pub(crate) sender: SocketId,
    /// The session whose input waits with it.
    pub(crate) session: SessionId,
    pub(crate) receipt: Option<Receipt>,
    targets: Vec<HeldTarget>,
    message: Message,
    source: Option<HeldSource>,
}

#[derive(Debug)]
enum HeldTarget {
    Socket(SocketId),
    Room(Box<str>),
}

#[derive(Debug)]
struct HeldSource {
    name: String,
    from: String,
    args: Vec<Box<RawValue>>,
}

impl HeldMessage {
    /// Keeps a message of a socket and its session. `has_legacy_peers` says whether anybody reads the parts it was
    /// encoded from.
    pub(crate) fn new(
        namespace: NamespaceKey,
        (sender, session): (SocketId, SessionId),
        outgoing: &Outgoing<'_>,
        has_legacy_peers: bool,
    ) -> HeldMessage {
        let target = |target: &Target<'_>| match *target {
            Target::Socket(id) => HeldTarget::Socket(id),
            Target::Room(name) => HeldTarget::Room(name.into()),
        };
        let source = |source: Source<'_>| HeldSource {
            name: source.name.into(),
            from: source.from.into(),
            args: source.args.iter().map(|arg| (*arg).to_owned()).collect(),
        };
        HeldMessage {
            namespace,
            sender,
            session,
            receipt: outgoing.receipt,
            targets: outgoing.targets.iter().map(target).collect(),
            message: outgoing.message.clone(),
            source: outgoing.source.filter(|_| has_legacy_peers).map(source),
        }
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.message.len_bytes()
    }

    /// Gives the message to `send`, as it came; with another receipt, since whoever waited for it may be gone.
    pub(crate) fn send<R>(&self, receipt: Option<Receipt>, send: impl FnOnce(&Outgoing<'_>) -> R) -> R {
        let targets: Vec<Target<'_>> = self.targets.iter().map(HeldTarget::borrow).collect();
        let args: Vec<&RawValue> =
            self.source.iter().flat_map(|source| source.args.iter().map(|arg| &**arg)).collect();
        let source =
            self.source.as_ref().map(|held| Source { name: &held.name, from: &held.from, args: &args });
        let message = self.message.clone();
        send(&Outgoing { sender: Some(self.sender), targets: &targets, message, source, receipt })
    }
}

impl HeldTarget {
    fn borrow(&self) -> Target<'_> {
        match self {
            HeldTarget::Socket(id) => Target::Socket(*id),
            HeldTarget::Room(name) => Target::Room(name),
        }
    }
}

/// The messages that wait for one recipient.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    messages: VecDeque<HeldMessage>,
    /// The room that it must make before nobody waits for it: a message may wait with another recipient first.
    wanted_bytes: usize,
    /// The time since which others wait for it; `None` while nobody does.
    since: Option<Time>,
    /// The time it had made others wait, as of then.
    spent: Duration,
    spent_at: Time,
    pub(crate) timer: Timer,
}

impl Hold {
    /// Whether anybody waits.
    pub(crate) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// The time by which it must have made room.
    pub(crate) fn due(&self) -> Option<Time> {
        self.since.map(|since| since + self.left(since))
    }

    /// Whether its time is used up.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// The time for which it may still make others wait.
    fn left(&self, now: Time) -> Duration {
        let earned = (now - self.spent_at) / EARNED_OVER;
        HOLD_MAX - self.spent.saturating_sub(earned).min(HOLD_MAX)
    }

    /// The message that waits longest.
    pub(crate) fn first(&self) -> Option<&HeldMessage> {
        self.messages.front()
    }

    /// Takes the message that waits longest. With the last one the waiting ends.
    pub(crate) fn pop(&mut self, now: Time) -> Option<HeldMessage> {
        let message = self.messages.pop_front();
        if self.messages.is_empty() {
            self.end(now);
        }
        message
    }

    /// The wait so far is forgiven: it was not the recipient's fault.
    pub(crate) fn forgive(&mut self, now: Time) {
        if let Some(since) = &mut self.since {
            *since = now;
        }
    }

    /// Whether nobody waits for it any more, now that it has so much room.
    pub(crate) fn is_wanted_no_more(&self, room_bytes: usize) -> bool {
        self.messages.is_empty() && room_bytes >= self.wanted_bytes
    }

    /// Nobody waits for it any more.
    pub(crate) fn end(&mut self, now: Time) {
        self.wanted_bytes = 0;
        if let Some(since) = self.since.take() {
            let before = HOLD_MAX - self.left(since);
            (self.spent, self.spent_at) = (before + (now - since), now);
        }
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = &HeldMessage> {
        self.messages.iter()
    }
}

/// The recipients that made others wait.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    by_recipient: BTreeMap<SessionKey, Hold>,
}

impl Holds {
    /// Whether no recipient has made anybody wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_recipient.is_empty()
    }

    /// Whether a recipient may make others wait now.
    pub(crate) fn allows(&self, recipient: SessionKey, now: Time) -> bool {
        self.by_recipient.get(&recipient).is_none_or(|hold| hold.is_on() || hold.left(now) >= HOLD_MIN)
    }

    /// Keeps a message until its recipient has room. The caller starts its time.
    pub(crate) fn push(&mut self, recipient: SessionKey, message: HeldMessage) {
        self.by_recipient.entry(recipient).or_default().messages.push_back(message);
    }

    /// Others wait from now on until a recipient has room for so many bytes, if they did not before.
    pub(crate) fn start(&mut self, recipient: SessionKey, bytes: usize, now: Time) -> &mut Hold {
        let hold = self.by_recipient.entry(recipient).or_default();
        hold.since.get_or_insert(now);
        hold.wanted_bytes = hold.wanted_bytes.max(bytes);
        hold
    }

    pub(crate) fn get_mut(&mut self, recipient: SessionKey) -> Option<&mut Hold> {
        self.by_recipient.get_mut(&recipient)
    }

    /// The recipient is gone; what waited for it is handed back.
    pub(crate) fn remove(&mut self, recipient: SessionKey) -> Option<Hold> {
        self.by_recipient.remove(&recipient)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionKey, &Hold)> {
        self.by_recipient.iter().map(|(recipient, hold)| (*recipient, hold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{
        ids::{Secret, tests::Counter},
        keys::Table,
    };
    use moorline_protocol::Frame;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn message(namespace: NamespaceKey) -> HeldMessage {
        let sender = SocketId::parse("abcdefghijABCDEF-_09").unwrap();
        let targets = [Target::Room("r"), Target::Socket(sender)];
        let message = Frame::text(1, |out| out.push(b'x')).into();
        let outgoing =
            Outgoing { sender: Some(sender), targets: &targets, message, source: None, receipt: None };
        let session = SessionId { slot: 0, secret: Secret::random(&mut Counter(0)) };
        HeldMessage::new(namespace, (sender, session), &outgoing, false)
    }

    fn keys() -> (NamespaceKey, SessionKey) {
        (Table::<_, ()>::default().insert(()), Table::<_, ()>::default().insert(()))
    }

    #[test]
    fn a_recipient_makes_others_wait_for_a_second_in_all_and_earns_it_again_over_a_minute() {
        let ((namespace, recipient), mut holds) = (keys(), Holds::default());
        let push = |holds: &mut Holds, ms| {
            holds.push(recipient, message(namespace));
            holds.start(recipient, 1, at(ms)).due()
        };
        assert_eq!(push(&mut holds, 0), Some(at(1000)));
        assert_eq!(push(&mut holds, 300), Some(at(1000)), "two that wait make no difference");
        let hold = holds.get_mut(recipient).unwrap();
        assert!(hold.pop(at(400)).is_some() && hold.is_on());
        assert!(hold.pop(at(600)).is_some() && !hold.is_on() && hold.due().is_none());
        assert_eq!(push(&mut holds, 600), Some(at(1000)));
        let hold = holds.get_mut(recipient).unwrap();
        assert!(!hold.is_over(at(999)) && hold.is_over(at(1000)));
        hold.pop(at(1000));
        assert!(!holds.allows(recipient, at(1000)) && !holds.allows(recipient, at(1500)));
        assert!(holds.allows(recipient, at(1600)), "10 ms are earned in 600");
        assert_eq!(push(&mut holds, 31_000), Some(at(31_500)));
    }

    #[test]
    fn a_recipient_that_others_are_to_wait_for_has_its_time_until_it_has_room() {
        let ((_, recipient), mut holds) = (keys(), Holds::default());
        holds.start(recipient, 10, at(0));
        let hold = holds.start(recipient, 5, at(300));
        assert_eq!(hold.due(), Some(at(1000)));
        assert!(!hold.is_wanted_no_more(9) && hold.is_wanted_no_more(10));
        hold.end(at(400));
        assert_eq!((hold.is_on(), hold.due()), (false, None));
    }

    #[test]
    fn a_wait_that_was_our_own_fault_is_forgiven() {
        let ((namespace, recipient), mut holds) = (keys(), Holds::default());
        holds.push(recipient, message(namespace));
        let hold = holds.start(recipient, 1, at(0));
        hold.forgive(at(1000));
        assert!(!hold.is_over(at(1999)) && hold.is_over(at(2000)));
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let (namespace, _) = keys();
        let held = message(namespace);
        let seen = held.send(None, |outgoing| {
            (outgoing.sender, outgoing.targets.len(), outgoing.message.len_bytes(), outgoing.receipt)
        });
        assert_eq!(seen, (Some(held.sender), 2, held.len_bytes(), None));
    }
}
