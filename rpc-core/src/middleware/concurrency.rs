//! [`ConcurrencyLimit`]: lets so many calls run at once, and so many wait.
//!
//! One limit holds for everything that one layer was put over: all services of a server, all clones of a channel. Calls
//! that wait are let in in order of arrival; they wait inside of their future, where the deadline sees it, and give up
//! their place when they are dropped. A call whose reply is a stream runs until the stream has ended. More than may wait are refused at once with `RESOURCE_EXHAUSTED`: not sent at a
//! client, not executed at a server, so that a retry may take them elsewhere.
//!
//! ```
//! use rpc_core::Server;
//! use rpc_core::middleware::ConcurrencyLimitLayer;
//!
//! let builder = Server::builder().layer(ConcurrencyLimitLayer::new(256).with_queue(1_024));
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll, ready};

use pin_project_lite::pin_project;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use crate::call::{BoxFuture, Request, Response};
use crate::status::{Certainty, Status};

/// Puts a [`ConcurrencyLimit`] over the layers below.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimitLayer(Arc<Limit>);

#[derive(Debug)]
struct Limit {
    permits: Arc<Semaphore>,
    max: usize,
    /// How many may wait.
    queue: usize,
    waiting: AtomicUsize,
}

impl ConcurrencyLimitLayer {
    /// Lets this many calls run at once, at least one; as many again may wait.
    pub fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Limit {
            permits: Arc::new(Semaphore::new(max)),
            max,
            queue: max,
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Lets this many calls wait, in place of as many as may run. The limit begins anew: calls that run already do not
    /// count.
    #[must_use]
    pub fn with_queue(self, queue: usize) -> Self {
        let Self(limit) = Self::new(self.0.max);
        let Limit { permits, max, .. } = &*limit;
        Self(Arc::new(Limit { permits: permits.clone(), max: *max, queue, waiting: AtomicUsize::new(0) }))
    }
}

impl<S> Layer<S> for ConcurrencyLimitLayer {
    type Service = ConcurrencyLimit<S>;

    fn layer(&self, inner: S) -> ConcurrencyLimit<S> {
        ConcurrencyLimit { inner, limit: self.0.clone() }
    }
}

/// Lets so many calls run at once, and so many wait.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit<S> {
    inner: S,
    limit: Arc<Limit>,
}

impl<S> Service<Request> for ConcurrencyLimit<S>
where
    S: Service<Request, Response = Response, Error = Status> + Clone,
{
    type Response = Response;
    type Error = Status;
    type Future = ConcurrencyLimitFuture<S>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Ok(permit) = self.limit.permits.clone().try_acquire_owned() {
            return ConcurrencyLimitFuture::Running {
                future: self.inner.call(request),
                permit: Some(permit),
            };
        }
        let place = Place::take(&self.limit);
        match place {
            Some(place) => ConcurrencyLimitFuture::Waiting {
                acquire: Box::pin(self.limit.permits.clone().acquire_owned()),
                place: Some(place),
                call: Some(Box::new((self.inner.clone(), request))),
            },
            None => ConcurrencyLimitFuture::Refused { max: self.limit.max, queue: self.limit.queue },
        }
    }
}

/// A place in the queue; given back when it is dropped.
#[derive(Debug)]
struct Place(Arc<Limit>);

impl Place {
    fn take(limit: &Arc<Limit>) -> Option<Self> {
        let took = limit.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < limit.queue).then_some(waiting + 1)
        });
        took.ok().map(|_| Self(limit.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The future of a [`ConcurrencyLimit`].
    #[project = Projection]
    #[must_use = "futures do nothing unless polled"]
    #[allow(missing_docs, private_interfaces)]
    pub enum ConcurrencyLimitFuture<S>
    where
        S: Service<Request>,
    {
        /// Waits for its turn.
        Waiting {
            acquire: BoxFuture<Result<OwnedSemaphorePermit, AcquireError>>,
            place: Option<Place>,
            call: Option<Box<(S, Request)>>,
        },
        /// Runs.
        Running { #[pin] future: S::Future, permit: Option<OwnedSemaphorePermit> },
        /// May not even wait.
        Refused { max: usize, queue: usize },
    }
}

impl<S> Future for ConcurrencyLimitFuture<S>
where
    S: Service<Request, Response = Response, Error = Status>,
{
    type Output = Result<Response, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        loop {
            let (future, permit) = match self.as_mut().project() {
                Projection::Running { future, permit } => {
                    let response = ready!(future.poll(cx));
                    // A stream runs until its end.
                    return Poll::Ready(
                        match permit.take_if(|_| matches!(&response, Ok(ok) if ok.is_stream())) {
                            Some(permit) => response.map(|response| response.holding(permit)),
                            None => response,
                        },
                    );
                }
                Projection::Refused { max, queue } => {
                    let words = format!("{max} calls are running and {queue} are waiting: no more are taken");
                    return Poll::Ready(Err(
                        Status::resource_exhausted(words).with_certainty(Certainty::NotSent)
                    ));
                }
                Projection::Waiting { acquire, place, call } => {
                    let permit = ready!(acquire.as_mut().poll(cx));
                    *place = None;
                    match (permit, call.take()) {
                        (Ok(permit), Some(call)) => {
                            let (mut service, request) = *call;
                            (service.call(request), permit)
                        }
                        // The semaphore is never closed, and a call has one turn.
                        _ => return Poll::Ready(Err(Status::internal("a call lost its place in the queue"))),
                    }
                }
            };
            self.set(Self::Running { future, permit: Some(permit) });
        }
    }
}

impl<S: Service<Request>> fmt::Debug for ConcurrencyLimitFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting { .. } => "ConcurrencyLimitFuture::Waiting",
            Self::Running { .. } => "ConcurrencyLimitFuture::Running",
            Self::Refused { .. } => "ConcurrencyLimitFuture::Refused",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::mock::{ONCE, Script, request};
    use crate::status::Code;
    use std::future::poll_fn;

    async fn pending<F: Future + Unpin>(future: &mut F) -> bool {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn one_runs_one_waits_and_one_is_refused() {
        let script = Script::hangs();
        let mut service = ConcurrencyLimitLayer::new(1).layer(script.clone());
        let mut first = Box::pin(service.call(request(&ONCE)));
        let mut second = Box::pin(service.call(request(&ONCE)));
        assert!(pending(&mut first).await && pending(&mut second).await);
        assert_eq!(script.attempts().len(), 1);

        let refused = service.call(request(&ONCE)).await.unwrap_err();
        assert_eq!((refused.code(), refused.certainty()), (Code::ResourceExhausted, Certainty::NotSent));

        drop(first);
        assert!(pending(&mut second).await);
        assert_eq!(script.attempts().len(), 2);
    }

    #[tokio::test]
    async fn a_call_that_gives_up_waiting_leaves_its_place() {
        let mut service = ConcurrencyLimitLayer::new(1).with_queue(1).layer(Script::hangs());
        let mut first = Box::pin(service.call(request(&ONCE)));
        assert!(pending(&mut first).await);
        for _ in 0..3 {
            let mut waiting = Box::pin(service.call(request(&ONCE)));
            assert!(pending(&mut waiting).await);
        }
        drop(first);
        assert_eq!(service.limit.permits.available_permits(), 1);
        assert_eq!(service.limit.waiting.load(Ordering::Relaxed), 0);
    }
}
