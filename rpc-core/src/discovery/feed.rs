//! [`Feed`]: what a registry tells its clients, and [`Feeds`]: one for each name, however many watch it.
//!
//! Every registry's client has the same duties: it keeps what it knew last, protects against lists that are too good or too
//! bad to be true ([`view`]), writes a [cache file](crate::discovery::cache) and reads it when it
//! starts without its registry, and asks once for all who watch the same name. So each has only to say what it learns:
//!
//! ```
//! use rpc_core::discovery::{Feeds, Instance, feed::Turn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let feeds = Feeds::default();
//! let start = || feeds.watch("demo.v1.Greeter", |mut feed| {
//!     tokio::spawn(async move {
//!         feed.listed([Instance::new("a:1".parse().unwrap())]); // what the registry said
//!         // Beside what the registry says next, as in a `select!`. Nobody is left in the end.
//!         while feed.turn().await == Turn::Hinted {}
//!     });
//! });
//! let (mut one, mut two) = (start(), start()); // there is one task
//! assert_eq!(one.changed().await?, two.changed().await?);
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;

use crate::call::race::{Either, race};
use crate::context::{now, sleep_until};
use crate::discovery::cache::Cache;
use crate::discovery::instance::Instance;
use crate::discovery::snapshot::Snapshot;
use crate::discovery::view::{self, View};
use crate::discovery::watch::{self, Publisher, Watch};
use crate::status::Status;

/// How long to rest after a cache file could not be written.
const REST: Duration = Duration::from_secs(10);

/// The feeds of one registry's client: one for each name that is watched. A clone has the same ones.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    names: Arc<Mutex<Names>>,
    config: view::Config,
    cache: Option<Cache>,
}

type Names = HashMap<String, Weak<Publisher>>;

/// What a registry tells those who watch one name. It belongs to the task that asks the registry.
pub struct Feed {
    name: String,
    names: Arc<Mutex<Names>>,
    publisher: Arc<Publisher>,
    view: View,
    /// Whether the registry has answered since the start.
    live: bool,
    cache: Option<Cache>,
    saving: Option<Saving>,
    /// What the cache file has, and from when.
    saved: Option<(Snapshot, SystemTime)>,
    /// No earlier is the cache file to be written again: it could not be.
    rest: Option<Instant>,
}

/// What a registry's client is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Somebody thinks that the list is old: after connections failed, say. To ask again is good, but not each time: how
    /// often is the client's to limit.
    Hinted,
    /// Nobody watches any more: the task that owns the feed ends. Who watches later starts another one.
    Abandoned,
}

struct Saving {
    task: JoinHandle<bool>,
    snapshot: Snapshot,
    at: SystemTime,
}

