//! [`Retry`]: tries again what may be tried again.
//!
//! A call can fail after its work was done, so trying again is a question of what is known:
//!
//! | the error says | it is tried again |
//! |---|---|
//! | not sent, or not executed | always: nobody has run it |
//! | unknown, `UNAVAILABLE` | only if the method is `#[rpc(idempotent)]` |
//! | unknown or executed, `DEADLINE_EXCEEDED` | the same, while the call itself has time left |
//! | anything else | never: the server has decided |
//!
//! All attempts share the call's deadline, and once that has passed there is none. `DEADLINE_EXCEEDED` before it is the
//! end of one attempt: a [`Timeout`](crate::middleware::Timeout) below this layer gives each its share, so that a server
//! that hangs is left for another (gRPC and Envoy call it per-try timeout).
//!
//! Between two attempts the call waits, twice as long each time, by full jitter (a random part of it: callers that failed
//! together must not come back together; the AWS Architecture Blog's "Exponential Backoff and Jitter"). A server that
//! names a wait is given it. If the wait would reach past the deadline the call fails at once with the last error: there
//! is no use in sleeping to the deadline.
//!
//! A call with streams is repeated only as long as nothing has streamed: once an item of its request was asked for, or its
//! reply has begun, what comes of it is final.
//!
//! One layer retries. Each attempt but the first carries the retry bit, and where the bit is set, be it by a layer above
//! or by a hop before this one, this layer lets the call pass: without that, three layers of three attempts each would
//! make twenty-seven calls of one (Kitex calls it chain stop).
//!
//! ```
//! use std::time::Duration;
//! use rpc_core::middleware::{RetryLayer, retry::Policy};
//!
//! let layer = RetryLayer::new(Policy { attempts: 5, base: Duration::from_millis(10), ..Policy::default() });
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use crate::call::request::Upload;
use crate::call::{Request, Response};
use crate::context::{now, sleep_until};
use crate::status::{Certainty, Code, Status};

/// How often, and after which waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all, the first included. Default 3; 0 counts as 1.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles for each further one. Default 25 ms.
    pub base: Duration,
    /// The longest wait of all. Default 250 ms.
    pub max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { attempts: 3, base: Duration::from_millis(25), max: Duration::from_millis(250) }
    }
}

impl Policy {
    /// Whether a call that failed like this, and whose own deadline has not passed, may be tried again.
    pub fn may_retry(&self, status: &Status, idempotent: bool) -> bool {
        match status.certainty() {
            // Given up: however safe it would be, nobody waits for it any more. A request that is wrong does not get
            // better.
            Certainty::NotSent | Certainty::NotExecuted => matches!(
                status.code(),
                Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::DeadlineExceeded
            ),
            Certainty::Unknown => {
                idempotent && matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
            }
            // A server that hangs may find sooner than we do that the attempt's time is up: that is no decision of it.
            Certainty::Executed => idempotent && status.code() == Code::DeadlineExceeded,
        }
    }

    /// How long to wait after this many attempts; `random` is between 0 and 1.
    pub fn wait(&self, attempts: u32, random: f64) -> Duration {
        let doubled =
            self.base.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.max).mul_f64(random.clamp(0.0, 1.0))
    }

    /// When the next attempt is to be made, if one is.
    fn next(&self, status: &Status, request: &Request, made: u32, at: Instant) -> Option<Instant> {
        // What has begun to stream cannot be repeated: its items are gone.
        if made >= self.attempts
            || !request.is_whole()
            || !self.may_retry(status, request.method().idempotent)
        {
            return None;
        }
        let wait = status.retry_after().unwrap_or_else(|| self.wait(made, fastrand::f64()));
        let next = at.checked_add(wait)?;
        request.deadline().is_none_or(|deadline| next < deadline).then_some(next)
    }
}

/// Puts a [`Retry`] over the layers below.
#[derive(Clone, Copy, Debug)]
pub struct RetryLayer(Policy);

impl RetryLayer {
    /// Retries by this policy.
    pub fn new(policy: Policy) -> Self {
        Self(policy)
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, policy: self.0 }
    }
}

/// Tries again what may be tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retry<S> {
    inner: S,
    policy: Policy,
}

impl<S> Service<Request> for Retry<S>
where
    S: Service<Request, Response = Response, Error = Status> + Clone,
{
    type Response = Response;
    type Error = Status;
    type Future = RetryFuture<S>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    // All that is kept is made in one straight way, and so written where it is to lie.
    #[inline(always)]
    fn call(&mut self, request: Request) -> RetryFuture<S> {
        let service = self.inner.clone();
        let (request, kept) = request.doubled();
        let again = Again { policy: self.policy, service, request: kept };
        RetryFuture { again, state: State::Calling { future: self.inner.call(request) } }
    }
}

