//! [`Timeout`]: gives each call no more than so much time.
//!
//! It moves the deadline of the request, so that whatever is below knows of it: the server on the other side, or the
//! handler and the calls that it makes. And it keeps that deadline itself, for what is below and does not look.
//!
//! A reply that is a stream has to end in that time, too.
//!
//! On a channel the timeout of the builder does the same for all calls; this layer is for a stack in which one part
//! may take less time than the whole, below a retry for instance: then it limits each attempt.
//!
//! ```
//! use std::time::Duration;
//! use rpc_core::Server;
//! use rpc_core::middleware::TimeoutLayer;
//!
//! // However long a caller would wait, no handler of this server runs for more than five seconds.
//! let builder = Server::builder().layer(TimeoutLayer::new(Duration::from_secs(5)));
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::call::request::{Deadline, Source};
use crate::call::wait::{Alarm, Cover, will_not_wake, will_wake_at};
use crate::call::{MethodDescriptor, Request, Response};
use crate::context::now;
use crate::status::Status;

/// Puts a [`Timeout`] over the layers below.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer(Duration);

impl TimeoutLayer {
    /// Gives each call this much time at most.
    pub fn new(limit: Duration) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, limit: self.0 }
    }
}

/// Gives each call no more than so much time.
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

impl<S> Service<Request> for Timeout<S>
where
    S: Service<Request, Response = Response, Error = Status>,
{
    type Response = Response;
    type Error = Status;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, mut request: Request) -> Self::Future {
        let kept = if self.is_kept_above(&request) { None } else { self.limit(&mut request) };
        TimeoutFuture { inner: self.inner.call(request), kept }
    }
}

impl<S> Timeout<S> {
    /// Whether the call has less time than this layer gives it, and somebody above keeps that: the call itself, or at a
    /// server the connection. Then there is nothing to do, not even a look at the clock.
    #[inline]
    fn is_kept_above(&self, request: &Request) -> bool {
        request.deadline.is_some_and(|deadline| {
            // A layer may set a deadline and leave it to those below to keep it.
            !matches!(deadline.source, Source::Layer)
                // The time began to run before now.
                && deadline.since.checked_add(self.limit).is_none_or(|at| deadline.at <= at)
        })
    }

    /// Moves the deadline; what is to be kept then.
    #[inline(never)]
    fn limit(&self, request: &mut Request) -> Option<Kept> {
        // A limit beyond the end of time is none.
        if let Some(at) = now().checked_add(self.limit) {
            request.limit_deadline(at);
            // At a client nothing runs in the request's context: it is the caller's, whatever time the call has.
            if request.is_incoming() && request.context().deadline().is_none_or(|nearer| at < nearer) {
                let context = request.context().with_deadline(at);
                request.set_context(context);
            }
        }
        let (deadline, method) = (request.deadline?, request.method());
        Some(Kept { deadline, method, alarm: Alarm::default() })
    }
}

/// A deadline that is kept here.
struct Kept {
    deadline: Deadline,
    method: &'static MethodDescriptor,
    alarm: Alarm,
}

impl Drop for Kept {
    fn drop(&mut self) {
        will_not_wake();
    }
}

pin_project! {
    /// The future of a [`Timeout`].
    #[must_use = "futures do nothing unless polled"]
    pub struct TimeoutFuture<F> {
        #[pin]
        inner: F,
        // `None` if there is nothing to keep here.
        kept: Option<Kept>,
    }
}

impl<F: Future<Output = Result<Response, Status>>> Future for TimeoutFuture<F> {
    type Output = Result<Response, Status>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(Kept { deadline, method, alarm }) = this.kept else { return this.inner.poll(cx) };
        let cover = Cover::begin();
        let polled = this.inner.poll(cx);
        let covered = cover.end();
        match polled {
            Poll::Pending if alarm.rings(deadline.at, covered, cx) => {
                Poll::Ready(Err(deadline.status(method.path)))
            }
            Poll::Pending => {
                // Whoever is above need not wake the task for a deadline that is this one, or later.
                will_wake_at(Some(deadline.at));
                Poll::Pending
            }
            Poll::Ready(Ok(response)) if response.is_stream() => {
                Poll::Ready(Ok(limited(response, *deadline, method.path)))
            }
            ready => ready,
        }
    }
}

/// The same reply, which is a stream: it ends with an error at the deadline.
fn limited(response: Response, deadline: Deadline, path: &'static str) -> Response {
    response.map_stream(|items| {
        let mut alarm = Alarm::default();
        items.around(move |ask, cx| match ask(cx) {
            Poll::Pending if alarm.rings(deadline.at, None, cx) => {
                Poll::Ready(Some(Err(deadline.status(path))))
            }
            // One that always has an item is stopped as well.
            Poll::Ready(Some(Ok(_))) if deadline.at <= now() => Poll::Ready(Some(Err(deadline.status(path)))),
            item => item,
        })
    })
}

impl<F> fmt::Debug for TimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deadline = self.kept.as_ref().map(|kept| kept.deadline.at);
        f.debug_struct("TimeoutFuture").field("deadline", &deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::mock::{ONCE, Script, request};
    use crate::status::Code;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_never_answers_is_cut_off_in_time() {
        let before = now();
        let mut service = TimeoutLayer::new(Duration::from_millis(30)).layer(Script::hangs());
        let status = service.call(request(&ONCE)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("30.0ms (limit set by the layer)"), "{status}");
        assert_eq!(now() - before, Duration::from_millis(30));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_below_knows_the_deadline_and_a_nearer_one_stays() {
        let script = Script::new(vec![Ok(Response::default()), Ok(Response::default())]);
        let mut service = TimeoutLayer::new(Duration::from_secs(5)).layer(script.clone());
        service.call(request(&ONCE)).await.unwrap();
        let mut near = request(&ONCE);
        near.limit_deadline(now() + Duration::from_secs(1));
        service.call(near).await.unwrap();
        let left: Vec<_> =
            script.deadlines().into_iter().map(|at| at.map(|at| (at - now()).as_secs())).collect();
        assert_eq!(left, [Some(5), Some(1)]);
    }
}
