//! [`WeightedRoundRobin`]: one after the other, in proportion to the weights, and smoothly.
//!
//! Smooth means that `{a: 5, b: 1, c: 1}` gives `a a b a c a a` rather than `a a a a a b c`: no server gets its share
//! as a burst. nginx does it by counters that every pick changes, all of them, under a lock. Here the order is made
//! once, at each change of the list, and a pick is one atomic addition:
//!
//! ```text
//!   a (5)  |  .1   .3   .5   .7   .9  |     an endpoint of weight w has w places in the unit of virtual time,
//!   b (1)  |      .25                 |     1/w apart; its first is at phase/w
//!   c (1)  |               .65        |
//!            a  b  a    a  c a     a        sorted, they are the order; it begins again at its end
//! ```
//!
//! That is *earliest deadline first* (as in gRPC's A58 and in Envoy) with the deadlines of one turn written down.
//!
//! * The phase of a new endpoint is random, so that many clients do not begin at the same server.
//! * An endpoint that was there before keeps its phase, which is what nginx' counters are: how near its next turn is.
//!   So a list that changes every few calls still reaches everybody, and does not always begin with the same few.
//! * A turn has at most 16 places for each endpoint (1,024 if there are few). Weights that need more are rounded: a
//!   weight a hundredth of the average counts as a sixteenth of it. One of 0 has no place.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::load::Load;
use crate::balance::picker::{Builder, Pick, Picker};

/// The most places of a turn, for each endpoint and at least.
const PLACES_EACH: u64 = 16;
const PLACES: u64 = 1024;

/// One after the other, in proportion to the weights.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRoundRobin;

#[derive(Debug)]
struct WeightedRoundRobinPicker {
    /// The places of a turn, in order.
    turn: Vec<Place>,
    next: AtomicUsize,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    at: f64,
    index: u32,
}

/// An endpoint's places.
#[derive(Debug)]
struct Row {
    load: Arc<Load>,
    places: u32,
    /// Between 0 and 1: how much of the way to its next place is still before it.
    phase: f64,
}

impl Builder for WeightedRoundRobin {
    fn name(&self) -> &'static str {
        "weighted_round_robin"
    }

    fn build(&self, endpoints: &[Endpoint], previous: Option<&dyn Picker>, _: Instant) -> Arc<dyn Picker> {
        let known = previous
            .and_then(|previous| previous.downcast_ref::<WeightedRoundRobinPicker>())
            .map(WeightedRoundRobinPicker::phases)
            .unwrap_or_default();
        let weights: Vec<u32> = endpoints.iter().map(Endpoint::weight).collect();
        let rows: Vec<Row> = endpoints
            .iter()
            .zip(places(&weights))
            .map(|(endpoint, places)| {
                let load = endpoint.load().clone();
                let phase = known.get(&Arc::as_ptr(&load)).copied().unwrap_or_else(fastrand::f64);
                Row { load, places, phase }
            })
            .collect();
        let mut turn: Vec<Place> = Vec::with_capacity(rows.iter().map(|row| row.places as usize).sum());
        for (index, row) in rows.iter().enumerate() {
            let at = |place: u32| (row.phase + f64::from(place)) / f64::from(row.places);
            turn.extend((0..row.places).map(|place| Place { at: at(place), index: index as u32 }));
        }
        turn.sort_by(|one, other| one.at.total_cmp(&other.at));
        Arc::new(WeightedRoundRobinPicker { turn, next: AtomicUsize::new(0), rows })
    }
}

impl WeightedRoundRobinPicker {
    /// The phases as of now, for the picker that follows this one.
    fn phases(&self) -> HashMap<*const Load, f64> {
        let taken = self.next.load(Ordering::Relaxed) % self.turn.len().max(1);
        let now = match taken.checked_sub(1).and_then(|last| self.turn.get(last)) {
            Some(last) => last.at,
            None => 0.0,
        };
        let mut had = vec![0u32; self.rows.len()];
        for place in self.turn.iter().take(taken) {
            if let Some(had) = had.get_mut(place.index as usize) {
                *had += 1;
            }
        }
        let phase =
            |row: &Row, had: u32| (row.phase + f64::from(had) - now * f64::from(row.places)).clamp(0.0, 1.0);
        self.rows.iter().zip(had).map(|(row, had)| (Arc::as_ptr(&row.load), phase(row, had))).collect()
    }
}

impl Picker for WeightedRoundRobinPicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        let count = self.turn.len();
        if count == 0 {
            return None;
        }
        let place = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let index = self.turn.get(place)?.index as usize;
        if !call.has_tried(index) {
            return Some(index);
        }
        let later = self.turn.iter().cycle().skip(place + 1).take(count).map(|place| place.index as usize);
        Some(later.into_iter().find(|&later| !call.has_tried(later)).unwrap_or(index))
    }
}

