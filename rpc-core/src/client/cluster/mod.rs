//! The servers behind a name: found by a resolver, kept connected, and chosen from for each call.
//!
//! In reading order: `member` (one of them, and the task that keeps it connected), `keeper` (the task that follows the
//! resolver and publishes whom to choose from), and here, what a call does: it looks at what was published last,
//! lets the picker choose, and waits for the next publication if there is nobody.
//!
//! ```text
//!   resolver --Snapshot--> keeper --Published--> calls
//!                          ^    |
//!              readiness   |    | makes, parks, drops
//!                          members
//! ```
//!
//! A call never takes a lock here. What is learnt of a server (connections, latency, failures) belongs to its id and
//! survives changes of the list, and its absence for a moment.

mod keeper;
pub(super) mod member;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::balance::{self, Pick, Picker, outlier};
use crate::call::Request;
use crate::call::request::note;
use crate::client::channel::Snapshot;
use crate::client::cluster::member::Member;
use crate::client::destination::{Chosen, Connected};
use crate::client::endpoint::Making;
use crate::context::now;
use crate::discovery::Filter;
use crate::discovery::resolver::{self, Name};
use crate::metadata::Metadata;
use crate::status::{Certainty, Code, Status};

/// The servers behind a name.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    /// The keeper, from the first call on.
    keeper: Mutex<Option<AbortHandle>>,
}

/// What can be set about choosing among servers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) filter: Filter,
    pub(crate) outlier: outlier::Config,
    pub(crate) panic_threshold: u8,
    /// The service whose health is asked for.
    pub(crate) health: Option<Arc<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            outlier: outlier::Config::default(),
            panic_threshold: 50,
            health: None,
        }
    }
}

/// What the keeper and the calls share.
struct Shared {
    name: Name,
    resolver: Arc<dyn resolver::Builder>,
    balancer: Arc<dyn balance::Builder>,
    making: Arc<Making>,
    settings: Settings,
    published: ArcSwap<Published>,
    /// Told after each publication, and at the end of a keeper.
    changed: Notify,
    /// Whether there is a keeper.
    is_kept: AtomicBool,
}

/// Whom to choose from, at one moment.
#[derive(Debug)]
struct Published {
    /// In the order that the picker knows.
    members: Vec<Arc<Member>>,
    picker: Option<Arc<dyn Picker>>,
    /// Why there is nobody to choose, if that will not pass by itself.
    failure: Option<Status>,
    /// Every member, chosen from or not.
    all: Vec<Arc<Member>>,
}

/// What a call is told.
enum Choice {
    Chosen(Chosen),
    /// Somebody is on the way.
    Wait,
    Failed(Status),
}

/// What a call asks for, apart from the call itself.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) key: Option<u64>,
    /// The servers that this call has failed at.
    pub(crate) tried: Vec<u64>,
    pub(crate) wait: bool,
    metadata: Metadata,
}

impl Wish {
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            key: request.hash_key,
            tried: request.tried().to_vec(),
            wait: request.marks.wait_for_ready,
            metadata: request.metadata().clone(),
        }
    }
}

