//! Many latencies, and the few figures that are made of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Adds one.
    #[inline]
    pub fn push(&mut self, took: Duration) {
        self.0.push(as_number(took));
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

/// As it is kept.
#[inline]
fn as_number(took: Duration) -> u32 {
    u32::try_from(took.as_nanos() / 10).unwrap_or(u32::MAX)
}

/// Where the loops of a run note their latencies. A clone is the same book.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<Latencies>>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, Latencies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been entered, which leaves the book empty.
    pub fn take(&self) -> Latencies {
        std::mem::take(&mut *self.lock())
    }

    /// For one loop.
    pub fn notes(&self) -> Notes {
        Notes { book: self.clone(), few: [0; FEW], count: 0 }
    }
}

/// How many a loop keeps to itself.
const FEW: usize = 13;

/// The latest latencies of one loop, which are entered into the book a few at a time, and the rest when this is dropped.
///
/// A list for each loop would cost what is to be measured: with ten thousand of them each entry goes to memory that no
/// cache has. A lock for each entry would cost a twentieth of a call.
#[derive(Debug)]
pub struct Notes {
    book: Book,
    few: [u32; FEW],
    count: u32,
}

impl Notes {
    /// Adds one.
    #[inline]
    pub fn push(&mut self, took: Duration) {
        if self.count as usize == FEW {
            self.enter();
        }
        if let Some(place) = self.few.get_mut(self.count as usize) {
            *place = as_number(took);
            self.count += 1;
        }
    }

    fn enter(&mut self) {
        self.book.lock().0.extend(self.few.iter().take(self.count as usize));
        self.count = 0;
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.enter();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
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
        assert_eq!(Latencies::default().percentiles(), Percentiles::default());
        let long = of([3_600_000_000]).percentiles();
        assert_eq!(long.p50, f64::from(u32::MAX) / 100.0);
    }

    #[test]
    fn a_book_has_what_all_loops_have_noted() {
        for each in [0, 1, FEW, FEW + 1, 5 * FEW] {
            let book = Book::default();
            let (mut one, mut other) = (book.notes(), book.notes());
            for micros in 1..=each {
                one.push(Duration::from_micros(micros as u64));
                other.push(Duration::from_micros((each + micros) as u64));
            }
            drop((one, other));
            let all = book.take();
            assert_eq!((all.count(), book.take().count()), (2 * each, 0));
            assert_eq!(all.percentiles().p50, each as f64);
        }
    }
}
