//! [`RoundRobin`]: one after the other.
//!
//! Over `n` calls each of `n` endpoints gets exactly one, whatever the calls cost and however fast the endpoints are.
//! That is even where calls and machines are alike, and only there. The first one is drawn at random: many clients that
//! start at once would otherwise all begin at the same server.
//!
//! A change of the list keeps the position. The order is the list's, so the endpoints that stay are met in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::picker::{Builder, Pick, Picker};

/// One after the other; weights do not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin;

#[derive(Debug)]
struct RoundRobinPicker {
    next: AtomicUsize,
    count: usize,
}

impl Builder for RoundRobin {
    fn name(&self) -> &'static str {
        "round_robin"
    }

    fn build(&self, endpoints: &[Endpoint], previous: Option<&dyn Picker>, _: Instant) -> Arc<dyn Picker> {
        let count = endpoints.len();
        let next = match previous.and_then(|previous| previous.downcast_ref::<RoundRobinPicker>()) {
            Some(previous) => previous.next.load(Ordering::Relaxed),
            // Not below `count`: the list may still be empty, and this position is kept.
            None => fastrand::u32(..) as usize,
        };
        Arc::new(RoundRobinPicker { next: AtomicUsize::new(next), count })
    }
}

impl Picker for RoundRobinPicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        call.untried(self.next.fetch_add(1, Ordering::Relaxed), self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{endpoints, now, picks, shares};

    #[test]
    fn each_gets_as_many_calls_as_any_other() {
        assert_eq!(shares(&RoundRobin, &endpoints(7), 700), [100; 7]);
        assert_eq!(picks(&RoundRobin, &[], 2), [None, None]);
    }

    #[test]
    fn a_change_of_the_list_keeps_the_position() {
        let endpoints = endpoints(5);
        let picker = RoundRobin.build(&endpoints, None, now());
        let first = picker.pick(&Pick::new(now())).expect("there are five");
        let picker = RoundRobin.build(&endpoints, Some(&*picker), now());
        assert_eq!(picker.pick(&Pick::new(now())), Some((first + 1) % 5));
    }

    #[test]
    fn a_call_goes_to_another_than_it_has_tried() {
        let picker = RoundRobin.build(&endpoints(3), None, now());
        for _ in 0..6 {
            assert_eq!(picker.pick(&Pick::new(now()).with_tried(&[0, 2])), Some(1));
            assert!(picker.pick(&Pick::new(now()).with_tried(&[0, 1, 2])).is_some());
        }
    }
}
