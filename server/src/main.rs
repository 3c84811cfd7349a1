//! The `moorline` binary: arguments in, exit code out. Everything else is the library's.

use moorline::cli::{self, Command};
use moorline::{log, probe, settings::Settings};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Command::Serve(settings)) => exit(serve(*settings)),
        Ok(Command::Probe(options)) => exit(probe::run(&options, &mut io::stdout().lock()).map(|()| 0)),
        Err(stop) => stop.report(),
    }
}

fn serve(settings: Settings) -> Result<u8, String> {
    log::init(settings.log);
    moorline::serve(settings)
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
