//! Everything this process counts, as Prometheus text.
//!
//! Owns the names and the format of the metrics, and the shell's own counts. It never counts: the core, the bus and the
//! reactor do. Labels come from fixed sets, never from clients.

use crate::{
    bus::BusStatus,
    causes::{self, CauseMetric, Violation},
};
use moorline_core::{Gauges, Stats};
use moorline_protocol::{Cause, Tally};
use std::{collections::BTreeMap, fmt::Write as _};

/// The shell's own counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShellStats {
    pub(crate) accepted: u64,
    /// Clients answered 503 because the process holds as many as it may.
    pub(crate) overloaded: u64,
    /// Times accepting stopped for want of file descriptors or memory.
    pub(crate) exhausted: u64,
    pub(crate) responses: BTreeMap<u16, u64>,
    /// Connections closed for breaking HTTP, WebSocket or Engine.IO rules, by rule.
    pub(crate) violations: Tally<Violation>,
}

/// One moment of one node.
pub(crate) struct Snapshot {
    pub(crate) node: String,
    pub(crate) connections: usize,
    pub(crate) gauges: Gauges,
    pub(crate) stats: Stats,
    pub(crate) shell: ShellStats,
    pub(crate) bus: Option<BusStatus>,
}

impl Snapshot {
    /// The text of `/metrics`.
    pub(crate) fn render(&self) -> String {
        let mut text = Text(String::with_capacity(4096));
        text.gauge(
            "info",
            "This node.",
            &[(format!("{{node=\"{}\",version=\"{}\"}}", self.node, env!("CARGO_PKG_VERSION")), 1)],
        );
        self.render_gauges(&mut text);
        self.render_traffic(&mut text);
        self.render_shell(&mut text);
        self.render_bus(&mut text);
        text.0
    }

    fn render_gauges(&self, text: &mut Text) {
        text.gauge("connections", "Open TCP connections.", &[plain(self.connections as u64)]);
        text.gauge("sessions", "Engine.IO sessions.", &[plain(self.gauges.sessions as u64)]);
        text.gauge("sockets", "Sockets in all namespaces.", &[plain(self.gauges.sockets as u64)]);
        text.gauge("rooms", "Rooms this node hears.", &[plain(self.gauges.rooms as u64)]);
    }

    fn render_traffic(&self, text: &mut Text) {
        let stats = &self.stats;
        text.counter("events_in_total", "Events received from clients.", &[plain(stats.events_in)]);
        text.counter(
            "events_out_total",
            "Events and acknowledgements for clients.",
            &[plain(stats.events_out)],
        );
        text.counter(
            "deliveries_total",
            "Recipients reached here, by where the sender is.",
            &[
                (String::from("{from=\"local\"}"), stats.deliveries_local),
                (String::from("{from=\"remote\"}"), stats.deliveries_remote),
            ],
        );
        text.counter("sessions_opened_total", "Sessions opened.", &[plain(stats.sessions_opened)]);
        text.counter(
            "upgrades_total",
            "Sessions that moved from polling to a WebSocket.",
            &[plain(stats.upgrades)],
        );
        text.causes(causes::SESSIONS_CLOSED, "Sessions ended.", &stats.sessions_closed);
        text.causes(causes::DROPS, "What was not delivered or not understood.", &stats.drops);
        text.causes(causes::REFUSALS, "Relay requests refused.", &stats.refusals);
        text.causes(causes::PAUSES, "Times reading from a client had to pause.", &stats.pauses);
        text.counter(
            "work_units_total",
            "Work: packets of clients, recipients, publications.",
            &[plain(stats.work)],
        );
    }

