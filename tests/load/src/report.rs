//! The table that shows the figures of a run.
//!
//! Each figure is shown as the median over the rounds, with the lowest and highest beside it. Beside another moorline
//! the ratio is taken in each round and shown likewise. It judges nothing: no figure makes a run fail.

use crate::{
    figures::{Figures, Key, Load, Span, Spread},
    subject::Subject,
};
use std::fmt::Write;

/// The direction in which a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Less,
    More,
    /// It says how the measurement went, and nothing about the servers.
    Neither,
}

struct Row {
    key: Key,
    label: &'static str,
    better: Better,
}

const fn row(key: Key, label: &'static str, better: Better) -> Row {
    Row { key, label, better }
}

/// A part of the table under its own title.
type Section = (&'static str, &'static [Row]);

const SECTIONS: &[Section] = {
    use Better::{Less, More, Neither};
    use Key::{
        BaseMemory, ClosedBusy, ClosedCpu, ClosedOwnBusy, ClosedRate, ClosedRedisCpu, ConnectCpu, IdlePss,
        IdleRss, Lateness, P50, P99, P999, PacedCpu, PacedRedisCpu, RoomCpu, RoomP50, RoomP99, RoomP999,
    };
    use Load::{Single, Window};
    use Span::{OneNode, TwoNodes};
    &[
        (
            "CPU time, µs",
            &[
                row(PacedCpu(OneNode), "per message, one node, on schedule", Less),
                row(ClosedCpu(OneNode, Single), "per message, one node, 1 per pair on its way", Less),
                row(ClosedCpu(OneNode, Window), "per message, one node, several per pair", Less),
                row(PacedCpu(TwoNodes), "per message, both of two nodes, on schedule", Less),
                row(PacedRedisCpu(TwoNodes), "– and in Redis", Less),
                row(ClosedCpu(TwoNodes, Single), "per message, both of two nodes, 1 per pair", Less),
                row(ClosedRedisCpu(TwoNodes, Single), "– and in Redis", Less),
                row(ClosedCpu(TwoNodes, Window), "per message, both of two nodes, several per pair", Less),
                row(ClosedRedisCpu(TwoNodes, Window), "– and in Redis", Less),
                row(RoomCpu, "per delivery in the room", Less),
                row(ConnectCpu, "per connect", Less),
            ],
        ),
        (
            "Memory, bytes",
            &[
                row(IdleRss, "per idle connection, RSS", Less),
                row(IdlePss, "per idle connection, PSS", Less),
                row(BaseMemory, "of a node nobody is connected to, RSS", Less),
            ],
        ),
        (
            "Latency on schedule, µs",
            &[
                row(P50(OneNode), "one node, p50", Less),
                row(P99(OneNode), "one node, p99", Less),
                row(P999(OneNode), "one node, p99.9", Less),
                row(P50(TwoNodes), "across two nodes, p50", Less),
                row(P99(TwoNodes), "across two nodes, p99", Less),
                row(P999(TwoNodes), "across two nodes, p99.9", Less),
                row(RoomP50, "in the room, p50", Less),
                row(RoomP99, "in the room, p99", Less),
                row(RoomP999, "in the room, p99.9", Less),
            ],
        ),
        (
            "Messages per second, closed loop",
            &[
                row(ClosedRate(OneNode, Single), "one node, 1 per pair on its way", More),
                row(ClosedRate(OneNode, Window), "one node, several per pair", More),
                row(ClosedRate(TwoNodes, Single), "across two nodes, 1 per pair", More),
                row(ClosedRate(TwoNodes, Window), "across two nodes, several per pair", More),
            ],
        ),
        (
            "How busy that was, % of a core",
            &[
                row(ClosedBusy(OneNode, Single), "the node, 1 per pair", Neither),
                row(ClosedOwnBusy(OneNode, Single), "– and the load generator", Neither),
                row(ClosedBusy(OneNode, Window), "the node, several per pair", Neither),
                row(ClosedOwnBusy(OneNode, Window), "– and the load generator", Neither),
                row(ClosedBusy(TwoNodes, Single), "both of two nodes, 1 per pair", Neither),
                row(ClosedOwnBusy(TwoNodes, Single), "– and the load generator", Neither),
                row(ClosedBusy(TwoNodes, Window), "both of two nodes, several per pair", Neither),
                row(ClosedOwnBusy(TwoNodes, Window), "– and the load generator", Neither),
            ],
        ),
        ("The generator's own lateness, µs", &[row(Lateness, "p99 of a send on schedule", Neither)]),
    ]
};

