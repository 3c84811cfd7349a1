//! The `moorline` binary: arguments in, exit code out.
//!
//! Owns nothing and decides nothing: everything else is the library's.

use moorline::embed::{Relay, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Relay, |_| {})
}
