//! [`P2c`]: of two drawn at random, the one where a call should be done sooner. The default.
//!
//! ```text
//!   cost = (latency + failure share × penalty + retry-after) × (calls under way + 1)
//! ```
//!
//! *Latency* is a peak EWMA: it believes bad news at once and good news slowly, and it fades with silence, so that a
//! server that was slow is tried again. *Calls under way* is what makes the cost follow the present, before any of them
//! has ended. *Failures* cost the time that it takes to fail over, times how probable they are: a server that refuses in
//! fifty microseconds is not a fast server. It is what Finagle and linkerd do (with another reckoning of failures, see
//! [`load`](crate::balance::load)); the drawing of two is [Mitzenmacher's](https://doi.org/10.1109/71.963420).
//!
//! A new endpoint is tried at once, and by exactly one call: as long as nothing is known of it and nothing is under way
//! it costs nothing, and while the first call is under way it costs more than everybody who is known. If that call lasts, as
//! a stream does, it shows nothing: one more is tried after each second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::candidates::{Candidate, Candidates};
use crate::balance::endpoint::Endpoint;
use crate::balance::ewma::{Sample, tick};
use crate::balance::load::Now;
use crate::balance::picker::{Builder, Pick, Picker};

/// What one pays of whom nothing is known and who has a call under way: more than any latency, in seconds.
const UNPROVEN: f32 = 1e6;

/// Of two drawn at random, the one where a call should be done sooner, by latency, calls under way and failures.
#[derive(Clone, Copy, Debug)]
pub struct P2c {
    penalty: Duration,
}

impl Default for P2c {
    /// A failure costs a second.
    fn default() -> Self {
        Self { penalty: Duration::from_secs(1) }
    }
}

impl P2c {
    /// What a failure costs, as time: what a caller loses by it. Default one second.
    #[must_use]
    pub fn with_penalty(self, penalty: Duration) -> Self {
        Self { penalty }
    }
}

#[derive(Debug)]
struct P2cPicker {
    candidates: Candidates,
    /// In seconds.
    penalty: f32,
}

impl Builder for P2c {
    fn name(&self) -> &'static str {
        "p2c"
    }

    fn build(&self, endpoints: &[Endpoint], _: Option<&dyn Picker>, _: Instant) -> Arc<dyn Picker> {
        Arc::new(P2cPicker { candidates: Candidates::new(endpoints), penalty: self.penalty.as_secs_f32() })
    }
}

impl Picker for P2cPicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        let mut at = None;
        self.candidates.best(call, &Now::new(call.now), 2, |candidate| cost(candidate, self.penalty, &mut at))
    }
}

