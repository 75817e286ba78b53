//! [`LeastLoad`]: of a few drawn at random, the one with the fewest calls under way.
//!
//! A slow server collects calls that do not end, and so gets fewer. That needs no measurement of time, and is right
//! where calls take very different times that say nothing of the server. (gRPC A48, Envoy's `least_request`.)
//!
//! Its trap is the server that fails at once: it has never anything under way, and would draw all calls to itself, like
//! a black hole. So an endpoint also pays for the share of its calls that fail, as if that many more were under way;
//! and one that asks to be left alone goes last.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::candidates::{Candidate, Candidates};
use crate::balance::endpoint::Endpoint;
use crate::balance::load::Now;
use crate::balance::picker::{Builder, Pick, Picker};

/// What an endpoint pays whose calls all fail: as if so many more calls were under way.
const FAILING: f32 = 1_000.0;
/// More than anybody has under way.
const LEFT_ALONE: f32 = 1e9;

/// Of a few drawn at random, the one with the fewest calls under way.
#[derive(Clone, Copy, Debug)]
pub struct LeastLoad {
    choices: usize,
}

impl Default for LeastLoad {
    /// Two choices.
    fn default() -> Self {
        Self { choices: 2 }
    }
}

impl LeastLoad {
    /// Compares so many; from 2 to 10, as in A48: more make the load more even, and the herd larger.
    #[must_use]
    pub fn with_choices(self, choices: usize) -> Self {
        Self { choices: choices.clamp(2, 10) }
    }
}

#[derive(Debug)]
struct LeastLoadPicker {
    candidates: Candidates,
    choices: usize,
}

impl Builder for LeastLoad {
    fn name(&self) -> &'static str {
        "least_load"
    }

    fn build(&self, endpoints: &[Endpoint], _: Option<&dyn Picker>, _: Instant) -> Arc<dyn Picker> {
        Arc::new(LeastLoadPicker { candidates: Candidates::new(endpoints), choices: self.choices })
    }
}

impl Picker for LeastLoadPicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        self.candidates.best(call, &Now::new(call.now), self.choices, |Candidate { load, now, pending }| {
            let left_alone = if load.wait_at(now) > 0.0 { LEFT_ALONE } else { 0.0 };
            pending + load.failing_at(now).unwrap_or_default() * FAILING + left_alone
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::balance::load::InFlight;
    use crate::balance::outcome::Outcome;
    use crate::balance::testing::{endpoints, now, picks, weighted};

    /// Calls that do not end, so many.
    fn fill(endpoints: &[Endpoint], builder: &LeastLoad, calls: usize) -> Vec<InFlight> {
        fastrand::seed(5);
        let picker = builder.build(endpoints, None, now());
        (0..calls)
            .map(|_| {
                endpoints[picker.pick(&Pick::new(now())).expect("there is somebody")].load().begin(now())
            })
            .collect()
    }

    #[test]
    fn nobody_has_many_more_calls_than_the_average() {
        let endpoints = endpoints(100);
        let calls = fill(&endpoints, &LeastLoad::default(), 10_000);
        let most = endpoints.iter().map(|endpoint| endpoint.load().pending()).max();
        assert!(most <= Some(105), "{most:?} of {} calls; a draw of one gives 130", calls.len());
        let few = self::endpoints(100);
        let _calls = fill(&few, &LeastLoad::default().with_choices(10), 10_000);
        assert!(few.iter().all(|endpoint| endpoint.load().pending() <= 101), "more choices are more even");
    }

    #[test]
    fn calls_under_way_follow_the_weights() {
        let endpoints = weighted(&[100, 100, 200, 0, 400]);
        let _calls = fill(&endpoints, &LeastLoad::default(), 800);
        let pending: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.load().pending()).collect();
        for (have, want) in pending.iter().zip([100u32, 100, 200, 0, 400]) {
            assert!(have.abs_diff(want) <= 10, "{pending:?}");
        }
    }

    #[test]
    fn one_that_fails_at_once_is_no_black_hole() {
        fastrand::seed(5);
        let endpoints = endpoints(10);
        let picker = LeastLoad::default().build(&endpoints, None, now());
        let mut failed = 0;
        let mut open = std::collections::VecDeque::new();
        for step in 0..10_000u64 {
            let at = now() + Duration::from_millis(step);
            let picked = picker.pick(&Pick::new(at)).expect("there are ten");
            if picked == 0 {
                failed += 1;
                endpoints[0].load().begin(at).finish(at, Outcome::FAILURE);
            } else {
                open.push_back(endpoints[picked].load().begin(at));
            }
            // Each of the others takes twenty milliseconds.
            if open.len() > 20
                && let Some(call) = open.pop_front()
            {
                call.finish(at, Outcome::Success);
            }
        }
        assert!(failed < 300, "{failed} of 10,000; its fair share is 1,000");
    }

    #[test]
    fn one_that_asks_to_be_left_alone_is_taken_only_if_there_is_nobody_else() {
        let endpoints = endpoints(2);
        let wait = Outcome::Failure { retry_after: Some(Duration::from_secs(1)) };
        endpoints[1].load().begin(now()).finish(now(), wait);
        let _busy: Vec<_> = (0..50).map(|_| endpoints[0].load().begin(now())).collect();
        assert!(
            picks(&LeastLoad::default(), &endpoints, 50).iter().filter(|&&pick| pick == Some(1)).count() <= 2
        );
        assert_eq!(picks(&LeastLoad::default(), &endpoints[1..], 1), [Some(0)]);
    }

    proptest! {
        #[test]
        fn it_picks_somebody_with_a_weight_and_untried_if_there_is_one(
            weights in prop::collection::vec(prop_oneof![Just(0u32), Just(1), Just(u32::MAX)], 0..8),
            tried in prop::collection::vec(0usize..8, 0..8),
        ) {
            let endpoints = weighted(&weights);
            let picker = LeastLoad::default().build(&endpoints, None, now());
            let picked = picker.pick(&Pick::new(now()).with_tried(&tried));
            let usable: Vec<usize> = (0..weights.len()).filter(|&index| weights[index] > 0).collect();
            prop_assert_eq!(picked.is_some(), !usable.is_empty());
            if let Some(picked) = picked {
                prop_assert!(usable.contains(&picked));
                let other = usable.iter().any(|index| !tried.contains(index));
                prop_assert!(!other || !tried.contains(&picked));
            }
        }
    }
}
