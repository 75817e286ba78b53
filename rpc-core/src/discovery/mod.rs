//! Discovery: which instances stand behind a name.
//!
//! What is known: [`instance`] (one running copy of a server), [`snapshot`] (all that stand behind a name, at one moment),
//! [`filter`] (which of them are meant), [`watch`] (how snapshots travel from who knows them to who needs them).
//!
//! Who knows it: [`registry`] (where instances are registered), [`resolver`] (what turns a target's scheme into a watch);
//! [`memory`], [`file`](mod@file), [`dns`] and [`fixed`] are those that need no program beside.
//!
//! For who writes another: [`name`] (what services and instances may be called), [`record`] (what is stored of an
//! instance), [`view`] (how far a registry is believed), [`feed`] (the rest of what its clients share), [`cache`] (files
//! for a start without it).
//!
//! ```
//! use rpc_core::discovery::{Instance, Snapshot, watch};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (publisher, mut watch) = watch::channel();
//! publisher.publish(Snapshot::new([Instance::new("127.0.0.1:7000".parse()?)]));
//! assert_eq!(watch.changed().await?.instances().len(), 1);
//! # Ok(())
//! # }
//! ```

pub mod cache;
pub mod dns;
pub mod feed;
pub mod file;
pub mod filter;
pub mod fixed;
pub mod instance;
pub mod memory;
pub mod name;
pub mod record;
pub mod registry;
pub mod resolver;
pub mod snapshot;
pub mod view;
pub mod watch;

pub use cache::Cache;
pub use dns::Dns;
pub use feed::{Feed, Feeds};
pub use file::FileRegistry;
pub use filter::Filter;
pub use fixed::Fixed;
pub use instance::{Instance, State};
pub use memory::MemoryRegistry;
pub use registry::Registry;
pub use snapshot::Snapshot;
pub use watch::Watch;
