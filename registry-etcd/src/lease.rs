//! [`Lease`]: when to renew a lease, and when to stop believing in it; and [`Backoff`], when to try again.
//!
//! ```text
//!   renewed                renew_at          doubtful_at       expires_at
//!      |----------- 1/3 TTL ---|---- 1/3 TTL ----|---- 1/3 TTL ----|
//!      |       nothing         |     renew       |  a new lease    |
//! ```
//!
//! All is reckoned from when the renewal that succeeded was *sent*: the server reckons from when it had it, which is
//! later, so this clock ends before the server's. Nothing here waits; whoever asks brings the time.

use std::time::{Duration, Instant};

/// A lease that was granted.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// Its id in etcd.
    pub(crate) id: i64,
    /// What the server granted: never less than it was asked for, and often more.
    ttl: Duration,
    renewed: Instant,
    renew_at: Instant,
}

impl Lease {
    /// A lease that was granted to a request sent at this time.
    pub(crate) fn new(id: i64, ttl: Duration, sent: Instant) -> Self {
        Self { id, ttl, renewed: sent, renew_at: sent + jitter(ttl / 3) }
    }

    /// It was renewed by a request sent at this time.
    pub(crate) fn renewed(&mut self, sent: Instant) {
        self.renewed = sent;
        self.renew_at = sent + jitter(self.ttl / 3);
    }

    /// When to renew it.
    pub(crate) fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// When to get another one, so that there is one before this one ends.
    pub(crate) fn doubtful_at(&self) -> Instant {
        self.renewed + self.ttl * 2 / 3
    }

    /// When others may believe that its owner is gone.
    pub(crate) fn expires_at(&self) -> Instant {
        self.renewed + self.ttl
    }

    /// The longest wait for the answer to one renewal: short enough for a second member to be asked in time.
    pub(crate) fn patience(&self) -> Duration {
        self.ttl / 4
    }
}

/// A span that differs from this one by up to a tenth, so that what began together does not go on together.
pub(crate) fn jitter(span: Duration) -> Duration {
    span.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// When to try again: soon, then later and later, without end.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// The first wait.
    const BASE: Duration = Duration::from_millis(200);
    /// The longest wait. Whoever was away is back this long after etcd, at the most.
    pub(crate) const MAX: Duration = Duration::from_secs(3);

    pub(crate) fn new() -> Self {
        Self { failures: 0, until: None }
    }

    /// It failed.
    pub(crate) fn failed(&mut self, now: Instant) {
        let wait = Self::BASE.saturating_mul(1 << self.failures.min(10)).min(Self::MAX);
        self.failures = self.failures.saturating_add(1);
        // Between a half and the whole: those who failed together do not come back together.
        self.until = Some(now + wait.mul_f64(0.5 + 0.5 * fastrand::f64()));
    }

    /// It succeeded.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// Until when to wait, if that is still to come.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_early_and_doubted_before_it_ends() {
        let sent = Instant::now();
        let ttl = Duration::from_secs(9);
        let mut lease = Lease::new(1, ttl, sent);
        for sent in [sent, sent + ttl / 3] {
            lease.renewed(sent);
            let early = lease.renew_at() - sent;
            assert!(early >= ttl.mul_f64(0.29) && early <= ttl.mul_f64(0.37), "{early:?}");
            assert_eq!(lease.doubtful_at() - sent, Duration::from_secs(6));
            assert_eq!(lease.expires_at() - sent, ttl);
        }
        assert!(lease.renew_at() + lease.patience() < lease.doubtful_at());
    }

    #[test]
    fn waits_grow_to_a_limit_and_begin_anew_after_a_success() {
        let now = Instant::now();
        let mut backoff = Backoff::new();
        assert_eq!(backoff.until(now), None);
        for failure in 0..100 {
            backoff.failed(now);
            let wait = backoff.until(now).unwrap() - now;
            assert!(wait >= Backoff::BASE / 2 && wait <= Backoff::MAX, "{failure}: {wait:?}");
            assert!(failure < 5 || wait >= Backoff::MAX / 2, "{failure}: {wait:?}");
        }
        assert_eq!(backoff.until(now + Backoff::MAX), None, "it has passed");
        backoff.succeeded();
        backoff.failed(now);
        assert!(backoff.until(now).unwrap() - now <= Backoff::BASE);
    }
}
