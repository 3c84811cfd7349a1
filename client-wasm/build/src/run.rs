//! Running a program to its end. Its stderr goes to ours; only its stdout is returned. It never runs a shell.

use std::{
    ffi::OsStr,
    process::{Command, Output, Stdio},
};

/// The failure of a build and its remedy, for the person who asked for the build.
pub(crate) type Failure = String;

pub(crate) fn say(progress: &str) {
    eprintln!("client: {progress}");
}

/// A program with its arguments.
pub(crate) fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Runs a program; `advice` is what to do when it fails.
pub(crate) fn run(command: &mut Command, advice: &str) -> Result<(), Failure> {
    output(command, advice).map(drop)
}

/// Runs a program and returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command, advice: &str) -> Result<Vec<u8>, Failure> {
    let name = command.get_program().display().to_string();
    match command.stdin(Stdio::null()).stderr(Stdio::inherit()).output() {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(stdout),
        Ok(Output { status, .. }) => Err(format!("`{name}` failed ({status}): {advice}")),
        Err(error) => Err(format!("`{name}` could not be started ({error}): {advice}")),
    }
}
