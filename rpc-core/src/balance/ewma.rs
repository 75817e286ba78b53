//! An exponentially weighted moving average in one atomic word.
//!
//! Samples come at any time, so their weight goes by the time since the last one: after a silence of `dt` the old value
//! keeps `exp(-dt / DECAY)`, and the new sample gets the rest. Value (an `f32`) and stamp (ticks since the owner was made)
//! are packed into one `u64`, so that an update is one compare-and-swap, and a reader never sees a value with another
//! value's stamp. A tick is 2^18 ns, a quarter of a millisecond; the stamp wraps after 13 days of silence, and then
//! what was learnt 13 days ago counts as fresh until the next sample.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How fast old samples are forgotten: after this time a third of their weight is left. Finagle's and linkerd's value.
pub const DECAY: Duration = Duration::from_secs(10);

/// The part of [`DECAY`] that a tick is.
const TICK: f32 = (1u64 << 18) as f32 / (DECAY.as_secs() as f32 * 1e9);
/// Threads read the clock before they get here, so a stamp may be a little ahead of `now`.
const AHEAD: u32 = u32::MAX - (1 << 16);
/// Ticks that are so far apart (73 minutes, of which nothing is left) are put in order by their ages.
const FAR: u32 = 1 << 24;

/// The average of samples, the nearer in time the more; none before the first.
#[derive(Debug, Default)]
pub(crate) struct Ewma(AtomicU64);

/// An average as its last sample left it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) value: f32,
    pub(crate) tick: u32,
}

impl Sample {
    /// What it is worth at this tick. That may lie before the sample: it is worth more there, by as much as it fades until
    /// the sample. `now` is the tick of now, for those that are far apart.
    #[inline]
    pub(crate) fn at(self, tick: u32, now: impl FnOnce() -> u32) -> f32 {
        match between(self.tick, tick, now) {
            0 => self.value,
            ticks => self.value * decay(ticks as f32 * TICK),
        }
    }

    /// The later of two ticks.
    #[inline]
    pub(crate) fn later(one: u32, other: u32, now: impl FnOnce() -> u32) -> u32 {
        if between(other, one, now) >= 0 { one } else { other }
    }
}

/// How many ticks lie between two, negative if the second is the earlier one. Which that is cannot be seen by itself when
/// one is of last week, for ticks wrap; their ages tell.
#[inline]
fn between(one: u32, other: u32, now: impl FnOnce() -> u32) -> i32 {
    let ticks = other.wrapping_sub(one).cast_signed();
    if ticks.unsigned_abs() < FAR { ticks } else { far_between(one, other, now()) }
}

#[cold]
fn far_between(one: u32, other: u32, now: u32) -> i32 {
    let ticks = i64::from(age(one, now)) - i64::from(age(other, now));
    ticks.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// How many ticks ago that was.
#[inline]
fn age(stamp: u32, now: u32) -> u32 {
    let ticks = now.wrapping_sub(stamp);
    if ticks > AHEAD { 0 } else { ticks }
}

/// How the average meets a sample above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rise {
    /// Like one below it.
    Smooth,
    /// At once: the average becomes the sample.
    Peak,
}

/// The tick of this many nanoseconds.
#[inline]
pub(crate) fn tick(nanoseconds: u64) -> u32 {
    (nanoseconds >> 18) as u32
}

impl Ewma {
    /// The average as of now, if nothing had come but silence since the last sample: silence counts as zeros.
    #[inline]
    pub(crate) fn get(&self, now: impl FnOnce() -> u32) -> Option<f32> {
        let (value, stamp) = unpack(self.0.load(Relaxed))?;
        Some(value * kept(stamp, now()))
    }

    /// Takes a sample (a number from 0 on). `last` is the tick of the last sample, if the owner knows of one that is
    /// later than this average's own.
    #[inline]
    pub(crate) fn observe(&self, sample: f32, now: u32, last: Option<u32>, rise: Rise) {
        let mut word = self.0.load(Relaxed);
        loop {
            let value = match unpack(word) {
                None => sample,
                Some((value, _)) if rise == Rise::Peak && sample >= value => sample,
                Some((value, stamp)) => {
                    // The time before `last` was silence, or samples of zero: they weigh the same.
                    let (value, stamp) = match last {
                        Some(last) if last.wrapping_sub(stamp) < AHEAD => (value * kept(stamp, last), last),
                        _ => (value, stamp),
                    };
                    let kept = kept(stamp, now);
                    value * kept + sample * (1.0 - kept)
                }
            };
            match self.0.compare_exchange_weak(word, pack(value, now), Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }

    /// The average as its last sample left it.
    #[inline]
    pub(crate) fn sample(&self) -> Option<Sample> {
        unpack(self.0.load(Relaxed)).map(|(value, tick)| Sample { value, tick })
    }

    /// Forgets all samples.
    pub(crate) fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    /// The tick of the last sample.
    #[inline]
    pub(crate) fn last(&self) -> Option<u32> {
        unpack(self.0.load(Relaxed)).map(|(_, stamp)| stamp)
    }
}

/// The share of an old value that is left.
#[inline]
fn kept(stamp: u32, now: u32) -> f32 {
    match age(stamp, now) {
        0 => 1.0,
        ticks => decay(ticks as f32 * TICK),
    }
}

/// `exp(-x)`. Mostly the time between two calls is short, and five terms of the series are exact then (to 3e-7, at the
/// end of the range); it is a third of a pick otherwise.
#[inline]
fn decay(x: f32) -> f32 {
    if x.abs() < 0.25 {
        1.0 - x * (1.0 - x * (1.0 / 2.0 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x / 120.0))))
    } else {
        (-x).exp()
    }
}

