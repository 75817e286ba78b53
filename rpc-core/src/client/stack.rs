//! The layers that every call of a channel passes, from the outside in:
//!
//! 1. the user's, in the order of the `.layer(…)` calls: the first sees a request first;
//! 2. the endpoint, which waits for a connection and puts the call on it.
//!
//! The deadline is kept outside of all of them, by the call itself ([`Call`](crate::client::Call)), so that waiting
//! anywhere below counts. Each layer stands within a [`Cast`](crate::call::service::Cast): its errors become statuses,
//! and it is waited for inside of the returned future.

use std::sync::Arc;

use tower::layer::util::Stack as TowerStack;
use tower::{Layer, Service};

use crate::call::service::{CastLayer, DynService, erase};
use crate::call::{Request, Response};
use crate::client::endpoint::Endpoint;
use crate::status::Status;

/// The type of a channel's layers: what `.layer(…)` adds to.
pub type Stack<Inner, Outer> = TowerStack<CastLayer<Inner>, Outer>;

/// Puts the layers over the endpoint, and erases the result once.
pub(crate) fn stack<L>(layers: &L, endpoint: Endpoint) -> Arc<dyn DynService>
where
    L: Layer<Endpoint>,
    L::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    erase(layers.layer(endpoint))
}
