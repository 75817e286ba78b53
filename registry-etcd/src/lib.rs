//! Registry, resolver and locks of Courier on etcd.
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
