//! [`WeightedRandom`]: anybody, in proportion to the weights.
//!
//! The draw takes the same few instructions for any number of endpoints, by an *alias table*: the weights are cut and
//! laid into `n` boxes of one size, with pieces of at most two endpoints in each. A draw picks a box, and one of the two
//! by the height of the cut. (A. J. Walker, "An Efficient Method for Generating Discrete Random Variables with General
//! Distributions", 1977; the way to build it is M. D. Vose's, 1991.)

use std::sync::Arc;
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::picker::{Builder, Pick, Picker};

/// How often a draw that meets somebody it has is repeated.
const REDRAWS: usize = 4;

/// Anybody, in proportion to the weights.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRandom;

#[derive(Debug)]
struct WeightedRandomPicker {
    draw: Draw,
    weights: Vec<u32>,
}

impl Builder for WeightedRandom {
    fn name(&self) -> &'static str {
        "weighted_random"
    }

    fn build(&self, endpoints: &[Endpoint], _: Option<&dyn Picker>, _: Instant) -> Arc<dyn Picker> {
        let weights: Vec<u32> = endpoints.iter().map(Endpoint::weight).collect();
        Arc::new(WeightedRandomPicker { draw: Draw::new(&weights), weights })
    }
}

impl Picker for WeightedRandomPicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        let drawn = self.draw.one()?;
        if call.tried.is_empty() {
            return Some(drawn);
        }
        Some(another(call, drawn, &self.weights, || self.draw.one()))
    }
}

/// Somebody who has not been tried, in the place of `drawn`: by drawing again, and if that meets only the tried, the
/// first of the list that has a weight.
pub(crate) fn another(
    call: &Pick<'_>,
    drawn: usize,
    weights: &[u32],
    mut draw: impl FnMut() -> Option<usize>,
) -> usize {
    if !call.has_tried(drawn) {
        return drawn;
    }
    for _ in 0..REDRAWS {
        if let Some(again) = draw()
            && !call.has_tried(again)
        {
            return again;
        }
    }
    let free =
        |&index: &usize| weights.get(index).is_some_and(|&weight| weight > 0) && !call.has_tried(index);
    (drawn..weights.len()).chain(0..drawn).find(free).unwrap_or(drawn)
}

/// Draws indices in proportion to weights. Other policies draw their candidates from it too.
#[derive(Debug)]
pub(crate) enum Draw {
    /// No weight above 0.
    Nobody,
    /// All weights alike: this many.
    Even(u32),
    /// The boxes of an alias table.
    Uneven(Vec<Share>),
}

/// A box: up to the cut it is its own index's, above it another's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    cut: u32,
    other: u32,
}

impl Draw {
    pub(crate) fn new(weights: &[u32]) -> Self {
        // More would not fit an index; nobody has so many servers.
        let weights = weights.get(..u32::MAX as usize).unwrap_or(weights);
        let Some(&first) = weights.first() else { return Self::Nobody };
        if weights.iter().all(|&weight| weight == first) {
            return if first == 0 { Self::Nobody } else { Self::Even(weights.len() as u32) };
        }
        Self::Uneven(boxes(weights))
    }

    /// One of them; `None` if none has a weight.
    #[inline]
    pub(crate) fn one(&self) -> Option<usize> {
        self.by(fastrand::u64(..))
    }

    /// The one that these random bits stand for. Where weights are even it takes the upper half of them.
    #[inline]
    pub(crate) fn by(&self, random: u64) -> Option<usize> {
        match self {
            Self::Nobody => None,
            Self::Even(count) => Some(scale(random, *count)),
            Self::Uneven(boxes) => {
                let index = scale(random, boxes.len() as u32);
                let share = boxes.get(index)?;
                Some(if (random as u32) < share.cut { index } else { share.other as usize })
            }
        }
    }
}

impl Draw {
    /// Another one than `first`, by these random bits where the upper half of them is enough. Where weights are uneven it
    /// may be the same all the same: beside one heavy endpoint a light one must not come up each time.
    #[inline]
    pub(crate) fn beside(&self, first: usize, random: u64) -> Option<usize> {
        let &Self::Even(count @ 2..) = self else { return self.redraw(first) };
        let next = first + 1 + scale(random, count - 1);
        Some(if next < count as usize { next } else { next - count as usize })
    }

