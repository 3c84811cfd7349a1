//! Causes: the fixed sets of names under which a node counts and explains a drop, a refusal or an ending.
//!
//! Owns the form of a cause (its label in the metrics, one line that explains it, one that says what to do) and the
//! counter over all causes of one set. It never holds text that came from a client.
//!
//! Invariant: every cause of a set is counted from the start, so that a metric shows it at 0 before it first happens.

use alloc::{boxed::Box, vec};
use core::{fmt, marker::PhantomData};
use moorline_protocol::{DecodeError, Reason};

/// One of a fixed set of causes.
pub trait Cause: Copy + fmt::Debug + PartialEq + 'static {
    /// Every cause of the set, in the order of [`Cause::index`].
    const ALL: &'static [Self];

    /// The position in [`Cause::ALL`].
    fn index(self) -> usize;

    /// The label in the metrics and in the log.
    fn as_str(self) -> &'static str;

    /// One line that explains it to an operator.
    fn meaning(self) -> &'static str;

    /// One line that says what an operator can do about it.
    fn remedy(self) -> &'static str;
}

/// Declares a set of causes: an enum whose variants each have a label, a meaning (also their documentation) and a
/// remedy.
///
/// ```
/// moorline_core::causes! {
///     /// Why a letter came back.
///     pub enum Returned {
///         /// The house has nobody of that name.
///         Unknown = "unknown" => "Compare the name with the list.",
///     }
/// }
/// use moorline_core::Cause;
/// assert_eq!(Returned::ALL, [Returned::Unknown]);
/// assert_eq!(Returned::Unknown.meaning(), "The house has nobody of that name.");
/// ```
///
/// A cause that nobody explains does not compile:
///
/// ```compile_fail
/// moorline_core::causes! {
///     /// Why a letter came back.
///     pub enum Returned {
///         Unknown = "unknown" => "Compare the name with the list.",
///     }
/// }
/// ```
#[macro_export]
macro_rules! causes {
    (
        $(#[$outer:meta])*
        $vis:vis enum $name:ident {
            $( $(#[doc = $meaning:literal])+ $variant:ident = $label:literal => $remedy:literal, )+
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name {
            $( $(#[doc = $meaning])+ $variant, )+
        }

        impl $crate::Cause for $name {
            const ALL: &'static [$name] = &[$( $name::$variant ),+];

            fn index(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $label, )+ }
            }

            fn meaning(self) -> &'static str {
                match self { $( $name::$variant => concat!($($meaning),+).trim_ascii(), )+ }
            }

            fn remedy(self) -> &'static str {
                match self { $( $name::$variant => $remedy, )+ }
            }
        }
    };
}

/// The count of each cause of a set.
#[derive(Clone)]
pub struct Tally<C> {
    counts: Box<[u64]>,
    causes: PhantomData<C>,
}

impl<C: Cause> Tally<C> {
    /// Counts one occurrence.
    pub fn add(&mut self, cause: C) {
        self.counts[cause.index()] += 1;
    }

    /// The count of this cause.
    pub fn get(&self, cause: C) -> u64 {
        self.counts[cause.index()]
    }

    /// Every cause of the set with its count, those at 0 included.
    pub fn iter(&self) -> impl Iterator<Item = (C, u64)> {
        C::ALL.iter().copied().zip(self.counts.iter().copied())
    }

    /// The causes that occurred, with their counts.
    pub fn occurred(&self) -> impl Iterator<Item = (C, u64)> {
        self.iter().filter(|(_, count)| *count > 0)
    }

    /// Whether no cause occurred.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// The sum over all causes.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl<C: Cause> Default for Tally<C> {
    fn default() -> Tally<C> {
        Tally { counts: vec![0; C::ALL.len()].into(), causes: PhantomData }
    }
}

impl<C: Cause> fmt::Debug for Tally<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.occurred().map(|(cause, count)| (cause.as_str(), count))).finish()
    }
}

