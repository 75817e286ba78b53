//! [`Load`]: what is known of an endpoint, from the calls that went to it.
//!
//! * **Calls under way.** Counted by a guard, so that a call that is dropped is not forgotten there (tower's way).
//! * **Latency**: a *peak* EWMA, as Finagle and linkerd have it. A call that is slower than the average raises it at
//!   once, one that is faster lowers it slowly, and silence lowers it too: what was slow is tried again later.
//! * **Failures** never look fast: a failed call leaves the latency alone, unless it took longer than the average. How
//!   many of the calls fail is an average of its own, the [failure share](Load::failure_share), which decides what a
//!   failure costs: one among thousands hardly anything, one in two nearly all of the endpoint's calls. (linkerd counts
//!   each failure as a call of five seconds instead; with a peak EWMA a single one then costs an endpoint a minute.)
//! * **Retry-after**: how long the server asked to be left alone.
//! * **Counters** for [outlier detection](crate::balance::outlier), and until when the endpoint is ejected.
//!
//! All of it is atomics that are read one by one: a reader may see a call's success a moment before its latency. Nobody
//! here needs more than that.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

pub use crate::balance::ewma::DECAY;
use crate::balance::ewma::{Ewma, Rise, Sample, tick};
use crate::balance::outcome::Outcome;
use crate::discovery::Instance;

/// The longest retry-after that is believed. linkerd's value.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// What is known of an endpoint: how many calls are under way, how long they take, how they end. It belongs to the
/// instance's id and survives changes of the list. Nothing here waits.
#[derive(Debug)]
pub struct Load {
    pending: AtomicU32,
    /// In seconds.
    latency: Ewma,
    /// Between 0 and 1.
    failing: Ewma,
    successes: AtomicU32,
    failures: AtomicU32,
    consecutive_failures: AtomicU32,
    /// How often it was ejected of late.
    ejections: AtomicU32,
    /// All three are stamps; of the first two, 0 is never.
    ejected_until: AtomicU64,
    left_alone_until: AtomicU64,
    ready_since: AtomicU64,
    /// When the last call began before any had ended, as a stamp.
    probed_at: AtomicU64,
}

impl Load {
    /// Of an endpoint that nobody has called and that has just started.
    pub fn new(now: Instant) -> Self {
        Self {
            pending: AtomicU32::new(0),
            latency: Ewma::default(),
            failing: Ewma::default(),
            successes: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            consecutive_failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            left_alone_until: AtomicU64::new(0),
            ready_since: AtomicU64::new(stamp(now)),
            probed_at: AtomicU64::new(0),
        }
    }

    /// Of an instance that nobody has called. By when it says that it started it may be warm already: this looks at
    /// the wall clock.
    pub fn of(instance: &Instance, now: Instant) -> Self {
        let running = match instance.started {
            0 => Duration::ZERO,
            started => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .saturating_sub(Duration::from_millis(started)),
        };
        let load = Self::new(now);
        let running = u64::try_from(running.as_nanos()).unwrap_or(u64::MAX);
        // Not before the epoch: who has been ready for an hour is warm by any standard.
        load.ready_since.store(stamp(now).saturating_sub(running), Relaxed);
        load
    }

    /// A call goes to the endpoint now. It is under way until the guard is finished or dropped.
    #[inline]
    pub fn begin(self: &Arc<Self>, now: Instant) -> InFlight {
        self.pending.fetch_add(1, Relaxed);
        if self.latency.sample().is_none() {
            self.probed(now);
        }
        InFlight { load: self.clone(), since: now }
    }

    #[cold]
    fn probed(&self, now: Instant) {
        self.probed_at.store(stamp(now), Relaxed);
    }

    /// Whether a call that was to show what the endpoint is like has begun a while ago, and has not ended: it may be one
    /// that lasts, and shows nothing.
    #[cold]
    pub(crate) fn has_a_probe_that_lasts(&self, now: &Now) -> bool {
        const LONG: u64 = 1_000_000_000;
        now.stamp().saturating_sub(self.probed_at.load(Relaxed)) >= LONG
    }

