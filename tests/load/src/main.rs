//! The benchmark: moorline and Socket.IO from npm, or another moorline, side by side in one run, driven by the same
//! clients over loopback.
//!
//! It prints figures and their ratios. It fails when a message was lost, doubled or misdirected or a process died,
//! since then nothing was measured; never because of a figure.

mod client;
mod clock;
mod figures;
mod fleet;
mod frame;
mod machine;
mod options;
mod outcome;
mod process;
mod report;
mod scenario;
mod subject;
mod traffic;
mod usage;

use clap::Parser;
use figures::{Figures, Span};
use options::{Options, Plan};
use outcome::Result;
use std::{fs, io::Write, process::ExitCode};
use subject::Subject;

/// The files that the generator opens besides its connections: writers, pipes, and those of every process.
const OTHER_FILES: u64 = 200;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options, &options.plan()) {
        Ok(report) => {
            std::io::stdout().write_all(report.as_bytes()).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("bench   | no figures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, plan: &Plan) -> Result<String> {
    let open_files_max = usage::open_files_max()?;
    if open_files_max < plan.idle as u64 + OTHER_FILES {
        return Err(
            format!("{} idle connections need more than {open_files_max} open files", plan.idle).into()
        );
    }
    let machine = machine::description(options, open_files_max)?;
    check_other(options)?;
    let load_before = machine::load_average();
    let subjects = Subject::both(options);
    let mut figures = [Figures::default(), Figures::default()];
    for round in 1..=plan.rounds {
        for side in options.order(round) {
            let subject = subjects[side];
            let say = |what: &str| {
                eprintln!("bench   | round {round} of {}: {}, {what}", plan.rounds, subject.name());
            };
            measure(subject, options, plan, &mut figures[side], &say)?;
        }
    }
    Ok(format!(
        "\n{machine}\nload average {load_before} before, {} after; {}\n\n{}",
        machine::load_average(),
        conditions(plan),
        report::table(subjects, &figures)
    ))
}

/// Refuses a binary beside itself: `make bench` builds over `target/release/moorline`, and its ratios would say that a
/// change costs nothing whatever it costs.
fn check_other(options: &Options) -> Result<()> {
    match &options.against {
        Some(other) if fs::canonicalize(other)? == fs::canonicalize(&options.moorline)? => {
            Err(format!("{other} is the file measured; keep a copy of the earlier build elsewhere").into())
        }
        _ => Ok(()),
    }
}

fn measure(
    subject: Subject,
    options: &Options,
    plan: &Plan,
    figures: &mut Figures,
    say: &dyn Fn(&str),
) -> Result<()> {
    say("one node");
    scenario::pairs(subject, Span::OneNode, options, plan, figures)?;
    say("two nodes");
    scenario::pairs(subject, Span::TwoNodes, options, plan, figures)?;
    say("a room");
    scenario::room(subject, options, plan, figures)?;
    say("idle connections");
    scenario::idle(subject, options, plan, figures)
}

/// The conditions of the measurements, which the labels of the table leave out.
fn conditions(plan: &Plan) -> String {
    format!(
        "{} rounds in turns, median (lowest–highest); {} s on schedule, {} s per closed loop\n\
         messages of {} bytes over WebSocket, no TLS, no proxy; {} pairs: {} messages/s on schedule, or in closed loops with \
         1 or {} per pair on their way\n\
         a room of {} members, {} messages/s; memory and connects: the step from {} to {} connections",
        plan.rounds,
        plan.measure.as_secs(),
        plan.closed_loop.as_secs(),
        traffic::PAYLOAD_BYTES,
        plan.pairs,
        plan.rate,
        plan.window,
        plan.members,
        plan.room_rate,
        plan.idle_before,
        plan.idle,
    )
}
