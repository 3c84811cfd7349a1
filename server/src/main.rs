//! The `moorline` binary: arguments in, exit code out. Everything else is the library's.

use moorline::embed::{Relay, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Relay, |_| {})
}
