//! The layers round every handler of a server, from the outside in:
//!
//! 1. the user's, in the order of the `.layer(…)` calls: the first sees a request first;
//! 2. the service, which decodes the request and calls the user's method.
//!
//! They stand behind the router, so that each layer knows the method.

use std::fmt;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tower::layer::util::Stack as TowerStack;
use tower::{Layer, Service};

use crate::call::service::{CastLayer, call_boxed};
use crate::call::{BoxFuture, Request, Response};
use crate::server::Serve;
use crate::server::handler::{self, Arrived};
use crate::server::room::{Handled, InPlace, Way};
use crate::status::Status;

/// The type of a server's layers: what `.layer(…)` adds to.
pub type Stack<Inner, Outer> = TowerStack<CastLayer<Inner>, Outer>;

/// What a router holds: a service, or its layers.
pub(crate) trait Handle: Send + Sync {
    /// Makes the call and polls its handler once; takes out of the request what it needs.
    fn handle(&self, arrived: &mut Arrived, here: InPlace<'_>) -> Handled;

    /// Makes the call that a layer has passed on.
    fn call(&self, request: Request) -> BoxFuture<Result<Response, Status>>;
}

/// A service behind a common face, so that one stack of layers fits them all.
#[derive(Clone)]
pub struct Handlers(Arc<dyn Handle>);

struct Direct<S>(S);

impl<S: Serve> Handle for Direct<S> {
    #[inline]
    fn handle(&self, arrived: &mut Arrived, here: InPlace<'_>) -> Handled {
        self.0.handle(arrived, Way::InPlace(here))
    }

    fn call(&self, request: Request) -> BoxFuture<Result<Response, Status>> {
        handler::call(&self.0, request)
    }
}

/// A service within layers, which take a request as it is.
struct Outermost<S>(S);

impl<S> Handle for Outermost<S>
where
    S: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    fn handle(&self, arrived: &mut Arrived, here: InPlace<'_>) -> Handled {
        let mut future = call_boxed(&self.0, || arrived.request());
        match future.as_mut().poll(&mut TaskContext::from_waker(here.waker)) {
            Poll::Ready(result) => Handled::Done(result),
            Poll::Pending => Handled::Pending(future),
        }
    }

    fn call(&self, request: Request) -> BoxFuture<Result<Response, Status>> {
        call_boxed(&self.0, || request)
    }
}

impl Handlers {
    pub(crate) fn new(service: impl Serve) -> Self {
        Self(Arc::new(Direct(service)))
    }

    pub(crate) fn into_inner(self) -> Arc<dyn Handle> {
        self.0
    }
}

impl Service<Request> for Handlers {
    type Response = Response;
    type Error = Status;
    type Future = BoxFuture<Result<Response, Status>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.call(request)
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handlers")
    }
}

/// Makes the stack of one service. Without layers there is nothing to erase a second time.
pub(crate) trait Layers: Send + Sync {
    fn wrap(&self, handlers: Handlers) -> Arc<dyn Handle>;
}

/// No layers.
pub(crate) struct Bare;

impl Layers for Bare {
    fn wrap(&self, handlers: Handlers) -> Arc<dyn Handle> {
        handlers.into_inner()
    }
}

/// The user's layers.
pub(crate) struct Layered<L>(pub(crate) L);

impl<L> Layers for Layered<L>
where
    L: Layer<Handlers> + Send + Sync,
    L::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    fn wrap(&self, handlers: Handlers) -> Arc<dyn Handle> {
        Arc::new(Outermost(self.0.layer(handlers)))
    }
}
