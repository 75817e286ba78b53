//! [`Scenario`]: what is wrong with the fleet; [`Policy`]: who chooses.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::balance::{
    Builder, ConsistentHash, LeastLoad, P2c, Random, RoundRobin, SlowStart, Subset, WeightedRandom,
    WeightedRoundRobin, Zone,
};

/// What is wrong with the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing.
    Steady,
    /// One server of ten takes five times as long.
    Slow,
    /// One server of a hundred refuses every call at once, in 50 µs, from the first call on.
    Failing,
    /// Every quarter of a second a fortieth of the servers is replaced by new ones, which are cold for two seconds.
    Restart,
    /// A quarter of the servers has half the workers and weight 50, a quarter twice as many and weight 200.
    Weights,
    /// Three zones with a third of the clients each, and 30, 30 and 40 % of the servers; a call into another zone takes
    /// two milliseconds longer.
    Zones,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Steady, Self::Slow, Self::Failing, Self::Restart, Self::Weights, Self::Zones];

    /// What it is, in a line.
    pub fn title(self) -> &'static str {
        match self {
            Self::Steady => "all servers alike",
            Self::Slow => "one server of ten five times as slow",
            Self::Failing => "one server of a hundred refuses at once",
            Self::Restart => "rolling restart, new servers are cold",
            Self::Weights => "servers of three sizes",
            Self::Zones => "three zones of 30, 30 and 40 %",
        }
    }

    /// The policies that it is played with.
    pub fn policies(self) -> Vec<Policy> {
        let names: &[&str] = match self {
            Self::Steady | Self::Slow => &[
                "random",
                "round_robin",
                "least_load",
                "least_load of 5",
                "p2c",
                "consistent_hash",
                "unbounded hash",
            ],
            Self::Failing => &[
                "random",
                "random, ejecting",
                "round_robin",
                "round_robin, ejecting",
                "least_load",
                "least_load, ejecting",
                "p2c",
                "p2c, ejecting",
            ],
            Self::Restart => {
                &["random", "round_robin", "least_load", "p2c", "p2c, slow start", "consistent_hash"]
            }
            Self::Weights => &[
                "random",
                "weighted_random",
                "round_robin",
                "weighted_round_robin",
                "least_load",
                "p2c",
                "consistent_hash",
            ],
            Self::Zones => &["random", "p2c", "random, zone", "p2c, zone"],
        };
        names.iter().map(|name| Policy::of(name)).collect()
    }
}

/// Who chooses.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
}

impl Policy {
    /// The policy of this name: a builder's name, `least_load of 5` or `unbounded hash`, with `ejecting`, `slow start`, `zone` or `subset` after it. An
    /// unknown one is `random`.
    pub fn of(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Whether clients eject outliers.
    pub fn ejects(&self) -> bool {
        self.name.ends_with("ejecting")
    }

    /// The builder for a client of this number.
    pub fn builder(&self, client: usize) -> Arc<dyn Builder> {
        let (base, with) = self.name.split_once(", ").unwrap_or((&self.name, ""));
        let base: Arc<dyn Builder> = match base {
            "round_robin" => Arc::new(RoundRobin),
            "weighted_random" => Arc::new(WeightedRandom),
            "weighted_round_robin" => Arc::new(WeightedRoundRobin),
            "least_load" => Arc::new(LeastLoad::default()),
            "least_load of 5" => Arc::new(LeastLoad::default().with_choices(5)),
            "p2c" => Arc::new(P2c::default()),
            "consistent_hash" => Arc::new(ConsistentHash::default()),
            "unbounded hash" => Arc::new(ConsistentHash::default().unbounded()),
            _ => Arc::new(Random),
        };
        match with {
            "slow start" => Arc::new(SlowStart::new(base, Duration::from_secs(2))),
            "zone" => Arc::new(Zone::new(base, zone(client % 3))),
            "subset" => Arc::new(Subset::new(base, 20).with_seed(client as u64)),
            _ => base,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The name of a zone.
pub fn zone(number: usize) -> String {
    format!("zone-{number}")
}
