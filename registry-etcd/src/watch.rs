//! The task behind a watch: reads the whole list, follows the changes, and begins again when it cannot.
//!
//! ```text
//!    list, page by page --> watch from the next revision on --> compacted, broken, silent, restored, or time to --+
//!      ^     |                                                                                                     |
//!      |     +-- failed: what was known stays --> back-off --+                                                     |
//!      +-----------------------------------------------------+-----------------------------------------------------+
//! ```
//!
//! What it learns it tells the [`Feed`], which keeps what was known last, doubts a list that lost too much, publishes
//! bursts as one, and writes the cache file.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use etcd_client::{GetOptions, WatchOptions, WatchResponse, WatchStream};
use rpc_core::discovery::feed::Turn;
use rpc_core::discovery::{Feed, Instance};

use crate::client::{Client, Failure, kv, watcher};
use crate::config::Config;
use crate::key;
use crate::lease::Backoff;
use crate::stats::{Counters, Resync};
use crate::table::{Change, Head, Table, Verdict, Vigil, Watchword};

/// How many entries are read at once; fewer if they are large.
const PAGE: i64 = 1_000;

/// How often a list is begun anew because it was compacted while it was read.
const LIST_ATTEMPTS: usize = 3;

/// What follows one service.
pub(crate) struct Follower {
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) counters: Arc<Counters>,
    pub(crate) prefix: String,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Follower {
    /// Follows the service until nobody watches it any more.
    pub(crate) async fn run(self, mut feed: Feed) {
        let _ended = self.follow(&mut feed).await;
    }

    /// `None` when nobody watches any more.
    async fn follow(&self, feed: &mut Feed) -> Option<()> {
        let mut table = Table::new(self.prefix.clone());
        let mut backoff = Backoff::new();
        loop {
            if let Some(until) = backoff.until(now()) {
                attend(feed, tokio::time::sleep_until(until.into())).await?;
            }
            let restored = match attend(feed, self.list(&mut table)).await? {
                Ok(restored) => restored,
                Err(failure) => {
                    backoff.failed(now());
                    feed.failed(failure.status("reading the list of instances")).await;
                    continue;
                }
            };
            if restored {
                self.counters.resync(Resync::Restored);
            }
            self.tell(feed, &mut table);
            let why = self.watch(feed, &mut table, &mut backoff).await?;
            tracing::debug!(service = feed.name(), ?why, "the list of instances is read again");
            self.counters.resync(why);
            if matches!(why, Resync::Broken | Resync::Silent | Resync::Restored) {
                backoff.failed(now());
            }
        }
    }

    /// Reads the whole list into the table. Whether it is from another history than what was known.
    pub(crate) async fn list(&self, table: &mut Table) -> Result<bool, Failure> {
        let mut result = self.list_once(table).await;
        for _ in 1..LIST_ATTEMPTS {
            if !matches!(result, Err(Failure::Compacted)) {
                break;
            }
            result = self.list_once(table).await;
        }
        Counters::add_many(&self.counters.skipped, table.take_skipped());
        result
    }

    async fn list_once(&self, table: &mut Table) -> Result<bool, Failure> {
        let mut from = self.prefix.clone().into_bytes();
        let mut limit = PAGE;
        // All pages are of the revision of the first one.
        let mut begun: Option<(Head, bool)> = None;
        loop {
            let (start, revision) = (&from, begun.map_or(0, |(head, _)| head.revision));
            let asked = self.client.anywhere(self.client.timeout(), |client| {
                let options = GetOptions::new()
                    .with_range(key::end(&self.prefix))
                    .with_limit(limit)
                    .with_revision(revision);
                let start = start.clone();
                async move { kv(&client).get(start, Some(options)).await }
            });
            let page = match asked.await {
                Err(Failure::TooLarge) if limit > 1 => {
                    limit = (limit / 8).max(1);
                    continue;
                }
                Err(failure) => return Err(failure),
                Ok(page) => page,
            };
            let (_, restored) = *begun.get_or_insert_with(|| {
                let head = head(page.header());
                (head, table.begin(head))
            });
            for entry in page.kvs() {
                match entry.key_str() {
                    Ok(key) => table.add(key, entry.value()),
                    Err(_) => Counters::add(&self.counters.skipped),
                }
            }
            match page.kvs().last().filter(|_| page.more()) {
                Some(last) => {
                    from = last.key().to_vec();
                    from.push(0);
                }
                None => {
                    Counters::add(&self.counters.lists);
                    return Ok(restored);
                }
            }
        }
    }

    /// Follows the changes until the list must be read again.
    async fn watch(&self, feed: &mut Feed, table: &mut Table, backoff: &mut Backoff) -> Option<Resync> {
        let connection = self.client.connection();
        let from = table.revision() + 1;
        let opened = self.client.once(self.client.timeout(), |client| async move {
            let options = WatchOptions::new()
                .with_range(key::end(&self.prefix))
                .with_start_revision(from)
                .with_progress_notify();
            watcher(&client).watch(self.prefix.as_str(), Some(options)).await
        });
        let Ok(mut stream) = attend(feed, opened).await? else { return Some(Resync::Broken) };
        let mut vigil = Vigil::new(now(), self.config.silence, self.config.resync_every);
        loop {
            let wait = match vigil.next(now()) {
                Watchword::Wait(until) => until,
                Watchword::Ask => {
                    vigil.asked(now());
                    if !ask(&mut stream, self.client.timeout()).await {
                        return Some(Resync::Broken);
                    }
                    continue;
                }
                Watchword::Resync(why) => {
                    if why == Resync::Silent {
                        self.client.leave(connection);
                    }
                    return Some(why);
                }
            };
            tokio::select! {
                message = stream.message() => {
                    let Ok(Some(message)) = message else {
                        self.client.leave(connection);
                        return Some(Resync::Broken);
                    };
                    vigil.heard(now());
                    match self.receive(feed, table, &message) {
                        Some(why) => return Some(why),
                        None => backoff.succeeded(),
                    }
                }
                turn = feed.turn() => match turn {
                    Turn::Abandoned => return None,
                    Turn::Hinted if vigil.hinted(now()) => return Some(Resync::Hinted),
                    _ => {}
                },
                () = tokio::time::sleep_until(wait.into()) => {}
            }
        }
    }

    /// Takes in one message. Why the watch cannot go on, if that is so.
    fn receive(&self, feed: &mut Feed, table: &mut Table, message: &WatchResponse) -> Option<Resync> {
        if message.canceled() {
            let compacted = message.compact_revision() > 0;
            return Some(if compacted { Resync::Compacted } else { Resync::Broken });
        }
        let changes = changes(message);
        Counters::add_many(&self.counters.events, changes.len() as u64);
        match table.apply(head(message.header()), &changes) {
            Verdict::Same => None,
            Verdict::Changed { departed } => {
                for id in departed {
                    feed.withdrawn(&id);
                }
                self.tell(feed, table);
                None
            }
            Verdict::Resync(why) => Some(why),
        }
    }

    fn tell(&self, feed: &mut Feed, table: &mut Table) {
        Counters::add_many(&self.counters.skipped, table.take_skipped());
        let instances: Vec<Instance> = table.instances().collect();
        feed.listed(instances);
    }
}

/// Does the work, and the feed's meanwhile. `None` when nobody watches any more.
async fn attend<T>(feed: &mut Feed, work: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            turn = feed.turn() => if turn == Turn::Abandoned {
                return None;
            },
        }
    }
}

/// Asks for a sign of life. Whether that could be sent.
async fn ask(stream: &mut WatchStream, limit: std::time::Duration) -> bool {
    matches!(tokio::time::timeout(limit, stream.request_progress()).await, Ok(Ok(())))
}

fn head(header: Option<&etcd_client::ResponseHeader>) -> Head {
    header.map_or_else(Head::default, |header| Head {
        cluster: header.cluster_id(),
        revision: header.revision(),
    })
}

fn changes(message: &WatchResponse) -> Vec<Change> {
    message
        .events()
        .iter()
        .filter_map(|event| event.kv())
        .filter_map(|entry| {
            let key = entry.key_str().ok()?.to_owned();
            // A deleted key has no version. (The kind of the event would say so too, but asking for it panics on a kind
            // that a later etcd may have.)
            let value = (entry.version() != 0).then(|| entry.value().to_vec());
            Some(Change { key, value })
        })
        .collect()
}
