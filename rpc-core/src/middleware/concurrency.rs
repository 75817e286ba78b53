//! [`ConcurrencyLimit`]: lets so many calls run at once, and so many wait.
//!
//! One limit holds for everything that one layer was put over: all services of a server, all clones of a channel. Calls
//! that wait are let in in order of arrival; they wait inside of their future, where the deadline sees it, and give up
//! their place when they are dropped. A call whose reply is a stream runs until the stream has ended. More than may wait
//! are refused at once with `RESOURCE_EXHAUSTED`: not sent at a client, not executed at a server, so that a retry may
//! take them elsewhere.
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
use std::task::{Context as TaskContext, Poll, ready};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::call::{Request, Response};
use crate::middleware::gate::{Entry, Gate, Permit, Queued};
use crate::status::{Certainty, Status};

/// Puts a [`ConcurrencyLimit`] over the layers below.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimitLayer(Arc<Gate>);

impl ConcurrencyLimitLayer {
    /// Lets this many calls run at once, at least one; as many again may wait.
    pub fn new(max: usize) -> Self {
        let max = max.max(1);
        Self(Gate::new(max, max))
    }

    /// Lets this many calls wait, in place of as many as may run. The limit begins anew: calls that run already do not
    /// count.
    #[must_use]
    pub fn with_queue(self, queue: usize) -> Self {
        Self(Gate::new(self.0.max, queue))
    }
}

impl<S> Layer<S> for ConcurrencyLimitLayer {
    type Service = ConcurrencyLimit<S>;

    fn layer(&self, inner: S) -> ConcurrencyLimit<S> {
        ConcurrencyLimit { inner, gate: self.0.clone() }
    }
}

/// Lets so many calls run at once, and so many wait.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit<S> {
    inner: S,
    gate: Arc<Gate>,
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

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let state = match self.gate.enter() {
            Entry::Entered(permit) => {
                State::Running { future: self.inner.call(request), permit: Some(permit) }
            }
            Entry::Queued(queued) => {
                State::Waiting { queued, call: Some(Box::new((self.inner.clone(), request))) }
            }
            Entry::Refused => State::Refused { max: self.gate.max, queue: self.gate.queue },
        };
        ConcurrencyLimitFuture { state }
    }
}

pin_project! {
    /// The future of a [`ConcurrencyLimit`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ConcurrencyLimitFuture<S>
    where
        S: Service<Request>,
    {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        // In line.
        Waiting { queued: Queued, call: Option<Box<(S, Request)>> },
        Running { #[pin] future: F, permit: Option<Permit> },
        // There was no room in the line.
        Refused { max: usize, queue: usize },
    }
}

impl<S> Future for ConcurrencyLimitFuture<S>
where
    S: Service<Request, Response = Response, Error = Status>,
{
    type Output = Result<Response, Status>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let (future, permit) = match state.as_mut().project() {
                StateProjection::Running { future, permit } => {
                    return poll_running(future, permit, cx);
                }
                StateProjection::Refused { max, queue } => {
                    let words = format!("{max} calls are running and {queue} are waiting: no more are taken");
                    return Poll::Ready(Err(
                        Status::resource_exhausted(words).with_certainty(Certainty::NotSent)
                    ));
                }
                StateProjection::Waiting { queued, call } => {
                    let permit = ready!(Pin::new(queued).poll(cx));
                    let Some(call) = call.take() else {
                        return Poll::Ready(Err(Status::internal("a call was let in twice")));
                    };
                    let (mut service, request) = *call;
                    (service.call(request), permit)
                }
            };
            state.set(State::Running { future, permit: Some(permit) });
        }
    }
}

#[inline]
fn poll_running<F: Future<Output = Result<Response, Status>>>(
    future: Pin<&mut F>,
    permit: &mut Option<Permit>,
    cx: &mut TaskContext<'_>,
) -> Poll<F::Output> {
    // Looked at where it lies: a reply that is passed on as it is should not be moved for that.
    let mut polled = future.poll(cx);
    if let Poll::Ready(Ok(response)) = &mut polled
        && response.is_stream()
    {
        // A stream runs until its end.
        *response = std::mem::take(response).holding(permit.take());
    }
    polled
}

impl<S: Service<Request>> fmt::Debug for ConcurrencyLimitFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConcurrencyLimitFuture")
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
        assert_eq!(service.gate.counts(), (0, 0));
    }
}
