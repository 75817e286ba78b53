//! [`from_fn`](from_fn()): a layer that is one async function.
//!
//! It gets the request and the [`Next`] layer. It may change the request, answer in its place, look at what comes back,
//! or run the rest more than once:
//!
//! ```
//! use rpc_core::middleware::{Next, from_fn};
//! use rpc_core::{Request, Response, Server, Status};
//!
//! async fn check_token(request: Request, next: Next) -> Result<Response, Status> {
//!     if request.metadata().get("token") != Some("sesame") {
//!         return Err(Status::unauthenticated("this token opens nothing"));
//!     }
//!     next.run(request).await
//! }
//!
//! let builder = Server::builder().layer(from_fn(check_token));
//! ```
//!
//! What it costs beside a layer that is written out: one box for each call, round what is below. (The shape is axum's
//! `middleware::from_fn`.)

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tower::{Layer, Service};

use crate::call::service::{DynService, erase};
use crate::call::{Request, Response};
use crate::status::Status;

/// A layer that passes each call to this function: `async fn(Request, Next) -> Result<Response, Status>`, or a closure
/// that gives such a future.
///
/// Dropping the call drops the function's future, so what it must do in any case belongs into a guard.
pub fn from_fn<F, Fut>(function: F) -> FromFnLayer<F>
where
    F: Fn(Request, Next) -> Fut,
    Fut: Future<Output = Result<Response, Status>> + Send + 'static,
{
    FromFnLayer(function)
}

/// What [`from_fn`](from_fn()) makes: puts a [`FromFn`] over the layers below.
#[derive(Clone, Copy)]
pub struct FromFnLayer<F>(F);

impl<S, F: Clone> Layer<S> for FromFnLayer<F>
where
    S: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    type Service = FromFn<F>;

    fn layer(&self, inner: S) -> FromFn<F> {
        FromFn { function: self.0.clone(), next: Next(erase(inner)) }
    }
}

/// Passes each call to a function.
#[derive(Clone)]
pub struct FromFn<F> {
    function: F,
    next: Next,
}

impl<F, Fut> Service<Request> for FromFn<F>
where
    F: Fn(Request, Next) -> Fut,
    Fut: Future<Output = Result<Response, Status>> + Send + 'static,
{
    type Response = Response;
    type Error = Status;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Fut {
        (self.function)(request, self.next.clone())
    }
}

/// The layers below: what a function of [`from_fn`](from_fn()) passes its request on to.
#[derive(Clone)]
pub struct Next(Arc<dyn DynService>);

impl Next {
    /// Passes the request on, and gives what comes back.
    ///
    /// # Errors
    /// What the layers below gave, or the handler, or the server.
    ///
    /// # Cancel safety
    /// Dropping the future ends the call.
    pub async fn run(&self, mut request: Request) -> Result<Response, Status> {
        let call = self.0.call(&mut request);
        drop(request);
        call.await
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

impl<F> fmt::Debug for FromFnLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromFnLayer").field(&std::any::type_name::<F>()).finish()
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromFn").field(&std::any::type_name::<F>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::mock::{ONCE, Script, request};
    use crate::status::Code;

    #[tokio::test]
    async fn a_function_changes_the_request_and_the_reply() {
        async fn number(mut request: Request, next: Next) -> Result<Response, Status> {
            request.set_attempt(7);
            let mut response = next.run(request).await?;
            response.metadata_mut().insert("seen", "yes")?;
            Ok(response)
        }
        let script = Script::new(vec![Ok(Response::new("reply"))]);
        let response = from_fn(number).layer(script.clone()).call(request(&ONCE)).await.unwrap();
        assert_eq!((&response.body()[..], response.metadata().get("seen")), (&b"reply"[..], Some("yes")));
        assert_eq!(script.attempts(), [(7, true)]);
    }

    #[tokio::test]
    async fn a_function_that_answers_itself_asks_nobody() {
        let script = Script::hangs();
        let layer = from_fn(|_, _| async { Err(Status::unauthenticated("no")) });
        let status = layer.layer(script.clone()).call(request(&ONCE)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(script.attempts(), []);
    }

    #[tokio::test]
    async fn a_function_may_run_the_rest_again() {
        let script = Script::new(vec![Err(Status::unavailable("one")), Ok(Response::new("two"))]);
        let layer = from_fn(async |request: Request, next: Next| match next.run(request.clone()).await {
            Err(_) => next.run(request).await,
            done => done,
        });
        let response = layer.layer(script.clone()).call(request(&ONCE)).await.unwrap();
        assert_eq!(&response.body()[..], b"two");
        assert_eq!(script.attempts().len(), 2);
    }
}
