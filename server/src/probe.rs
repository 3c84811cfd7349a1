//! `moorline probe`: two clients, one private message each way; who was on which node and how long it took.
//!
//! Owns the order of the steps and the report. It knows nothing of a node's inside: it sees what any client sees.
//!
//! Invariant: every step ends within [`STEP_TIMEOUT`] (name resolution, which has the system's own limit, excepted), in
//! a line of the report or in one sentence that says what to do.

mod client;
mod endpoint;
mod stream;
mod trust;
mod upgrade;

pub use endpoint::Endpoint;
pub use trust::Trust;

use client::Client;
use std::io::Write;
use std::time::Duration;

/// How long any one step may take.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How many connections may look for a node other than the first client's.
const ATTEMPTS_MAX: usize = 8;

/// What to try.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the first client connects.
    pub first: Endpoint,
    /// Where the second one connects; `None` for the same place, until it lands on another node.
    pub second: Option<Endpoint>,
    /// Whose certificates are good.
    pub trust: Trust,
}

/// Runs the probe and writes its report to `out`.
///
/// # Errors
/// The first step that failed, as one sentence.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), String> {
    let tls = trust::config(&options.trust)?;
    let open =
        |name, endpoint| Client::open(name, endpoint, &tls).map_err(|error| format!("{name}: {error}"));
    let mut a = open("A", &options.first)?;
    report(out, &connected(&a));
    let mut others = Vec::new();
    let mut b = loop {
        let b = open("B", options.second.as_ref().unwrap_or(&options.first))?;
        if b.node != a.node || options.second.is_some() || others.len() + 1 == ATTEMPTS_MAX {
            break b;
        }
        // Kept open: a balancer that counts connections sends the next one elsewhere.
        others.push(b);
    };
    report(out, &connected(&b));
    exchange(&mut a, &mut b, out)?;
    exchange(&mut b, &mut a, out)?;
    report(out, &verdict(&a, &b, others.len() + 1));
    others.into_iter().chain([a, b]).for_each(Client::close);
    Ok(())
}

fn exchange(from: &mut Client, to: &mut Client, out: &mut dyn Write) -> Result<(), String> {
    let route = format!("{} -> {}", from.name, to.name);
    let took = client::send_private(from, to).map_err(|error| format!("{route}: {error}"))?;
    report(out, &format!("  {route}  {} -> {}  {}", from.node, to.node, shown(took)));
    Ok(())
}

fn connected(client: &Client) -> String {
    format!(
        "  {}  on {}  id {}  connected in {}",
        client.name,
        client.node,
        client.id,
        shown(client.connected_in)
    )
}

fn verdict(a: &Client, b: &Client, attempts: usize) -> String {
    if a.node != b.node {
        return String::from("  ok: two clients on two nodes reached each other");
    }
    let tries = if attempts > 1 { format!(", as all {attempts} tries for B were") } else { String::new() };
    format!("  ok: two clients reached each other, both on node {}{tries}", a.node)
}

/// Whoever closed stdout did not want to read it; the exit code still tells.
fn report(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

fn shown(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        assert_eq!(shown(Duration::from_micros(830)), "0.8 ms");
        assert_eq!(shown(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(shown(Duration::from_micros(1_234_567)), "1235 ms");
    }
}
