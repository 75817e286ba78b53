//! [`Detector`]: takes endpoints out of the choice that do markedly worse than the others, for a while.
//!
//! A health check asks a server how it feels; this looks at how its calls end. It is gRPC's
//! [A50](https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md), which is Envoy's, with Envoy's
//! consecutive failures. Three rules, each enough:
//!
//! * **Consecutive failures.** So many failures without a success between them. It needs no comparison, so it works for
//!   lists of any length, and at once.
//! * **Success rate.** The endpoint's rate over the last interval is below the mean of all by more than so many standard
//!   deviations. It needs five endpoints with a hundred calls each: below that chance looks like a difference.
//! * **Failure percentage.** The rate of failures over the last interval is above a threshold, whatever the others do.
//!
//! An endpoint is ejected for 30 s times the number of times that it was ejected of late, 300 s at most; each interval
//! without ejection takes one time back. Then it is tried again. No more than a tenth of the endpoints are ejected at a
//! time, though always one: if many do badly it is not they who are outliers.
//!
//! What counts as a failure is [`outcome`](mod@crate::balance::outcome)'s table: failures to connect count, see
//! [`Load::failed`], calls that the caller has given up do not.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! use rpc_core::balance::outlier::{Config, Detector};
//! use rpc_core::balance::{Endpoint, Load, Outcome};
//! use rpc_core::discovery::Instance;
//!
//! let now = Instant::now();
//! let endpoint = Endpoint::new(Arc::new(Instance::new("10.0.0.1:7000".parse()?)), Arc::new(Load::new(now)));
//! let mut detector = Detector::new(Config::default(), now);
//! for _ in 0..5 {
//!     endpoint.load().begin(now).finish(now, Outcome::FAILURE);
//! }
//! assert!(detector.is_due(endpoint.load()));
//! assert!(detector.sweep(&[endpoint.clone()], now));
//! assert!(endpoint.load().is_ejected(now));
//!
//! let later = now + Duration::from_secs(30);
//! assert!(detector.sweep(&[endpoint.clone()], later));
//! assert!(!endpoint.load().is_ejected(later));
//! # Ok::<(), rpc_core::transport::InvalidAddress>(())
//! ```

use std::time::{Duration, Instant};

use crate::balance::endpoint::Endpoint;
use crate::balance::load::Load;

/// When an endpoint is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Over how long rates are taken. Default 10 s.
    pub interval: Duration,
    /// How long the first ejection is. Default 30 s.
    pub base_ejection: Duration,
    /// How long any ejection is at most, unless `base_ejection` is longer. Default 300 s.
    pub max_ejection: Duration,
    /// How many of a hundred endpoints may be ejected at a time; one always may. Default 10.
    pub max_ejected_percent: u8,
    /// Ejects after so many failures in a row. Default 5; 0 never.
    pub consecutive_failures: u32,
    /// Ejects whose success rate is an outlier. On by default.
    pub success_rate: Option<SuccessRate>,
    /// Ejects whose calls mostly fail. On by default.
    pub failure_percentage: Option<FailurePercentage>,
}

/// The rule of the success rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    /// How many standard deviations below the mean are too few. Default 1.9.
    pub deviations: f64,
    /// How many of a hundred that are found are ejected. Default 100; less to try the rule out.
    pub enforcement_percent: u8,
    /// How many endpoints must have enough calls. Default 5.
    pub minimum_endpoints: usize,
    /// How many calls in an interval are enough. Default 100.
    pub request_volume: u32,
}

/// The rule of the failure percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentage {
    /// More failures of a hundred calls than this are too many. Default 85.
    pub threshold: u8,
    /// How many of a hundred that are found are ejected. Default 100.
    pub enforcement_percent: u8,
    /// How many endpoints must have enough calls. Default 5.
    pub minimum_endpoints: usize,
    /// How many calls in an interval are enough. Default 50.
    pub request_volume: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: 10,
            consecutive_failures: 5,
            success_rate: Some(SuccessRate::default()),
            failure_percentage: Some(FailurePercentage::default()),
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { deviations: 1.9, enforcement_percent: 100, minimum_endpoints: 5, request_volume: 100 }
    }
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self { threshold: 85, enforcement_percent: 100, minimum_endpoints: 5, request_volume: 50 }
    }
}

