//! [`CatchPanic`]: makes a panic below an `INTERNAL` status.
//!
//! A server does this round every handler by itself. The layer is for a channel whose layers may panic, and for a server
//! that has layers which must see the status (counting it, say) and so stand above the panic.
//!
//! ```
//! use rpc_core::Channel;
//! use rpc_core::middleware::CatchPanicLayer;
//!
//! let builder = Channel::builder("localhost:7000").layer(CatchPanicLayer::new());
//! ```

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::call::{Request, Response};
use crate::status::Status;

/// Puts a [`CatchPanic`] over the layers below.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanicLayer(());

impl CatchPanicLayer {
    /// Catches every panic below.
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic(inner)
    }
}

/// Makes a panic below an `INTERNAL` status.
#[derive(Clone, Copy, Debug)]
pub struct CatchPanic<S>(S);

impl<S> Service<Request> for CatchPanic<S>
where
    S: Service<Request, Response = Response, Error = Status>,
{
    type Response = Response;
    type Error = Status;
    type Future = CatchPanicFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let method = request.method().path;
        let inner =
            catch_unwind(AssertUnwindSafe(|| self.0.call(request))).map_err(|panic| caught(method, &*panic));
        let (inner, failed) = match inner {
            Ok(future) => (Some(future), None),
            Err(status) => (None, Some(status)),
        };
        CatchPanicFuture { inner, failed, method }
    }
}

pin_project! {
    /// The future of a [`CatchPanic`].
    #[must_use = "futures do nothing unless polled"]
    pub struct CatchPanicFuture<F> {
        #[pin]
        inner: Option<F>,
        failed: Option<Status>,
        method: &'static str,
    }
}

impl<F: Future<Output = Result<Response, Status>>> Future for CatchPanicFuture<F> {
    type Output = Result<Response, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            let again = || Status::internal("a call was polled after it had panicked");
            return Poll::Ready(Err(this.failed.take().unwrap_or_else(again)));
        };
        match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(Poll::Ready(Ok(response))) if response.is_stream() => {
                Poll::Ready(Ok(guarded(response, this.method)))
            }
            Ok(polled) => polled,
            Err(panic) => Poll::Ready(Err(caught(this.method, &*panic))),
        }
    }
}

/// The same reply, which is a stream: a panic in it ends it with an error.
fn guarded(response: Response, method: &'static str) -> Response {
    response.map_stream(|items| {
        items.around(move |ask, cx| match catch_unwind(AssertUnwindSafe(|| ask(cx))) {
            Ok(item) => item,
            Err(panic) => Poll::Ready(Some(Err(caught(method, &*panic)))),
        })
    })
}

impl<F> fmt::Debug for CatchPanicFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchPanicFuture").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The status of a call that panicked. The panic's words may hold what is no caller's business: they go to the log.
pub(crate) fn caught(method: &'static str, panic: &(dyn Any + Send)) -> Status {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    tracing::error!(method, panic = words, "a call panicked");
    Status::internal(format!("{method} panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::mock::{ONCE, request};
    use crate::status::Code;

    #[derive(Clone)]
    struct Panics {
        at_once: bool,
    }

    impl Service<Request> for Panics {
        type Response = Response;
        type Error = Status;
        type Future = Pin<Box<dyn Future<Output = Result<Response, Status>> + Send>>;

        fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request) -> Self::Future {
            assert!(!self.at_once, "a secret");
            Box::pin(async { panic!("a secret") })
        }
    }

    #[tokio::test]
    async fn a_panic_is_internal_and_keeps_its_words_to_itself() {
        for at_once in [false, true] {
            let mut service = CatchPanicLayer::new().layer(Panics { at_once });
            let status = service.call(request(&ONCE)).await.unwrap_err();
            assert_eq!(status.code(), Code::Internal);
            assert!(!status.message().contains("secret"), "{status}");
        }
    }
}
