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
            None => fastrand::usize(0..count.max(1)),
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