/// How many places each gets in a turn: its weight by the greatest common divisor, or rounded if that is too many.
fn places(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().fold(0, |divisor, &weight| greatest_common_divisor(divisor, weight)).max(1);
    let most = (PLACES_EACH * weights.len() as u64).max(PLACES);
    let total: u64 = weights.iter().map(|&weight| u64::from(weight / divisor)).sum();
    if total <= most {
        return weights.iter().map(|weight| weight / divisor).collect();
    }
    let scale = most as f64 / total as f64;
    weights
        .iter()
        .map(|&weight| match weight {
            0 => 0,
            weight => ((f64::from(weight / divisor) * scale).round() as u32).max(1),
        })
        .collect()
}

fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::testing::{endpoints, now, picks, shares, weighted};

    #[test]
    fn over_a_turn_each_gets_exactly_its_weight() {
        let weights = [5, 1, 1, 0, 3];
        assert_eq!(shares(&WeightedRoundRobin, &weighted(&weights), 20), [10, 2, 2, 0, 6]);
        assert_eq!(shares(&WeightedRoundRobin, &endpoints(7), 70), [10; 7]);
    }

    #[test]
    fn a_share_is_no_burst() {
        let picks = picks(&WeightedRoundRobin, &weighted(&[50, 50, 100]), 400);
        let longest = picks.chunk_by(|one, other| one == other).map(<[_]>::len).max();
        assert!(longest <= Some(2), "{longest:?}");
    }

    #[test]
    fn a_list_that_changes_all_the_time_still_reaches_everybody() {
        fastrand::seed(3);
        let mut endpoints = endpoints(10);
        let mut picker = WeightedRoundRobin.build(&endpoints, None, now());
        let mut shares = HashMap::new();
        for _ in 0..1000 {
            let picked = picker.pick(&Pick::new(now())).expect("there are ten");
            *shares.entry(endpoints[picked].instance().id.clone()).or_insert(0) += 1;
            endpoints.rotate_left(3);
            picker = WeightedRoundRobin.build(&endpoints, Some(&*picker), now());
        }
        assert!(shares.values().all(|&share| share == 100), "{shares:?}");
    }

    #[test]
    fn an_endpoint_that_joins_waits_for_its_turn_and_does_not_reset_the_others() {
        fastrand::seed(3);
        let ten = endpoints(10);
        let nine = WeightedRoundRobin.build(&ten[..9], None, now());
        let first: Vec<_> = (0..5).map(|_| nine.pick(&Pick::new(now()))).collect();
        let picker = WeightedRoundRobin.build(&ten, Some(&*nine), now());
        let then: Vec<_> = (0..5).map(|_| picker.pick(&Pick::new(now()))).collect();
        assert!(first.iter().all(|one| !then.contains(one)), "{first:?} {then:?}");
    }

    #[test]
    fn the_largest_weights_neither_overflow_nor_hide_the_small_ones() {
        let shares = shares(&WeightedRoundRobin, &weighted(&[u32::MAX, 1, u32::MAX]), 2050);
        assert!(shares[0].abs_diff(shares[2]) <= 2 && (1..=3).contains(&shares[1]), "{shares:?}");
        assert_eq!(picks(&WeightedRoundRobin, &weighted(&[0, 0]), 2), [None, None]);
        assert_eq!(picks(&WeightedRoundRobin, &[], 1), [None]);
    }

    #[test]
    fn a_call_goes_to_another_than_it_has_tried_as_long_as_there_is_one() {
        let picker = WeightedRoundRobin.build(&weighted(&[100, 1, 0]), None, now());
        for _ in 0..200 {
            assert_eq!(picker.pick(&Pick::new(now()).with_tried(&[0])), Some(1));
            assert!(picker.pick(&Pick::new(now()).with_tried(&[0, 1])).is_some());
        }
    }

    proptest! {
        #[test]
        fn each_is_within_one_of_its_share_at_any_time(
            weights in prop::collection::vec(1u32..20, 1..20),
            taken in 1usize..500,
        ) {
            let endpoints = weighted(&weights);
            let shares = shares(&WeightedRoundRobin, &endpoints, taken);
            // In virtual time nobody is more than one place off; in picks the others' places come on top.
            let total: u32 = weights.iter().sum();
            for (share, weight) in shares.iter().zip(&weights) {
                let fair = f64::from(*weight) * taken as f64 / f64::from(total);
                let slack = 1.0 + weights.len() as f64 * f64::from(*weight) / f64::from(total);
                prop_assert!((f64::from(*share) - fair).abs() <= slack + 1e-6, "{shares:?} {weights:?} {taken}");
            }
        }
    }
}