/// Finds outliers among the endpoints of one channel. It has no clock and no task: whoever owns it calls
/// [`sweep`](Self::sweep) when it is due.
#[derive(Clone, Debug)]
pub struct Detector {
    config: Config,
    /// The end of the running interval.
    interval_ends: Instant,
    next: Instant,
}

/// What an endpoint did in the last interval.
struct Rate<'a> {
    load: &'a Load,
    calls: u32,
    /// Of successes, from 0 to 1.
    rate: f64,
}

/// The shortest interval.
const LEAST: Duration = Duration::from_millis(100);

impl Detector {
    /// A detector whose first interval begins now.
    pub fn new(mut config: Config, now: Instant) -> Self {
        // An interval of nothing would be swept all the time.
        config.interval = config.interval.max(LEAST);
        let first = after(now, config.interval);
        Self { config, interval_ends: first, next: first }
    }

    /// When [`sweep`](Self::sweep) is due at the latest: at the end of the interval, or of an ejection.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Whether this endpoint has so many failures in a row that a sweep is due at once. To be asked after a failure.
    pub fn is_due(&self, load: &Load) -> bool {
        load.ejected_until().is_none()
            && self.config.consecutive_failures > 0
            && load.consecutive_failures() >= self.config.consecutive_failures
    }

    /// Ejects whom the rules find, and takes back whose time is over. `true` if any of the two happened: then the
    /// choice is to be made anew. `endpoints` is the whole list.
    pub fn sweep(&mut self, endpoints: &[Endpoint], now: Instant) -> bool {
        let mut changed = false;
        for endpoint in endpoints {
            let load = endpoint.load();
            if load.ejected_until().is_some_and(|until| until <= now) {
                load.uneject(now);
                changed = true;
            }
        }
        let mut due: Vec<&Load> =
            endpoints.iter().map(|endpoint| &**endpoint.load()).filter(|load| self.is_due(load)).collect();
        due.sort_by_key(|load| std::cmp::Reverse(load.consecutive_failures()));
        for load in due {
            changed |= self.eject(load, endpoints, 100, now);
        }
        if now >= self.interval_ends {
            changed |= self.compare(endpoints, now);
            self.interval_ends = after(now, self.config.interval);
        }
        let ejections = endpoints.iter().filter_map(|endpoint| endpoint.load().ejected_until());
        self.next = ejections.fold(self.interval_ends, Instant::min);
        changed
    }

    /// The rules of an interval that has ended.
    fn compare(&self, endpoints: &[Endpoint], now: Instant) -> bool {
        let rates: Vec<Rate<'_>> = endpoints
            .iter()
            .map(|endpoint| {
                let load = endpoint.load();
                let (successes, failures) = load.take_counts();
                let calls = successes.saturating_add(failures);
                Rate { load, calls, rate: f64::from(successes) / f64::from(calls.max(1)) }
            })
            .collect();
        let mut changed = false;
        if let Some(rule) = &self.config.success_rate {
            let mut enough: Vec<&Rate<'_>> =
                rates.iter().filter(|rate| rate.calls >= rule.request_volume.max(1)).collect();
            if enough.len() >= rule.minimum_endpoints.max(1) {
                let count = enough.len() as f64;
                let mean = enough.iter().map(|rate| rate.rate).sum::<f64>() / count;
                let variance = enough.iter().map(|rate| (rate.rate - mean).powi(2)).sum::<f64>() / count;
                // A little below, or rounding makes an outlier among equals.
                let threshold = mean - variance.sqrt() * rule.deviations - 1e-9;
                // The worst first: not all may be ejected.
                enough.sort_by(|one, other| one.rate.total_cmp(&other.rate));
                for Rate { load, .. } in enough.into_iter().take_while(|rate| rate.rate < threshold) {
                    changed |= self.eject(load, endpoints, rule.enforcement_percent, now);
                }
            }
        }
        if let Some(rule) = &self.config.failure_percentage {
            let mut enough: Vec<&Rate<'_>> =
                rates.iter().filter(|rate| rate.calls >= rule.request_volume.max(1)).collect();
            if enough.len() >= rule.minimum_endpoints.max(1) {
                enough.sort_by(|one, other| one.rate.total_cmp(&other.rate));
                let failing = |rate: &&Rate<'_>| (1.0 - rate.rate) * 100.0 > f64::from(rule.threshold);
                for Rate { load, .. } in enough.into_iter().take_while(failing) {
                    changed |= self.eject(load, endpoints, rule.enforcement_percent, now);
                }
            }
        }
        for Rate { load, .. } in rates.iter().filter(|rate| rate.load.ejected_until().is_none()) {
            load.forgive_ejection();
        }
        changed
    }

