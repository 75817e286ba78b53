//! Where the shop's processes meet: a folder for what they keep, and a registry in which they find each other. Whether
//! that is one of files or etcd is known here and nowhere else.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rpc_core::balance::{self, outlier};
use rpc_core::discovery::{FileRegistry, Registry};
use rpc_core::middleware::{RetryLayer, retry};
use rpc_core::{Channel, Status};

/// How long an instance that was killed stays on the list.
const TTL: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub(crate) struct Place {
    folder: PathBuf,
    found: Found,
}

#[derive(Clone)]
enum Found {
    InFiles(FileRegistry),
    #[cfg(feature = "etcd")]
    InEtcd(registry_etcd::EtcdRegistry, String),
}

impl Place {
    /// The place in this folder, with the registry in files below it, or in the etcd that is given.
    pub(crate) async fn open(
        folder: &Path,
        etcd: Option<&str>,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let found = match etcd {
            None => Found::InFiles(FileRegistry::new(folder.join("registry")).ttl(TTL)),
            Some(endpoint) => in_etcd(folder, endpoint).await?,
        };
        Ok(Self { folder: folder.to_owned(), found })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a server announces itself in.
    pub(crate) fn registry(&self) -> Arc<dyn Registry> {
        match &self.found {
            Found::InFiles(files) => Arc::new(files.clone()),
            #[cfg(feature = "etcd")]
            Found::InEtcd(etcd, _) => Arc::new(etcd.clone()),
        }
    }

    /// A channel to all instances of a service: a name in place of an address, and what to do when one of them fails.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the name is none.
    pub(crate) fn channel(&self, service: &str) -> Result<Channel, Status> {
        let builder = match &self.found {
            Found::InFiles(files) => {
                Channel::builder(format!("file://{}/{service}", files.folder().display()))
            }
            #[cfg(feature = "etcd")]
            Found::InEtcd(etcd, endpoint) => {
                Channel::builder(format!("etcd://{endpoint}/{service}")).resolver(etcd.clone())
            }
        };
        // Who failed gets no calls for this long. The default is 30 s, more than this program runs.
        let outlier = outlier::Config { base_ejection: Duration::from_secs(1), ..outlier::Config::default() };
        let channel = builder
            // One after the other: instances that do the same on one machine. The default, P2c, goes by latency, and would
            // take a process that hung for slow for a minute, which is longer than this program runs.
            .balancer(balance::RoundRobin)
            // Another instance, for what nobody has run, and for what may be run twice.
            .layer(RetryLayer::new(retry::Policy { attempts: 8, ..retry::Policy::default() }))
            // A process that is stopped says nothing and closes nothing: it is given up after this, and its calls fail,
            // or go elsewhere.
            .keepalive(Some(Duration::from_millis(300)), Duration::from_millis(1_200))
            .outlier(outlier)
            // While there is no instance at all, wait for one: so it does not matter who starts first.
            .wait_for_ready()
            .build()?;
        Ok(channel)
    }
}

#[cfg(feature = "etcd")]
async fn in_etcd(folder: &Path, endpoint: &str) -> Result<Found, Box<dyn Error + Send + Sync>> {
    // Two shops in one etcd do not see each other.
    let root = folder.file_name().and_then(|name| name.to_str()).unwrap_or("shop");
    let etcd = registry_etcd::EtcdRegistry::builder([endpoint]).root(root).ttl(TTL).connect().await?;
    Ok(Found::InEtcd(etcd, endpoint.to_owned()))
}

#[cfg(not(feature = "etcd"))]
async fn in_etcd(_: &Path, endpoint: &str) -> Result<Found, Box<dyn Error + Send + Sync>> {
    let how = "cargo run --bin shop --features etcd -- --etcd";
    Err(format!("this program was built without etcd. Build it with (needs protoc): {how} {endpoint}").into())
}
