//! What moorline does with no code written: clients join rooms and send each other events.
//!
//! Owns the meaning of the events that start with `@`, the rights and the answers. It holds no state of its own: rooms
//! and sockets are the node's.
//!
//! Invariant: a recipient learns the sender's id from the node, never from the sender.

use crate::{
    app::{App, Completion, Connect, Context, CountOutcome, Disconnect, Event, JoinOutcome, Refusal},
    args::Args,
    backend::{may_reach_clients, parse_string, parse_targets},
    code::Code,
    delivery::{Outgoing, Sent, Target, Wants},
    legacy::Source,
    message::Message,
    rooms::Joined,
};
use alloc::{borrow::Cow, format, string::String, vec::Vec};
use moorline_protocol::{
    json,
    socket::{self, packet::Envelope},
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
            "@to" => to(context, event, event.ack.map_or(Wants::Nothing, Wants::Count)),
            "@ask" => to(context, event, event.ack.map_or(Wants::Nothing, Wants::Answers)),
            "@join" => join(context, event),
            "@leave" => leave(context, event),
            "@whoami" => Ok(Some(Args::from_parts(whoami(context, event), Vec::new()))),
            name if name.starts_with('@') || is_long_name(context, name) => Err(Code::BadEvent),
            _ => context.ask_backend(event).map(|()| None),
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
            Completion::Unanswered { ack, code } => (ack, Some(*code), error_answer(*code)),
            Completion::Counted { ack, expected, outcome } => {
                let code = code_of(*outcome);
                (ack, code, expected_answer(code, *expected))
            }
            Completion::Gathered { ack, expected, responses, more, outcome } => {
                let code = code_of(*outcome);
                (ack, code, gathered_answer(code, *expected, responses, *more))
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
    }
}

/// The answer to give now; `None` when a completion will bring it.
type Answer = Result<Option<Args>, Code>;

/// `@to` and `@ask`: the same message to the same recipients; they differ in what the sender hears of it.
fn to(context: &mut Context<'_>, event: &Event<'_>, wants: Wants) -> Answer {
    let texts = event.args.first().and_then(|targets| parse_targets(targets.get())).ok_or(Code::BadTarget)?;
    let targets = permitted_targets(context, event, &texts)?;
    let name = event.args.get(1).ok_or(Code::BadEvent)?;
    let limits = &context.config().limits;
    parse_string(name.get()).filter(|name| may_reach_clients(name, limits)).ok_or(Code::BadEvent)?;
    let from = ["{\"from\":\"", event.socket.text().as_str(), "\"}"].concat();
    let source = Source { name: name.get(), from: &from, args: &event.args[2..] };
    let message = encode(event, &source);
    let (sender, source) = (Some(event.socket), Some(source));
    let outgoing = Outgoing { sender, targets: &targets, message, source, wants };
    let (code, expected) = match context.send(event.namespace, &outgoing)? {
        Sent::Waiting => return Ok(None),
        Sent::Now { expected } => (None, expected),
        Sent::BusDown { expected } => {
            context.count_refusal(Code::BusDown);
            (Some(Code::BusDown), expected)
        }
    };
    Ok(Some(match wants {
        Wants::Answers(_) => gathered_answer(code, expected, &Args::new(), 0),
        Wants::Nothing | Wants::Count(_) => expected_answer(code, expected),
    }))
}

/// One refused target refuses the whole message.
fn permitted_targets<'a>(
    context: &Context<'_>,
    event: &Event<'_>,
    texts: &'a [Cow<'a, str>],
) -> Result<Vec<Target<'a>>, Code> {
    let config = context.config();
    if texts.is_empty() {
        return Err(Code::BadTarget);
    }
    if texts.len() > config.limits.targets_max {
        return Err(Code::TooMany);
    }
    let permit = |text: &'a Cow<'a, str>| match Target::parse(text) {
        target @ Target::Socket(_) => Ok(target),
        Target::Room(name) if check_room_name(context, name).is_err() => Err(Code::BadTarget),
        Target::Room(name) if !config.is_open && !context.is_member(event.socket, name) => {
            Err(Code::NotMember)
        }
        target @ Target::Room(_) => Ok(target),
    };
    texts.iter().map(permit).collect()
}

