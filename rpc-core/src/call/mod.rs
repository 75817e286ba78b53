//! The vocabulary of one call: what both sides, every layer and the generated code speak.
//!
//! In reading order: [`descriptor`] (what is known of a service before any call), [`method`] (the types of one
//! method, as the macro writes them), [`request`] and [`response`] (what travels through the layers), [`service`]
//! (the shape of a layer's service), `items` (streams to and from bytes), [`wait`] (how waiting places keep
//! the deadline).
//!
//! A layer sees a [`Request`] go down and a `Result<`[`Response`]`, `[`Status`](crate::Status)`>` come up:
//!
//! ```
//! use rpc_core::{Request, Response, Status};
//! use tower::{Service, service_fn};
//!
//! let echo = service_fn(|request: Request| async move {
//!     Ok::<_, Status>(Response::new(request.into_body()))
//! });
//! # fn is_service<S: Service<Request, Response = Response, Error = Status>>(_: S) {}
//! # is_service(echo);
//! ```

pub mod descriptor;
pub(crate) mod items;
pub mod method;
pub(crate) mod race;
pub mod request;
pub mod response;
pub mod service;
pub mod wait;

pub use crate::context::Peer;
pub use descriptor::{CodecInfo, MethodDescriptor, ServiceDescriptor, Shape};
pub use method::{CodecFns, Method, One, Payload};
pub use request::Request;
pub use response::{Response, Timings};
pub use service::BoxFuture;