    fn render_shell(&self, text: &mut Text) {
        let shell = &self.shell;
        text.counter("connections_accepted_total", "TCP connections accepted.", &[plain(shell.accepted)]);
        text.counter(
            "connections_overloaded_total",
            "Connections answered 503 at the limit.",
            &[plain(shell.overloaded)],
        );
        text.counter("accept_exhausted_total", "Times accepting had to pause.", &[plain(shell.exhausted)]);
        let responses: Vec<_> = shell
            .responses
            .iter()
            .map(|(status, count)| (format!("{{status=\"{status}\"}}"), *count))
            .collect();
        text.counter("http_responses_total", "HTTP answers other than 101.", &responses);
        text.causes(causes::VIOLATIONS, "Connections that broke HTTP or WebSocket rules.", &shell.violations);
    }

    fn render_bus(&self, text: &mut Text) {
        let Some(bus) = &self.bus else { return };
        text.gauge("redis_up", "1 while both links to Redis work.", &[plain(u64::from(bus.is_up))]);
        text.counter(
            "redis_connects_total",
            "Links to Redis established.",
            &[
                (String::from("{link=\"subscriber\"}"), bus.subscriber_connects),
                (String::from("{link=\"publisher\"}"), bus.publisher_connects),
            ],
        );
        text.counter("redis_messages_in_total", "Messages heard.", &[plain(bus.messages_in)]);
        text.counter("redis_published_total", "Messages Redis took.", &[plain(bus.published)]);
        text.counter(
            "redis_lost_total",
            "Messages lost with a link or refused by a full queue.",
            &[plain(bus.lost)],
        );
        let (missed, resets) = (self.stats.bus_missed, self.stats.bus_resets);
        text.counter("redis_missed_total", "Messages of other nodes that never arrived.", &[plain(missed)]);
        text.counter("redis_resets_total", "Times silent links were given up.", &[plain(resets)]);
        text.gauge(
            "redis_publish_queue_bytes",
            "Bytes waiting for Redis.",
            &[plain(bus.publish_queue_bytes as u64)],
        );
        text.gauge(
            "redis_event_queue_bytes",
            "Bytes waiting for the loop.",
            &[plain(bus.event_queue_bytes as u64)],
        );
        text.gauge(
            "redis_publish_round_trip_microseconds",
            "The last pipeline to Redis.",
            &[plain(bus.publish_round_trip_us)],
        );
        let lag: Vec<_> = self
            .stats
            .bus_lag
            .map(|lag| plain(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX)))
            .into_iter()
            .collect();
        text.gauge(
            "redis_lag_microseconds",
            "Time of this node's last message to itself; absent while the link is down.",
            &lag,
        );
    }
}

/// A sample's labels, braces included, and its value.
type Sample = (String, u64);

fn plain(value: u64) -> Sample {
    (String::new(), value)
}

struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str, samples: &[Sample]) {
        self.family(name, "gauge", help, samples);
    }

    fn counter(&mut self, name: &str, help: &str, samples: &[Sample]) {
        self.family(name, "counter", help, samples);
    }

    /// A counter with a sample for every cause, those that never occurred included.
    fn causes<C: Cause>(&mut self, (name, label): CauseMetric, help: &str, tally: &Tally<C>) {
        let sample = |(cause, count): (C, u64)| (format!("{{{label}=\"{}\"}}", cause.as_str()), count);
        self.counter(name, help, &tally.iter().map(sample).collect::<Vec<_>>());
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[Sample]) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP moorline_{name} {help}\n# TYPE moorline_{name} {kind}\n");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "moorline_{name}{labels} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_node_lists_every_cause_at_zero() {
        let snapshot = Snapshot {
            node: String::from("s1"),
            connections: 0,
            gauges: Gauges::default(),
            stats: Stats::default(),
            shell: ShellStats::default(),
            bus: Some(BusStatus::default()),
        };
        let text = snapshot.render();
        let lines: Vec<&str> = text.lines().collect();
        for causes::CauseRow { metric, label_name, label, .. } in causes::table() {
            let line = format!("moorline_{metric}{{{label_name}=\"{label}\"}} 0");
            assert!(lines.contains(&line.as_str()), "{line} is missing");
        }
        for causes::CounterRow { metric, .. } in causes::counters() {
            let line = format!("moorline_{metric} 0");
            assert!(lines.contains(&line.as_str()), "{line} is missing");
        }
    }
}
