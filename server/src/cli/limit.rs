//! `--limit NAME=VALUE`: the limits that have no flag of their own, by the name of their field.
//!
//! Owns the range in which each makes sense: the lower end keeps a node usable, the upper end keeps it bounded.

use crate::cli::value::{count_within, duration_within, switch};
use moorline_core::Limits;
use std::{ops::RangeInclusive, time::Duration};

type Field<T> = fn(&mut Limits) -> &mut T;

/// One limit and the value it shall have.
#[derive(Clone)]
pub(super) enum LimitSetting {
    Count(Field<usize>, usize),
    Span(Field<Duration>, Duration),
    Switch(Field<bool>, bool),
}

impl LimitSetting {
    pub(super) fn apply(&self, limits: &mut Limits) {
        match *self {
            LimitSetting::Count(field, count) => *field(limits) = count,
            LimitSetting::Span(field, span) => *field(limits) = span,
            LimitSetting::Switch(field, is_on) => *field(limits) = is_on,
        }
    }
}

/// The values one limit accepts.
enum Range {
    Count(Field<usize>, RangeInclusive<usize>),
    SpanMs(Field<Duration>, RangeInclusive<u64>),
    Switch(Field<bool>),
}

const MIB: usize = 1 << 20;

const RANGES: [(&str, Range); 31] = [
    ("assembly_timeout", Range::SpanMs(|limits| &mut limits.assembly_timeout, 1..=600_000)),
    ("attachments_max", Range::Count(|limits| &mut limits.attachments_max, 0..=1024)),
    ("awaited_answers_max", Range::Count(|limits| &mut limits.awaited_answers_max, 1..=100_000_000)),
    ("body_timeout", Range::SpanMs(|limits| &mut limits.body_timeout, 1..=600_000)),
    ("close_timeout", Range::SpanMs(|limits| &mut limits.close_timeout, 1..=60_000)),
    ("connections_max", Range::Count(|limits| &mut limits.connections_max, 0..=1 << 24)),
    ("event_name_bytes_max", Range::Count(|limits| &mut limits.event_name_bytes_max, 16..=65_536)),
    ("fanout_bytes_max", Range::Count(|limits| &mut limits.fanout_bytes_max, 65_536..=1024 * MIB)),
    ("fragments_max", Range::Count(|limits| &mut limits.fragments_max, 1..=1_000_000)),
    ("head_bytes_max", Range::Count(|limits| &mut limits.head_bytes_max, 1024..=MIB)),
    ("head_timeout", Range::SpanMs(|limits| &mut limits.head_timeout, 1..=60_000)),
    ("headers_max", Range::Count(|limits| &mut limits.headers_max, 16..=1024)),
    ("json_depth_max", Range::Count(|limits| &mut limits.json_depth_max, 2..=1024)),
    ("keep_alive_timeout", Range::SpanMs(|limits| &mut limits.keep_alive_timeout, 1..=3_600_000)),
    ("legacy_per_second_max", Range::Count(|limits| &mut limits.legacy_per_second_max, 0..=1_000_000)),
    ("namespaces_max", Range::Count(|limits| &mut limits.namespaces_max, 1..=65_536)),
    ("outbox_bytes_max", Range::Count(|limits| &mut limits.outbox_bytes_max, 65_536..=1024 * MIB)),
    ("pending_acks_max", Range::Count(|limits| &mut limits.pending_acks_max, 1..=1_000_000)),
    ("ping_jitter", Range::Switch(|limits| &mut limits.ping_jitter)),
    (
        "publish_queue_bytes_max",
        Range::Count(|limits| &mut limits.publish_queue_bytes_max, 65_536..=1024 * MIB),
    ),
    ("rate_bytes_burst", Range::Count(|limits| &mut limits.rate_bytes_burst, 65_536..=1024 * MIB)),
    ("rate_events_burst", Range::Count(|limits| &mut limits.rate_events_burst, 1..=1_000_000_000)),
    ("rate_work", Range::Count(|limits| &mut limits.rate_work, 0..=1_000_000_000)),
    ("rate_work_burst", Range::Count(|limits| &mut limits.rate_work_burst, 1..=1_000_000_000)),
    ("responses_max", Range::Count(|limits| &mut limits.responses_max, 0..=65_536)),
    ("room_linger", Range::SpanMs(|limits| &mut limits.room_linger, 0..=5_000)),
    ("room_name_bytes_max", Range::Count(|limits| &mut limits.room_name_bytes_max, 16..=65_536)),
    ("rooms_max", Range::Count(|limits| &mut limits.rooms_max, 1..=1_000_000)),
    ("slow_timeout", Range::SpanMs(|limits| &mut limits.slow_timeout, 100..=600_000)),
    ("targets_max", Range::Count(|limits| &mut limits.targets_max, 1..=65_536)),
    ("upgrade_timeout", Range::SpanMs(|limits| &mut limits.upgrade_timeout, 1..=600_000)),
];

