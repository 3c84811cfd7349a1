//! A server of one's own: the types of an application, and a `main` around one.
//!
//! Owns nothing of its own; the application is the core's idea and the command line is [`crate::cli`]'s.

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
    Emit, Event, JoinOutcome, Joined, Limits, Message, Outgoing, PendingAck, Refusal, Relay, Sent, SessionId,
    SocketId, Source, Target, Wants,
};
pub use moorline_protocol::{Frame, Reason};

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