causes! {
    /// Why a message was not delivered, or a packet not understood.
    #[non_exhaustive]
    pub enum DropCause {
        /// A client's packet was empty.
        Empty = "empty" => "A broken or hostile client: look for its address in the access log of the proxy.",
        /// A client's packet has a type outside the protocol, or one that only servers send.
        UnknownType = "unknown_type" => "A client of another protocol or version: check which library it uses.",
        /// A client's binary packet has no valid number of attachments.
        BadAttachments = "bad_attachments" => "A broken or hostile client: check which library it uses.",
        /// A client gave an acknowledgement an id above 2^53 - 1.
        BadAckId = "bad_ack_id" => "A broken or hostile client: check which library it uses.",
        /// A client's packet has a payload of the wrong shape for its type.
        BadPayload = "bad_payload" => "A broken or hostile client: check which library it uses.",
        /// A binary packet in the body of a POST is not base64.
        BadBase64 = "bad_base64" => "A broken client, or a proxy that changes bodies: try without the proxy.",
        /// A client's JSON does not parse.
        BadJson = "bad_json" => "A broken or hostile client: check which library it uses.",
        /// A client's JSON nests deeper than allowed.
        DeepJson = "deep_json" => "Send flatter data, or raise --limit json_depth_max.",
        /// A placeholder for binary data points at no attachment, or two point at one.
        BadPlaceholder = "bad_placeholder" => "A broken or hostile client: check which library it uses.",
        /// A client's event has no name, or a name that is neither text nor a number.
        BadEventName = "bad_event_name" => "A broken or hostile client: check which library it uses.",
        /// A client sent an event under a name that Socket.IO keeps for itself, such as `connect`.
        ReservedEvent = "reserved_event" => "Rename the event in the client.",
        /// A client sent another packet while attachments of a binary packet were due.
        MissingAttachment = "missing_attachment" => "A broken or hostile client: check which library it uses.",
        /// A client sent binary data that no packet had announced.
        UnexpectedBinary = "unexpected_binary" => "A broken or hostile client: check which library it uses.",
        /// The attachments of one packet are larger together than the largest message.
        AttachmentsTooBig = "attachments_too_big" => "Send less at once, or raise --max-payload.",
        /// One packet announced more attachments than allowed.
        TooManyAttachments = "too_many_attachments" => "Send fewer attachments, or raise --limit attachments_max.",
        /// The attachments of a packet did not all arrive in time.
        LateAttachment = "late_attachment" => "A slow or stalled client: look at its network.",
        /// A client sent a packet that only servers send.
        UnexpectedPacket = "unexpected_packet" => "A broken or hostile client: check which library it uses.",
        /// A client joined a namespace twice, or more namespaces than allowed.
        UnexpectedConnect = "unexpected_connect" => "A broken client, or more namespaces than --limit namespaces_max.",
        /// A client spoke in a namespace that it had not joined.
        NotConnected = "not_connected" => "A broken or hostile client: check which library it uses.",
        /// A client asked for a namespace whose name is over 128 bytes.
        LongNamespace = "long_namespace" => "Use a shorter namespace in the client.",
        /// A client opened a second poll beside the first, which ends its session.
        SecondPoll = "second_poll" => "Two tabs or proxies share one session id: look for a proxy that repeats requests.",
        /// A client opened a second POST beside the first, which ends its session.
        SecondPost = "second_post" => "A broken client, or a proxy that repeats requests.",
        /// A client opened a second WebSocket for one session; that one was closed.
        SecondWebsocket = "second_websocket" => "Harmless alone; many come from a broken client.",
        /// A client sent something else than a test or a move on the WebSocket it wanted to move to.
        BadProbe = "bad_probe" => "A broken or hostile client: check which library it uses.",
        /// A client opened a WebSocket and did not move to it in time; it stays on polling.
        UpgradeTimeout = "upgrade_timeout" => "A proxy lets the upgrade through but not what follows: check its WebSocket support.",
        /// A session without a poll made room for a newcomer on a full node.
        SessionEvicted = "session_evicted" => "Add a node, or raise --limit connections_max.",
        /// A client read too slowly: its outbox was full, and its session was closed.
        SlowConsumer = "slow_consumer" => "Send less to slow clients, or raise --limit outbox_bytes_max.",
        /// A client acknowledged a number that it was not asked under, or too late.
        UnknownAck = "unknown_ack" => "Clients answer late: raise --ack-timeout if their answers matter.",
        /// A message named the id of a socket that is gone or never was.
        UnknownTarget = "unknown_target" => "Usual after disconnects; many at once mean that somebody keeps old ids.",
        /// A message for other nodes could not go out because the link to Redis is down.
        BusDown = "bus_down" => "Bring Redis back; the log says why the link is down.",
        /// A message was lost with the link to Redis, or refused by a full queue to it.
        BusLost = "bus_lost" => "Look at Redis: its load, its output limits, the network to it.",
        /// A message from another node could not be read.
        MalformedNodeMessage = "malformed_parcel" => "Something else publishes on the channels between nodes, or nodes of far apart versions share Redis: change --redis-prefix.",
        /// A message named a namespace that this node does not have.
        UnknownNamespace = "unknown_namespace" => "Give every node the same --namespace flags.",
        /// More acknowledgements of clients were awaited than allowed: a question went to nobody on this node.
        TooManyAsks = "too_many_asks" => "Ask smaller rooms, or raise --limit awaited_answers_max.",
        /// An entry for the stream was lost because the link to Redis is down.
        BackendLost = "backend_lost" => "Bring Redis back; the log says why the link is down.",
        /// A backend published something that is not a message.
        MalformedBackendMessage = "malformed_backend_message" => "Compare what the backend publishes with the README.",
        /// A backend published a message larger than the largest message.
        OversizedBackendMessage = "oversized_backend_message" => "Send less at once, or raise --max-payload.",
        /// A backend published an event under a name that clients may not receive.
        BadBackendEvent = "bad_backend_event" => "Rename the event in the backend.",
        /// A backend answered a question that nobody asks, or no longer.
        UnknownBackendAck = "unknown_backend_ack" => "The backend answers late or twice: raise --ack-timeout if late answers matter.",
        /// An application answered with placeholders that point nowhere; its client got `null`.
        UnsoundAnswer = "unsound_answer" => "Do not mix data from clients with binary data of your own in one answer.",
        /// Too many messages waited to learn whether a server of the old design has their target.
        LegacyBusy = "legacy_busy" => "Finish the migration, or send less to ids of old servers.",
        /// A message with binary data was for a server of the old design, whose form has no place for it.
        LegacyBinary = "legacy_binary" => "Finish the migration; the old form carries JSON only.",
        /// A client sent more messages to servers of the old design than allowed in a second.
        LegacyRate = "legacy_rate" => "Finish the migration, or raise --limit legacy_per_second_max.",
        /// A message to servers of the old design was larger than what one message may cost.
        LegacySize = "legacy_size" => "Send smaller messages to ids of old servers.",
    }
}