impl Cluster {
    pub(crate) fn new(
        name: Name,
        resolver: Arc<dyn resolver::Builder>,
        balancer: Arc<dyn balance::Builder>,
        making: Arc<Making>,
        settings: Settings,
    ) -> Self {
        let nothing = Published { members: Vec::new(), picker: None, failure: None, all: Vec::new() };
        let shared = Shared {
            name,
            resolver,
            balancer,
            making,
            settings,
            published: ArcSwap::from_pointee(nothing),
            changed: Notify::new(),
            is_kept: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), keeper: Mutex::new(None) }
    }

    /// A server for this call, if the picker has one.
    pub(crate) fn choose(&self, request: &Request) -> Option<Chosen> {
        // Without a keeper nothing of it is up to date. And where a call must wait in line for its connection, it is chosen
        // for once: a picker that goes round must not be asked twice.
        if !self.shared.is_kept.load(Relaxed) || self.shared.making.is_exclusive() {
            return None;
        }
        let published = self.shared.published.load();
        let tried = request.tried();
        match published.choose(request.hash_key, request.metadata(), tried, request.marks.wait_for_ready) {
            Choice::Chosen(chosen) => Some(chosen),
            Choice::Wait | Choice::Failed(_) => None,
        }
    }

    /// A server and a connection to it, as soon as there is one.
    ///
    /// # Errors
    /// Why there is none, unless the call waits.
    pub(crate) async fn connected(&self, mut wish: Wish) -> Result<Connected, Status> {
        let mut failures = 0;
        loop {
            let changed = self.shared.changed.notified();
            self.keep();
            let choice =
                self.shared.published.load().choose(wish.key, &wish.metadata, &wish.tried, wish.wait);
            let chosen = match choice {
                Choice::Chosen(chosen) => chosen,
                Choice::Failed(status) => return Err(status),
                Choice::Wait => {
                    changed.await;
                    continue;
                }
            };
            match chosen.endpoint().connected(false).await {
                Ok(line) => {
                    // A call that is in no hurry goes only where a server has shown itself.
                    if !wish.wait || line.link.established().await.is_ok() {
                        return Ok(Connected { at: Some(chosen), line });
                    }
                }
                // Its calls wait in line for its connections: that is our limit, and no failure of the server's.
                Err(status) if status.code() == Code::ResourceExhausted => return Err(status),
                Err(mut status) => {
                    note(&mut wish.tried, chosen.mark());
                    chosen.failed(&mut status);
                    failures += 1;
                    if failures > MOVES && !wish.wait {
                        return Err(status);
                    }
                }
            }
            // The picker is behind for a moment: the keeper gets its turn.
            let _ = tokio::time::timeout(BEHIND, changed).await;
        }
    }

    /// Waits until there is somebody to choose.
    pub(crate) async fn ready(&self) -> Result<(), Status> {
        loop {
            let changed = self.shared.changed.notified();
            self.keep();
            let published = self.shared.published.load_full();
            if published.picker.is_some() {
                return Ok(());
            }
            if let Some(status) = &published.failure {
                return Err(status.clone());
            }
            changed.await;
        }
    }

    /// Why a call that waited has nobody to go to.
    pub(crate) fn reason(&self) -> String {
        match &self.shared.published.load().failure {
            Some(status) => status.message().to_owned(),
            None => format!("it waited for a server of {}", self.shared.name),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let published = self.shared.published.load();
        let mut sum = Snapshot::default();
        for member in &published.all {
            sum.add(member.endpoint.snapshot());
        }
        sum
    }

    /// Sees that there is a keeper. One whose runtime has ended is followed by another, on the runtime of this call.
    fn keep(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.shared.is_kept.swap(true, Relaxed) {
            let task = tokio::spawn(keeper::run(keeper::Office(self.shared.clone())));
            *keeper = Some(task.abort_handle());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = keeper.take() {
            task.abort();
        }
    }
}

impl Published {
    fn choose(&self, key: Option<u64>, metadata: &Metadata, tried: &[u64], wait: bool) -> Choice {
        let Some(picker) = &self.picker else {
            return match &self.failure {
                Some(status) if !wait => Choice::Failed(status.clone()),
                _ => Choice::Wait,
            };
        };
        let places: Vec<usize>;
        let tried = if tried.is_empty() {
            &[][..]
        } else {
            places = (0..self.members.len()).filter(|&at| tried.contains(&self.members[at].mark)).collect();
            &places
        };
        let at = now();
        let pick = Pick::new(at).with_key(key).with_metadata(metadata).with_tried(tried);
        match picker.pick(&pick).and_then(|at| self.members.get(at)) {
            Some(member) => Choice::Chosen(Chosen::new(member.clone(), member.load.begin(at))),
            None => Choice::Wait,
        }
    }
}

impl Shared {
    fn publish(&self, published: Published) {
        self.published.store(Arc::new(published));
        self.changed.notify_waiters();
    }

    fn nobody(&self, why: &str) -> Status {
        Status::unavailable(format!("{}: {why}", self.name)).with_certainty(Certainty::NotSent)
    }
}

/// How often a call looks for another server because the one that it was given cannot be reached.
const MOVES: u32 = 3;

/// How long a call waits for news after it was given a server that cannot be reached.
const BEHIND: Duration = Duration::from_millis(20);

/// How long a server that has left the list is kept, in case it comes back: with its connection, and with what is known
/// of it.
const GRACE: Duration = Duration::from_secs(5);

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.shared.name.to_string())
            .field("balancer", &self.shared.balancer.name())
            .field("servers", &self.shared.published.load().all.len())
            .finish_non_exhaustive()
    }
}
