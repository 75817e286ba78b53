//! Rounds: each cell is run several times, and the rounds are interleaved (A B C A B C), so that a noisy minute hits
//! everybody. What is shown is the median, with least and most.

use crate::Result;
use crate::cell::{Cell, Figures};

/// What the rounds of one cell gave.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Vec<Figures>);

/// Runs the cells, round by round.
///
/// # Errors
/// The first cell that fails.
pub fn run(cells: &[Cell], rounds: usize) -> Result<Vec<Rounds>> {
    let mut results = vec![Rounds::default(); cells.len()];
    for _ in 0..rounds {
        for (cell, result) in cells.iter().zip(&mut results) {
            result.0.push(cell.run()?);
        }
    }
    Ok(results)
}

impl Rounds {
    fn sorted(&self, name: &str) -> Vec<f64> {
        let mut values: Vec<f64> = self.0.iter().filter_map(|figures| figures.get(name).copied()).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The median of a figure; with an even number of rounds the mean of the two in the middle. Zero if there is none.
    pub fn median(&self, name: &str) -> f64 {
        let values = self.sorted(name);
        let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
        match values.len() {
            0 => 0.0,
            count if count % 2 == 1 => at(count / 2),
            count => f64::midpoint(at(count / 2 - 1), at(count / 2)),
        }
    }

    /// The least of a figure.
    pub fn least(&self, name: &str) -> f64 {
        self.sorted(name).first().copied().unwrap_or(0.0)
    }

    /// The most of a figure.
    pub fn most(&self, name: &str) -> f64 {
        self.sorted(name).last().copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64]) -> Rounds {
        Rounds(values.iter().map(|value| Figures::from([("rate".to_owned(), *value)])).collect())
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
        assert_eq!(rounds(&[9.0, 1.0, 5.0]).median("rate"), 5.0);
        assert_eq!(rounds(&[9.0, 1.0, 5.0, 7.0]).median("rate"), 6.0);
        assert_eq!(rounds(&[3.0]).median("rate"), 3.0);
        assert_eq!(rounds(&[]).median("rate"), 0.0);
        assert_eq!(rounds(&[3.0]).median("p99"), 0.0);
    }

    #[test]
    fn least_and_most_are_those_of_all_rounds() {
        let rounds = rounds(&[9.0, 1.0, 5.0]);
        assert_eq!((rounds.least("rate"), rounds.most("rate")), (1.0, 9.0));
    }
}
