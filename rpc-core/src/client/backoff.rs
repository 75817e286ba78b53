//! [`Backoff`]: how long to wait between attempts to connect.

use std::time::Duration;

/// How long to wait between attempts to connect: `base · factorⁿ`, at most `max`, each ± 20 %.
///
/// The wait never comes near zero, so that a server that has just come back is not run over; it is forgotten once a
/// server has shown that it speaks the protocol, and not by a mere accept. (The rule is gRPC's connection back-off.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// After the first failure. Default 100 ms.
    pub base: Duration,
    /// How much longer after each further one. Default 1.6.
    pub factor: f64,
    /// At most. Default 10 s.
    pub max: Duration,
}

/// The least wait, however short it is set.
const LEAST: Duration = Duration::from_millis(1);

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(100), factor: 1.6, max: Duration::from_secs(10) }
    }
}

impl Backoff {
    pub(super) fn wait(&self, failures: u32, random: f64) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let base = self.base.max(LEAST).as_secs_f64();
        let wait = base * self.factor.max(1.0).powi(exponent);
        let wait = wait.min(self.max.as_secs_f64()) * (0.8 + 0.4 * random);
        Duration::try_from_secs_f64(wait).unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_grows_to_its_maximum_and_never_nears_zero() {
        let backoff = Backoff::default();
        let millis = |failures, random| backoff.wait(failures, random).as_millis();
        assert_eq!((millis(1, 0.0), millis(1, 0.5), millis(1, 1.0)), (80, 100, 120));
        assert_eq!(millis(2, 0.5), 160);
        assert_eq!(millis(1_000, 0.5), 10_000);
        assert_eq!(millis(u32::MAX, 0.5), 10_000);
    }
}
