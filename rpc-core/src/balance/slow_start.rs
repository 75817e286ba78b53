//! [`SlowStart`]: who has just come gets little, and more with time. It wraps another policy.
//!
//! A server that has just started is slow: caches are empty, connections unmade, code not yet compiled. At full load at
//! once it may never get over that. So its part rises in a line, from a tenth of what it would get to all of it after the
//! `window` (Envoy's slow start with aggression 1; Dubbo's warm-up is the same in ten minutes). It begins when the server
//! becomes ready, and again after an ejection, see [`Load::set_ready`](crate::balance::Load::set_ready).
//!
//! Nothing needs to be rebuilt for that. The inner policy picks as always; a pick that falls on a cold server stands with
//! the probability of its part, and otherwise the inner policy picks again among the others. If all are cold they are all
//! equally cold, and after three rounds the pick stands: nobody is refused for the sake of a slow start.
//!
//! With [`ConsistentHash`](crate::balance::ConsistentHash) inside, keys of a cold server go elsewhere at first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::endpoint::Endpoint;
use crate::balance::load::Load;
use crate::balance::picker::{Builder, Pick, Picker};

/// The least part.
const FLOOR: f64 = 0.1;
/// How many cold servers a call passes by.
const ROUNDS: usize = 3;
/// How many of those that it has tried, it can tell the inner policy beside the cold ones.
const TRIED: usize = 8;

/// Servers that have just become ready get less.
#[derive(Clone, Debug)]
pub struct SlowStart<B> {
    inner: B,
    window: Duration,
}

impl<B: Builder> SlowStart<B> {
    /// What `inner` picks, of servers that have been ready for less than `window` only a part. 10 s to 10 min is usual.
    pub fn new(inner: B, window: Duration) -> Self {
        Self { inner, window }
    }
}

#[derive(Debug)]
struct SlowStartPicker {
    inner: Arc<dyn Picker>,
    loads: Vec<Arc<Load>>,
    window: Duration,
    /// When the last of them is warm: from then on nobody looks.
    warm_at: Instant,
}

impl<B: Builder> Builder for SlowStart<B> {
    fn name(&self) -> &'static str {
        "slow_start"
    }

    fn narrow(&self, endpoints: &[Endpoint]) -> Option<Vec<usize>> {
        self.inner.narrow(endpoints)
    }

    fn build(&self, endpoints: &[Endpoint], previous: Option<&dyn Picker>, now: Instant) -> Arc<dyn Picker> {
        let inner = previous
            .and_then(|previous| previous.downcast_ref::<SlowStartPicker>())
            .map(|previous| &*previous.inner);
        let cold = |endpoint: &Endpoint| self.window.saturating_sub(endpoint.load().ready_for(now));
        let longest = endpoints.iter().map(cold).max().unwrap_or_default();
        Arc::new(SlowStartPicker {
            inner: self.inner.build(endpoints, inner, now),
            loads: endpoints.iter().map(|endpoint| endpoint.load().clone()).collect(),
            window: self.window,
            // A window beyond the end of time: nobody gets warm, so it does not matter when.
            warm_at: now.checked_add(longest).unwrap_or(now),
        })
    }
}

impl SlowStartPicker {
    /// The part of its calls that a server gets, from 0.1 to 1.
    fn part(&self, index: usize, now: Instant) -> f64 {
        match self.loads.get(index) {
            Some(load) => (load.ready_for(now).as_secs_f64() / self.window.as_secs_f64()).clamp(FLOOR, 1.0),
            None => 1.0,
        }
    }
}

impl Picker for SlowStartPicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        let first = self.inner.pick(call)?;
        if call.now >= self.warm_at {
            return Some(first);
        }
        let mut passed = [0; TRIED + ROUNDS];
        let known = call.tried.len().min(TRIED);
        if let (Some(to), Some(from)) = (passed.get_mut(..known), call.tried.get(call.tried.len() - known..))
        {
            to.copy_from_slice(from);
        }
        let mut picked = first;
        for round in 0..ROUNDS {
            if fastrand::f64() < self.part(picked, call.now) {
                break;
            }
            let count = known + round;
            if let Some(place) = passed.get_mut(count) {
                *place = picked;
            }
            let others = Pick { tried: passed.get(..=count).unwrap_or(&[]), ..*call };
            let next = self.inner.pick(&others)?;
            // Nobody else is left: then it is the one that the policy wanted.
            if others.has_tried(next) {
                return Some(first);
            }
            picked = next;
        }
        Some(picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::random::Random;
    use crate::balance::round_robin::RoundRobin;
    use crate::balance::testing::{endpoints, now, picks};

    const WINDOW: Duration = Duration::from_secs(100);

    /// How many of 10,000 calls the first of ten gets, so long after it became ready; the others are warm.
    fn share(after: Duration) -> usize {
        fastrand::seed(9);
        let endpoints = endpoints(10);
        let at = now() + 10 * WINDOW;
        endpoints[0].load().set_ready(at);
        let picker = SlowStart::new(Random, WINDOW).build(&endpoints, None, at);
        (0..10_000).filter(|_| picker.pick(&Pick::new(at + after)) == Some(0)).count()
    }

    #[test]
    fn the_part_rises_in_a_line_from_a_tenth() {
        for (after, expected) in
            [(0, 100), (5, 100), (25, 250), (50, 500), (75, 750), (100, 1_000), (500, 1_000)]
        {
            let share = share(Duration::from_secs(after));
            assert!(share.abs_diff(expected) < 100, "{share} after {after} s, not {expected}");
        }
    }

    #[test]
    fn who_comes_back_from_an_ejection_starts_slowly_again() {
        fastrand::seed(9);
        let endpoints = endpoints(10);
        let at = now() + 10 * WINDOW;
        endpoints[0].load().eject(at);
        endpoints[0].load().uneject(at);
        let picker = SlowStart::new(Random, WINDOW).build(&endpoints, None, at);
        assert!((0..1_000).filter(|_| picker.pick(&Pick::new(at)) == Some(0)).count() < 40);
    }

    #[test]
    fn where_all_are_cold_all_are_called() {
        fastrand::seed(9);
        let endpoints = endpoints(4);
        let picker = SlowStart::new(RoundRobin, WINDOW).build(&endpoints, None, now());
        let mut shares = [0u32; 4];
        for _ in 0..8_000 {
            shares[picker.pick(&Pick::new(now())).expect("there are four")] += 1;
        }
        assert!(shares.iter().all(|share| share.abs_diff(2_000) < 300), "{shares:?}");
        let one = self::endpoints(1);
        assert_eq!(picks(&SlowStart::new(Random, WINDOW), &one, 3), [Some(0); 3]);
        assert_eq!(picks(&SlowStart::new(Random, Duration::ZERO), &one, 1), [Some(0)]);
        assert_eq!(picks(&SlowStart::new(Random, Duration::MAX), &[], 1), [None]);
    }

    #[test]
    fn what_a_call_has_tried_is_not_forgotten_over_the_cold_ones() {
        fastrand::seed(9);
        let endpoints = endpoints(3);
        let picker = SlowStart::new(Random, WINDOW).build(&endpoints, None, now());
        for _ in 0..200 {
            assert_ne!(picker.pick(&Pick::new(now()).with_tried(&[1])), Some(1));
        }
    }
}
