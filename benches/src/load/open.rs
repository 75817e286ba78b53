//! An open loop: calls begin at points in time that were fixed before, whatever has become of those before them, and a
//! latency is counted from that point.
//!
//! A closed loop asks nothing while it waits, so a server that stands still for a second is seen by as many calls as it
//! has loops, and not by the thousands that would have come in that second ("coordinated omission", as Gil Tene calls
//! it). Here all of them count, those that could not even be sent among them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::latency::Latencies;
use super::window::{Phase, PhaseRef};
use crate::Result;
use crate::echo::Client;

/// No more calls than this are under way; the next ones wait for their turn, and that counts.
const MOST: usize = 20_000;

/// How long calls that are under way at the end may take to end. What has not ended by then counts with the time that
/// it has taken so far.
const LEFT: Duration = Duration::from_secs(1);

/// When calls are due: one each `1/rate` seconds.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    began: Instant,
    rate: f64,
}

impl Schedule {
    /// So many calls a second from then on.
    pub fn new(began: Instant, rate: f64) -> Self {
        Self { began, rate }
    }

    /// When the call of this number is due, from zero.
    pub fn due(&self, call: u64) -> Instant {
        self.began + Duration::from_secs_f64(call as f64 / self.rate)
    }

    /// How many calls are due by then.
    pub fn due_by(&self, at: Instant) -> u64 {
        let elapsed = at.saturating_duration_since(self.began).as_secs_f64();
        (elapsed * self.rate).floor() as u64 + 1
    }
}

/// What an open loop gave.
#[derive(Debug)]
pub struct Opened {
    /// Of the calls that were due in the window, those that were not answered included.
    pub latencies: Latencies,
    /// How many of them were answered in time to be seen.
    pub answered: usize,
}

/// Calls that were due in the window.
#[derive(Debug, Default)]
struct Seen {
    answered: Latencies,
    failed: Option<String>,
}

/// Makes calls at this rate, on the clients in turn. It asks the clock all the time rather than sleep: a timer would be
/// late by up to a millisecond, and so would all calls.
///
/// # Errors
/// Whatever a call gives.
pub async fn calls<C: Client>(clients: &[C], payload: &Bytes, rate: f64, phase: &PhaseRef) -> Result<Opened> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let under_way = Arc::new(AtomicUsize::new(0));
    let schedule = Schedule::new(Instant::now(), rate);
    let (mut next, mut counted) = (0, 0_usize);
    let mut unanswered: Vec<Instant> = Vec::new();
    let mut opened = None;
    loop {
        let at = Instant::now();
        match phase.get() {
            Phase::Warm => {}
            Phase::Measure => _ = opened.get_or_insert(at),
            Phase::Stop => break,
        }
        let due_by = schedule.due_by(at);
        while next < due_by && under_way.load(Ordering::Relaxed) < MOST {
            let (call, due) = (next, schedule.due(next));
            next += 1;
            let counts = opened.is_some_and(|opened| opened <= due);
            if counts {
                counted += 1;
                unanswered.push(due);
            }
            let Some(client) = clients.get(call as usize % clients.len()) else { continue };
            under_way.fetch_add(1, Ordering::Relaxed);
            let (client, payload, seen, under_way) =
                (client.clone(), payload.clone(), seen.clone(), under_way.clone());
            tokio::spawn(async move {
                let result = client.call(&payload).await;
                let took = due.elapsed();
                under_way.fetch_sub(1, Ordering::Relaxed);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                match result {
                    Ok(_) if counts => seen.answered.push(took),
                    Ok(_) => {}
                    Err(error) => seen.failed = Some(error.to_string()),
                }
            });
        }
        tokio::task::yield_now().await;
    }
    // Those that were due and could not be sent, for there were too many under way.
    let stopped = Instant::now();
    let late = schedule.due_by(stopped).saturating_sub(next);
    unanswered.extend((0..late).map(|call| schedule.due(next + call)));
    counted += late as usize;
    while under_way.load(Ordering::Relaxed) > 0 && stopped.elapsed() < LEFT {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(error) = seen.failed {
        return Err(error.into());
    }
    let answered = seen.answered.count();
    let mut latencies = seen.answered;
    // Nobody knows which ones they are: the youngest, to be fair.
    let missing = counted.saturating_sub(answered);
    for due in unanswered.iter().rev().take(missing) {
        latencies.push(due.elapsed());
    }
    Ok(Opened { latencies, answered })
}

#[cfg(test)]
mod tests {
    use super::super::window::{Times, Window};
    use super::*;

    #[test]
    fn calls_are_due_at_even_steps_from_the_start() {
        let began = Instant::now();
        let schedule = Schedule::new(began, 1_000.0);
        assert_eq!(schedule.due(0), began);
        assert_eq!(schedule.due(250) - began, Duration::from_millis(250));
        assert_eq!(schedule.due_by(began), 1);
        assert_eq!(schedule.due_by(began + Duration::from_micros(999)), 1);
        assert_eq!(schedule.due_by(began + Duration::from_micros(10_500)), 11);
        // A start that is still to come owes only the first.
        assert_eq!(schedule.due_by(began - Duration::from_secs(1)), 1);
    }

    #[test]
    fn what_is_due_by_a_call_s_time_is_that_call_and_all_before() {
        let schedule = Schedule::new(Instant::now(), 70_000.0);
        for call in [1, 7, 999, 123_456] {
            // A nanosecond more than rounding can take away.
            assert_eq!(schedule.due_by(schedule.due(call) + Duration::from_nanos(2)), call + 1, "{call}");
        }
    }

    /// Answers at once, but for one time in which it stands still.
    #[derive(Clone)]
    struct Stalls {
        from: Instant,
        to: Instant,
    }

    impl Client for Stalls {
        async fn call(&self, payload: &Bytes) -> Result<usize> {
            if (self.from..self.to).contains(&Instant::now()) {
                tokio::time::sleep_until(self.to.into()).await;
            }
            Ok(payload.len())
        }
    }

    #[tokio::test]
    async fn a_pause_is_seen_by_every_call_that_was_due_in_it() {
        let times = Times {
            warm: Duration::from_millis(20),
            measure: Duration::from_millis(400),
            processes: Vec::new(),
        };
        let from = Instant::now() + Duration::from_millis(120);
        let client = Stalls { from, to: from + Duration::from_millis(200) };
        let window = Window::open(&times);
        let opened = calls(&[client], &Bytes::new(), 2_000.0, &window.phase()).await.unwrap();
        window.close().unwrap();

        let count = opened.latencies.count();
        assert!((600..=1_000).contains(&count), "{count} calls were due in the window");
        // Half of the window is the pause: a closed loop would have seen one call of it.
        let found = opened.latencies.percentiles();
        assert!(found.p99 >= 100_000.0, "{found:?}");
        assert!(found.p999 >= found.p99);
    }
}