/// The table, in Markdown.
pub(crate) fn table(subjects: [Subject; 2], [moorline, other]: &[Figures; 2]) -> String {
    let names = subjects.map(Subject::name);
    let is_by_round = subjects[1] == Subject::OtherMoorline;
    let comparison = if is_by_round { "moorline / other, by round" } else { "better by" };
    let mut out = String::new();
    for (title, rows) in SECTIONS {
        let _ = writeln!(out, "| {title} | {} | {} | {comparison} |\n|---|--:|--:|--:|", names[0], names[1]);
        for row in *rows {
            if let (Some(ours), Some(theirs)) = (moorline.of(row.key), other.of(row.key)) {
                let compared =
                    if is_by_round { ratio_by_round(row, moorline, other) } else { ratio(row, ours, theirs) };
                let _ = writeln!(out, "| {} | {} | {} | {} |", row.label, cell(ours), cell(theirs), compared);
            }
        }
        out.push('\n');
    }
    out
}

fn cell(spread: Spread) -> String {
    format!("{} ({}–{})", number(spread.median), number(spread.min), number(spread.max))
}

/// How many times better moorline is; below one, it is worse.
fn ratio(row: &Row, ours: Spread, theirs: Spread) -> String {
    let ratio = match row.better {
        Better::Less => theirs.median / ours.median,
        Better::More => ours.median / theirs.median,
        Better::Neither => return String::new(),
    };
    format!("{ratio:.1}×")
}

/// Moorline's figure over the other moorline's, taken in each round: one says that nothing has changed.
fn ratio_by_round(row: &Row, moorline: &Figures, other: &Figures) -> String {
    match moorline.ratio_to(other, row.key) {
        Some(Spread { median, min, max }) if row.better != Better::Neither => {
            format!("{median:.3} ({min:.3}–{max:.3})")
        }
        _ => String::new(),
    }
}

/// Two or three digits that mean something, thousands apart.
fn number(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        medium if medium < 100.0 => format!("{value:.1}"),
        _ => thousands(&format!("{value:.0}")),
    }
}

fn thousands(digits: &str) -> String {
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        let left = digits.len() - at;
        if left.is_multiple_of(3) && out.ends_with(|last: char| last.is_ascii_digit()) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_readable() {
        let shown = [0.123, 9.996, 12.34, 999.6, 1_234_567.0, -4096.0].map(number);
        assert_eq!(shown, ["0.12", "10.00", "12.3", "1,000", "1,234,567", "-4,096"]);
    }

    #[test]
    fn the_ratio_says_how_many_times_better_we_are() {
        let (mut ours, mut theirs) = (Figures::default(), Figures::default());
        for (key, us, them) in
            [(Key::RoomCpu, 2.0, 10.0), (Key::ClosedRate(Span::OneNode, Load::Single), 4.0, 8.0)]
        {
            ours.add(key, us);
            theirs.add(key, them);
        }
        let table = table([Subject::Moorline, Subject::Peer], &[ours, theirs]);
        assert!(
            table.contains("| per delivery in the room | 2.00 (2.00–2.00) | 10.0 (10.0–10.0) | 5.0× |"),
            "{table}"
        );
        assert!(
            table
                .contains("| one node, 1 per pair on its way | 4.00 (4.00–4.00) | 8.00 (8.00–8.00) | 0.5× |"),
            "{table}"
        );
    }

    #[test]
    fn beside_another_moorline_the_ratios_are_by_round() {
        let mut figures = [Figures::default(), Figures::default()];
        for (us, them) in [(2.0, 2.0), (9.0, 10.0), (4.0, 2.0)] {
            for key in [Key::RoomCpu, Key::Lateness] {
                figures[0].add(key, us);
                figures[1].add(key, them);
            }
        }
        let table = table([Subject::Moorline, Subject::OtherMoorline], &figures);
        for line in [
            "| CPU time, µs | moorline | other moorline | moorline / other, by round |",
            "| per delivery in the room | 4.00 (2.00–9.00) | 2.00 (2.00–10.0) | 1.000 (0.900–2.000) |",
            "| p99 of a send on schedule | 4.00 (2.00–9.00) | 2.00 (2.00–10.0) |  |",
        ] {
            assert!(table.contains(line), "{table}");
        }
    }
}