/// Reads one `NAME=VALUE`.
pub(super) fn parse(text: &str) -> Result<LimitSetting, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE such as rooms_max=512")?;
    let (_, range) = RANGES.iter().find(|(known, _)| *known == name).ok_or_else(|| unknown(name))?;
    Ok(match range {
        Range::Count(field, range) => LimitSetting::Count(*field, count_within(value, range.clone())?),
        Range::SpanMs(field, range) => {
            let [min, max] = [range.start(), range.end()].map(|&ms| Duration::from_millis(ms));
            LimitSetting::Span(*field, duration_within(value, min..=max)?)
        }
        Range::Switch(field) => LimitSetting::Switch(*field, switch(value)?),
    })
}

fn unknown(name: &str) -> String {
    let names: Vec<&str> = RANGES.iter().map(|(name, _)| *name).collect();
    format!("there is no limit '{name}', only {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit added to the core must be a flag or a name here; this pattern stops compiling until it is counted.
    #[test]
    fn every_limit_without_a_flag_has_a_name() {
        #[rustfmt::skip]
        let Limits {
            ping_interval: _, ping_timeout: _, connect_timeout: _, ack_timeout: _, payload_bytes_max: _, // flags
            rate_events: _, rate_bytes: _, // flags
            rate_events_burst: _, rate_bytes_burst: _, rate_work: _, rate_work_burst: _, slow_timeout: _,
            close_timeout: _, connections_max: _, event_name_bytes_max: _, fragments_max: _, head_bytes_max: _,
            head_timeout: _, headers_max: _, json_depth_max: _, namespaces_max: _, outbox_bytes_max: _,
            pending_acks_max: _, ping_jitter: _, publish_queue_bytes_max: _, room_linger: _, room_name_bytes_max: _,
            rooms_max: _, targets_max: _, fanout_bytes_max: _,
            responses_max: _, awaited_answers_max: _, upgrade_timeout: _, body_timeout: _, keep_alive_timeout: _,
            attachments_max: _, assembly_timeout: _, legacy_per_second_max: _,
        } = Limits::default();
        assert_eq!(RANGES.len(), 31);
        assert!(RANGES.is_sorted_by_key(|(name, _)| *name), "the list an operator reads is sorted");
    }

    #[test]
    fn every_default_is_in_its_range() {
        for (name, range) in RANGES {
            let mut limits = Limits::default();
            let value = match range {
                Range::Count(field, _) => field(&mut limits).to_string(),
                Range::SpanMs(field, _) => humantime::format_duration(*field(&mut limits)).to_string(),
                Range::Switch(field) => String::from(if *field(&mut limits) { "on" } else { "off" }),
            };
            let setting = parse(&format!("{name}={value}"));
            setting.unwrap_or_else(|refusal| panic!("{name}: {refusal}")).apply(&mut limits);
            assert_eq!(limits, Limits::default());
        }
    }

    #[test]
    fn each_name_sets_its_own_field() {
        for (name, range) in RANGES {
            let value = match &range {
                Range::Count(_, range) => range.end().to_string(),
                Range::SpanMs(_, range) => format!("{}ms", range.end()),
                Range::Switch(_) => String::from("off"),
            };
            let mut limits = Limits::default();
            parse(&format!("{name}={value}"))
                .unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
                .apply(&mut limits);
            let [before, after] = [Limits::default(), limits].map(|limits| format!("{limits:#?}"));
            let changed: Vec<&str> = before
                .lines()
                .zip(after.lines())
                .filter(|(before, after)| before != after)
                .filter_map(|(before, _)| before.trim().split(':').next())
                .collect();
            assert_eq!(changed, [name]);
        }
    }

    #[test]
    fn refusals_say_what_is_expected() {
        for (text, expected) in [
            ("rooms_max", "expected NAME=VALUE such as rooms_max=512"),
            ("rooms_max=0", "expected a number from 1 to 1000000"),
            ("rooms_max=x", "expected a number from 1 to 1000000"),
            ("room_linger=6s", "expected 0s to 5s"),
            ("head_timeout=0s", "expected 1ms to 1m"),
            ("ping_jitter=yes", "expected on or off"),
        ] {
            assert_eq!(parse(text).err().as_deref(), Some(expected), "{text}");
        }
        let refusal = parse("roomsmax=1").err().unwrap();
        assert!(RANGES.iter().all(|(name, _)| refusal.contains(name)), "{refusal}");
    }
}
