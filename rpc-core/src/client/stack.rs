//! The layers that every call of a channel passes, from the outside in:
//!
//! 1. the user's, in the order of the `.layer(…)` calls: the first sees a request first;
//! 2. the destination, which chooses a server, waits for a connection and puts the call on it.
//!
//! The deadline is kept outside of all of them, by the call itself ([`Call`](crate::client::Call)), so that waiting
//! anywhere below counts. Each layer stands within a [`Cast`](crate::call::service::Cast): its errors become statuses,
//! and it is waited for inside of the returned future.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use tower::layer::util::Stack as TowerStack;
use tower::{Layer, Service};

use crate::call::request::Moment;
use crate::call::service::{CastLayer, DynService, erase};
use crate::call::{BoxFuture, Request, Response};
use crate::client::destination::Destination;
use crate::client::exchange::Sending;
use crate::status::Status;

/// The type of a channel's layers: what `.layer(…)` adds to.
pub type Stack<Inner, Outer> = TowerStack<CastLayer<Inner>, Outer>;

/// A call on its way through the stack.
pub(crate) enum StackCall {
    /// No layers of the user's: the request stays where it is, and its future needs no box.
    Bare(Sending),
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

impl StackCall {
    /// Layers get the request, and leave what the call itself needs of it: deadline and context.
    #[inline]
    pub(crate) fn new(layers: Option<&Arc<dyn DynService>>, request: &mut Request) -> Self {
        match layers {
            None => Self::Bare(Sending::default()),
            Some(layers) => {
                let (deadline, context) = (request.deadline, request.context.clone());
                let rest = Request {
                    deadline,
                    context,
                    ..Request::new(request.method, request.codec, Bytes::new())
                };
                Self::Layered(layers.call(std::mem::replace(request, rest)))
            }
        }
    }

    /// The error of this call, whose time is up while it waits.
    #[cold]
    pub(crate) fn late(&self, to: &Destination, status: Status) -> Status {
        match self {
            Self::Bare(call) => call.late(to, status),
            Self::Layered(_) | Self::Ended => status,
        }
    }

    /// `clock` is the last look at the clock, if that was a moment ago.
    #[inline]
    pub(crate) fn poll(
        &mut self,
        to: &Destination,
        request: &mut Request,
        clock: Option<Moment>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Response, Status>> {
        match self {
            Self::Bare(call) => call.poll(to, request, clock, cx),
            Self::Layered(call) => call.as_mut().poll(cx),
            Self::Ended => Poll::Pending,
        }
    }
}
