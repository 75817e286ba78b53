//! Signs of life (§11): when to ping, when the peer counts as dead, how long a round trip takes, and how many frames
//! that cost little to send a peer may send.

use std::time::{Duration, Instant};

use super::error::{ConnectionError, ErrorCode};
use super::field::micros;

/// How many cheap frames a peer may send at once, and each second: a thousand times what an honest one sends.
const CHEAP_BURST: f64 = 1_000.0;
const CHEAP_PER_SECOND: f64 = 100.0;

/// Timers of an async runtime are late by up to a millisecond, on both sides of the connection.
/// In microseconds.
const GRANULARITY: u64 = 2_000;

/// The state of one connection's signs of life.
#[derive(Debug)]
pub(crate) struct Keepalive {
    interval: Option<Duration>,
    timeout: Duration,
    last_read: Instant,
    /// The ping that is not answered yet: its number, when it was sent, and when the peer counts as dead.
    awaited: Option<(u64, Instant, Instant)>,
    next_ping: u64,
    /// When the last ping was sent; the beginning of the connection before the first.
    last_ping: Instant,
    /// The smoothed round-trip time, by the rule of TCP (RFC 6298): an eighth of each sample.
    srtt: Option<Duration>,
    /// That, with the timers' granularity, in microseconds: each call asks.
    margin: u64,
    /// The shortest round trip of all: what the way takes when nothing waits on it.
    least: Option<Duration>,
    /// The bucket of cheap frames: what is left, and as of when.
    cheap: (f64, Instant),
}

impl Keepalive {
    pub(crate) fn new(interval: Option<Duration>, timeout: Duration, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            last_read: now,
            awaited: None,
            next_ping: 1,
            last_ping: now,
            srtt: None,
            margin: GRANULARITY,
            least: None,
            cheap: (CHEAP_BURST, now),
        }
    }

    /// Notes that bytes came: whoever sends is alive.
    #[inline]
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_read = now;
    }

    pub(crate) fn last_read(&self) -> Instant {
        self.last_read
    }

    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    pub(crate) fn least_round_trip(&self) -> Option<Duration> {
        self.least
    }

    /// Begins a ping; its number goes into the frame.
    pub(crate) fn ping(&mut self, now: Instant) -> u64 {
        let number = self.next_ping;
        self.next_ping += 1;
        self.last_ping = now;
        self.awaited = Some((number, now, now + self.timeout));
        number
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// Takes a pong; whether it answers the ping that was awaited.
    pub(crate) fn pong(&mut self, number: u64, now: Instant) -> bool {
        match self.awaited {
            Some((awaited, sent, _)) if awaited == number => {
                self.awaited = None;
                let sample = now.saturating_duration_since(sent);
                let srtt = self.srtt.map_or(sample, |srtt| (srtt * 7 + sample) / 8);
                (self.srtt, self.margin) = (Some(srtt), micros(srtt) + GRANULARITY);
                self.least = Some(self.least.map_or(sample, |least| least.min(sample)));
                true
            }
            // An old one, or one that nobody asked for: harmless, and it has been counted as a cheap frame.
            _ => false,
        }
    }

    /// When to look again.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        match self.awaited {
            // Whatever comes after the ping shows life, not only the pong: it may be behind a large message.
            Some((_, sent, dead)) if self.last_read <= sent => Some(dead),
            Some(_) => Some(self.last_read + self.timeout),
            // Not only in silence: a busy connection too must learn that its round trip has changed, and a ping in
            // twenty seconds costs nothing.
            None => self.interval.map(|interval| self.last_ping + interval),
        }
    }

    /// What is due: nothing, a ping, or the end.
    pub(crate) fn due(&self, now: Instant) -> Result<bool, ConnectionError> {
        match self.timeout() {
            Some(at) if at <= now => {}
            _ => return Ok(false),
        }
        if self.awaited.is_none() {
            return Ok(true);
        }
        Err(ConnectionError::ours(
            ErrorCode::Timeout,
            format!(
                "the peer has been silent for {:.1?}, ping and all",
                now.saturating_duration_since(self.last_read)
            ),
        ))
    }

    /// Counts a frame that costs its sender next to nothing.
    pub(crate) fn cheap_frame(&mut self, now: Instant) -> Result<(), ConnectionError> {
        let (left, since) = self.cheap;
        let refill = now.saturating_duration_since(since).as_secs_f64() * CHEAP_PER_SECOND;
        let left = (left + refill).min(CHEAP_BURST) - 1.0;
        self.cheap = (left, now);
        if left < 0.0 {
            return Err(ConnectionError::ours(
                ErrorCode::TooManyCheapFrames,
                format!(
                    "more than {CHEAP_PER_SECOND} pings, drains, empty grants, empty parts or unknown frames a second"
                ),
            ));
        }
        Ok(())
    }

    /// The time to put into a request of which this much remains (§6.3), in microseconds: less one round trip, half for
    /// the way there and half so that the answer is back in time, and less the timers' granularity; less a fiftieth if
    /// that is more, for on a busy machine the report of where the time went is late by a share of it; at least half,
    /// and never zero.
    #[inline]
    pub(crate) fn remaining_to_send(&self, remaining: Duration) -> u64 {
        // In microseconds from here on: arithmetic on durations costs three times as much.
        let remaining = micros(remaining);
        let margin = self.margin.max(remaining / 50);
        remaining.saturating_sub(margin).max(remaining / 2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_is_cut_by_a_round_trip_but_never_below_half() {
        let now = Instant::now();
        let mut keepalive = Keepalive::new(None, Duration::from_secs(1), now);
        let number = keepalive.ping(now);
        assert!(keepalive.pong(number, now + Duration::from_millis(8)));
        let cut = |micros| keepalive.remaining_to_send(Duration::from_micros(micros));
        assert_eq!(cut(100_000), 90_000);
        assert_eq!(cut(10_000_000), 9_800_000);
        assert_eq!(cut(12_000), 6_000);
        assert_eq!(cut(1), 1);
        assert_eq!(cut(0), 1);
    }
}
