//! [`FileRegistry`]: a registry in files, for several processes on one host that want no other program.
//!
//! In reading order: this file (the registry and its resolver), `folder` (what a folder says, and who in it is alive),
//! `entry` (the task that keeps one instance registered), `write` (files that are whole or not there).
//!
//! Each instance is a file, `<folder>/<service>/<id>.json`: its [`Record`], and how long
//! it outlives its last sign of life. Its owner touches it three times within that; who has not seen it touched for
//! longer takes it for dead, by a clock of its own that nobody can set. A process that is killed is so found out; one that
//! was stopped comes back with its next touch. Setting the wall clock ends nobody for those who watch already; who begins to
//! watch, or asks for a list, right after that may miss the living until their next touch.
//!
//! ```
//! use rpc_core::discovery::{FileRegistry, Instance, Registry, resolver::Builder};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("courier-files-{}", std::process::id()));
//! let registry = FileRegistry::new(&folder);
//! registry.register("demo.v1.Greeter", Instance::new("127.0.0.1:7000".parse()?)).await?;
//!
//! // In another process, the target is file:///folder/demo.v1.Greeter.
//! let name = format!("file://{}/demo.v1.Greeter", folder.display()).parse()?;
//! let mut watch = FileRegistry::new(&folder).build(&name)?;
//! assert_eq!(watch.changed().await?.instances()[0].id, "127.0.0.1:7000");
//!
//! registry.withdraw("demo.v1.Greeter", "127.0.0.1:7000").await?;
//! assert!(watch.changed().await?.is_empty());
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```

mod entry;
mod folder;
pub(crate) mod write;

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::call::BoxFuture;
use crate::call::race::{Either, race};
use crate::context::{now, sleep_until};
use crate::discovery::feed::{Feed, Feeds, Turn};
use crate::discovery::instance::Instance;
use crate::discovery::name;
use crate::discovery::record::Record;
use crate::discovery::registry::Registry;
use crate::discovery::resolver::{Builder, Name};
use crate::discovery::snapshot::Snapshot;
use crate::discovery::view;
use crate::discovery::watch::Watch;
use crate::status::Status;
use entry::Entry;
use folder::{Folder, Scan};

/// How long an instance outlives its last sign of life, unless it says otherwise.
const TTL: Duration = Duration::from_secs(6);

/// How often a watched folder is looked at. That is one system call while nothing changes.
const POLL: Duration = Duration::from_millis(100);

/// A registry in files: see the [module](self). A clone is the same registry. What it has registered is kept so until it is
/// withdrawn, or the last clone is dropped and the lease runs out.
#[derive(Clone)]
pub struct FileRegistry {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    ttl: Duration,
    entries: Arc<Mutex<Entries>>,
    feeds: Feeds,
    skipped: Arc<AtomicU64>,
}

type Entries = HashMap<(String, String), Entry>;

impl FileRegistry {
    /// The registry in this folder, which is made when something is registered.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self::with(folder.into(), TTL, view::Config::default())
    }

    fn with(folder: PathBuf, ttl: Duration, view: view::Config) -> Self {
        let entries = Arc::default();
        let (feeds, skipped) = (Feeds::new(view), Arc::default());
        Self { shared: Arc::new(Shared { folder, ttl, entries, feeds, skipped }) }
    }

    /// A registry in the same folder whose instances outlive their last sign of life by this, at least 30 ms and at most a
    /// year. Default 6 s. What this one has registered is its own affair.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        let ttl = ttl.clamp(Duration::from_millis(30), Duration::from_secs(86_400 * 365));
        Self::with(self.shared.folder.clone(), ttl, view::Config::default())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// How many files were found that are no instance, and skipped.
    pub fn skipped(&self) -> u64 {
        self.shared.skipped.load(Ordering::Relaxed)
    }

    fn service(&self, service: &str) -> PathBuf {
        self.shared.folder.join(name::encode(service))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for entry in self.entries.lock().unwrap_or_else(PoisonError::into_inner).values() {
            entry.abort();
        }
    }
}

impl Registry for FileRegistry {
    fn register(&self, service: &str, instance: Instance) -> BoxFuture<Result<(), Status>> {
        let record = Record { instance, epoch: 0 };
        if let Err(status) = name::check_service(service).and_then(|()| record.check()) {
            return Box::pin(ready(Err(status)));
        }
        let key = (service.to_owned(), record.instance.id.clone());
        let path = self.service(service).join(folder::file_name(&record.instance.id));
        let mut entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries
            .entry(key.clone())
            .or_insert_with(|| entry::start(&self.shared.entries, key, path, self.shared.ttl));
        Box::pin(entry.want(Some(record.instance)))
    }

    fn withdraw(&self, service: &str, id: &str) -> BoxFuture<Result<(), Status>> {
        let key = (service.to_owned(), id.to_owned());
        let entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.get(&key) {
            Some(entry) => Box::pin(entry.want(None)),
            None => Box::pin(ready(Ok(()))),
        }
    }

    fn list(&self, service: &str) -> BoxFuture<Result<Snapshot, Status>> {
        let folder = Folder::new(self.service(service), self.shared.skipped.clone());
        Box::pin(async move {
            let listed = tokio::task::spawn_blocking(move || folder.list(now(), SystemTime::now())).await;
            listed.map_err(|_| Status::unavailable("the runtime goes down"))?.map(Snapshot::new)
        })
    }

    fn watch(&self, service: &str) -> Watch {
        let folder = Folder::new(self.service(service), self.shared.skipped.clone());
        self.shared.feeds.watch(service, |feed| {
            tokio::spawn(follow(feed, folder));
        })
    }
}

/// Looks at a folder until nobody watches.
async fn follow(mut feed: Feed, mut folder: Folder) {
    loop {
        let look = tokio::task::spawn_blocking(move || {
            let scan = folder.look(now(), SystemTime::now());
            (folder, scan)
        });
        // The runtime goes down.
        let Ok((back, scan)) = look.await else { return };
        folder = back;
        match scan {
            Ok(None) => {}
            Ok(Some(Scan { alive, withdrawn })) => {
                for id in withdrawn {
                    feed.withdrawn(&id);
                }
                feed.listed(alive);
            }
            Err(status) => feed.failed(status).await,
        }
        let next = now() + POLL;
        loop {
            match race(sleep_until(next), feed.turn()).await {
                Either::First(()) => break,
                // The folder is looked at often enough.
                Either::Second(Turn::Hinted) => {}
                Either::Second(Turn::Abandoned) => return,
            }
        }
    }
}

impl Builder for FileRegistry {
    fn scheme(&self) -> &str {
        "file"
    }

    /// A name in another folder than this registry's is watched there.
    fn build(&self, name: &Name) -> Result<Watch, Status> {
        let (folder, service) = split(name)?;
        Ok(watch(&self.shared.feeds, &folder, &service, &self.shared.skipped))
    }
}

/// Resolves `file:///folder/service`, in any folder: the resolver that every channel has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    feeds: Feeds,
    skipped: Arc<AtomicU64>,
}

