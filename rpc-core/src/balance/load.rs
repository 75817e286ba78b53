//! [`Load`]: what is known of an endpoint, from the calls that went to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::balance::outcome::Outcome;

/// What is known of an endpoint: how many calls are under way, how long they take, how they end. It belongs to the
/// instance's id and survives changes of the list. All of it is atomics; nothing waits.
#[derive(Debug)]
pub struct Load {
    born: Instant,
    pending: AtomicU32,
    successes: AtomicU32,
    failures: AtomicU32,
    consecutive_failures: AtomicU32,
    /// In nanoseconds after `born`; 0 if it is not ejected.
    ejected_until: AtomicU64,
    /// In nanoseconds after `born`; where a slow start begins.
    ready_since: AtomicU64,
}

impl Load {
    /// Of an endpoint that nobody has called. It counts as ready since now.
    pub fn new(now: Instant) -> Self {
        Self {
            born: now,
            pending: AtomicU32::new(0),
            successes: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            consecutive_failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            ready_since: AtomicU64::new(0),
        }
    }

    /// A call goes to the endpoint now. It is under way until the guard is finished or dropped.
    #[inline]
    pub fn begin(self: &Arc<Self>, now: Instant) -> InFlight {
        self.pending.fetch_add(1, Relaxed);
        InFlight { load: self.clone(), since: now }
    }

    /// The calls that are under way.
    #[inline]
    pub fn pending(&self) -> u32 {
        self.pending.load(Relaxed)
    }

    /// The failures since the last success.
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures.load(Relaxed)
    }

    /// Counts a failure that no call has seen: an attempt to connect that came to nothing.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
        self.consecutive_failures.fetch_add(1, Relaxed);
    }

    /// Takes it out of the choice until then. Set by outlier detection.
    pub fn eject(&self, until: Instant) {
        self.ejected_until.store(self.stamp(until).max(1), Relaxed);
    }

    /// Ends an ejection; its slow start begins.
    pub fn uneject(&self, now: Instant) {
        self.ejected_until.store(0, Relaxed);
        self.set_ready(now);
    }

    /// Until when it is ejected, if it is.
    pub fn ejected_until(&self) -> Option<Instant> {
        match self.ejected_until.load(Relaxed) {
            0 => None,
            stamp => Some(self.born + Duration::from_nanos(stamp)),
        }
    }

    /// Whether it is ejected.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.load(Relaxed) > self.stamp(now)
    }

    /// It became ready: its slow start begins.
    pub fn set_ready(&self, now: Instant) {
        self.ready_since.store(self.stamp(now), Relaxed);
    }

    /// How long it has been ready.
    pub fn ready_for(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.stamp(now).saturating_sub(self.ready_since.load(Relaxed)))
    }

    /// Nanoseconds since it was made; 0 for what was before.
    fn stamp(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A call that is under way at an endpoint. Dropped without [`finish`](Self::finish), a cancelled call for instance, it
/// is no longer under way and says nothing else.
#[derive(Debug)]
pub struct InFlight {
    load: Arc<Load>,
    since: Instant,
}

impl InFlight {
    /// The call has ended.
    #[inline]
    pub fn finish(self, now: Instant, outcome: Outcome) {
        let _took = now.saturating_duration_since(self.since);
        match outcome {
            Outcome::Success => {
                self.load.successes.fetch_add(1, Relaxed);
                self.load.consecutive_failures.store(0, Relaxed);
            }
            Outcome::Failure { .. } => self.load.failed(),
            Outcome::Ignored => {}
        }
    }

    /// Where it counts.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        self.load.pending.fetch_sub(1, Relaxed);
    }
}