impl Feeds {
    /// Feeds that trust their registry this much.
    pub fn new(config: view::Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// The same, with files to start from while the registry cannot be reached.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Watches a name. If nobody does so yet, `start` begins a task that owns the feed until nobody watches it
    /// [any more](Turn::Abandoned).
    pub fn watch(&self, name: &str, start: impl FnOnce(Feed)) -> Watch {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(publisher) = names.get(name).and_then(Weak::upgrade) {
            return publisher.watch();
        }
        let (publisher, watch) = watch::channel();
        let publisher = Arc::new(publisher);
        names.insert(name.to_owned(), Arc::downgrade(&publisher));
        drop(names);
        start(Feed {
            name: name.to_owned(),
            names: self.names.clone(),
            publisher,
            view: View::new(self.config.clone()),
            live: false,
            cache: self.cache.clone(),
            saving: None,
            saved: None,
            rest: None,
        });
        watch
    }

    /// How many names are watched.
    pub fn len(&self) -> usize {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no name is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Feed {
    /// The name that is watched.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry says that these are all there are.
    pub fn listed(&mut self, instances: impl IntoIterator<Item = Instance>) {
        self.live = true;
        self.view.listed(now(), instances);
        self.publish();
        if self.publisher.is_old() {
            // It is what we knew anyway, but now the registry says so.
            if let Some(current) = self.publisher.current() {
                self.publisher.publish(current);
            }
        }
    }

    /// The instance of this id has left on purpose; to be said before the list without it. See [`View::withdrawn`].
    pub fn withdrawn(&mut self, id: &str) {
        self.view.withdrawn(id);
    }

    /// The registry could not be asked. What was known stays; at a cold start it is read from the cache file.
    ///
    /// # Cancel safety
    /// If it is dropped, the failure is not told.
    pub async fn failed(&mut self, why: Status) {
        self.view.failed();
        let cold = !self.live && self.publisher.current().is_none();
        let Some(cache) = self.cache.clone().filter(|_| cold) else {
            self.publisher.fail(why);
            return;
        };
        let name = self.name.clone();
        let loaded = tokio::task::spawn_blocking(move || cache.load(&name, SystemTime::now())).await;
        match loaded {
            Ok(Ok(snapshot)) => self.publisher.publish_old(snapshot, why),
            Ok(Err(error)) => {
                let message = format!("{}; and there is nothing to start from: {error}", why.message());
                self.publisher.fail(why.with_message(message));
            }
            // The runtime goes down.
            Err(_) => self.publisher.fail(why),
        }
    }

    /// Publishes what is due, writes the cache file, and comes back when there is something for the registry's client to
    /// do. It stands in a `select!` beside what the registry says.
    ///
    /// # Cancel safety
    /// It can be dropped and called again at any time; nothing is lost.
    pub async fn turn(&mut self) -> Turn {
        loop {
            self.publish();
            let asked = {
                let own = race(finished(&mut self.saving), until(earlier(self.view.timeout(), self.rest)));
                let asked =
                    race(abandoned(&self.publisher, &self.names, &self.name), self.publisher.hinted());
                race(own, asked).await
            };
            match asked {
                Either::First(Either::First(true)) => {
                    self.saved = self.saving.take().map(|done| (done.snapshot, done.at));
                }
                Either::First(Either::First(false)) => {
                    self.saving = None;
                    self.rest = Some(now() + REST);
                }
                Either::First(Either::Second(())) => {}
                Either::Second(Either::First(())) => return Turn::Abandoned,
                Either::Second(Either::Second(())) => return Turn::Hinted,
            }
        }
    }

    fn publish(&mut self) {
        if let Some(snapshot) = self.view.poll(now()) {
            self.publisher.publish(snapshot);
        }
        self.save();
    }

    /// Begins to write the cache file, if there is something new to write and nothing is being written.
    fn save(&mut self) {
        let (Some(cache), true, None) = (&self.cache, self.live, &self.saving) else { return };
        if self.rest.is_some_and(|rest| rest > now()) {
            return;
        }
        self.rest = None;
        // What is suspected is not known to be there, and an empty list is nothing to start from.
        let snapshot = self.publisher.current().unwrap_or_default();
        let known = |one: &&Instance| !one.suspect;
        if self.publisher.is_old() || !snapshot.instances().iter().any(|one| known(&one)) {
            return;
        }
        let snapshot = Snapshot::new(snapshot.instances().iter().filter(known).cloned());
        let at = SystemTime::now();
        if self.saved.as_ref().is_some_and(|(saved, since)| {
            *saved == snapshot && at.duration_since(*since).is_ok_and(|age| age < cache.refresh_after())
        }) {
            return;
        }
        let (cache, name, copy) = (cache.clone(), self.name.clone(), snapshot.clone());
        let task = tokio::task::spawn_blocking(move || match cache.save(&name, &copy, at) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, name, "the list of instances could not be kept for the next start");
                false
            }
        });
        self.saving = Some(Saving { task, snapshot, at });
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for the file that is being written, if one is, and says whether that succeeded.
async fn finished(saving: &mut Option<Saving>) -> bool {
    match saving {
        Some(saving) => matches!((&mut saving.task).await, Ok(true)),
        None => std::future::pending().await,
    }
}

/// Waits until nobody watches. Who comes later finds no feed, and starts another one.
async fn abandoned(publisher: &Arc<Publisher>, names: &Mutex<Names>, name: &str) {
    loop {
        publisher.closed().await;
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have come in the meantime. Under the lock nobody does.
        if !publisher.is_watched() {
            forget(&mut names, name, publisher);
            return;
        }
    }
}

/// Another feed of the same name is left alone.
fn forget(names: &mut Names, name: &str, publisher: &Arc<Publisher>) {
    if names.get(name).is_some_and(|other| other.as_ptr() == Arc::as_ptr(publisher)) {
        names.remove(name);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        forget(&mut names, &self.name, &self.publisher);
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("name", &self.name).field("view", &self.view).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str) -> Instance {
        Instance::new("h:1".parse().unwrap()).with_id(id)
    }

    fn feed(feeds: &Feeds) -> (Feed, Watch) {
        let mut feed = None;
        let watch = feeds.watch("a.A", |one| feed = Some(one));
        (feed.expect("nobody watches yet"), watch)
    }

    /// Runs a feed until its watch says something.
    async fn said(feed: &mut Feed, watch: &mut Watch) -> Result<Snapshot, Status> {
        match race(watch.changed(), feed.turn()).await {
            Either::First(said) => said,
            Either::Second(turn) => panic!("{turn:?}"),
        }
    }

    /// Runs a feed until its cache file is written.
    async fn saved(feed: &mut Feed) {
        while feed.saved.is_none() {
            let _ = tokio::time::timeout(Duration::from_millis(10), feed.turn()).await;
        }
    }

    fn down() -> Status {
        Status::unavailable("the registry is down")
    }

    #[tokio::test]
    async fn all_who_watch_a_name_share_one_feed_and_it_ends_with_the_last() {
        let feeds = Feeds::default();
        let (mut one, first) = feed(&feeds);
        let second = feeds.watch("a.A", |_| panic!("there is one"));
        let other = feeds.watch("b.B", drop);
        assert_eq!(feeds.len(), 1, "a feed that was dropped is none");
        drop((first, other));
        let early = tokio::time::timeout(Duration::from_millis(10), one.turn()).await;
        assert!(early.is_err(), "somebody still watches");
        drop(second);
        assert_eq!(one.turn().await, Turn::Abandoned);
        assert!(feeds.is_empty());
        // Who comes now starts another one, which the end of the old one does not touch.
        let (_two, _watch) = feed(&feeds);
        drop(one);
        assert_eq!(feeds.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_and_keeps_the_list() {
        let (mut feed, mut watch) = feed(&Feeds::default());
        feed.failed(down()).await;
        assert_eq!(said(&mut feed, &mut watch).await.unwrap_err().message(), "the registry is down");
        feed.listed([instance("a")]);
        let snapshot = said(&mut feed, &mut watch).await.unwrap();
        feed.failed(down()).await;
        assert_eq!((watch.current(), watch.error().is_some()), (Some(snapshot.clone()), true));
        // The same list again is no change, but it is fresh.
        feed.listed([instance("a")]);
        assert_eq!((watch.current(), watch.error().is_some()), (Some(snapshot), false));
    }

    #[tokio::test]
    async fn a_hint_reaches_the_client_of_the_registry() {
        let (mut feed, watch) = feed(&Feeds::default());
        watch.hint();
        assert_eq!(feed.turn().await, Turn::Hinted);
    }

    #[tokio::test]
    async fn a_cold_start_without_the_registry_reads_what_an_earlier_process_kept() {
        let folder = tempfile::tempdir().unwrap();
        let feeds = || Feeds::default().with_cache(Cache::new(folder.path().join("new")));
        let (mut first, _watch) = feed(&feeds());
        first.listed([instance("a"), instance("b")]);
        saved(&mut first).await;

        let (mut second, mut watch) = feed(&feeds());
        second.failed(down()).await;
        assert_eq!(said(&mut second, &mut watch).await.unwrap().instances().len(), 2);
        assert!(watch.error().is_some(), "it is old");
        // What the registry says then replaces it without protection: it was never live.
        second.listed([instance("c")]);
        assert_eq!(said(&mut second, &mut watch).await.unwrap().instances()[0].id, "c");
        assert!(watch.error().is_none());
        // From now on the file is of no interest.
        second.failed(down()).await;
        assert_eq!(watch.current().unwrap().instances()[0].id, "c");
    }

    #[tokio::test]
    async fn a_cold_start_without_registry_and_file_says_both() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let cold = async || {
            let (mut feed, mut watch) = feed(&Feeds::default().with_cache(cache.clone()));
            feed.failed(down()).await;
            said(&mut feed, &mut watch).await.unwrap_err().to_string()
        };
        let error = cold().await;
        assert!(error.contains("registry is down") && error.contains("no list was kept"), "{error}");
        let day = Duration::from_secs(86_400);
        cache.save("a.A", &Snapshot::new([instance("a")]), SystemTime::now() - day * 2).unwrap();
        let error = cold().await;
        assert!(error.contains("172800 s old"), "{error}");
        std::fs::write(folder.path().join("a.A.instances"), "{}").unwrap();
        let error = cold().await;
        assert!(error.contains("damaged"), "{error}");
    }

    #[tokio::test]
    async fn suspects_and_empty_lists_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let trusting = view::Config { coalesce: Duration::ZERO, ..Default::default() };
        let (mut feed, mut watch) = feed(&Feeds::new(trusting).with_cache(cache.clone()));
        feed.listed([instance("a"), instance("b"), instance("c")]);
        saved(&mut feed).await;
        said(&mut feed, &mut watch).await.unwrap();
        feed.saved = None;
        feed.listed([instance("a")]);
        assert_eq!(said(&mut feed, &mut watch).await.unwrap().instances().len(), 3);
        saved(&mut feed).await;
        let kept = cache.load("a.A", SystemTime::now()).unwrap();
        assert_eq!(kept.instances().len(), 1);
        feed.listed([]);
        assert_eq!(said(&mut feed, &mut watch).await.unwrap().instances().len(), 3);
        let _ = tokio::time::timeout(Duration::from_millis(20), feed.turn()).await;
        assert_eq!(cache.load("a.A", SystemTime::now()).unwrap(), kept);
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_cannot_be_written_is_tried_again_now_and_then() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("folder");
        std::fs::write(&blocked, "a file").unwrap();
        let (mut feed, _watch) = feed(&Feeds::default().with_cache(Cache::new(&blocked)));
        feed.listed([instance("a")]);
        let _ = tokio::time::timeout(Duration::from_secs(5), feed.turn()).await;
        assert!(feed.saved.is_none() && feed.saving.is_none() && feed.rest.is_some());
        std::fs::remove_file(&blocked).unwrap();
        saved(&mut feed).await;
    }
}