#[inline]
fn pack(value: f32, stamp: u32) -> u64 {
    // The word 0 is the absence of a sample, so a value is never 0.
    (u64::from(value.max(f32::MIN_POSITIVE).to_bits()) << 32) | u64::from(stamp)
}

#[inline]
fn unpack(word: u64) -> Option<(f32, u32)> {
    (word != 0).then(|| (f32::from_bits((word >> 32) as u32), word as u32))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: f32) -> u32 {
        tick((seconds * 1e9) as u64)
    }

    #[test]
    fn a_peak_rises_at_once_and_falls_with_time() {
        let ewma = Ewma::default();
        assert_eq!(ewma.get(|| 0), None);
        ewma.observe(0.01, 0, None, Rise::Peak);
        ewma.observe(1.0, seconds(1.0), None, Rise::Peak);
        assert_eq!(ewma.get(|| seconds(1.0)), Some(1.0));
        ewma.observe(0.01, seconds(11.0), None, Rise::Peak);
        let value = ewma.get(|| seconds(11.0)).expect("it has samples");
        assert!((value - (0.3679 + 0.6321 * 0.01)).abs() < 1e-3, "{value}");
    }

    #[test]
    fn the_series_is_the_exponential() {
        for step in -1_000..1_000 {
            let x = step as f32 / 1_000.0;
            assert!((decay(x) - (-x).exp()).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn silence_counts_as_zeros() {
        let ewma = Ewma::default();
        ewma.observe(1.0, 0, None, Rise::Peak);
        let value = ewma.get(|| seconds(20.0)).expect("it has samples");
        assert!((value - 0.1353).abs() < 1e-3, "{value}");
        assert_eq!(ewma.get(|| 0u32.wrapping_sub(3)), Some(1.0), "a clock that was read before");
    }

    #[test]
    fn one_sample_among_many_weighs_little() {
        let ewma = Ewma::default();
        ewma.observe(0.0, 0, None, Rise::Smooth);
        // There were samples of zero since, which the owner did not pass on.
        ewma.observe(1.0, seconds(10.0), Some(seconds(9.99)), Rise::Smooth);
        let value = ewma.get(|| seconds(10.0)).expect("it has samples");
        assert!(value < 0.002, "{value}");
    }

    #[test]
    fn two_samples_compare_at_any_tick_as_they_do_now() {
        let (slow, fast) = (Sample { value: 1.0, tick: 0 }, Sample { value: 0.1, tick: seconds(20.0) });
        let now = || unreachable!("they are near each other");
        let ratio = slow.at(seconds(30.0), now) / fast.at(seconds(30.0), now);
        assert!((ratio - 1.3534).abs() < 1e-3, "{ratio}");
        for at in [0.0, 20.0, 25.0, 500.0].map(seconds) {
            let there = slow.at(at, now) / fast.at(at, now);
            assert!((there / ratio - 1.0).abs() < 1e-3, "{there}");
        }
        assert_eq!(slow.at(seconds(2_000.0), now), 0.0);
        assert!(fast.at(0u32.wrapping_sub(seconds(2_000.0)), now).is_infinite());
        assert_eq!(Sample::later(3, 0u32.wrapping_sub(3), now), 3, "the tick wraps");
    }

    #[test]
    fn of_two_samples_the_older_one_is_worth_less_for_nearly_thirteen_days() {
        for days in [0.1, 1.0, 6.0, 6.6, 10.0, 12.9_f32] {
            for begin in [0, 1 << 31, u32::MAX] {
                let (old, now) = (begin, begin.wrapping_add(tick((f64::from(days) * 86_400e9) as u64)));
                let sample = |tick| Sample { value: 1.0, tick };
                assert_eq!(sample(old).at(now, || now), 0.0, "{days}");
                assert!(sample(now).at(old, || now).is_infinite(), "{days}");
                assert_eq!(Sample::later(old, now, || now), now, "{days}");
                assert_eq!(Sample::later(now, old, || now), now, "{days}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_average_stays_between_its_samples(samples in prop::collection::vec((0.0f32..100.0, 0u32..100_000), 1..50)) {
            let ewma = Ewma::default();
            let mut now = 0;
            let (mut low, mut high) = (f32::MAX, 0.0f32);
            for (sample, wait) in samples {
                now += wait;
                ewma.observe(sample, now, None, Rise::Smooth);
                low = low.min(sample);
                high = high.max(sample);
                let value = ewma.get(|| now).expect("it has samples");
                prop_assert!(value >= low * 0.999 && value <= high * 1.001 + f32::MIN_POSITIVE, "{low} {value} {high}");
            }
        }
    }
}
