//! The figures of a run: a value per round for each thing measured. It neither measures nor shows anything.

/// The thing measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    PacedCpu(Span),
    PacedRedisCpu(Span),
    ClosedCpu(Span, Load),
    ClosedRedisCpu(Span, Load),
    RoomCpu,
    ConnectCpu,
    IdleRss,
    IdlePss,
    BaseMemory,
    P50(Span),
    P99(Span),
    P999(Span),
    RoomP50,
    RoomP99,
    RoomP999,
    ClosedRate(Span, Load),
    ClosedBusy(Span, Load),
    ClosedOwnBusy(Span, Load),
    Lateness,
}

/// The nodes of the two sides of each pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    OneNode,
    TwoNodes,
}

/// How many messages each pair keeps on their way in a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// One: every message costs its own system calls.
    Single,
    /// Several, which arrive together.
    Window,
}

/// The figures of one subject, a value per round.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    values: Vec<(Key, f64)>,
}

impl Figures {
    pub(crate) fn add(&mut self, key: Key, value: f64) {
        self.values.push((key, value));
    }

    pub(crate) fn of(&self, key: Key) -> Option<Spread> {
        Spread::of(self.values.iter().filter(|(at, _)| *at == key).map(|(_, value)| *value).collect())
    }
}

/// Median, lowest and highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Spread { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        let spread = Spread { median: 2.5, min: 1.0, max: 9.0 };
        assert_eq!(Spread::of(vec![9.0, 1.0, 3.0, 2.0]), Some(spread));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
