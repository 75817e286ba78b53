//! [`Report`]: what came of a run.

use std::time::Duration;

/// What came of a run, after its warm-up.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Of all calls, failed ones included, in order.
    pub(crate) latencies: Vec<Duration>,
    /// For each server that was there from start to end: its calls by its workers.
    pub(crate) shares: Vec<f64>,
    pub(crate) failed: u64,
    /// The calls that went to servers with which something was wrong.
    pub(crate) to_bad: u64,
    /// The calls that left their client's zone.
    pub(crate) crossed: u64,
    /// The calls that went to another server than the last of their key.
    pub(crate) moved: u64,
}

/// How even the load was.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The most that a server had, by the mean.
    pub most: f64,
    /// The standard deviation, by the mean.
    pub deviation: f64,
}

impl Report {
    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this part of the calls does not exceed, 0.99 for instance.
    pub fn quantile(&self, part: f64) -> Duration {
        let index = (self.latencies.len() as f64 * part).ceil() as usize;
        self.latencies.get(index.saturating_sub(1)).or(self.latencies.last()).copied().unwrap_or_default()
    }

    /// How even the load was.
    pub fn spread(&self) -> Spread {
        let count = self.shares.len().max(1) as f64;
        let mean = (self.shares.iter().sum::<f64>() / count).max(f64::MIN_POSITIVE);
        let variance = self.shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / count;
        let most = self.shares.iter().copied().fold(0.0, f64::max);
        Spread { most: most / mean, deviation: variance.sqrt() / mean }
    }

    /// The servers' loads by the mean, the fullest first.
    pub fn loads(&self) -> Vec<f64> {
        let mean = self.shares.iter().sum::<f64>() / self.shares.len().max(1) as f64;
        let mut loads: Vec<f64> =
            self.shares.iter().map(|share| share / mean.max(f64::MIN_POSITIVE)).collect();
        loads.sort_by(|one, other| other.total_cmp(one));
        loads
    }

    /// The part of the calls that failed, from 0 to 1.
    pub fn failed(&self) -> f64 {
        self.part(self.failed)
    }

    /// The part of the calls that went to servers with which something was wrong.
    pub fn to_bad(&self) -> f64 {
        self.part(self.to_bad)
    }

    /// The part of the calls that left their client's zone.
    pub fn crossed(&self) -> f64 {
        self.part(self.crossed)
    }

    /// The part of the calls that went to another server than the last of their key.
    pub fn moved(&self) -> f64 {
        self.part(self.moved)
    }

    fn part(&self, count: u64) -> f64 {
        count as f64 / self.latencies.len().max(1) as f64
    }
}