fn is_long_name(context: &Context<'_>, name: &str) -> bool {
    name.len() > context.config().limits.event_name_bytes_max
}

/// The event as recipients get it: the sender first, written here, then the sender's arguments untouched.
fn encode(event: &Event<'_>, source: &Source<'_>) -> Message {
    let args = core::iter::once(source.from).chain(source.args.iter().map(|arg| arg.get()));
    let attachments = event.attachments.len();
    let envelope = Envelope { namespace: event.namespace, ack: None, attachments };
    Message::new(socket::packet::event(envelope, source.name, args), event.attachments.to_vec())
}

fn join(context: &mut Context<'_>, event: &Event<'_>) -> Answer {
    let room = room_name(event)?;
    check_room_name(context, &room)?;
    match context.join(event.socket, &room, event.ack)? {
        Joined::Now(outcome) => Ok(Some(join_answer(outcome))),
        Joined::Waiting => Ok(None),
    }
}

fn leave(context: &mut Context<'_>, event: &Event<'_>) -> Answer {
    let room = room_name(event)?;
    check_room_name(context, &room)?;
    context.leave(event.socket, &room);
    Ok(Some(Args::new().json(OK)))
}

fn room_name<'a>(event: &Event<'a>) -> Result<Cow<'a, str>, Code> {
    event.args.first().and_then(|room| parse_string(room.get())).ok_or(Code::BadRoom)
}

fn check_room_name(context: &Context<'_>, name: &str) -> Result<(), Code> {
    let is_long = name.len() > context.config().limits.room_name_bytes_max;
    let is_refused = name.is_empty() || is_long || name.starts_with('@') || socket::is_socket_id(name);
    if is_refused { Err(Code::BadRoom) } else { Ok(()) }
}

fn whoami(context: &Context<'_>, event: &Event<'_>) -> String {
    let mut answer = format!("{{\"id\":\"{}\",\"node\":", event.socket).into_bytes();
    json::push_string(&mut answer, context.node());
    answer.extend_from_slice(b",\"user\":null}");
    String::from_utf8(answer).unwrap_or_default()
}

fn join_answer(outcome: JoinOutcome) -> Args {
    match outcome {
        JoinOutcome::Everywhere => Args::new().json(OK),
        JoinOutcome::HereOnly => Args::new().json("{\"ok\":true,\"local\":true}"),
        JoinOutcome::Unconfirmed => error_answer(Code::Timeout),
    }
}

fn expected_answer(error: Option<Code>, expected: u64) -> Args {
    Args::from_parts(format!("{{{}\"expected\":{expected}}}", error_member(error)), Vec::new())
}

/// `more` is there only when more answered than the responses hold.
fn gathered_answer(error: Option<Code>, expected: u64, responses: &Args, more: u64) -> Args {
    let more = if more == 0 { String::new() } else { format!(",\"more\":{more}") };
    let (error, responses_json) = (error_member(error), responses.as_json());
    let json = format!("{{{error}\"expected\":{expected},\"responses\":[{responses_json}]{more}}}");
    Args::from_parts(json, responses.attachments().to_vec())
}

fn error_member(error: Option<Code>) -> String {
    error.map_or_else(String::new, |code| format!("\"error\":\"{}\",", code.as_str()))
}

fn refusal(code: Code, event: &Event<'_>) -> Args {
    let is_reserved = room_name(event).is_ok_and(|room| socket::is_socket_id(&room));
    if code == Code::BadRoom && is_reserved {
        let code = code.as_str();
        let json = format!("{{\"error\":\"{code}\",\"message\":\"{RESERVED_ROOM_HINT}\"}}");
        return Args::new().json(&json);
    }
    error_answer(code)
}

fn error_answer(code: Code) -> Args {
    Args::from_parts(code.to_json(), Vec::new())
}
