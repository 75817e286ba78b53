//! The only place where the protocol meets sockets.
//!
//! In reading order: [`address`] (where something listens), [`io`] (the traits that a transport implements, and the
//! built-in ones: TCP, Unix sockets, memory), `link` (one connection, as the rest of the crate sees it), `slot` (the
//! calls of ours on it), `driver` (the one task that moves a connection's bytes), `answers` (of the handlers that it ran); and for calls with streams `stream` (such calls on a
//! connection), `lane` (what is kept of one), `pump` (from a stream to the connection).
//!
//! A transport of your own (TLS, say) is a [`Connector`] and a [`Listener`]:
//!
//! ```
//! use std::io;
//! use rpc_core::call::{BoxFuture, Peer};
//! use rpc_core::transport::{Address, BoxIo, Connector};
//!
//! /// Connects through a pipe that lives in this process.
//! #[derive(Debug)]
//! struct Pipe;
//!
//! impl Connector for Pipe {
//!     fn connect(&self, _: &Address) -> BoxFuture<io::Result<(BoxIo, Peer)>> {
//!         Box::pin(async {
//!             let (here, _there) = tokio::io::duplex(64 * 1024);
//!             Ok((Box::new(here) as BoxIo, Peer::new("pipe")))
//!         })
//!     }
//! }
//! ```

pub mod address;
pub(crate) mod answers;
pub(crate) mod driver;
pub mod io;
pub(crate) mod lane;
pub(crate) mod link;
pub(crate) mod pump;
pub(crate) mod slot;
pub(crate) mod stream;

pub use address::{Address, InvalidAddress};
pub use io::{BoxIo, Connector, DefaultConnector, Io, Listener, bind};
