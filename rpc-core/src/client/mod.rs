//! How a call leaves.
//!
//! In reading order: [`channel`] (where calls go, and what it is made of), [`target`] (what names a server), [`call`]
//! (one call: its options, its future), `stack` (the layers that every call of a channel passes), `destination` (where
//! calls go below them: one server, or the `cluster` behind a name), `endpoint` (one server: connecting and
//! reconnecting), [`pool`] (the connections to it), `exchange` (one request and its answer on a connection), `caller`
//! (calls back to whoever called), `upload` and `download` (the items of a request, and of a reply), `health` (whether a server
//! wants calls).
//!
//! ```
//! use std::time::Duration;
//! use rpc_core::{Channel, Server, Status, service};
//!
//! #[service]
//! pub trait Counter {
//!     #[rpc(idempotent)]
//!     async fn add(&self, a: i64, b: i64) -> Result<i64, Status>;
//! }
//!
//! struct Sum;
//!
//! impl Counter for Sum {
//!     async fn add(&self, a: i64, b: i64) -> Result<i64, Status> {
//!         a.checked_add(b).ok_or_else(|| Status::out_of_range("more than 64 bits"))
//!     }
//! }
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().service(CounterServer::new(Sum)).bind("memory://counter").await?;
//! let channel = Channel::builder(server.local_addr()).timeout(Duration::from_secs(1)).build()?;
//! let counter = CounterClient::new(channel);
//!
//! assert_eq!(counter.add(1, 2).await?, 3);
//! let reply = counter.add(3, 4).timeout(Duration::from_millis(200)).metadata("tenant", "a").reply().await?;
//! println!("{} after {:?} in the handler", reply.value, reply.timings.handler);
//! # Ok(()) }
//! ```

mod backoff;
pub mod call;
mod caller;
pub mod channel;
pub(crate) mod cluster;
pub(crate) mod destination;
pub(crate) mod download;
pub(crate) mod endpoint;
pub(crate) mod exchange;
#[cfg(feature = "macros")]
pub mod health;
pub mod pool;
pub(crate) mod stack;
pub mod target;
pub(crate) mod upload;

pub use backoff::Backoff;
pub use call::{Call, Reply, ReplyCall, Started};
pub use channel::{BuildError, Builder, Channel, Snapshot};
pub use destination::Destination;
pub use exchange::EndpointCall;
pub use stack::Stack;
pub use target::{IntoTarget, InvalidTarget, Target};
