//! Discovery: which instances stand behind a name.
//!
//! In reading order: [`instance`] (one running copy of a server), [`name`] (what services and instances may be called),
//! [`record`] (what a registry stores of an instance), [`snapshot`] (all that stand behind a name, at one
//! moment), [`watch`] (how snapshots travel from who knows them to who needs them), [`registry`] (where instances are
//! registered), [`resolver`] (what turns a target's scheme into a watch).
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
pub mod feed;
pub mod file;
pub mod instance;
pub mod name;
pub mod record;
pub mod registry;
pub mod resolver;
pub mod snapshot;
pub mod view;
pub mod watch;

pub use cache::Cache;
pub use feed::{Feed, Feeds};
pub use instance::{Instance, State};
pub use registry::Registry;
pub use snapshot::Snapshot;
pub use watch::Watch;
