//! The layers that every call of a channel passes, from the outside in:
//!
//! 1. the user's, in the order of the `.layer(…)` calls: the first sees a request first;
//! 2. the destination, which chooses a server, waits for a connection and puts the call on it.
//!
//! The deadline is kept outside of all of them, by the call itself ([`Call`](crate::client::Call)), so that waiting
//! anywhere below counts. Each layer stands within a [`Cast`](crate::call::service::Cast): its errors become statuses,
//! and it is waited for inside of the returned future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use tower::layer::util::Stack as TowerStack;
use tower::{Layer, Service};

use crate::call::service::{CastLayer, DynService, erase};
use crate::call::{BoxFuture, Request, Response};
use crate::client::destination::Destination;
use crate::client::exchange::EndpointCall;
use crate::status::Status;

/// The type of a channel's layers: what `.layer(…)` adds to.
pub type Stack<Inner, Outer> = TowerStack<CastLayer<Inner>, Outer>;

/// What a channel's calls go through.
pub(crate) enum Calls {
    /// No layers of the user's: the type is known, and its future needs no box.
    Bare(Destination),
    Layered(Arc<dyn DynService>),
}

/// A call on its way through the stack.
#[expect(
    clippy::large_enum_variant,
    reason = "the common one is the large one, and is to need no allocation"
)]
pub(crate) enum StackCall {
    Bare(EndpointCall),
    Layered(BoxFuture<Result<Response, Status>>),
    /// Given up.
    Ended,
}

/// Puts the layers over the destination, and erases the result once.
pub(crate) fn stack<L>(layers: &L, destination: Destination) -> Arc<dyn DynService>
where
    L: Layer<Destination>,
    L::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    erase(layers.layer(destination))
}

impl Calls {
    /// `clock` is the time, if the call is polled at once.
    #[inline]
    pub(crate) fn call(&self, request: Request, clock: Option<Instant>) -> StackCall {
        match self {
            Self::Bare(destination) => {
                StackCall::Bare(EndpointCall::new(destination.clone(), request, clock))
            }
            Self::Layered(service) => StackCall::Layered(service.call(request)),
        }
    }
}

impl StackCall {
    /// The error of this call, whose time is up while it waits.
    #[cold]
    pub(crate) fn late(&self, status: Status) -> Status {
        match self {
            Self::Bare(call) => call.late(status),
            Self::Layered(_) | Self::Ended => status,
        }
    }
}

impl Future for StackCall {
    type Output = Result<Response, Status>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Bare(call) => Pin::new(call).poll(cx),
            Self::Layered(call) => call.as_mut().poll(cx),
            Self::Ended => Poll::Pending,
        }
    }
}
