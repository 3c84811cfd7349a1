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
        Spread::of(self.rounds(key).collect())
    }

    /// The ratio of each round's figure to the other subject's of the same round.
    pub(crate) fn ratio_to(&self, other: &Figures, key: Key) -> Option<Spread> {
        Spread::of(self.rounds(key).zip(other.rounds(key)).map(|(ours, theirs)| ours / theirs).collect())
    }

    fn rounds(&self, key: Key) -> impl Iterator<Item = f64> {
        self.values.iter().filter(move |(at, _)| *at == key).map(|(_, value)| *value)
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

    #[test]
    fn a_ratio_is_that_of_one_round() {
        let (mut ours, mut theirs) = (Figures::default(), Figures::default());
        // The machine slows down by the round; the medians alone would make it 4 / 2 = 2.
        for (us, them) in [(1.0, 2.0), (4.0, 2.0), (8.0, 8.0)] {
            ours.add(Key::RoomCpu, us);
            ours.add(Key::ConnectCpu, 1000.0);
            theirs.add(Key::RoomCpu, them);
        }
        let ratio = Spread { median: 1.0, min: 0.5, max: 2.0 };
        assert_eq!(ours.ratio_to(&theirs, Key::RoomCpu), Some(ratio));
        assert_eq!(ours.ratio_to(&theirs, Key::ConnectCpu), None);
    }
}