    #[inline(never)]
    fn redraw(&self, first: usize) -> Option<usize> {
        (0..REDRAWS).find_map(|_| self.one().filter(|&next| next != first))
    }
}

/// A number below `count`, from the upper half of the random bits. (Lemire, "Fast Random Integer Generation in an
/// Interval", 2019; without its correction, the bias is below 1 in 10^5 for any list that fits into memory.)
#[inline]
fn scale(random: u64, count: u32) -> usize {
    (((random >> 32) * u64::from(count)) >> 32) as usize
}

fn boxes(weights: &[u32]) -> Vec<Share> {
    const FULL: f64 = 4_294_967_296.0;
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let mean = total / weights.len() as f64;
    // How much of a box each still has to lay.
    let mut left: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / mean).collect();
    // Whatever rounding leaves over falls to one that has a weight.
    let heaviest = weights.iter().enumerate().max_by_key(|&(_, weight)| weight).map_or(0, |(index, _)| index);
    let mut boxes: Vec<Share> = (0..weights.len())
        .map(|index| match weights[index] {
            0 => Share { cut: 0, other: heaviest as u32 },
            _ => Share { cut: u32::MAX, other: index as u32 },
        })
        .collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|&index| left[index] < 1.0);
    while let (Some(little), Some(&much)) = (small.pop(), large.last()) {
        boxes[little] = Share { cut: (left[little] * FULL) as u32, other: much as u32 };
        left[much] -= 1.0 - left[little];
        if left[much] < 1.0 {
            large.pop();
            small.push(much);
        }
    }
    boxes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::testing::{chi_square, now, picks, shares, weighted};

    #[test]
    fn the_shares_are_the_weights_within_what_chance_allows() {
        let weights = [1, 2, 3, 4, 0, 100, 1, 1, 1, 87];
        let shares = shares(&WeightedRandom, &weighted(&weights), 200_000);
        assert_eq!(shares[4], 0, "a weight of 0 gets nothing");
        let positive: Vec<u32> = shares.iter().copied().filter(|&share| share > 0).collect();
        let expected: Vec<f64> =
            weights.iter().filter(|&&weight| weight > 0).map(|&weight| f64::from(weight)).collect();
        assert!(chi_square(&positive, &expected) < 26.1, "{shares:?}");
    }

    #[test]
    fn nobody_with_a_weight_is_nobody_to_pick() {
        assert_eq!(picks(&WeightedRandom, &weighted(&[0, 0, 0]), 3), [None, None, None]);
        assert_eq!(picks(&WeightedRandom, &[], 1), [None]);
    }

    #[test]
    fn a_call_that_has_tried_the_heavy_one_gets_a_light_one() {
        let picker = WeightedRandom.build(&weighted(&[u32::MAX, 0, 1, u32::MAX]), None, now());
        for _ in 0..100 {
            assert_eq!(picker.pick(&Pick::new(now()).with_tried(&[0, 3])), Some(2));
            assert_ne!(
                picker.pick(&Pick::new(now()).with_tried(&[0, 3, 2])),
                Some(1),
                "a weight of 0, even then"
            );
        }
    }

    proptest! {
        #[test]
        fn the_boxes_hold_each_weight_whole(weights in prop::collection::vec(prop_oneof![Just(0), 1u32..1000, Just(u32::MAX)], 2..60)) {
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            prop_assume!(total > 0.0);
            let mut shares = vec![0.0; weights.len()];
            for (index, share) in boxes(&weights).iter().enumerate() {
                let cut = f64::from(share.cut) / 4_294_967_296.0;
                shares[index] += cut / weights.len() as f64;
                shares[share.other as usize] += (1.0 - cut) / weights.len() as f64;
            }
            for (share, &weight) in shares.iter().zip(&weights) {
                prop_assert!((share - f64::from(weight) / total).abs() < 1e-6, "{shares:?}");
                prop_assert!(weight > 0 || *share == 0.0);
            }
        }
    }
}
