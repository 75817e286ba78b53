//! How a call arrives.
//!
//! In reading order: this file ([`Server`] and its builder), `accept` (the task that accepts connections), `announce` (how
//! it tells registries where it is), `drain` (the
//! orderly end), `connection` (the calls of one connection), `services` (what is served, by a server or by a client that is
//! called back), `router` (from a name to a handler), `stack` (the layers round every handler), `exchange` (one call: its
//! handler is run), [`handler`] (from bytes to the user's method and back), `room` (what a handler is run with), `items` (the items of a request).
//!
//! ```
//! use std::time::Duration;
//! use rpc_core::{Server, Status, service};
//!
//! #[service]
//! pub trait Greeter {
//!     async fn hello(&self, name: String) -> Result<String, Status>;
//! }
//!
//! struct English;
//!
//! impl Greeter for English {
//!     async fn hello(&self, name: String) -> Result<String, Status> {
//!         Ok(format!("hello, {name}"))
//!     }
//! }
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().service(GreeterServer::new(English)).bind("memory://greeter").await?;
//! let greeter = GreeterClient::connect(server.local_addr()).await?;
//! assert_eq!(greeter.hello("world".into()).await?, "hello, world");
//!
//! let report = server.drain(Duration::from_secs(5)).await;
//! assert!(report.is_clean());
//! # Ok(()) }
//! ```

mod accept;
mod announce;
mod builder;
pub(crate) mod connection;
mod drain;
pub(crate) mod exchange;
pub mod handler;
#[cfg(feature = "macros")]
pub mod health;
mod items;
#[doc(hidden)]
pub mod room;
pub(crate) mod router;
pub(crate) mod services;
mod stack;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

pub use builder::{BindError, Builder, IntoAddress};
pub use drain::{Late, Report};
pub use services::{IntoServices, Services};
pub use stack::{Handlers, Stack};

use crate::call::{BoxFuture, Request, Response, ServiceDescriptor};
use crate::discovery::{Instance, State};
use crate::status::Status;
use crate::transport::Address;
use accept::Shared;
use announce::Announcer;

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

    /// Calls the method that a request names, and takes out of the request what that needs.
    fn handle(&self, arrived: &mut handler::Arrived, way: room::Way<'_>) -> room::Handled;
}

/// A running server. Dropping it ends everything at once: for an orderly end there is [`drain`](Self::drain).
#[derive(Debug)]
#[must_use = "dropping the server stops it"]
pub struct Server {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    address: Address,
    announcer: Option<Announcer>,
    #[cfg(feature = "macros")]
    health: health::Reporter,
}

/// What a server holds and has done, as one look shows it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// Open connections.
    pub connections: usize,
    /// Calls under way: being received, in their handlers, or being answered.
    pub calls: usize,
    /// Places in lists that calls hold; zero when none is under way.
    pub places: usize,
    /// Bytes of requests and replies that are kept.
    pub buffered: usize,
    /// Each method that was called, and how that went; by name.
    pub methods: Vec<MethodSnapshot>,
}

/// How the calls of one method went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MethodSnapshot {
    /// The method, as `service/Method`.
    pub path: &'static str,
    /// Calls that gave a reply.
    pub ok: u64,
    /// Calls that gave an error; of a oneway method this is the only trace of it.
    pub failed: u64,
    /// The time in the handler, all calls together.
    pub busy: Duration,
}

/// The counts of one method.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    ok: AtomicU64,
    failed: AtomicU64,
    busy: AtomicU64,
}

impl Counters {
    #[inline]
    pub(crate) fn ended(&self, ok: bool, busy: Duration) {
        let count = if ok { &self.ok } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(busy.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Adds calls that gave a reply.
    pub(crate) fn add(&self, calls: u64, busy: Duration) {
        self.ok.fetch_add(calls, Ordering::Relaxed);
        self.busy.fetch_add(busy.as_nanos() as u64, Ordering::Relaxed);
    }

    fn read(&self) -> (u64, u64, Duration) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.ok), read(&self.failed), Duration::from_nanos(read(&self.busy)))
    }
}

impl Server {
    /// Begins to make a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Where it listens, with the port that it got if it was bound to port 0. Converts into a client's target.
    pub fn local_addr(&self) -> &Address {
        &self.address
    }

    /// What it holds and has done.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// What it says of its services by the [health service](health). All do well at first.
    #[cfg(feature = "macros")]
    pub fn health(&self) -> &health::Reporter {
        &self.health
    }

    /// What it is registered as, if it was told to [announce](Builder::announce) itself.
    pub fn instance(&self) -> Option<Instance> {
        self.announcer.as_ref().map(Announcer::instance)
    }

    /// Waits until all registries that it was told to [announce](Builder::announce) itself to have it; with none, it is
    /// done at once.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if a registry does not take it as it is, ever. An outage is waited out.
    ///
    /// # Cancel safety
    /// It can be dropped and called again at any time.
    pub async fn announced(&self) -> Result<(), Status> {
        match &self.announcer {
            Some(announcer) => announcer.registered().await,
            None => Ok(()),
        }
    }

    /// Takes more or less of the load from now on, beside the weights of the others: 100 is usual, 0 takes nothing new.
    /// Registries are told at most once a second, and the last one counts.
    pub fn set_weight(&self, weight: u32) {
        if let Some(announcer) = &self.announcer {
            announcer.update(|instance| instance.weight = weight);
        }
    }

    /// Says in the registries whether it wants calls. It answers those that come in any case.
    pub fn set_state(&self, state: State) {
        if let Some(announcer) = &self.announcer {
            announcer.update(|instance| instance.state = state);
        }
    }

    /// Ends the server in order: it says by its [health service](health) that it wants no more calls, withdraws from the
    /// registries and gives its clients [time](Builder::propagation) to hear of that, accepts no more connections, tells its peers, refuses calls that come later as not executed (so that
    /// clients may take them elsewhere), and waits for those that run. At the limit it cancels the rest. The report says
    /// who was late.
    ///
    /// # Cancel safety
    /// Dropping the future ends everything at once, as dropping the server does.
    pub async fn drain(self, limit: Duration) -> Report {
        drain::drain(self, limit).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.abort();
    }
}