/// What a call costs there, in seconds as they were worth at the tick `at`, which is chosen with the first of the two.
///
/// All averages fade alike, so which of two costs is the lower is the same at any time, and need not be reckoned for now:
/// the last that was learnt of the first one is a time at which that has not to be reckoned either.
#[inline]
fn cost(candidate: Candidate<'_>, penalty: f32, at: &mut Option<u32>) -> f32 {
    let Candidate { load, now, pending } = candidate;
    let (latency, failing) = (load.last_latency(), load.last_failing());
    let at_now = || tick(now.stamp());
    let last = match (latency, failing) {
        // One call shows what it is like. If that one lasts, a stream say, another one may after a second.
        (None, None) if pending == 0.0 || load.has_a_probe_that_lasts(now) => return 0.0,
        (None, None) => return UNPROVEN + pending,
        (Some(latency), Some(failing)) => Sample::later(latency.tick, failing.tick, at_now),
        (Some(only), None) | (None, Some(only)) => only.tick,
    };
    let at = *at.get_or_insert(last);
    let worth = |sample: Option<Sample>| sample.map_or(0.0, |sample| sample.at(at, at_now));
    let mut time = worth(latency) + worth(failing) * penalty;
    let wait = load.wait_at(now);
    if wait > 0.0 {
        time += Sample { value: wait, tick: at_now() }.at(at, at_now);
    }
    time * (pending + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::outcome::Outcome;
    use crate::balance::testing::{endpoints, now, picks, weighted};

    const MS: Duration = Duration::from_millis(1);

    fn called(endpoint: &Endpoint, took: Duration, outcome: Outcome) {
        endpoint.load().begin(now()).finish(now() + took, outcome);
    }

    fn share_of_first(endpoints: &[Endpoint], at: Instant) -> usize {
        fastrand::seed(5);
        let picker = P2c::default().build(endpoints, None, now());
        (0..1000).filter(|_| picker.pick(&Pick::new(at)) == Some(0)).count()
    }

    #[test]
    fn one_whose_first_call_lasts_gets_another_each_second() {
        let endpoints = endpoints(2);
        called(&endpoints[0], 10 * MS, Outcome::Success);
        let _stream = endpoints[1].load().begin(now());
        let picker = P2c::default().build(&endpoints, None, now());
        let (mut under_way, mut second) = (Vec::new(), 0);
        for turn in 0..100 {
            let at = now() + 100 * MS * turn;
            let picked = picker.pick(&Pick::new(at)).unwrap();
            second += picked;
            under_way.push(endpoints[picked].load().begin(at));
        }
        assert!((5..=10).contains(&second), "{second} in ten seconds");
    }

    #[test]
    fn one_that_was_silent_for_long_is_not_starved_however_long_that_is() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        for days in [0, 1, 6, 7, 10, 12] {
            let endpoints = endpoints(2);
            for endpoint in &endpoints {
                called(endpoint, 10 * MS, Outcome::FAILURE);
                called(endpoint, 10 * MS, Outcome::Success);
            }
            let later = now() + days * DAY;
            // The first calls since went to the second one. They are slow and fail.
            for n in 0..10 {
                let at = later + n * 1_000 * MS;
                endpoints[1].load().begin(at).finish(at + 900 * MS, Outcome::FAILURE);
                endpoints[1].load().begin(at).finish(at + 900 * MS, Outcome::Success);
            }
            let share = share_of_first(&endpoints, later + 10_000 * MS);
            assert!(share > 900, "after {days} days: {share}");
        }
    }

    #[test]
    fn one_that_hung_and_has_come_back_gets_one_call_at_once() {
        let endpoints = endpoints(10);
        called(&endpoints[0], 5_000 * MS, Outcome::FAILURE);
        for endpoint in &endpoints {
            called(endpoint, 10 * MS, Outcome::Success);
        }
        called(&endpoints[0], 5_000 * MS, Outcome::Success);
        let later = now() + Duration::from_secs(30);
        assert_eq!(share_of_first(&endpoints, later), 0, "its average remembers");
        endpoints[0].load().uneject(later);
        assert!(share_of_first(&endpoints, later) > 150);
        let probe = endpoints[0].load().begin(later);
        assert_eq!(share_of_first(&endpoints, later), 0, "one call, and not more before it has ended");
        probe.finish(later + 10 * MS, Outcome::Success);
        for endpoint in &endpoints[1..] {
            endpoint.load().begin(later).finish(later + 10 * MS, Outcome::Success);
        }
        assert!(share_of_first(&endpoints, later + 10 * MS) > 50);
    }

    #[test]
    fn one_that_is_slow_gets_nothing_until_it_was_silent_for_long() {
        let endpoints = endpoints(10);
        called(&endpoints[0], 500 * MS, Outcome::Success);
        for endpoint in &endpoints[1..] {
            called(endpoint, 10 * MS, Outcome::Success);
        }
        assert_eq!(share_of_first(&endpoints, now() + 500 * MS), 0);
        let later = now() + Duration::from_secs(60);
        for endpoint in &endpoints[1..] {
            endpoint.load().begin(later - 10 * MS).finish(later, Outcome::Success);
        }
        assert!(share_of_first(&endpoints, later) > 150, "it has faded");
    }

    #[test]
    fn a_new_endpoint_gets_exactly_one_call_before_it_has_answered() {
        fastrand::seed(5);
        let endpoints = endpoints(4);
        for endpoint in &endpoints[1..] {
            called(endpoint, 10 * MS, Outcome::Success);
        }
        let picker = P2c::default().build(&endpoints, None, now());
        let at = now() + 10 * MS;
        let mut calls = Vec::new();
        for _ in 0..1000 {
            let picked = picker.pick(&Pick::new(at)).expect("there are four");
            calls.push((picked, endpoints[picked].load().begin(at)));
        }
        assert_eq!(calls.iter().filter(|(picked, _)| *picked == 0).count(), 1);
        // A probe that is given up leaves it as new as before.
        calls.clear();
        assert!(share_of_first(&endpoints, at) > 400, "it is in every second pair");
        called(&endpoints[0], 20 * MS, Outcome::Success);
        assert_eq!(share_of_first(&endpoints, at), 0, "no longer new");
    }

    #[test]
    fn one_that_fails_at_once_looks_slow_and_not_fast() {
        let endpoints = endpoints(10);
        for endpoint in &endpoints {
            called(endpoint, 10 * MS, Outcome::Success);
        }
        for _ in 0..20 {
            endpoints[0].load().begin(now() + 40 * MS).finish(now() + 50 * MS, Outcome::FAILURE);
            endpoints[0].load().begin(now() + 90 * MS).finish(now() + 100 * MS, Outcome::FAILURE);
        }
        assert_eq!(share_of_first(&endpoints, now() + 100 * MS), 0);
    }

    #[test]
    fn one_that_asks_to_be_left_alone_is_until_then() {
        let endpoints = endpoints(2);
        called(&endpoints[0], 10 * MS, Outcome::Success);
        called(&endpoints[1], 50 * MS, Outcome::Success);
        called(&endpoints[0], 10 * MS, Outcome::Failure { retry_after: Some(5_000 * MS) });
        let picker = P2c::default().with_penalty(Duration::ZERO).build(&endpoints, None, now());
        for (after, picked) in [(1_000, 1), (4_900, 1), (5_100, 0), (600_000, 0)] {
            for _ in 0..50 {
                assert_eq!(picker.pick(&Pick::new(now() + after * MS)), Some(picked), "{after}");
            }
        }
    }

    #[test]
    fn one_whose_first_call_failed_is_no_black_hole() {
        let endpoints = endpoints(10);
        called(&endpoints[0], Duration::ZERO, Outcome::FAILURE);
        for endpoint in &endpoints[1..] {
            called(endpoint, 10 * MS, Outcome::Success);
        }
        assert_eq!(share_of_first(&endpoints, now() + 10 * MS), 0);
    }

    #[test]
    fn the_fuller_of_two_equals_is_left_alone() {
        let endpoints = endpoints(2);
        for endpoint in &endpoints {
            called(endpoint, 10 * MS, Outcome::Success);
        }
        let _call = endpoints[0].load().begin(now());
        assert!(share_of_first(&endpoints, now() + 10 * MS) < 10);
    }

    #[test]
    fn weights_of_any_size_and_lists_of_any_length_do() {
        assert_eq!(picks(&P2c::default(), &[], 1), [None]);
        assert_eq!(picks(&P2c::default(), &endpoints(1), 2), [Some(0), Some(0)]);
        assert_eq!(picks(&P2c::default(), &weighted(&[0, 0]), 1), [None]);
        assert!(
            picks(&P2c::default(), &weighted(&[u32::MAX, 0, u32::MAX]), 50)
                .iter()
                .all(|pick| *pick != Some(1))
        );
        let two = endpoints(2);
        let picker = P2c::default().build(&two, None, now());
        for _ in 0..50 {
            assert_eq!(picker.pick(&Pick::new(now()).with_tried(&[0])), Some(1));
            assert!(picker.pick(&Pick::new(now()).with_tried(&[0, 1])).is_some());
        }
    }
}
