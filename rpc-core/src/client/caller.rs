//! [`Context::caller`]: calls back to whoever made the call that is being handled.
//!
//! A connection is symmetric: either side may open calls on it. Here the handler's context, which keeps the connection
//! that its call came over, is made a channel again.

use std::any::Any;
use std::sync::Arc;

use crate::client::channel::Channel;
use crate::client::endpoint::Endpoint;
use crate::context::Context;
use crate::status::{Certainty, Status};
use crate::transport::link::Link;

impl Context {
    /// A client of whoever made the call that is being handled, over the connection that the call came by:
    /// `let listener: ListenerClient = Context::current().caller();`.
    ///
    /// It may be used at once, from a task, or be kept for later. It lives as long as the connection: when that has
    /// ended, calls fail with `UNAVAILABLE`, not sent. It does not hold the connection, nor is the connection made again;
    /// a client that connects once more is another caller. What the other side serves is what was given to its
    /// [`Builder::serve`](crate::client::Builder::serve), or, in a handler of that client, what the server serves; where
    /// it serves nothing, calls fail with `UNIMPLEMENTED`.
    ///
    /// Calls have the default timeout of 10 s, and inherit the context that they are made in, as everywhere: a callback
    /// within a handler has what is left of the handler's deadline, and ends with the handler.
    ///
    /// Outside of a handler there is no caller: then calls fail with `FAILED_PRECONDITION`.
    ///
    /// ```
    /// use rpc_core::{Channel, Context, Server, Status, service};
    ///
    /// #[service]
    /// pub trait Listener {
    ///     async fn progress(&self, percent: u32) -> Result<(), Status>;
    /// }
    ///
    /// #[service]
    /// pub trait Worker {
    ///     async fn work(&self) -> Result<(), Status>;
    /// }
    ///
    /// struct Busy;
    ///
    /// impl Worker for Busy {
    ///     async fn work(&self) -> Result<(), Status> {
    ///         let listener: ListenerClient = Context::current().caller();
    ///         listener.progress(50).await
    ///     }
    /// }
    ///
    /// struct Print;
    ///
    /// impl Listener for Print {
    ///     async fn progress(&self, percent: u32) -> Result<(), Status> {
    ///         println!("{percent} %");
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().service(WorkerServer::new(Busy)).bind("memory://worker").await?;
    /// let channel = Channel::builder(server.local_addr()).serve(ListenerServer::new(Print)).build()?;
    /// WorkerClient::new(channel).work().await?;
    /// # Ok(()) }
    /// ```
    pub fn caller<C: From<Channel>>(&self) -> C {
        let link = self.caller_link().and_then(|caller| {
            let caller: Arc<dyn Any + Send + Sync> = caller.clone();
            caller.downcast::<Link>().ok()
        });
        let endpoint = match link {
            Some(link) => Endpoint::of_caller(link),
            None => Endpoint::nowhere(
                Status::failed_precondition(
                    "nobody to call back: Context::caller() is for handlers, and for the tasks that they start with \
                     rpc_core::spawn",
                )
                .with_certainty(Certainty::NotSent),
            ),
        };
        C::from(Channel::over(endpoint))
    }
}
