//! `moorline probe`: two clients, one private message each way; who was on which node and how long it took.
//!
//! Owns the order of the steps and the report. It knows nothing of a node's inside: it sees what any client sees.
//!
//! Invariant: every step ends within [`STEP_TIMEOUT`] (name resolution, which has the system's own limit, excepted), in
//! a line of the report or in one sentence that says what to do.

mod clients;
mod endpoint;
mod line;
mod stream;
mod trust;
mod upgrade;

pub use endpoint::Endpoint;
pub use stream::STEP_TIMEOUT;
pub use trust::Trust;

use clients::{Clients, Member};
use std::{io::Write, time::Duration};

/// How many connections may look for a node other than the first client's.
const TRIES_MAX: usize = 8;

/// The connections to try.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address of the first client.
    pub first: Endpoint,
    /// The address of the second one; `None` for the same place, until it lands on another node.
    pub second: Option<Endpoint>,
    /// The certificates that are good.
    pub trust: Trust,
}

/// Runs the probe and writes its report to `out`.
///
/// # Errors
/// The first step that failed, as one sentence.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), String> {
    let mut clients = Clients::new(trust::config(&options.trust)?)?;
    let a = join(&mut clients, "A", &options.first)?;
    report(out, &connected(&a));
    let (b, tries) = join_elsewhere(&mut clients, options, &a)?;
    report(out, &connected(&b));
    exchange(&mut clients, &a, &b, out)?;
    exchange(&mut clients, &b, &a, out)?;
    report(out, &verdict(&a, &b, tries));
    clients.close();
    Ok(())
}

fn join(clients: &mut Clients, name: &'static str, endpoint: &Endpoint) -> Result<Member, String> {
    clients.join(name, endpoint).map_err(|error| format!("{name}: {error}"))
}

/// The second client, and how many connections it took. Those that landed on the first one's node stay open: a
/// balancer that counts connections sends the next one elsewhere.
fn join_elsewhere(clients: &mut Clients, options: &Options, a: &Member) -> Result<(Member, usize), String> {
    if let Some(second) = &options.second {
        return Ok((join(clients, "B", second)?, 1));
    }
    let mut tries = 1;
    let mut b = join(clients, "B", &options.first)?;
    while b.node == a.node && tries < TRIES_MAX {
        tries += 1;
        b = join(clients, "B", &options.first)?;
    }
    Ok((b, tries))
}

fn exchange(clients: &mut Clients, from: &Member, to: &Member, out: &mut dyn Write) -> Result<(), String> {
    let route = format!("{} -> {}", from.name, to.name);
    let took = clients.send_private(from, to).map_err(|error| format!("{route}: {error}"))?;
    report(out, &format!("  {route}  {} -> {}  {}", from.node, to.node, shown(took)));
    Ok(())
}

fn connected(client: &Member) -> String {
    format!(
        "  {}  on {}  id {}  connected in {}",
        client.name,
        client.node,
        client.id,
        shown(client.connected_in)
    )
}

fn verdict(a: &Member, b: &Member, tries: usize) -> String {
    if a.node != b.node {
        return String::from("  ok: two clients on two nodes reached each other");
    }
    let spread = if tries > 1 { format!(", as all {tries} tries for B were") } else { String::new() };
    format!("  ok: two clients reached each other, both on node {}{spread}", a.node)
}

/// A closed stdout means that nobody wants to read the report; the exit code still tells.
fn report(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

fn shown(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    let decimals = if ms < 1.0 { 2 } else { usize::from(ms < 100.0) };
    format!("{ms:.decimals$} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        assert_eq!(shown(Duration::from_micros(830)), "0.83 ms");
        assert_eq!(shown(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(shown(Duration::from_micros(1_234_567)), "1235 ms");
    }
}
