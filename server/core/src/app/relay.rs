//! The built-in application: clients join rooms and send each other events, with no code written.
//!
//! Owns the meaning of the events that start with `@`, and the answers to them. It is written against the public API,
//! as an application of one's own would be; only the rule about who may send to whom is a module of its own. It holds
//! no state: rooms and sockets are the node's.
//!
//! Invariant: a recipient learns the sender's id from the node, never from the sender.

use crate::{
    App, Args, Code, Completion, Connect, Context, CountOutcome, Disconnect, Event, JoinOutcome, Joined,
    Message, Outgoing, Receipt, Refusal, Sent, Source, Wants, check_event_name, check_room_name,
    parse_string, parse_targets, permitted_targets,
};
use alloc::{borrow::Cow, format, string::String, vec::Vec};
use moorline_protocol::{
    json,
    socket::{self, Envelope},
};

const OK: &str = "{\"ok\":true}";
const RESERVED_ROOM_HINT: &str = "room names of exactly 20 URL-safe characters are reserved for socket ids: put a prefix before yours, such as doc:";

/// The built-in application.
#[derive(Debug, Default, Clone, Copy)]
pub struct Relay;

impl App for Relay {
    fn connect(&mut self, context: &mut Context<'_>, connect: &Connect<'_>) -> Result<(), Refusal> {
        context.tell_backend_connect(connect);
        Ok(())
    }

    fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>) {
        let answer = match &*event.name {
            "@to" => send(context, event, Wants::Count),
            "@ask" => send(context, event, Wants::Responses),
            "@join" => join(context, event),
            "@leave" => leave(context, event),
            "@whoami" => Ok(Some(whoami(context, event))),
            name if name.starts_with('@') || is_long_name(context, name) => Err(Code::BadEvent),
            _ => context.forward_to_backend(event).map(|()| None),
        };
        if let Err(code) = answer {
            context.count_refusal(code);
        }
        let Some(ack) = event.ack else { return };
        match answer {
            Ok(Some(answer)) => context.acknowledge(ack, &answer),
            Ok(None) => {}
            Err(code) => context.acknowledge(ack, &refusal(code, event)),
        }
    }

    fn disconnect(&mut self, context: &mut Context<'_>, disconnect: &Disconnect) {
        context.tell_backend_disconnect(disconnect);
    }

    fn completed(&mut self, context: &mut Context<'_>, completion: &Completion) {
        let (ack, code, answer) = match completion {
            Completion::Joined { ack, outcome } => {
                let code = (*outcome == JoinOutcome::Unconfirmed).then_some(Code::Timeout);
                (ack, code, join_answer(*outcome))
            }
            Completion::NotAcknowledged { ack, code } => (ack, Some(*code), error_answer(*code)),
            Completion::Counted { ack, expected, outcome } => {
                let code = code_of(*outcome);
                (ack, code, expected_answer(code, *expected))
            }
            Completion::Gathered { ack, expected, responses, more, outcome } => {
                let code = code_of(*outcome);
                let answer = gathered_answer(code, *expected, responses, *more);
                // For an asker that has not read what came before, the responses are only counted.
                let cut = || gathered_answer(code, *expected, &Args::new(), more + responses.count() as u64);
                (ack, code, if context.has_room(*ack, &answer) { answer } else { cut() })
            }
        };
        if let Some(code) = code {
            context.count_refusal(code);
        }
        context.acknowledge(*ack, &answer);
    }
}

fn code_of(outcome: CountOutcome) -> Option<Code> {
    match outcome {
        CountOutcome::Complete => None,
        CountOutcome::BusDown => Some(Code::BusDown),
        CountOutcome::Timeout => Some(Code::Timeout),
        CountOutcome::Busy => Some(Code::Busy),
    }
}

/// The answer to give now; `None` when a completion will bring it.
type Answer = Result<Option<Args>, Code>;