    /// The calls that are under way.
    #[inline]
    pub fn pending(&self) -> u32 {
        self.pending.load(Relaxed)
    }

    /// The peak EWMA of the latency; `None` before the first call that ended well.
    #[inline]
    pub fn latency(&self, now: Instant) -> Option<Duration> {
        self.latency.get(|| tick(stamp(now))).map(Duration::from_secs_f32)
    }

    /// How many of its calls fail of late, from 0 to 1; 0 before the first.
    #[inline]
    pub fn failure_share(&self, now: Instant) -> f32 {
        self.failing_at(&Now::new(now)).unwrap_or_default()
    }

    /// How much longer it asks to be left alone.
    #[inline]
    pub fn retry_after(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.left_alone_until.load(Relaxed).saturating_sub(stamp(now)))
    }

    /// The average latency in seconds; `None` before the first call that ended well.
    #[inline]
    pub(crate) fn last_latency(&self) -> Option<Sample> {
        self.latency.sample()
    }

    /// The share of calls that fail, from 0 to 1; `None` before the first failure.
    #[inline]
    pub(crate) fn last_failing(&self) -> Option<Sample> {
        self.failing.sample()
    }

    /// The share of calls that fail, as of now.
    #[inline]
    pub(crate) fn failing_at(&self, now: &Now) -> Option<f32> {
        self.failing.get(|| tick(now.stamp()))
    }

    /// How much longer it asks to be left alone, in seconds.
    #[inline]
    pub(crate) fn wait_at(&self, now: &Now) -> f32 {
        match self.left_alone_until.load(Relaxed) {
            0 => 0.0,
            until => until.saturating_sub(now.stamp()) as f32 / 1e9,
        }
    }

    /// The failures since the last success.
    #[inline]
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures.load(Relaxed)
    }

    /// Counts a failure that no call has seen: an attempt to connect that came to nothing.
    pub fn failed(&self, now: Instant) {
        self.record_failure(tick(stamp(now)), None);
    }

    /// Successes and failures since this was asked last.
    pub fn take_counts(&self) -> (u32, u32) {
        (self.successes.swap(0, Relaxed), self.failures.swap(0, Relaxed))
    }

    /// Takes it out of the choice until then.
    pub fn eject(&self, until: Instant) {
        self.ejected_until.store(stamp(until), Relaxed);
        self.ejections.fetch_add(1, Relaxed);
    }

    /// Ends an ejection. What it did before is not held against it, and its slow start begins.
    pub fn uneject(&self, now: Instant) {
        self.ejected_until.store(0, Relaxed);
        self.take_counts();
        self.forget();
        self.set_ready(now);
    }

    /// Forgets latency, failures, and how long it asked to be left alone: what is known of an endpoint that has come back is
    /// out of date. Like a new one it then gets one call at once, and the rest by how that goes. An average would not let
    /// it: of two that are drawn the one that hung for a second, a minute ago, still seems the worse one. And a server that
    /// still wants to be left alone says so again.
    pub fn forget(&self) {
        self.left_alone_until.store(0, Relaxed);
        self.consecutive_failures.store(0, Relaxed);
        self.latency.clear();
        self.failing.clear();
    }

    /// Until when it is ejected, if it is. What is over is so only after [`uneject`](Self::uneject).
    pub fn ejected_until(&self) -> Option<Instant> {
        match self.ejected_until.load(Relaxed) {
            0 => None,
            stamp => epoch().checked_add(Duration::from_nanos(stamp)),
        }
    }

    /// Whether it is ejected.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.load(Relaxed) > stamp(now)
    }

    /// How often it was ejected of late: one more for each time, one less for each interval without.
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Relaxed)
    }

    pub(crate) fn forgive_ejection(&self) {
        // Only outlier detection changes it, and there is one for each channel.
        self.ejections.store(self.ejections().saturating_sub(1), Relaxed);
    }

    /// It became ready: its slow start begins. For an instance that has started, and not for a connection that has
    /// been made anew.
    pub fn set_ready(&self, now: Instant) {
        self.ready_since.store(stamp(now), Relaxed);
    }

    /// How long it has been ready; of one that was there before this process, more than an hour may count as an hour.
    #[inline]
    pub fn ready_for(&self, now: Instant) -> Duration {
        Duration::from_nanos(stamp(now).saturating_sub(self.ready_since.load(Relaxed)))
    }

    #[inline]
    fn record_success(&self, took: Duration, now: u32) {
        self.successes.fetch_add(1, Relaxed);
        // Both are written only if they change: a word that nobody writes stays in every core's cache.
        if self.consecutive_failures() != 0 {
            self.consecutive_failures.store(0, Relaxed);
        }
        if self.failing.last().is_some() {
            self.failing.observe(0.0, now, None, Rise::Smooth);
        }
        self.latency.observe(took.as_secs_f32(), now, None, Rise::Peak);
    }

    fn record_failure(&self, now: u32, took: Option<Duration>) {
        self.failures.fetch_add(1, Relaxed);
        self.consecutive_failures.fetch_add(1, Relaxed);
        let last = self.latency.last();
        if self.failing.last().is_none()
            && let Some(last) = last
        {
            // All before were successes, which leave no trace in this average.
            self.failing.observe(0.0, last, None, Rise::Smooth);
        }
        self.failing.observe(1.0, now, last, Rise::Smooth);
        let known = self.latency.get(|| now);
        if let (Some(took), Some(known)) = (took, known)
            && took.as_secs_f32() > known
        {
            self.latency.observe(took.as_secs_f32(), now, None, Rise::Peak);
        }
    }

    fn leave_alone(&self, now: Instant, wait: Duration) {
        let until = now + wait.min(MAX_RETRY_AFTER);
        self.left_alone_until.fetch_max(stamp(until), Relaxed);
    }
}

