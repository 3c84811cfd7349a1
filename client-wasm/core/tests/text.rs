//! Outputs as the short lines that stories compare. It never judges them: the harness and the story do.

use moorline_client_core::{AckError, Channel, Details, Output};
use moorline_protocol::Frame;

/// One line for one output.
pub(crate) fn of(output: &Output) -> String {
    match output {
        Output::Open(Channel(channel), url) => format!("open #{channel} {}", query(url)),
        Output::Get(Channel(channel), url) => format!("get #{channel} {}", query(url)),
        Output::Post(Channel(channel), _, body) => format!("post #{channel} {}", body.replace('\x1e', " | ")),
        Output::Send(Channel(channel), frame) => format!("#{channel} {}", packet(frame)),
        Output::Close(Channel(channel)) => format!("close #{channel}"),
        Output::Abort(Channel(channel)) => format!("abort #{channel}"),
        Output::WantAuth(socket, ticket) => format!("auth of {} wanted: {}", socket.0, ticket.0),
        Output::Connected(socket, id) => format!("{} connected: {id}", socket.0),
        Output::ConnectError { socket, message, refusal, details } => {
            let more = refusal.clone().unwrap_or_else(|| of_details(details.as_ref()));
            format!("{} not connected: {message}{}{more}", socket.0, if more.is_empty() { "" } else { " " })
        }
        Output::Disconnected(socket, reason, _) => format!("{} disconnected: {reason}", socket.0),
        Output::Event { socket, json, attachments, owed_ack } => {
            let owes = owed_ack.map_or(String::new(), |owed| format!(" wants ack {}", owed.id));
            format!("{} receives {json}{}{owes}", socket.0, of_attachments(attachments))
        }
        Output::Acked { ack, json, attachments } => {
            format!("ack {}: {json}{}", ack.0, of_attachments(attachments))
        }
        Output::AckFailed(ack, error) => format!("ack {} failed: {}", ack.0, of_error(*error)),
        Output::Dropped(socket, error) => format!("{} dropped: {}", socket.0, error.code()),
        Output::LinkOpened(kind) => format!("link opened: {}", kind.as_str()),
        Output::LinkUpgraded(kind) => format!("link upgraded: {}", kind.as_str()),
        Output::LinkClosed(reason, _) => format!("link closed: {reason}"),
        Output::ReconnectAttempt(count) => format!("attempt {count}"),
        Output::Reconnect(count) => format!("reconnected after {count}"),
        Output::ReconnectError(details) => format!("attempt failed: {}", details.description),
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

fn of_error(error: AckError) -> String {
    match error {
        AckError::Timeout => "timeout".into(),
        AckError::Disconnected => "disconnected".into(),
        AckError::NotSent(error) => error.code().into(),
    }
}
