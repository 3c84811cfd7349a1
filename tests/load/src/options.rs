//! The command line, and how much of everything a run does.

use clap::{Parser, ValueEnum};
use std::{path::PathBuf, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

/// Measures moorline beside Socket.IO from npm or another moorline: the same clients, the same messages, in turns.
#[derive(Debug, Parser)]
#[command(name = "moorline-load", version)]
pub(crate) struct Options {
    /// A first impression in under a minute, instead of figures to quote in under eight
    #[arg(long)]
    pub(crate) quick: bool,

    /// How often each server is measured [default: 5, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,

    /// The moorline binary, built in release
    #[arg(long, value_name = "FILE", default_value = "target/release/moorline")]
    pub(crate) moorline: String,

    /// Another moorline binary to measure in place of Socket.IO, with ratios by the round. The two take turns at
    /// going first, so an even number of rounds favours neither
    #[arg(long, value_name = "FILE", conflicts_with_all = ["peer", "peer_adapter"])]
    pub(crate) against: Option<String>,

    /// The folder of the peer, after `npm ci` in it
    #[arg(long, value_name = "DIR", default_value = "tests/load/peer")]
    pub(crate) peer: PathBuf,

    /// The adapter of @socket.io/redis-adapter that the peer uses between nodes
    #[arg(long, value_name = "NAME", default_value = "classic")]
    pub(crate) peer_adapter: Adapter,

    /// The Redis both use between nodes
    #[arg(long, value_name = "FILE", default_value = "redis-server")]
    pub(crate) redis_server: String,
}

/// An adapter of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Adapter {
    /// `createAdapter`: every node receives every message.
    Classic,
    /// `createShardedAdapter`, a channel per room and socket: its best case for messages to one socket.
    Sharded,
}

/// The sizes of a run. Both servers get the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Clients that send, and as many that each receive from one of them.
    pub(crate) pairs: usize,
    /// Messages per second over all pairs, on schedule.
    pub(crate) rate: u64,
    /// Messages each pair keeps on their way in the loaded closed loop; in the other it is one.
    pub(crate) window: usize,
    /// Members of the room.
    pub(crate) members: usize,
    /// Members that send to it.
    pub(crate) speakers: usize,
    /// Messages per second to the room.
    pub(crate) room_rate: u64,
    /// Idle connections in the end.
    pub(crate) idle: usize,
    /// Idle connections before the first look, so that memory a server allocates once is not counted.
    pub(crate) idle_before: usize,
    /// How long each measurement on schedule lasts.
    pub(crate) measure: Duration,
    /// How long each closed loop lasts, which sends far more in the same time.
    pub(crate) closed_loop: Duration,
    /// How long the same traffic runs before, unmeasured, so that a just-in-time compiler is done.
    pub(crate) warm_up: Duration,
}

impl Options {
    pub(crate) fn plan(&self) -> Plan {
        let full = Plan {
            rounds: 5,
            pairs: 50,
            rate: 5_000,
            window: 16,
            members: 1_000,
            speakers: 10,
            room_rate: 20,
            idle: 5_000,
            idle_before: 1_000,
            measure: Duration::from_secs(4),
            closed_loop: Duration::from_secs(2),
            warm_up: Duration::from_secs(2),
        };
        let quick = Plan {
            rounds: 2,
            idle: 2_000,
            idle_before: 500,
            measure: SECOND,
            closed_loop: SECOND,
            warm_up: SECOND,
            ..full
        };
        let plan = if self.quick { quick } else { full };
        Plan { rounds: self.rounds.unwrap_or(plan.rounds), ..plan }
    }

    /// The indices of the subjects as a round takes them. Between like servers the first place alternates, so that a
    /// machine that gets slower or faster favours neither.
    pub(crate) fn order(&self, round: u32) -> [usize; 2] {
        if self.against.is_some() && round.is_multiple_of(2) { [1, 0] } else { [0, 1] }
    }

    /// The peer's program.
    pub(crate) fn peer_script(&self) -> String {
        self.peer.join("server.mjs").to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_moorline_goes_first_in_turn() {
        let order = |args: &[&str]| {
            let options = Options::parse_from([&["moorline-load"], args].concat());
            [1, 2, 3].map(|round| options.order(round))
        };
        assert_eq!(order(&[]), [[0, 1]; 3]);
        assert_eq!(order(&["--against", "old"]), [[0, 1], [1, 0], [0, 1]]);
    }
}
