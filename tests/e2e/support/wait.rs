//! Waiting: for conditions, with a limit that only a test that fails meets.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Waker};
use std::time::{Duration, Instant};

/// How long anything may take that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits until the condition holds; `what` is what the failure says.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        while !condition() {
            assert!(began.elapsed() < PATIENCE, "{caller}: {what}: not within {PATIENCE:?}");
            tokio::time::sleep(ms(1)).await;
        }
    }
}

/// What the future gives, which must be soon.
#[track_caller]
pub(crate) fn within<F: Future>(limit: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: not within {limit:?}"),
        }
    }
}

/// Polls a future this often, with a waker that is nobody's and a pause after each; whether it completed.
pub(crate) async fn polled<F: Future + Unpin>(future: &mut F, times: usize) -> bool {
    for _ in 0..times {
        if Pin::new(&mut *future).poll(&mut TaskContext::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}