/// The time of a pick, as a [stamp] that is reckoned when it is first needed: of endpoints that never failed nobody asks
/// for it.
#[derive(Debug)]
pub(crate) struct Now {
    at: Instant,
    /// 0 while nobody has asked.
    stamp: Cell<u64>,
}

impl Now {
    #[inline]
    pub(crate) fn new(at: Instant) -> Self {
        Self { at, stamp: Cell::new(0) }
    }

    #[inline]
    pub(crate) fn stamp(&self) -> u64 {
        if self.stamp.get() == 0 {
            self.stamp.set(stamp(self.at));
        }
        self.stamp.get()
    }
}

/// Nanoseconds since the [epoch]: a time that fits an atomic.
#[inline]
pub(crate) fn stamp(at: Instant) -> u64 {
    let since = at.saturating_duration_since(epoch());
    // Not `as_nanos`, which is 128 bits wide: 584 years are enough.
    since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos()))
}

/// A moment in the past from which stamps count. An hour is for the clocks that were read before this one; so no stamp of
/// a real moment is 0.
#[inline]
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(|| {
        let now = Instant::now();
        now.checked_sub(Duration::from_secs(3_600)).unwrap_or(now)
    })
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
        let took = now.saturating_duration_since(self.since);
        let tick = tick(stamp(now));
        match outcome {
            Outcome::Success => self.load.record_success(took, tick),
            Outcome::Failure { retry_after } => {
                self.load.record_failure(tick, Some(took));
                if let Some(wait) = retry_after {
                    self.load.leave_alone(now, wait);
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn call(load: &Arc<Load>, at: Instant, took: Duration, outcome: Outcome) {
        load.begin(at).finish(at + took, outcome);
    }

    #[test]
    fn a_dropped_call_is_no_longer_under_way_and_is_no_failure() {
        let now = Instant::now();
        let load = Arc::new(Load::new(now));
        let (one, other) = (load.begin(now), load.begin(now));
        assert_eq!(load.pending(), 2);
        drop(one);
        assert_eq!(load.pending(), 1);
        other.finish(now + MS, Outcome::Ignored);
        assert_eq!((load.pending(), load.take_counts(), load.latency(now)), (0, (0, 0), None));
        assert!(load.last_failing().is_none());
    }

    #[test]
    fn a_fast_failure_does_not_look_fast() {
        let start = Instant::now();
        let load = Arc::new(Load::new(start));
        call(&load, start, 10 * MS, Outcome::Success);
        let later = start + Duration::from_secs(1);
        let before = load.latency(later).expect("it has a sample");
        call(&load, later, Duration::from_micros(50), Outcome::FAILURE);
        assert_eq!(load.latency(later), Some(before));
        call(&load, later, 80 * MS, Outcome::FAILURE);
        let slow = load.latency(later + 80 * MS).expect("it has a sample").as_secs_f32();
        assert!((slow - 0.08).abs() < 1e-4, "but a slow one looks slow: {slow}");
    }

    #[test]
    fn a_failure_costs_by_how_often_they_are() {
        let start = Instant::now();
        let seldom = Arc::new(Load::new(start));
        for step in 0..10_000 {
            let outcome = if step == 9_990 { Outcome::FAILURE } else { Outcome::Success };
            call(&seldom, start + step * MS, MS, outcome);
        }
        let now = start + 10_000 * MS;
        assert!(seldom.failure_share(now) < 0.001, "{}", seldom.failure_share(now));
        let always = Arc::new(Load::new(start));
        call(&always, start, MS, Outcome::Success);
        for step in 0..30_000 {
            call(&always, start + step * MS, MS, Outcome::FAILURE);
        }
        let share = always.failure_share(start + 30_000 * MS);
        assert!((0.94..=1.0).contains(&share), "{share}");
        let first = Arc::new(Load::new(start));
        call(&first, start, MS, Outcome::FAILURE);
        assert!(first.failure_share(start + MS) > 0.99, "nothing else is known of it");
    }

    #[test]
    fn a_retry_after_runs_out_and_is_believed_up_to_a_limit() {
        let start = Instant::now();
        let load = Arc::new(Load::new(start));
        let outcome = |seconds| Outcome::Failure { retry_after: Some(Duration::from_secs(seconds)) };
        load.begin(start).finish(start, outcome(2));
        load.begin(start).finish(start, outcome(1));
        assert_eq!(load.retry_after(start), Duration::from_secs(2));
        assert_eq!(load.retry_after(start + Duration::from_secs(3)), Duration::ZERO);
        load.begin(start).finish(start, outcome(u64::MAX));
        assert_eq!(load.retry_after(start), MAX_RETRY_AFTER);
    }

    #[test]
    fn what_is_forgotten_is_all_that_was_held_against_it() {
        let start = Instant::now();
        let load = Arc::new(Load::new(start));
        call(&load, start, MS, Outcome::Success);
        call(&load, start, MS, Outcome::Failure { retry_after: Some(Duration::from_secs(60)) });
        load.forget();
        assert_eq!((load.consecutive_failures(), load.latency(start)), (0, None));
        assert!(load.last_failing().is_none());
        assert_eq!(load.retry_after(start), Duration::ZERO);
    }

    #[test]
    fn an_instance_that_says_when_it_started_is_warm_at_once() {
        let now = Instant::now();
        let mut instance = Instance::new("127.0.0.1:1".parse().expect("it is an address"));
        assert_eq!(Load::of(&instance, now).ready_for(now), Duration::ZERO);
        instance.started = 1;
        let load = Load::of(&instance, now);
        assert!(load.ready_for(now) >= Duration::from_secs(3_600));
        load.set_ready(now + MS);
        assert_eq!(load.ready_for(now + 3 * MS), 2 * MS, "its age is no longer of interest");
        instance.started = u64::MAX;
        assert_eq!(Load::of(&instance, now).ready_for(now), Duration::ZERO, "a clock that is wrong");
    }
}
