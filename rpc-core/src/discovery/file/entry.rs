//! [`Entry`]: the task that keeps one instance registered.
//!
//! One task does all that is done with an instance's file, so that nothing overtakes: what was withdrawn is not written
//! again by a renewal that was under way.
//!
//! ```text
//!   write --> rest a third of the lease --> is it there, and mine? --yes--> touch --> rest …
//!     ^                                        |             |
//!     |                                     missing     somebody else's, who started later: leave it
//!     +----------------------------------------+
//! ```

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::call::race::race;
use crate::context::{now, sleep_until};
use crate::discovery::file::{Entries, folder};
use crate::discovery::instance::Instance;
use crate::discovery::record::Record;
use crate::status::Status;

/// The handle of the task.
#[derive(Debug)]
pub(crate) struct Entry {
    wanted: watch::Sender<Wanted>,
    done: watch::Receiver<Done>,
    task: AbortHandle,
}

/// What is to be in the file; nothing, if there is to be none.
#[derive(Clone, Debug, Default)]
struct Wanted {
    instance: Option<Instance>,
    version: u64,
}

/// How far the task is.
#[derive(Clone, Debug)]
struct Done {
    version: u64,
    result: Result<(), Status>,
}

/// Begins to keep an instance registered. It is in the map from now on, under this key.
pub(crate) fn start(
    entries: &Arc<Mutex<Entries>>,
    key: (String, String),
    path: PathBuf,
    ttl: Duration,
) -> Entry {
    let (wanted, wishes) = watch::channel(Wanted::default());
    let (done, progress) = watch::channel(Done { version: 0, result: Ok(()) });
    let keeper =
        Keeper { entries: entries.clone(), key, path, ttl, epoch: Record::new_epoch(), wishes, done };
    let task = tokio::spawn(keeper.run()).abort_handle();
    Entry { wanted, done: progress, task }
}

impl Entry {
    /// Says what is to be in the file. The future waits until it is so.
    pub(crate) fn want(
        &self,
        instance: Option<Instance>,
    ) -> impl Future<Output = Result<(), Status>> + use<> {
        let mut version = 0;
        self.wanted.send_modify(|wanted| {
            wanted.version += 1;
            wanted.instance = instance;
            version = wanted.version;
        });
        let mut done = self.done.clone();
        async move {
            match done.wait_for(|done| done.version >= version).await {
                Ok(done) => done.result.clone(),
                Err(_) => Err(Status::unavailable("the registry was dropped")),
            }
        }
    }

    pub(crate) fn abort(&self) {
        self.task.abort();
    }
}

struct Keeper {
    entries: Arc<Mutex<Entries>>,
    key: (String, String),
    path: PathBuf,
    ttl: Duration,
    epoch: u64,
    wishes: watch::Receiver<Wanted>,
    done: watch::Sender<Done>,
}

/// What a renewal has found.
#[derive(Debug, PartialEq)]
enum Found {
    Mine,
    /// Another process has the id, and started later.
    Replaced,
}

impl Keeper {
    async fn run(mut self) {
        let mut failures = 0;
        // What was written last, and is to be touched.
        let mut written = 0;
        let mut replaced = false;
        loop {
            let wanted = self.wishes.borrow_and_update().clone();
            let Some(instance) = wanted.instance else {
                let result = self.remove().await;
                if self.ended(wanted.version, result) {
                    return;
                }
                continue;
            };
            let record = Record { instance, epoch: self.epoch };
            match self.renew(record, written == wanted.version).await {
                Ok(found) => {
                    if found == Found::Replaced && !replaced {
                        tracing::warn!(
                            service = self.key.0,
                            id = self.key.1,
                            "another process that started later has registered this id; its entry stays"
                        );
                    }
                    (written, failures, replaced) = (wanted.version, 0, found == Found::Replaced);
                    self.done.send_replace(Done { version: wanted.version, result: Ok(()) });
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        tracing::warn!(%error, path = %self.path.display(), "registering failed; trying on");
                    }
                }
            }
            let rest = rest(self.ttl, failures, fastrand::f64());
            race(self.wishes.changed(), sleep_until(now() + rest)).await;
        }
    }

    /// Sees to it that the file is there, says this, and is fresh.
    async fn renew(&self, record: Record, is_written: bool) -> io::Result<Found> {
        let (path, ttl) = (self.path.clone(), self.ttl);
        blocking(move || renew(&path, &record, ttl, is_written)).await
    }

    async fn remove(&self) -> Result<(), Status> {
        let (path, epoch) = (self.path.clone(), self.epoch);
        blocking(move || remove(&path, epoch)).await.map_err(|error| {
            Status::unavailable(format!("{} could not be removed: {error}", self.path.display()))
                .with_source(error)
        })
    }

    /// The file is gone, or cannot be removed. Whether that is still what is wanted; then the entry is none any more.
    fn ended(&self, version: u64, result: Result<(), Status>) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever registers the same again does so under this lock.
        let last = self.wishes.borrow().version == version;
        if last {
            entries.remove(&self.key);
        }
        drop(entries);
        self.done.send_replace(Done { version, result });
        last
    }
}

/// How long until the file is looked at again. `random` is between 0 and 1: not all processes do it together.
fn rest(ttl: Duration, failures: u32, random: f64) -> Duration {
    let usual = ttl / 3;
    let base = match failures {
        0 => usual,
        failures => (Duration::from_millis(50) * 2u32.pow(failures.min(8) - 1)).min(usual),
    };
    base.mul_f64(0.9 + 0.1 * random)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn renew(path: &Path, record: &Record, ttl: Duration, is_written: bool) -> io::Result<Found> {
    match folder::read(path) {
        Ok(content) if content.record.epoch == record.epoch && is_written => {
            let file = std::fs::File::options().write(true).open(path)?;
            file.set_modified(SystemTime::now())?;
            return Ok(Found::Mine);
        }
        Ok(content)
            if content.record.epoch != record.epoch
                && content.record.prevails_over(record)
                && is_fresh(path, content.ttl) =>
        {
            return Ok(Found::Replaced);
        }
        // Missing, garbage, or somebody's who was here before.
        _ => {}
    }
    folder::write(path, record, ttl)?;
    Ok(Found::Mine)
}

/// Whether whoever owns the file may still live. A clock that was set makes it seem so for a while; then it is gone.
fn is_fresh(path: &Path, ttl: Duration) -> bool {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age <= ttl))
}

fn remove(path: &Path, epoch: u64) -> io::Result<()> {
    match folder::read(path) {
        Ok(content) if content.record.epoch == epoch => std::fs::remove_file(path),
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Err(error)
        }
        // It is gone, or not ours.
        _ => Ok(()),
    }
}
