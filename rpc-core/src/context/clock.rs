//! The time, which tests may stop.

use std::time::Instant;

/// The present moment.
///
/// It is asked of tokio so that a test with a paused clock decides what time it is. It costs nothing more: unless
/// tokio's `test-util` feature is compiled in, tokio's clock *is* std's, inlined.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A timer on the same clock as [`now`].
///
/// # Panics
/// If it is made outside of a tokio runtime, or in one without a timer.
pub(crate) fn sleep_until(deadline: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(tokio::time::Instant::from_std(deadline))
}