/// `@to` and `@ask`: the same message to the same recipients; they differ in what the sender is told.
fn send(context: &mut Context<'_>, event: &Event<'_>, wants: Wants) -> Answer {
    let texts = event.args.first().and_then(|targets| parse_targets(targets.get())).ok_or(Code::BadTarget)?;
    let is_member = |room: &str| context.is_member(event.socket, room);
    let targets = permitted_targets(&texts, context.config(), is_member)?;
    let name = event.args.get(1).ok_or(Code::BadEvent)?;
    let text = parse_string(name.get()).ok_or(Code::BadEvent)?;
    check_event_name(&text, &context.config().limits)?;
    let from = ["{\"from\":\"", event.socket.text().as_str(), "\"}"].concat();
    let source = Source { name: name.get(), from: &from, args: &event.args[2..] };
    let message = encode(event, &source);
    let (sender, source) = (Some(event.socket), Some(source));
    let receipt = event.ack.map(|ack| Receipt { ack, wants });
    let outgoing = Outgoing { sender, targets: &targets, message, source, receipt };
    let (code, expected) = match context.send(event.namespace, &outgoing)? {
        Sent::Waiting => return Ok(None),
        Sent::Now { expected } => (None, expected),
        Sent::BusDown { expected } => {
            context.count_refusal(Code::BusDown);
            (Some(Code::BusDown), expected)
        }
    };
    Ok(Some(match wants {
        Wants::Responses => gathered_answer(code, expected, &Args::new(), 0),
        Wants::Count => expected_answer(code, expected),
    }))
}

fn is_long_name(context: &Context<'_>, name: &str) -> bool {
    name.len() > context.config().limits.event_name_bytes_max
}

/// The event as recipients get it: the sender first, written here, then the sender's arguments untouched.
fn encode(event: &Event<'_>, source: &Source<'_>) -> Message {
    let args = core::iter::once(source.from).chain(source.args.iter().map(|arg| arg.get()));
    let attachments = event.attachments.len();
    let envelope = Envelope { namespace: event.namespace, ack: None, attachments };
    Message::new(socket::event(envelope, source.name, args), event.attachments.to_vec())
}

fn join(context: &mut Context<'_>, event: &Event<'_>) -> Answer {
    let room = room_name(context, event)?;
    match context.join(event.socket, &room, event.ack)? {
        Joined::Now(outcome) => Ok(Some(join_answer(outcome))),
        Joined::Waiting => Ok(None),
    }
}

fn leave(context: &mut Context<'_>, event: &Event<'_>) -> Answer {
    let room = room_name(context, event)?;
    context.leave(event.socket, &room);
    Ok(Some(written(OK.into())))
}

fn room_name<'a>(context: &Context<'_>, event: &Event<'a>) -> Result<Cow<'a, str>, Code> {
    let room = event.text(0).ok_or(Code::BadRoom)?;
    check_room_name(&room, &context.config().limits)?;
    Ok(room)
}

fn whoami(context: &Context<'_>, event: &Event<'_>) -> Args {
    let mut answer = format!("{{\"id\":\"{}\",\"node\":", event.socket).into_bytes();
    json::push_string(&mut answer, context.node());
    answer.extend_from_slice(b",\"user\":null}");
    written(String::from_utf8(answer).unwrap_or_default())
}

fn join_answer(outcome: JoinOutcome) -> Args {
    match outcome {
        JoinOutcome::Everywhere => written(OK.into()),
        JoinOutcome::HereOnly => written("{\"ok\":true,\"local\":true}".into()),
        JoinOutcome::Unconfirmed => error_answer(Code::Timeout),
    }
}

fn expected_answer(error: Option<Code>, expected: u64) -> Args {
    written(format!("{{{}\"expected\":{expected}}}", error_member(error)))
}

/// `more` is there only when more acknowledged than the responses hold.
fn gathered_answer(error: Option<Code>, expected: u64, responses: &Args, more: u64) -> Args {
    let more = if more == 0 { String::new() } else { format!(",\"more\":{more}") };
    let error = error_member(error);
    let json = format!("{{{error}\"expected\":{expected},\"responses\":[{}]{more}}}", responses.as_json());
    Args::from_parts(json, responses.attachments().to_vec())
}

fn error_member(error: Option<Code>) -> String {
    error.map_or_else(String::new, |code| format!("\"error\":\"{}\",", code.as_str()))
}

fn refusal(code: Code, event: &Event<'_>) -> Args {
    let is_reserved = event.text(0).is_some_and(|room| socket::is_socket_id(&room));
    if code == Code::BadRoom && is_reserved {
        let code = code.as_str();
        return written(format!("{{\"error\":\"{code}\",\"message\":\"{RESERVED_ROOM_HINT}\"}}"));
    }
    error_answer(code)
}

fn error_answer(code: Code) -> Args {
    written(code.to_json())
}

/// One argument, written here.
fn written(json: String) -> Args {
    Args::from_parts(json, Vec::new())
}
