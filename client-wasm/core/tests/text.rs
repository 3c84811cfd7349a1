//! Outputs as the short lines that stories compare. It never judges them: the harness and the story do.

use moorline_client_core::{Details, Output, OwedAckNumbers};
use moorline_protocol::Frame;

/// One line for one output.
pub(crate) fn of(output: &Output) -> String {
    match output {
        Output::Open(channel, url) => format!("open #{} {}", channel.number(), query(url)),
        Output::Get(channel, url) => format!("get #{} {}", channel.number(), query(url)),
        Output::Post(channel, _, body) => {
            format!("post #{} {}", channel.number(), body.replace('\x1e', " | "))
        }
        Output::Send(channel, frame) => format!("#{} {}", channel.number(), packet(frame)),
        Output::Close(channel) => format!("close #{}", channel.number()),
        Output::Abort(channel) => format!("abort #{}", channel.number()),
        Output::WantAuth(socket, ticket) => {
            format!("auth of {} wanted: {}", socket.number(), ticket.number())
        }
        Output::Connected(socket, id) => format!("{} connected: {id}", socket.number()),
        Output::ConnectError { socket, failure, refusal, details } => {
            let more = refusal.clone().unwrap_or_else(|| of_details(details.as_ref()));
            format!(
                "{} not connected: {}{}{more}",
                socket.number(),
                failure.as_str(),
                if more.is_empty() { "" } else { " " }
            )
        }
        Output::Disconnected(socket, reason, _) => {
            format!("{} disconnected: {}", socket.number(), reason.as_str())
        }
        Output::Event { socket, json, attachments, owed_ack } => {
            let owes = owed_ack
                .map_or(String::new(), |owed| format!(" wants ack {}", OwedAckNumbers::from(owed).id));
            format!("{} receives {json}{}{owes}", socket.number(), of_attachments(attachments))
        }
        Output::Acked { ack, json, attachments } => {
            format!("ack {}: {json}{}", ack.number(), of_attachments(attachments))
        }
        Output::AckFailed(ack, error) => format!("ack {} failed: {}", ack.number(), error.code()),
        Output::Dropped(socket, error) => format!("{} dropped: {}", socket.number(), error.code()),
        Output::LinkOpened(kind) => format!("link opened: {}", kind.as_str()),
        Output::LinkUpgraded(kind) => format!("link upgraded: {}", kind.as_str()),
        Output::LinkClosed(reason, _) => format!("link closed: {}", reason.as_str()),
        Output::ReconnectAttempt(count) => format!("attempt {count}"),
        Output::Reconnect(count) => format!("reconnected after {count}"),
        Output::ReconnectError(details) => format!("attempt failed: {}", details.failure.as_str()),
        Output::ReconnectFailed => "no more attempts".into(),
    }
}

fn query(url: &str) -> String {
    let (_, query) = url.split_once('?').expect("a query");
    let words: Vec<&str> = query.split('&').filter(|pair| *pair != "EIO=4").collect();
    words.join(" ").replace("transport=", "")
}

/// A packet as text; attachments as `b[1, 2]`.
pub(crate) fn packet(frame: &Frame) -> String {
    match std::str::from_utf8(frame.as_packet()) {
        Ok(text) if !frame.is_binary() => text.into(),
        _ => format!("b{:?}", frame.as_packet()),
    }
}

fn of_attachments(attachments: &[Vec<u8>]) -> String {
    attachments.iter().map(|bytes| format!(" {bytes:?}")).collect()
}

fn of_details(details: Option<&Details>) -> String {
    let context = details.map(|details| &details.context);
    let number = context.and_then(|context| context.status.or(context.code));
    number.map_or(String::new(), |number| format!("({number})"))
}