impl From<DecodeError> for DropCause {
    fn from(error: DecodeError) -> DropCause {
        match error {
            DecodeError::Empty => DropCause::Empty,
            DecodeError::UnknownType => DropCause::UnknownType,
            DecodeError::BadAttachments => DropCause::BadAttachments,
            DecodeError::BadAckId => DropCause::BadAckId,
            DecodeError::BadPayload => DropCause::BadPayload,
            DecodeError::BadBase64 => DropCause::BadBase64,
        }
    }
}

impl Cause for Reason {
    const ALL: &'static [Reason] = &Reason::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        Reason::as_str(self)
    }

    fn meaning(self) -> &'static str {
        Reason::meaning(self)
    }

    fn remedy(self) -> &'static str {
        Reason::remedy(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_cause_stands_at_its_index_with_a_label_and_texts_of_its_own() {
        fn check<C: Cause>() {
            let mut labels = alloc::collections::BTreeSet::new();
            for (at, cause) in C::ALL.iter().enumerate() {
                assert_eq!(cause.index(), at, "{cause:?}");
                assert!(labels.insert(cause.as_str()), "{cause:?} shares its label");
                for text in [cause.meaning(), cause.remedy()] {
                    assert!(
                        text.ends_with('.') && text.len() > 10,
                        "{cause:?} needs a sentence, not {text:?}"
                    );
                }
            }
        }
        check::<DropCause>();
        check::<Reason>();
        check::<crate::Code>();
    }

    #[test]
    fn a_tally_lists_what_never_occurred_at_zero() {
        let mut tally = Tally::<DropCause>::default();
        tally.add(DropCause::BadJson);
        tally.add(DropCause::BadJson);
        assert_eq!(tally.iter().count(), DropCause::ALL.len());
        assert_eq!((tally.get(DropCause::BadJson), tally.get(DropCause::Empty), tally.total()), (2, 0, 2));
        assert_eq!(tally.occurred().collect::<Vec<_>>(), [(DropCause::BadJson, 2)]);
    }
}
