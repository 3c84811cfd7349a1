//! The causes of drops: why a message was not delivered, or a packet not understood.
//!
//! Owns their labels and their explanations. It counts nothing; the moves that drop something do.

use moorline_protocol::DecodeError;

moorline_protocol::causes! {
    /// The cause of a message not delivered, or of a packet not understood.
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
        /// An answer was cut to an error, since its client had not read what it was sent before.
        CutAnswer = "cut_answer" => "Let the client read before it asks for more, or raise --limit outbox_bytes_max.",
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
        /// More acknowledgements of clients were awaited than allowed: a request went to nobody on this node.
        TooManyRequests = "too_many_asks" => "Ask smaller rooms, or raise --limit awaited_answers_max.",
        /// An entry for the stream was lost because the link to Redis is down.
        BackendLost = "backend_lost" => "Bring Redis back; the log says why the link is down.",
        /// A backend published something that is not a message.
        MalformedBackendMessage = "malformed_backend_message" => "Compare what the backend publishes with the README.",
        /// A backend published a message larger than the largest message.
        OversizedBackendMessage = "oversized_backend_message" => "Send less at once, or raise --max-payload.",
        /// A backend published an event under a name that clients may not receive.
        BadBackendEvent = "bad_backend_event" => "Rename the event in the backend.",
        /// A backend acknowledged an event that no client waits for, or no longer.
        UnknownBackendAck = "unknown_backend_ack" => "The backend answers late or twice: raise --ack-timeout if late answers matter.",
        /// An application answered with placeholders that point nowhere; its client got `null`.
        UnsoundAck = "unsound_answer" => "Do not mix data from clients with binary data of your own in one answer.",
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

moorline_protocol::causes! {
    /// The cause for which a node stopped reading from a client for a while. Nothing is lost: what the client sends
    /// meanwhile waits in its own connection.
    #[non_exhaustive]
    pub enum PauseCause {
        /// A client sent more events than its rate.
        RateEvents = "rate_events" => "Send less often, or raise --rate-events.",
        /// A client sent more bytes than its rate.
        RateBytes = "rate_bytes" => "Send less, or raise --rate-bytes.",
        /// A client caused more work than its rate: recipients and publications count.
        RateWork = "rate_work" => "Send to fewer recipients or less often, or raise --limit rate_work.",
        /// A message had to wait until one of its recipients took what it was sent before.
        SlowRecipient = "slow_recipient" => "Look for recipients on slow networks, or raise --limit outbox_bytes_max.",
        /// A client asks for more answers than it reads.
        UnreadAnswers = "unread_answers" => "Let the client read its acknowledgements before it asks for more.",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::code::Code;
    use alloc::collections::BTreeSet;
    use moorline_protocol::{Cause, Reason};

    #[test]
    fn every_cause_has_a_label_and_texts_of_its_own() {
        fn check<C: Cause>() {
            let mut labels = BTreeSet::new();
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
        check::<Code>();
        check::<PauseCause>();
    }

    #[test]
    fn a_packet_that_cannot_be_read_is_dropped_under_the_name_of_its_error() {
        for error in DecodeError::ALL {
            assert_eq!(DropCause::from(*error).as_str(), error.as_str());
        }
    }
}
