//! Drawing a few endpoints to compare: what [`LeastLoad`](crate::balance::LeastLoad) and [`P2c`](crate::balance::P2c)
//! have in common.
//!
//! To ask everybody for the least loaded is slow, and worse: many clients that all see the same least loaded server all
//! go there (a herd). To draw two at random and take the better of them is nearly as even, and cannot be a herd: the
//! fullest server of `n` has `ln ln n / ln 2` calls more than the average, in the place of the `ln n / ln ln n` of a
//! single draw (M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996).
//!
//! They are drawn in proportion to the weights, and their calls under way are reckoned by weight too, so that among
//! equals each gets its weight's share.

use std::sync::Arc;

use crate::balance::endpoint::Endpoint;
use crate::balance::load::{Load, Now};
use crate::balance::picker::Pick;
use crate::balance::weighted_random::{Draw, another};

/// Endpoints to draw from.
#[derive(Debug)]
pub(crate) struct Candidates {
    rows: Vec<Row>,
    weights: Vec<u32>,
    draw: Draw,
}

#[derive(Debug)]
struct Row {
    load: Arc<Load>,
    /// What a call counts there: the average weight by its own.
    scale: f32,
}

/// One to compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// What is known of it.
    pub(crate) load: &'a Load,
    pub(crate) now: &'a Now,
    /// The calls under way there, reckoned by weight: at one of twice the average weight each counts half.
    pub(crate) pending: f32,
}

impl Candidates {
    pub(crate) fn new(endpoints: &[Endpoint]) -> Self {
        let weights: Vec<u32> = endpoints.iter().map(Endpoint::weight).collect();
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let mean = total / weights.len().max(1) as f64;
        let row = |endpoint: &Endpoint| {
            let scale = (mean / f64::from(endpoint.weight().max(1))) as f32;
            Row { load: endpoint.load().clone(), scale }
        };
        Self { rows: endpoints.iter().map(row).collect(), draw: Draw::new(&weights), weights }
    }

    /// Draws `choices` different ones, and gives the index of the one that costs least now; of equals, the first drawn.
    #[inline]
    pub(crate) fn best(
        &self,
        call: &Pick<'_>,
        now: &Now,
        choices: usize,
        mut cost: impl FnMut(Candidate<'_>) -> f32,
    ) -> Option<usize> {
        let random = fastrand::u64(..);
        // One random number is enough for the first two.
        let mut rest = Some(random << 32);
        let mut drawn = self.untried(call, self.draw.by(random)?);
        let mut best = (drawn, f32::INFINITY);
        let mut left = choices;
        // The cost is asked for at one place, so that it is reckoned in place.
        loop {
            let price = cost(self.candidate(drawn, now)?);
            if price < best.1 {
                best = (drawn, price);
            }
            drawn = loop {
                left = left.saturating_sub(1);
                if left == 0 {
                    return Some(best.0);
                }
                let random = rest.take().unwrap_or_else(|| fastrand::u64(..));
                let Some(next) = self.draw.beside(best.0, random) else { return Some(best.0) };
                let next = self.untried(call, next);
                // The first may have been tried only if there is nobody else.
                if next != best.0 && !call.has_tried(next) {
                    break next;
                }
            };
        }
    }

    #[inline]
    fn untried(&self, call: &Pick<'_>, drawn: usize) -> usize {
        if call.tried.is_empty() {
            return drawn;
        }
        another(call, drawn, &self.weights, || self.draw.one())
    }

    #[inline]
    fn candidate<'a>(&'a self, index: usize, now: &'a Now) -> Option<Candidate<'a>> {
        let Row { load, scale } = self.rows.get(index)?;
        Some(Candidate { load, now, pending: load.pending() as f32 * scale })
    }
}
