//! [`Random`]: anybody.
//!
//! It needs no state, so a million clients that know nothing of each other do as well as one. But it is uneven: of `n`
//! calls to `n` servers the unluckiest server gets about `ln n / ln ln n` (Gonnet, "Expected Length of the Longest Probe
//! Sequence in Hash Code Searching", 1981), and a slow server gets as much as a fast one. It is here as the measure for
//! the others, and for when nothing is known.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::picker::{Builder, Pick, Picker};

/// Anybody; weights do not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

#[derive(Debug)]
struct RandomPicker {
    count: usize,
}

impl Builder for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn build(&self, endpoints: &[Endpoint], _: Option<&dyn Picker>, _: Instant) -> Arc<dyn Picker> {
        Arc::new(RandomPicker { count: endpoints.len() })
    }
}

impl Picker for RandomPicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        call.untried(fastrand::usize(0..self.count.max(1)), self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{chi_square, endpoints, shares};

    #[test]
    fn it_is_even_within_what_chance_allows() {
        let endpoints = endpoints(10);
        let shares = shares(&Random, &endpoints, 100_000);
        assert!(chi_square(&shares, &[1.0; 10]) < 27.9, "{shares:?}");
    }
}
