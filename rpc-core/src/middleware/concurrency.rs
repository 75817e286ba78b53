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
use crate::middleware::gate::{Gate, Permit, Queued};
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

    #[inline(always)]
    fn call(&mut self, request: Request) -> Self::Future {
        let state = match self.gate.enter() {
            Some(permit) => State::Running { future: self.inner.call(request), permit: Some(permit) },
            None => State::Outside { waits: self.queue_up(request) },
        };
        ConcurrencyLimitFuture { state }
    }
}

impl<S: Service<Request> + Clone> ConcurrencyLimit<S> {
    #[cold]
    fn queue_up(&self, request: Request) -> Outside<S> {
        let queued = self.gate.queue_up().ok_or_else(|| {
            let Gate { max, queue, .. } = *self.gate;
            let words = format!("{max} calls are running and {queue} are waiting: no more are taken");
            Status::resource_exhausted(words).with_certainty(Certainty::NotSent)
        });
        Some(Box::new(queued.map(|queued| (queued, self.inner.clone(), request))))
    }
}

/// A call that could not begin at once: one that waits in line with what it needs to begin, or the error of one that may
/// not. `None` when it has come to its end.
type Outside<S> = Option<Box<Result<(Queued, S, Request), Status>>>;

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
        Running { #[pin] future: F, permit: Option<Permit> },
        Outside { waits: Outside<S> },
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
        if let StateProjection::Outside { waits } = state.as_mut().project() {
            match ready!(begin(waits, cx)) {
                Ok((future, permit)) => state.set(State::Running { future, permit: Some(permit) }),
                Err(status) => return Poll::Ready(Err(status)),
            }
        }
        let StateProjection::Running { future, permit } = state.project() else { return Poll::Pending };
        // Each end by its name, so that a reply is moved once for all layers, and nothing is where there is none.
        match future.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) if response.is_stream() => hold(response, permit.take()),
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(status)) => Poll::Ready(Err(status)),
        }
    }
}

/// Begins the call as soon as it is let in.
#[cold]
fn begin<S: Service<Request>>(
    waits: &mut Outside<S>,
    cx: &mut TaskContext<'_>,
) -> Poll<Result<(S::Future, Permit), Status>> {
    let permit = match waits.as_deref_mut() {
        Some(Ok((queued, ..))) => Some(ready!(Pin::new(queued).poll(cx))),
        _ => None,
    };
    Poll::Ready(match (waits.take().map(|waits| *waits), permit) {
        (Some(Ok((_, mut service, request))), Some(permit)) => Ok((service.call(request), permit)),
        (Some(Err(status)), _) => Err(status),
        _ => Err(Status::internal("a call was let in twice")),
    })
}

/// A stream runs until its end.
#[cold]
fn hold(response: Response, permit: Option<Permit>) -> Poll<Result<Response, Status>> {
    Poll::Ready(Ok(response.holding(permit)))
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
