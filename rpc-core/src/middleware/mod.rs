//! Layers: what is done to every call of a channel or a server, each readable alone.
//!
//! | layer | client | server | what it does |
//! |---|---|---|---|
//! | [`Retry`] | ✓ | | tries again what may be tried again, within the deadline |
//! | [`Timeout`] | ✓ | ✓ | gives each call no more than so much time |
//! | [`ConcurrencyLimit`] | ✓ | ✓ | lets so many calls run at once, and so many wait |
//! | [`Trace`] | ✓ | ✓ | a `tracing` span for each call, W3C trace context across hops |
//! | [`from_fn`](from_fn()) | ✓ | ✓ | what an async function of yours does |
//! | [`CatchPanic`] | ✓ | ✓ | makes a panic below an `INTERNAL` status |
//!
//! The first layer that is added is the outermost. One of your own is an async function, by [`from_fn`](from_fn()):
//!
//! ```
//! use rpc_core::middleware::{ConcurrencyLimitLayer, Next, RetryLayer, TraceLayer, from_fn, retry};
//! use rpc_core::{Channel, Request, Response, Status};
//!
//! /// Names the tenant in every request.
//! async fn tenant(mut request: Request, next: Next) -> Result<Response, Status> {
//!     request.metadata_mut().insert("tenant", "a")?;
//!     next.run(request).await
//! }
//!
//! let channel = Channel::builder("localhost:7000")
//!     .layer(TraceLayer::client())
//!     .layer(RetryLayer::new(retry::Policy::default()))
//!     .layer(ConcurrencyLimitLayer::new(1_000))
//!     .layer(from_fn(tenant))
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Or it is any tower layer over [`Request`](crate::Request) and [`Response`](crate::Response), which costs no box for
//! each call, and may be published for others. The traits that it takes are re-exported here, so that tower need not be
//! a dependency of yours:
//!
//! ```
//! use std::task::{Context, Poll};
//! use rpc_core::middleware::{Service, layer_fn};
//! use rpc_core::{Channel, Request, Response, Status};
//!
//! #[derive(Clone)]
//! struct Tenant<S>(S);
//!
//! impl<S: Service<Request, Response = Response, Error = Status>> Service<Request> for Tenant<S> {
//!     type Response = Response;
//!     type Error = Status;
//!     type Future = S::Future;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
//!         self.0.poll_ready(cx)
//!     }
//!
//!     fn call(&mut self, mut request: Request) -> S::Future {
//!         // A name of these characters is always taken.
//!         let _ = request.metadata_mut().insert("tenant", "a");
//!         self.0.call(request)
//!     }
//! }
//!
//! let channel = Channel::builder("localhost:7000").layer(layer_fn(Tenant)).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod catch_panic;
pub mod concurrency;
pub mod from_fn;
mod gate;
#[cfg(test)]
pub(crate) mod mock;
pub mod retry;
pub mod timeout;
pub mod trace;

pub use catch_panic::{CatchPanic, CatchPanicLayer};
pub use concurrency::{ConcurrencyLimit, ConcurrencyLimitLayer};
pub use from_fn::{FromFn, FromFnLayer, Next, from_fn};
pub use retry::{Retry, RetryLayer};
pub use timeout::{Timeout, TimeoutLayer};
pub use tower::layer::layer_fn;
pub use tower::{Layer, Service};
pub use trace::{Trace, TraceLayer};
