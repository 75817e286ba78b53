//! Many latencies, and the few figures that are made of them.

use std::time::Duration;

/// The latencies of a run, each as ten nanoseconds in 32 bits: up to 42 seconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<u32>);

/// What is shown of them, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// Half of them are at most this.
    pub p50: f64,
    /// All but one in a hundred.
    pub p99: f64,
    /// All but one in a thousand.
    pub p999: f64,
}

impl Latencies {
    /// None yet, with room, so that making room is not measured at the start.
    pub fn new() -> Self {
        Self(Vec::with_capacity(1024))
    }

    /// Adds one.
    #[inline]
    pub fn push(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_nanos() / 10).unwrap_or(u32::MAX));
    }

    /// Adds those of another part of the run.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Their percentiles, by nearest rank: the smallest value that at least this share of them does not exceed. Zero if
    /// there are none.
    pub fn percentiles(mut self) -> Percentiles {
        self.0.sort_unstable();
        let at = |share: f64| {
            let rank = (self.0.len() as f64 * share).ceil() as usize;
            f64::from(self.0.get(rank.saturating_sub(1)).copied().unwrap_or(0)) / 100.0
        };
        Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        micros.into_iter().for_each(|micros| latencies.push(Duration::from_micros(micros)));
        latencies
    }

    #[test]
    fn percentiles_are_by_nearest_rank_in_any_order() {
        let found = of((1..=1000).rev()).percentiles();
        assert_eq!(found, Percentiles { p50: 500.0, p99: 990.0, p999: 999.0 });
    }

    #[test]
    fn few_values_give_the_largest_for_the_high_percentiles() {
        assert_eq!(of([7]).percentiles(), Percentiles { p50: 7.0, p99: 7.0, p999: 7.0 });
        assert_eq!(of([1, 2, 3]).percentiles(), Percentiles { p50: 2.0, p99: 3.0, p999: 3.0 });
    }

    #[test]
    fn none_at_all_is_zero_and_a_very_long_one_is_the_most_that_can_be_kept() {
        assert_eq!(Latencies::new().percentiles(), Percentiles::default());
        let long = of([3_600_000_000]).percentiles();
        assert_eq!(long.p50, f64::from(u32::MAX) / 100.0);
    }

    #[test]
    fn parts_of_a_run_count_as_one() {
        let mut all = of(1..=50);
        all.append(of(51..=100));
        assert_eq!((all.count(), all.percentiles().p99), (100, 99.0));
    }
}