/// What a further attempt needs.
#[derive(Debug)]
struct Again<S> {
    request: Request,
    service: S,
    policy: Policy,
}

pin_project! {
    /// The future of a [`Retry`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryFuture<S>
    where
        S: Service<Request>,
    {
        again: Again<S>,
        #[pin]
        state: State<S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Calling { #[pin] future: F },
        Waiting { timer: Pin<Box<Sleep>> },
    }
}

impl<S> Future for RetryFuture<S>
where
    S: Service<Request, Response = Response, Error = Status> + Clone,
{
    type Output = Result<Response, Status>;

    // Only what every poll does is here, so that little is set up for it.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let StateProjection::Calling { future } = self.as_mut().project().state.project() else {
            return self.go_on(None, cx);
        };
        // Each end by its name, so that a reply is moved once for all layers, and nothing is where there is none.
        match future.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(status)) => self.go_on(Some(status), cx),
        }
    }
}

impl<S> RetryFuture<S>
where
    S: Service<Request, Response = Response, Error = Status> + Clone,
{
    /// After an attempt that failed.
    #[cold]
    fn go_on(
        self: Pin<&mut Self>,
        mut failed: Option<Status>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Response, Status>> {
        let mut this = self.project();
        loop {
            if let Some(status) = failed.take() {
                match this.again.after(&status) {
                    Some(timer) => this.state.set(State::Waiting { timer }),
                    None => return Poll::Ready(Err(status)),
                }
            }
            match this.state.as_mut().project() {
                StateProjection::Waiting { timer } => {
                    ready!(timer.as_mut().poll(cx));
                    let future = this.again.call();
                    this.state.set(State::Calling { future });
                }
                StateProjection::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(response) => return Poll::Ready(Ok(response)),
                    Err(status) => failed = Some(status),
                },
            }
        }
    }
}

impl<S> Again<S> {
    /// The attempts made: the request that is kept knows how many came before.
    fn made(&self) -> u32 {
        self.request.attempt().saturating_add(1)
    }
}

impl<S: Service<Request> + Clone> Again<S> {
    /// The wait for the next attempt, if there is one after this error.
    #[cold]
    fn after(&mut self, status: &Status) -> Option<Pin<Box<Sleep>>> {
        if let Some(server) = status.origin() {
            self.request.add_tried(server);
        }
        if self.request.is_retry() {
            // Whoever is trying again is above.
            return None;
        }
        if self.request.stream().is_some_and(Upload::is_changed) {
            // A layer below has made others of its items: a further attempt would make others of those.
            return None;
        }
        let at = self.policy.next(status, &self.request, self.made(), now())?;
        Some(Box::pin(sleep_until(at)))
    }

    /// Makes the next attempt.
    #[cold]
    fn call(&mut self) -> S::Future {
        self.request.marks.attempt = self.made();
        let mut request = self.request.clone();
        request.set_attempt(self.request.attempt());
        // Layers of ours are always ready: they wait inside of their futures. A clone, so that nothing stands in a line for
        // an attempt that is over.
        self.service.clone().call(request)
    }
}

