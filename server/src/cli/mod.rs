//! The command line: arguments and `MOORLINE_*` variables in, a checked [`Command`] or one sentence out.
//!
//! Owns which words the binary takes and how it refuses others. It starts nothing and never logs.
//!
//! Invariant: a refusal is one line, names the flag, and never repeats a password.

mod flags;
mod limit;
mod value;

use crate::{
    cli::flags::{ProbeFlags, ServeFlags},
    printable::printable,
    probe,
    settings::Settings,
};
use clap::{
    Parser,
    error::{ContextKind, ErrorKind},
};
use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

/// The task of the binary.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Run a node.
    Serve(Box<Settings>),
    /// Try a running one.
    Probe(probe::Options),
}

/// The reason why there is nothing to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// Help or the version was asked for.
    Answered(clap::Error),
    /// A value was refused; the sentence says which.
    Refused(String),
}

impl Stop {
    /// Tells the operator and chooses the exit code: 0 for an answer, 2 for a refusal.
    pub fn report(self) -> ExitCode {
        // A closed stream has no reader; the exit code still tells.
        let _ = match &self {
            Stop::Answered(answer) => answer.print(),
            Stop::Refused(sentence) => writeln!(io::stderr(), "moorline: {sentence}"),
        };
        ExitCode::from(if matches!(self, Stop::Refused(_)) { 2 } else { 0 })
    }
}

/// Understands the arguments, the program's own name first, and the environment.
///
/// # Errors
/// [`Stop`] when help was asked for or a value is not acceptable.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Stop> {
    let mut args: Vec<OsString> = args.into_iter().skip(1).collect();
    let word = args.first().and_then(|word| word.to_str());
    let is_probe = word == Some("probe");
    if is_probe || word == Some("serve") {
        args.remove(0);
    }
    if is_probe { probe(&args) } else { serve(&args) }
}

fn serve(args: &[OsString]) -> Result<Command, Stop> {
    let flags = ServeFlags::try_parse_from(args).map_err(|error| stop(error, args, "moorline"))?;
    let settings = flags.into_settings().map_err(|refusal| {
        Stop::Refused(match refusal {
            flags::Refusal::Value { flag, reason } => {
                format!("invalid value for '{flag}'{}: {reason}", origin(flag, args))
            }
            flags::Refusal::Pair(sentence) => sentence,
        })
    })?;
    settings
        .contradiction()
        .map_or_else(|| Ok(Command::Serve(Box::new(settings))), |pair| Err(Stop::Refused(pair)))
}

fn probe(args: &[OsString]) -> Result<Command, Stop> {
    ProbeFlags::try_parse_from(args)
        .map(|flags| Command::Probe(flags.into_options()))
        .map_err(|error| stop(error, args, "moorline probe"))
}

fn stop(error: clap::Error, args: &[OsString], program: &str) -> Stop {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Answered(error),
        kind => {
            let hint = if kind == ErrorKind::ValueValidation {
                String::new()
            } else {
                format!("; see {program} --help")
            };
            Stop::Refused(without_userinfo(&sentence(&error, args)) + &hint)
        }
    }
}

/// clap's paragraphs as one line, without its usage lines and with the variable a bad value came from.
fn sentence(error: &clap::Error, args: &[OsString]) -> String {
    let text = error.render().to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let joined = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    let sentence = printable(joined.strip_prefix("error: ").unwrap_or(&joined));
    match error.get(ContextKind::InvalidArg) {
        Some(flag) => {
            let quoted = format!("'{flag}'");
            sentence.replacen(&quoted, &format!("{quoted}{}", origin(&flag.to_string(), args)), 1)
        }
        None => sentence,
    }
}

/// Names the variable that gave `flag` its value, if no argument did.
fn origin(flag: &str, args: &[OsString]) -> String {
    let long = flag.split([' ', '=']).next().unwrap_or(flag);
    let is_argument = args.iter().any(|arg| {
        arg.to_string_lossy().strip_prefix(long).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let variable = format!("MOORLINE_{}", long.trim_start_matches('-').replace('-', "_").to_uppercase());
    if is_argument || std::env::var_os(&variable).is_none() {
        String::new()
    } else {
        format!(" (from {variable})")
    }
}

/// A URL given in the wrong place may carry a password.
fn without_userinfo(text: &str) -> String {
    match text.find("://").zip(text.rfind('@')) {
        Some((scheme, at)) if scheme < at => format!("{}://…{}", &text[..scheme], &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
