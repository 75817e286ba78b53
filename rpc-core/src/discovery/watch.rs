//! [`Watch`]: how snapshots travel from who knows them to who needs them.
//!
//! Only the newest counts: a reader that is slow misses steps, never the end.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::discovery::snapshot::Snapshot;
use crate::status::Status;

/// What is known at the moment: nothing yet, a list, and why the last attempt to learn more failed.
#[derive(Clone, Debug, Default)]
struct Known {
    snapshot: Option<Snapshot>,
    error: Option<Status>,
    /// How often it failed so far.
    failures: u64,
}

/// The reading end. A clone sees the same list.
#[derive(Clone)]
pub struct Watch {
    known: watch::Receiver<Known>,
    /// What this reader was given last.
    seen: Option<Snapshot>,
    failures: u64,
    hint: Arc<Notify>,
}

/// The writing end.
pub struct Publisher {
    known: watch::Sender<Known>,
    hint: Arc<Notify>,
}

/// A publisher and its first reader.
pub fn channel() -> (Publisher, Watch) {
    let (sender, receiver) = watch::channel(Known::default());
    let hint = Arc::new(Notify::new());
    (
        Publisher { known: sender, hint: hint.clone() },
        Watch { known: receiver, seen: None, failures: 0, hint },
    )
}

impl Publisher {
    /// Publishes a list; one that equals the last wakes nobody.
    pub fn publish(&self, snapshot: Snapshot) {
        self.known.send_if_modified(|known| {
            let news = known.snapshot.as_ref() != Some(&snapshot) || known.error.is_some();
            *known = Known { snapshot: Some(snapshot), error: None, failures: known.failures };
            news
        });
    }

    /// Publishes a list that was kept from an earlier time, because nothing newer could be learnt.
    pub fn publish_old(&self, snapshot: Snapshot, error: Status) {
        self.known.send_modify(|known| {
            *known = Known { snapshot: Some(snapshot), error: Some(error), failures: known.failures };
        });
    }

    /// Says that nothing newer could be learnt. The list that there is stays.
    pub fn fail(&self, error: Status) {
        self.known.send_modify(|known| {
            known.error = Some(error);
            known.failures += 1;
        });
    }

    /// Waits for a reader that would like the list to be looked at again: a hint, given after connections failed.
    ///
    /// # Cancel safety
    /// No hint is lost.
    pub async fn hinted(&self) {
        self.hint.notified().await;
    }

    /// Waits until there is no reader any more.
    ///
    /// # Cancel safety
    /// It can be dropped at any time.
    pub async fn closed(&self) {
        self.known.closed().await;
    }

    /// The newest list, if there is one yet.
    pub fn current(&self) -> Option<Snapshot> {
        self.known.borrow().snapshot.clone()
    }

    /// Whether the last attempt to learn more failed.
    pub fn is_old(&self) -> bool {
        self.known.borrow().error.is_some()
    }

    /// Whether there is a reader.
    pub fn is_watched(&self) -> bool {
        self.known.receiver_count() > 0
    }

    /// One more reader.
    pub fn watch(&self) -> Watch {
        Watch { known: self.known.subscribe(), seen: None, failures: 0, hint: self.hint.clone() }
    }
}

impl Watch {
    /// Waits for a list that this reader has not seen; the first call gives the one that there is already.
    ///
    /// # Errors
    /// As long as there is no list: why not, once for each failed attempt. When the publisher is gone: `UNAVAILABLE`.
    ///
    /// # Cancel safety
    /// No list is lost.
    pub async fn changed(&mut self) -> Result<Snapshot, Status> {
        loop {
            {
                let known = self.known.borrow_and_update();
                match (&known.snapshot, &known.error) {
                    (Some(snapshot), _) if self.seen.as_ref() != Some(snapshot) => {
                        self.seen = Some(snapshot.clone());
                        return Ok(snapshot.clone());
                    }
                    (None, Some(error)) if known.failures != self.failures => {
                        self.failures = known.failures;
                        return Err(error.clone());
                    }
                    _ => {}
                }
            }
            if self.known.changed().await.is_err() {
                return Err(Status::unavailable("whoever published the list of instances is gone"));
            }
        }
    }

    /// The newest list, if there is one yet.
    pub fn current(&self) -> Option<Snapshot> {
        self.known.borrow().snapshot.clone()
    }

    /// Why nothing newer could be learnt, if that is so: the list, if there is one, is then old.
    pub fn error(&self) -> Option<Status> {
        self.known.borrow().error.clone()
    }

    /// Whether whoever published is gone: no newer list will come.
    pub fn is_closed(&self) -> bool {
        self.known.has_changed().is_err()
    }

    /// Asks for the list to be looked at again soon. Who publishes decides when, and at most how often.
    pub fn hint(&self) {
        self.hint.notify_one();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("known", &*self.known.borrow()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("known", &*self.known.borrow()).finish_non_exhaustive()
    }
}
