//! The layers that every call of a channel passes, from the outside in:
//!
//! 1. the user's, in the order of the `.layer(…)` calls: the first sees a request first;
//! 2. the destination, which chooses a server, waits for a connection and puts the call on it.
//!
//! The deadline is kept outside of all of them, by the call itself ([`Call`](crate::client::Call)), so that waiting
//! anywhere below counts. Each layer stands within a [`Cast`](crate::call::service::Cast): its errors become statuses,
//! and it is waited for inside of the returned future.

use std::sync::Arc;

use tower::layer::util::Stack as TowerStack;
use tower::{Layer, Service};

use crate::call::service::{CastLayer, DynService, erase};
use crate::call::{BoxFuture, Request, Response};
use crate::client::destination::Destination;
use crate::status::Status;

/// The type of a channel's layers: what `.layer(…)` adds to.
pub type Stack<Inner, Outer> = TowerStack<CastLayer<Inner>, Outer>;

/// Puts the layers over the destination, and erases the result once.
pub(crate) fn stack<L>(layers: &L, destination: Destination) -> Arc<dyn DynService>
where
    L: Layer<Destination>,
    L::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    erase(layers.layer(destination))
}

/// Hands the request to the layers, and leaves in its place what the call itself needs of it: deadline and context.
#[inline]
pub(crate) fn enter(
    layers: &Arc<dyn DynService>,
    request: &mut Request,
) -> BoxFuture<Result<Response, Status>> {
    let context = request.context.clone();
    let call = layers.call(request);
    request.context = context;
    call
}