impl<S: Service<Request>> std::fmt::Debug for RetryFuture<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetryFuture").field("attempts", &self.again.made()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tower::service_fn;

    use super::*;
    use crate::middleware::TimeoutLayer;
    use crate::middleware::mock::{IDEMPOTENT, ONCE, Script, request};

    fn unavailable(certainty: Certainty) -> Result<Response, Status> {
        Err(Status::unavailable("gone").with_certainty(certainty))
    }

    async fn run(policy: Policy, request: Request, answers: Vec<Result<Response, Status>>) -> (Script, bool) {
        let script = Script::new(answers);
        let result = RetryLayer::new(policy).layer(script.clone()).call(request).await;
        (script, result.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_has_run_is_tried_again_whatever_the_method() {
        for certainty in [Certainty::NotSent, Certainty::NotExecuted] {
            let answers = vec![unavailable(certainty), unavailable(certainty), Ok(Response::default())];
            let (script, ok) = run(Policy::default(), request(&ONCE), answers).await;
            assert!(ok);
            assert_eq!(script.attempts(), [(0, false), (1, true), (2, true)]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_run_is_tried_again_only_if_it_is_idempotent() {
        let answers = || vec![unavailable(Certainty::Unknown), Ok(Response::default())];
        let (script, ok) = run(Policy::default(), request(&ONCE), answers()).await;
        assert!(!ok && script.attempts().len() == 1);
        let (script, ok) = run(Policy::default(), request(&IDEMPOTENT), answers()).await;
        assert!(ok && script.attempts().len() == 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_decided_is_final() {
        for code in Code::ALL.into_iter().filter(|code| *code != Code::DeadlineExceeded) {
            let status = Status::new(code, "").with_certainty(Certainty::Executed);
            let (script, ok) = run(Policy::default(), request(&IDEMPOTENT), vec![Err(status)]).await;
            assert!(!ok && script.attempts().len() == 1, "{code}");
        }
        let wrong = Status::invalid_argument("").with_certainty(Certainty::NotExecuted);
        let (script, _) = run(Policy::default(), request(&IDEMPOTENT), vec![Err(wrong)]).await;
        assert_eq!(script.attempts().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_run_out() {
        let answers = (0..3).map(|_| unavailable(Certainty::NotSent)).collect();
        let (script, ok) = run(Policy::default(), request(&IDEMPOTENT), answers).await;
        assert!(!ok && script.attempts().len() == 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_from_above_is_not_tried_again() {
        let mut request = request(&IDEMPOTENT);
        request.set_attempt(1);
        let (script, ok) = run(Policy::default(), request, vec![unavailable(Certainty::NotSent)]).await;
        assert!(!ok && script.attempts().len() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_past_the_deadline_is_not_begun() {
        let mut request = request(&IDEMPOTENT);
        request.limit_deadline(now() + Duration::from_millis(500));
        let slow = Status::unavailable("later")
            .with_certainty(Certainty::NotExecuted)
            .with_retry_after(Duration::from_secs(1));
        let before = now();
        let (script, ok) = run(Policy::default(), request, vec![Err(slow)]).await;
        assert!(!ok && script.attempts().len() == 1);
        assert_eq!(now(), before);
    }

    /// Passes a call to what hangs once and then answers, with this long for each attempt: the result, and the attempts.
    async fn hung_once(request: Request, each: Duration) -> (Result<Response, Status>, u32) {
        let attempts = Arc::new(AtomicU32::new(0));
        let count = attempts.clone();
        let hangs_once = service_fn(move |_: Request| {
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { std::future::pending().await } else { Ok(Response::default()) } }
        });
        let service = TimeoutLayer::new(each).layer(hangs_once);
        let result = RetryLayer::new(Policy::default()).layer(service).call(request).await;
        (result, attempts.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_ran_out_of_its_own_time_is_tried_again_if_the_method_is_idempotent() {
        let each = Duration::from_millis(100);
        let mut call = request(&IDEMPOTENT);
        call.limit_deadline(now() + Duration::from_secs(1));
        let (result, attempts) = hung_once(call, each).await;
        assert!(result.is_ok() && attempts == 2);
        let (result, attempts) = hung_once(request(&ONCE), each).await;
        assert!(result.unwrap_err().code() == Code::DeadlineExceeded && attempts == 1);

        // The server may be the first to say so.
        let late = || Status::deadline_exceeded("").with_certainty(Certainty::Executed);
        let answers = || vec![Err(late()), Ok(Response::default())];
        assert!(run(Policy::default(), request(&IDEMPOTENT), answers()).await.1);
        assert!(!run(Policy::default(), request(&ONCE), answers()).await.1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_ran_out_of_time_is_not_tried_again() {
        let mut call = request(&IDEMPOTENT);
        call.limit_deadline(now() + Duration::from_millis(50));
        let before = now();
        let (result, attempts) = hung_once(call, Duration::from_millis(100)).await;
        assert!(result.unwrap_err().code() == Code::DeadlineExceeded && attempts == 1);
        assert_eq!(now() - before, Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_names_a_wait_is_given_it() {
        let slow = Status::resource_exhausted("later")
            .with_certainty(Certainty::NotExecuted)
            .with_retry_after(Duration::from_secs(3));
        let before = now();
        let (_, ok) = run(Policy::default(), request(&ONCE), vec![Err(slow), Ok(Response::default())]).await;
        assert!(ok && now() - before >= Duration::from_secs(3));
    }

    #[test]
    fn waits_double_up_to_the_maximum() {
        let policy = Policy::default();
        let millis = |made| policy.wait(made, 1.0).as_millis();
        assert_eq!([millis(1), millis(2), millis(3), millis(4), millis(5)], [25, 50, 100, 200, 250]);
        assert_eq!(millis(u32::MAX), 250);
        assert_eq!(policy.wait(3, 0.0), Duration::ZERO);
    }
}
