//! The measurements: messages between pairs, a room, idle connections. Each runs on fresh processes.

use crate::{
    clock,
    figures::{Figures, Key, Load, Span},
    fleet::{DEADLINE_NS, Fleet},
    options::{Options, Plan},
    outcome::Result,
    subject::{Cluster, Subject},
    traffic::{self, Delivered, Lane},
};

const ROOM: &str = "doc:bench";

/// Messages from one client to one other, on schedule and as fast as they arrive.
pub(crate) fn pairs(
    subject: Subject,
    span: Span,
    options: &Options,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<()> {
    let mut cluster = match span {
        Span::OneNode => subject.start_alone(options)?,
        Span::TwoNodes => subject.start_pair(options)?,
    };
    let mut fleet = Fleet::new()?;
    let (near, far) = cluster.ends();
    let senders = fleet.connect(near, plan.pairs)?;
    let recipients = fleet.connect(far, plan.pairs)?;
    let lane = |(sender, recipient): (usize, usize)| Lane {
        sender,
        target: fleet.id(recipient).to_owned(),
        recipients: recipient..recipient + 1,
    };
    let lanes: Vec<Lane> = senders.zip(recipients).map(lane).collect();
    traffic::await_path(&mut fleet, &lanes[0])?;
    traffic::closed_loop(&mut fleet, &lanes, plan.window, plan.warm_up)?;

    let paced = measure(&mut cluster, || traffic::on_schedule(&mut fleet, &lanes, plan.rate, plan.measure))?;
    figures.add(Key::PacedCpu(span), paced.nodes_us_per_delivery());
    figures.add(Key::PacedRedisCpu(span), paced.redis_us_per_delivery());
    paced.add_latencies(figures, [Key::P50(span), Key::P99(span), Key::P999(span)]);
    figures.add(Key::Lateness, micros(percentile(&mut paced.delivered.lateness_ns.clone(), 0.99)));

    for load in [Load::Single, Load::Window] {
        let window = if load == Load::Single { 1 } else { plan.window };
        let closed =
            measure(&mut cluster, || traffic::closed_loop(&mut fleet, &lanes, window, plan.closed_loop))?;
        figures.add(Key::ClosedCpu(span, load), closed.nodes_us_per_delivery());
        figures.add(Key::ClosedRedisCpu(span, load), closed.redis_us_per_delivery());
        figures.add(Key::ClosedRate(span, load), closed.deliveries() / closed.seconds);
        figures.add(Key::ClosedBusy(span, load), 100.0 * closed.nodes_ns / 1e9 / closed.seconds);
        figures.add(Key::ClosedOwnBusy(span, load), 100.0 * closed.own_ns / 1e9 / closed.seconds);
    }
    Ok(())
}

/// Messages to a room with many members on one node.
pub(crate) fn room(subject: Subject, options: &Options, plan: &Plan, figures: &mut Figures) -> Result<()> {
    let mut cluster = subject.start_alone(options)?;
    let mut fleet = Fleet::new()?;
    let members = fleet.connect(cluster.ends().0, plan.members)?;
    join_all(&mut fleet)?;
    let lane = |sender| Lane { sender, target: ROOM.to_owned(), recipients: members.clone() };
    let lanes: Vec<Lane> = members.clone().take(plan.speakers).map(lane).collect();
    traffic::on_schedule(&mut fleet, &lanes, plan.room_rate, plan.warm_up)?;

    let paced =
        measure(&mut cluster, || traffic::on_schedule(&mut fleet, &lanes, plan.room_rate, plan.measure))?;
    figures.add(Key::RoomCpu, paced.nodes_us_per_delivery());
    paced.add_latencies(figures, [Key::RoomP50, Key::RoomP99, Key::RoomP999]);
    Ok(())
}

/// Everyone joins; the acknowledgements say when that is done.
fn join_all(fleet: &mut Fleet) -> Result<()> {
    let packet = format!("421[\"@join\",\"{ROOM}\"]");
    (0..fleet.len()).for_each(|client| fleet.queue(client, packet.as_bytes()));
    fleet.flush()?;
    let deadline_ns = clock::now_ns() + DEADLINE_NS;
    let (mut joined, mut refusal) = (0, None);
    while joined < fleet.len() {
        fleet.turn(&mut |arrival| match arrival.packet {
            b"431[{\"ok\":true}]" => joined += 1,
            other => refusal = Some(String::from_utf8_lossy(other).into_owned()),
        })?;
        if let Some(answer) = refusal {
            return Err(format!("a join was answered {answer}").into());
        }
        if clock::now_ns() > deadline_ns {
            return Err("not everyone could join".into());
        }
    }
    Ok(())
}

/// The cost of idle connections: the difference between some and many, so that memory for code that the first ones
/// make a server load or compile is not counted.
pub(crate) fn idle(subject: Subject, options: &Options, plan: &Plan, figures: &mut Figures) -> Result<()> {
    let mut cluster = subject.start_alone(options)?;
    figures.add(Key::BaseMemory, as_f64(cluster.memory(subject)?.rss_bytes));
    let mut fleet = Fleet::new()?;
    let address = cluster.ends().0;
    fleet.connect(address, plan.idle_before)?;
    let before = cluster.memory(subject)?;
    let count = plan.idle - plan.idle_before;
    let connecting = measure(&mut cluster, || {
        fleet.connect(address, count)?;
        Ok(Delivered { deliveries: count as u64, ..Delivered::default() })
    })?;
    let after = cluster.memory(subject)?;
    figures.add(Key::ConnectCpu, connecting.nodes_us_per_delivery());
    figures.add(Key::IdleRss, (as_f64(after.rss_bytes) - as_f64(before.rss_bytes)) / as_f64(count as u64));
    figures.add(Key::IdlePss, (as_f64(after.pss_bytes) - as_f64(before.pss_bytes)) / as_f64(count as u64));
    // A connection that was closed meanwhile would show here.
    fleet.turn(&mut |_| {})?;
    cluster.check_alive()
}

/// One measurement: the deliveries and their cost.
struct Measured {
    delivered: Delivered,
    seconds: f64,
    nodes_ns: f64,
    redis_ns: f64,
    own_ns: f64,
}

fn measure(cluster: &mut Cluster, run: impl FnOnce() -> Result<Delivered>) -> Result<Measured> {
    let (before, start_ns) = (cluster.cpu()?, clock::now_ns());
    let outcome = run();
    // The sentence about a dead process explains more than the one about the connections it took along.
    cluster.check_alive()?;
    let delivered = outcome?;
    let (after, end_ns) = (cluster.cpu()?, clock::now_ns());
    Ok(Measured {
        delivered,
        seconds: as_f64(end_ns - start_ns) / 1e9,
        nodes_ns: as_f64(after.nodes_ns - before.nodes_ns),
        redis_ns: as_f64(after.redis_ns - before.redis_ns),
        own_ns: as_f64(after.own_ns.saturating_sub(before.own_ns)),
    })
}

impl Measured {
    fn deliveries(&self) -> f64 {
        as_f64(self.delivered.deliveries)
    }

    fn nodes_us_per_delivery(&self) -> f64 {
        self.nodes_ns / 1e3 / self.deliveries()
    }

    fn redis_us_per_delivery(&self) -> f64 {
        self.redis_ns / 1e3 / self.deliveries()
    }

    fn add_latencies(&self, figures: &mut Figures, keys: [Key; 3]) {
        let mut latencies_ns = self.delivered.latencies_ns.clone();
        for (key, share) in keys.into_iter().zip([0.5, 0.99, 0.999]) {
            figures.add(key, micros(percentile(&mut latencies_ns, share)));
        }
    }
}

/// The value that this share of all is not above (nearest rank); sorts them.
fn percentile(values: &mut [u64], share: f64) -> u64 {
    values.sort_unstable();
    let wanted = share * as_f64(values.len() as u64);
    let is_enough = |rank: &usize| as_f64(*rank as u64 + 1) >= wanted;
    let rank = (0..values.len()).find(is_enough).unwrap_or_default();
    values.get(rank).copied().unwrap_or_default()
}

fn micros(ns: u64) -> f64 {
    as_f64(ns) / 1e3
}

/// Exact below 2⁵³, far more than any figure here.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut values: Vec<u64> = (1..=1000).rev().collect();
        let found = [0.0, 0.5, 0.99, 0.999, 1.0].map(|share| percentile(&mut values, share));
        assert_eq!(found, [1, 500, 990, 999, 1000]);
        assert_eq!(percentile(&mut [], 0.5), 0);
    }
}