impl Builder for Files {
    fn scheme(&self) -> &str {
        "file"
    }

    fn build(&self, name: &Name) -> Result<Watch, Status> {
        let (folder, service) = split(name)?;
        Ok(watch(&self.feeds, &folder, &service, &self.skipped))
    }
}

fn watch(feeds: &Feeds, folder: &Path, service: &str, skipped: &Arc<AtomicU64>) -> Watch {
    let path = folder.join(name::encode(service));
    let key = path.display().to_string();
    feeds.watch(&key, |feed| {
        tokio::spawn(follow(feed, Folder::new(path, skipped.clone())));
    })
}

/// Folder and service: `file:///run/services/demo.v1.Greeter`, or `file://services/demo.v1.Greeter` in the folder in which
/// the process works.
fn split(name: &Name) -> Result<(PathBuf, String), Status> {
    let whole = format!("{}/{}", name.authority, name.path);
    let (folder, service) = whole.rsplit_once('/').unwrap_or_default();
    if folder.is_empty() || service.is_empty() {
        return Err(Status::invalid_argument(format!(
            "{name} lacks folder or service; write file:///folder/service"
        )));
    }
    name::check_service(service)?;
    Ok((folder.into(), service.to_owned()))
}

impl fmt::Debug for FileRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRegistry")
            .field("folder", &self.shared.folder)
            .field("ttl", &self.shared.ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    fn instance(id: &str) -> Instance {
        Instance::new("h:1".parse().unwrap()).with_id(id)
    }

    /// A registry whose leases are so short that each test sees many renewals.
    fn registry() -> (tempfile::TempDir, FileRegistry) {
        let root = tempfile::tempdir().unwrap();
        let registry = FileRegistry::new(root.path()).ttl(Duration::from_millis(300));
        (root, registry)
    }

    async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let limit = tokio::time::Instant::now() + Duration::from_secs(20);
        while !condition().await {
            assert!(tokio::time::Instant::now() < limit, "{what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn listed(registry: &FileRegistry) -> usize {
        registry.list("s").await.map_or(0, |list| list.instances().len())
    }

    #[tokio::test]
    async fn an_instance_outlives_its_lease_while_its_registry_lives_and_not_for_long_after() {
        let (root, registry) = registry();
        registry.register("s", instance("a")).await.unwrap();
        registry.register("s2", instance("b")).await.unwrap();
        let other = FileRegistry::new(root.path());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(listed(&other).await, 1);
        drop(registry);
        until("the lease runs out", async || listed(&other).await == 0).await;
    }

    #[tokio::test]
    async fn a_watch_sees_what_happens_and_who_withdraws_is_gone_at_once() {
        let (root, registry) = registry();
        registry.register("s", instance("a")).await.unwrap();
        let name = format!("file://{}/s", root.path().display()).parse().unwrap();
        let mut watch = Files::default().build(&name).unwrap();
        assert_eq!(watch.changed().await.unwrap().instances().len(), 1);
        registry.register("s", instance("a").with_weight(7)).await.unwrap();
        assert_eq!(watch.changed().await.unwrap().get("a").unwrap().weight, 7);
        let began = std::time::Instant::now();
        registry.withdraw("s", "a").await.unwrap();
        assert!(watch.changed().await.unwrap().is_empty());
        assert!(began.elapsed() < Duration::from_secs(5), "it was not taken for a failure");
    }

    #[tokio::test]
    async fn what_others_do_to_a_file_is_repaired() {
        let (root, registry) = registry();
        registry.register("s", instance("a")).await.unwrap();
        let path = root.path().join("s/a.json");
        std::fs::remove_file(&path).unwrap();
        until("it was removed", async || listed(&registry).await == 1).await;
        std::fs::write(&path, "garbage").unwrap();
        until("it was overwritten", async || listed(&registry).await == 1).await;
        std::fs::remove_dir_all(root.path()).unwrap();
        until("everything was removed", async || listed(&registry).await == 1).await;
    }

    #[tokio::test]
    async fn of_two_processes_with_one_id_the_later_has_it_and_the_earlier_takes_nothing_away() {
        // So long that a busy machine is not late with a renewal, which would be another story.
        let root = tempfile::tempdir().unwrap();
        let [old, new] = [0, 1].map(|_| FileRegistry::new(root.path()).ttl(Duration::from_millis(1_500)));
        old.register("s", instance("a").with_started(1).with_weight(1)).await.unwrap();
        new.register("s", instance("a").with_started(2).with_weight(2)).await.unwrap();
        let weight = async || {
            listed(&new).await as u32 * new.list("s").await.unwrap().get("a").map_or(0, |one| one.weight)
        };
        // For several renewals of both.
        for _ in 0..150 {
            assert_eq!(weight().await, 2);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        old.withdraw("s", "a").await.unwrap();
        assert_eq!(weight().await, 2);
    }

    #[tokio::test]
    async fn what_was_withdrawn_never_comes_back_whatever_was_under_way() {
        let (root, _) = registry();
        let registry = FileRegistry::new(root.path()).ttl(Duration::from_millis(30));
        let path = root.path().join("s/a.json");
        for turn in 0..300u64 {
            let first = registry.register("s", instance("a"));
            let again = registry.register("s", instance("a").with_weight(7));
            if turn % 3 != 0 {
                first.await.unwrap();
                again.await.unwrap();
            }
            tokio::time::sleep(Duration::from_micros(turn % 17 * 1000)).await;
            registry.withdraw("s", "a").await.unwrap();
            assert!(!path.exists(), "turn {turn}");
        }
        assert!(registry.shared.entries.lock().unwrap().is_empty());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn registering_right_after_a_withdrawal_holds() {
        let (_root, registry) = registry();
        for turn in 0..100 {
            drop(registry.withdraw("s", "a"));
            registry.register("s", instance("a")).await.unwrap();
            assert_eq!(listed(&registry).await, 1, "turn {turn}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("registry");
        std::fs::write(&folder, "in the way").unwrap();
        let registry = FileRegistry::new(&folder).ttl(Duration::from_millis(300));
        let mut registering = registry.register("s", instance("a"));
        let mut watch = registry.watch("s");
        assert_eq!(watch.changed().await.unwrap_err().code(), Code::Unavailable);
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut registering).await.is_err());
        std::fs::remove_file(&folder).unwrap();
        registering.await.unwrap();
        until("the watch goes on", async || watch.current().is_some_and(|list| !list.is_empty())).await;
    }

    #[tokio::test]
    async fn a_wrong_name_says_what_is_wrong() {
        for text in ["file://s", "file:///s", "file:///folder/", "file://"] {
            let error = Files::default().build(&text.parse().unwrap()).unwrap_err();
            assert!(error.message().contains("write file:///folder/service"), "{text}: {error}");
        }
        let (_root, registry) = registry();
        assert!(registry.register("a/b", instance("a")).await.is_err());
        assert!(registry.withdraw("s", "nobody").await.is_ok());
    }
}