    /// Ejects it, unless it is already, or too many are, or the dice say no.
    fn eject(&self, load: &Load, endpoints: &[Endpoint], enforcement_percent: u8, now: Instant) -> bool {
        let ejected = endpoints.iter().filter(|endpoint| endpoint.load().ejected_until().is_some()).count();
        let full =
            ejected > 0 && ejected * 100 >= endpoints.len() * usize::from(self.config.max_ejected_percent);
        if full || load.ejected_until().is_some() || fastrand::u8(0..100) >= enforcement_percent {
            return false;
        }
        let Config { base_ejection, max_ejection, .. } = self.config;
        let times = load.ejections().saturating_add(1);
        load.eject(after(now, base_ejection.saturating_mul(times).min(max_ejection.max(base_ejection))));
        true
    }
}

/// A point in time; a year from now if there is none so far away.
fn after(now: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    now.checked_add(wait.min(YEAR)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::endpoint::eligible;
    use crate::balance::outcome::Outcome;
    use crate::balance::testing::{endpoints, now};

    const SECOND: Duration = Duration::from_secs(1);

    /// So many calls, of which so many of a hundred fail, evenly spread so that few fail in a row.
    fn calls(endpoint: &Endpoint, calls: usize, failing_percent: usize, at: Instant) {
        for call in 0..calls {
            let fails = (call + 1) * failing_percent / 100 > call * failing_percent / 100;
            let outcome = if fails { Outcome::FAILURE } else { Outcome::Success };
            endpoint.load().begin(at).finish(at, outcome);
        }
    }

    fn ejected(endpoints: &[Endpoint]) -> Vec<usize> {
        (0..endpoints.len()).filter(|&index| endpoints[index].load().ejected_until().is_some()).collect()
    }

    #[test]
    fn one_of_five_that_fails_half_of_its_calls_is_ejected_and_comes_back() {
        let endpoints = endpoints(5);
        let mut detector = Detector::new(Config::default(), now());
        for (index, endpoint) in endpoints.iter().enumerate() {
            calls(endpoint, 200, if index == 3 { 50 } else { 0 }, now());
        }
        assert!(!detector.sweep(&endpoints, now() + 9 * SECOND), "the interval is not over");
        assert_eq!(detector.next(), now() + 10 * SECOND);
        assert!(detector.sweep(&endpoints, now() + 10 * SECOND));
        assert_eq!(ejected(&endpoints), [3]);
        assert_eq!(eligible(&endpoints, now() + 10 * SECOND, 50), [0, 1, 2, 4]);
        assert!(!detector.sweep(&endpoints, now() + 39 * SECOND));
        assert_eq!(
            detector.next(),
            now() + 40 * SECOND,
            "when its time is over, not only at an interval's end"
        );
        assert!(detector.sweep(&endpoints, now() + 40 * SECOND));
        assert!(ejected(&endpoints).is_empty());
    }

    #[test]
    fn each_ejection_is_longer_and_each_interval_without_takes_one_back() {
        let endpoints = endpoints(1);
        let load = endpoints[0].load();
        let mut detector = Detector::new(Config { interval: 10 * SECOND, ..Config::default() }, now());
        let mut at = now();
        for expected in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300] {
            // At each end of an interval within an ejection nothing is taken back.
            calls(&endpoints[0], 5, 100, at);
            assert!(detector.sweep(&endpoints, at));
            let until = load.ejected_until().expect("it is ejected");
            assert_eq!(until - at, expected * SECOND);
            // Half way, and at the end: the sweep at the end finds it not ejected, and takes one back if an interval
            // is over then. It is not, for the sweep before has just ended one.
            detector.sweep(&endpoints, until - SECOND);
            at = until;
            assert!(detector.sweep(&endpoints, at));
        }
        let before = load.ejections();
        for _ in 0..before {
            at += 10 * SECOND;
            detector.sweep(&endpoints, at);
        }
        assert_eq!((before, load.ejections()), (11, 0));
        calls(&endpoints[0], 5, 100, at);
        detector.sweep(&endpoints, at);
        assert_eq!(load.ejected_until(), Some(at + 30 * SECOND));
    }

    #[test]
    fn five_failures_in_a_row_are_enough_for_the_smallest_cluster_and_a_success_between_is_not() {
        let endpoints = endpoints(2);
        let mut detector = Detector::new(Config::default(), now());
        calls(&endpoints[0], 4, 100, now());
        calls(&endpoints[0], 1, 0, now());
        calls(&endpoints[0], 4, 100, now());
        assert!(!detector.is_due(endpoints[0].load()) && !detector.sweep(&endpoints, now()));
        endpoints[0].load().failed(now());
        assert!(detector.is_due(endpoints[0].load()), "a failure to connect counts like a call's");
        assert!(detector.sweep(&endpoints, now()));
        assert_eq!(ejected(&endpoints), [0]);
    }

    #[test]
    fn calls_that_were_given_up_eject_nobody() {
        let endpoints = endpoints(1);
        let mut detector = Detector::new(Config::default(), now());
        for _ in 0..100 {
            drop(endpoints[0].load().begin(now()));
            endpoints[0].load().begin(now()).finish(now(), Outcome::Ignored);
        }
        assert!(!detector.sweep(&endpoints, now() + 10 * SECOND));
    }

    #[test]
    fn a_tenth_at_most_is_ejected_the_worst_first_but_always_one() {
        let many = endpoints(30);
        let mut detector = Detector::new(Config::default(), now());
        for (index, endpoint) in many.iter().enumerate() {
            calls(endpoint, 100, if index < 6 { 50 + 5 * index } else { 0 }, now());
        }
        assert!(detector.sweep(&many, now() + 10 * SECOND));
        assert_eq!(ejected(&many), [3, 4, 5]);
        let few = endpoints(3);
        let config = Config { max_ejected_percent: 0, ..Config::default() };
        let mut detector = Detector::new(config, now());
        for endpoint in &few {
            calls(endpoint, 10, 100, now());
        }
        assert!(detector.sweep(&few, now()));
        assert_eq!(ejected(&few).len(), 1);
    }

    #[test]
    fn equals_are_no_outliers_and_too_few_calls_prove_nothing() {
        let all = endpoints(10);
        let mut detector = Detector::new(Config::default(), now());
        for endpoint in &all {
            calls(endpoint, 200, 30, now());
        }
        assert!(!detector.sweep(&all, now() + 10 * SECOND), "all fail alike");
        for (index, endpoint) in all.iter().enumerate() {
            calls(endpoint, 49, if index == 0 { 70 } else { 0 }, now());
        }
        assert!(!detector.sweep(&all, now() + 20 * SECOND), "forty-nine calls");
    }

    #[test]
    fn a_failure_percentage_needs_no_comparison() {
        let all = endpoints(5);
        let mut config = Config { consecutive_failures: 0, success_rate: None, ..Config::default() };
        config.max_ejected_percent = 100;
        let mut detector = Detector::new(config, now());
        for endpoint in &all[..4] {
            calls(endpoint, 50, 90, now());
        }
        calls(&all[4], 50, 85, now());
        assert!(detector.sweep(&all, now() + 10 * SECOND));
        assert_eq!(ejected(&all), [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn never_more_than_the_share_and_one_are_ejected_and_all_come_back(
            failing in prop::collection::vec(0usize..=100, 0..40),
            percent in 0u8..=100,
        ) {
            let all = endpoints(failing.len());
            let config = Config { max_ejected_percent: percent, ..Config::default() };
            let mut detector = Detector::new(config, now());
            for (endpoint, &failing) in all.iter().zip(&failing) {
                calls(endpoint, 120, failing, now());
            }
            detector.sweep(&all, now() + 10 * SECOND);
            let most = (all.len() * usize::from(percent)).div_ceil(100).max(1);
            prop_assert!(ejected(&all).len() <= most);
            for endpoint in &all {
                calls(endpoint, 1, 0, now());
            }
            detector.sweep(&all, now() + 400 * SECOND);
            prop_assert!(ejected(&all).is_empty());
        }
    }
}
