//! How a call arrives.
pub mod handler;
use crate::call::BoxFuture;
use crate::call::{Request, Response, ServiceDescriptor};
use crate::status::Status;

/// A service that a server can serve: what `#[service]` makes of a trait, `GreeterServer<T>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a service",
    label = "cannot be served",
    note = "wrap the implementation in the server type that `#[service]` made: `GreeterServer::new(implementation)`"
)]
pub trait Serve:
    tower::Service<Request, Response = Response, Error = Status, Future = BoxFuture<Result<Response, Status>>>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// Name, methods, codecs.
    fn descriptor(&self) -> &'static ServiceDescriptor;
}
