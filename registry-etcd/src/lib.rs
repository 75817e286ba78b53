//! Registry, resolver and locks of Courier on etcd.
//!
//! ```no_run
//! use registry_etcd::EtcdRegistry;
//! use rpc_core::discovery::{Instance, Registry};
//! use rpc_core::lock::{Lock, Options};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = EtcdRegistry::connect(["10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379"]).await?;
//!
//! // A server says where it is, and stays registered until it says otherwise.
//! registry.register("demo.v1.Greeter", Instance::new("10.0.0.7:7000".parse()?)).await?;
//!
//! // A client watches who is there.
//! let mut watch = registry.watch("demo.v1.Greeter");
//! for instance in watch.changed().await?.instances() {
//!     println!("{} in zone {:?}", instance.address, instance.zone);
//! }
//!
//! // One of several does what only one may do.
//! let guard = registry.acquire("nightly-report", Options::new().owner("host-7")).await?;
//! guard.while_held(async { /* write, with guard.token() */ }).await?;
//! guard.release().await?;
//!
//! registry.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! * **What is registered stays registered**: after outages of any length, lost leases, deleted keys, wiped or restored
//!   data, without a limit on attempts. It is back within 5 s after etcd is.
//! * **What is withdrawn stays away**, whatever was under way: see [`Registry::withdraw`](rpc_core::discovery::Registry).
//! * **Who watches never loses its list** because etcd fails, and hears that it is old
//!   ([`Watch::error`](rpc_core::discovery::Watch::error)). With a [cache](Builder::cache) that holds for a process that
//!   starts meanwhile.
//! * **One member that is well is enough.** One that is dead, silent, or cut off from the others is left for the next.
//!
//! # Building it
//!
//! `etcd-client` generates its protocol with protoc, so whoever builds this crate needs protoc in the path (Debian:
//! `protobuf-compiler`), or `PROTOC` set to one. Nothing else of Courier does. Feature `tls`: rustls on ring.
//!
//! # In reading order
//!
//! `key` (where things stand in etcd), `client` (the members as one, with fail-over), `lease` (when to renew, when to stop
//! believing), `supervisor` (what to do next so that what shall be registered is), `registry` (the face, and who does
//! that), `table` (what is known of a service, and whether its watch is alive), `watch` (the task behind a watch), `lock`,
//! `stats`. Decisions are plain structs that are handed the time; what waits and talks is a thin shell around them.
#![forbid(unsafe_code)]

mod client;
mod config;
mod key;
mod lease;
mod lock;
mod registry;
mod stats;
mod supervisor;
mod table;
mod watch;

pub use config::Builder;
pub use registry::EtcdRegistry;
pub use stats::{Resync, Stats};

#[cfg(feature = "tls")]
pub use etcd_client::{Certificate, Identity, TlsOptions};
