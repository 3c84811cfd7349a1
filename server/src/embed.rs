//! A server of one's own: the types of an application, and a `main` around one.
//!
//! Owns [`run`] alone. The types live in `moorline_core` and `moorline_protocol` and are shown here together, so that
//! an application needs no crate besides this one and `serde_json`. The command line is [`crate::cli`]'s.
//!
//! An application that lets clients send each other events, under the rules of the built-in one:
//!
//! ```no_run
//! use moorline::embed::{
//!     App, Args, Code, Completion, Context, Event, Message, Outgoing, Receipt, Sent, Source, Wants, check_event_name,
//!     parse_string, parse_targets, permitted_targets, run, socket,
//! };
//! use std::process::ExitCode;
//!
//! struct Post;
//!
//! impl App for Post {
//!     fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>) {
//!         let answer = match &*event.name {
//!             "post" => post(context, event),
//!             _ => Err(Code::BadEvent),
//!         };
//!         if let Err(code) = answer {
//!             context.count_refusal(code);
//!         }
//!         let answer = match answer {
//!             Ok(Sent::Now { expected } | Sent::BusDown { expected }) => count(expected),
//!             Ok(_) => return, // Others are counting: `completed` brings the answer.
//!             Err(code) => Args::new().text(code.as_str()),
//!         };
//!         if let Some(ack) = event.ack {
//!             context.acknowledge(ack, &answer);
//!         }
//!     }
//!
//!     fn completed(&mut self, context: &mut Context<'_>, completion: &Completion) {
//!         if let Completion::Counted { ack, expected, .. } = completion {
//!             context.acknowledge(*ack, &count(*expected));
//!         }
//!     }
//! }
//!
//! /// `emit("post", targets, name, ...args)`: the event for everyone that the targets name, the sender's id first.
//! fn post(context: &mut Context<'_>, event: &Event<'_>) -> Result<Sent, Code> {
//!     let texts = event.args.first().and_then(|arg| parse_targets(arg.get())).ok_or(Code::BadTarget)?;
//!     let is_member = |room: &str| context.is_member(event.socket, room);
//!     let targets = permitted_targets(&texts, context.config(), is_member)?;
//!     let name = event.args.get(1).ok_or(Code::BadEvent)?.get();
//!     check_event_name(&parse_string(name).ok_or(Code::BadEvent)?, &context.config().limits)?;
//!     let from = format!("{{\"from\":\"{}\"}}", event.socket);
//!     let source = Source { name, from: &from, args: &event.args[2..] };
//!     let args = std::iter::once(source.from).chain(source.args.iter().map(|arg| arg.get()));
//!     let attachments = event.attachments.len();
//!     let envelope = socket::Envelope { namespace: event.namespace, ack: None, attachments };
//!     let message = Message::new(socket::event(envelope, name, args), event.attachments.to_vec());
//!     let receipt = event.ack.map(|ack| Receipt { ack, wants: Wants::Count });
//!     let (sender, source) = (Some(event.socket), Some(source));
//!     context.send(event.namespace, &Outgoing { sender, targets: &targets, message, source, receipt })
//! }
//!
//! fn count(recipients: u64) -> Args {
//!     Args::new().text(&recipients.to_string())
//! }
//!
//! fn main() -> ExitCode {
//!     run(Post, |_| {})
//! }
//! ```

use crate::{
    cli::{self, Command},
    log, probe,
    serve::serve_app,
    settings::Settings,
};
use std::{
    io::{self, Write},
    process::ExitCode,
};

pub use moorline_core::{
    AckId, App, Args, Channels, Code, Completion, Config, Connect, Context, CountOutcome, Data, Disconnect,
    Emit, Entropy, Event, JoinOutcome, Joined, Limits, Message, NodeTag, Outgoing, PendingAck, Receipt,
    Refusal, Relay, Sent, SessionId, SocketId, SocketIdText, Source, Target, Wants, check_event_name,
    check_room_name, parse_string, parse_targets, permitted_targets,
};
pub use moorline_protocol::{DecodeError, Frame, Reason, json, socket};

/// Runs an application with every flag and variable of the binary; `adapt` may change the settings last.
pub fn run<A: App>(app: A, adapt: impl FnOnce(&mut Settings)) -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Command::Serve(mut settings)) => {
            adapt(&mut settings);
            log::init(settings.log);
            exit(serve_app(*settings, app))
        }
        Ok(Command::Probe(options)) => exit(probe::run(&options, &mut io::stdout().lock()).map(|()| 0)),
        Err(stop) => stop.report(),
    }
}

/// An outcome is the exit code itself, or the sentence that explains a 1.
fn exit(outcome: Result<u8, String>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(sentence) => {
            // If stderr is closed, the exit code alone has to tell.
            let _ = writeln!(io::stderr(), "moorline: {sentence}");
            ExitCode::FAILURE
        }
    }
}
