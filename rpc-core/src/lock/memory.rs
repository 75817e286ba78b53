//! [`MemoryLock`]: locks within one process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::call::BoxFuture;
use crate::call::race::{Either, race};
use crate::context::now;
use crate::lock::guard::{self, FencingToken, Guard};
use crate::lock::{Lock, Options};
use crate::status::{Certainty, Status};

/// Locks within one process, for tests and for programs that are only one. A clone has the same locks.
///
/// Nothing is silent here, so no lease runs out; [`revoke`](Self::revoke) does what that would do.
#[derive(Clone, Default)]
pub struct MemoryLock {
    shared: Arc<Mutex<Names>>,
}

#[derive(Default)]
struct Names {
    /// Each with how many hold it or wait for it.
    names: HashMap<String, (Arc<Name>, usize)>,
    token: u64,
}

/// One name that somebody holds or waits for.
struct Name {
    /// One permit; the semaphore is fair.
    free: Arc<Semaphore>,
    holder: Mutex<Holder>,
}

/// Who holds a name.
#[derive(Clone, Default)]
struct Holder {
    owner: String,
    /// Of each holder its own: what is said to one must not reach the next.
    revoked: Arc<Notify>,
}

impl MemoryLock {
    /// No locks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the lock away from whoever holds it, as if its lease had run out. Says whether somebody held it.
    pub fn revoke(&self, name: &str) -> bool {
        let names = self.names();
        let Some((name, _)) = names.names.get(name) else { return false };
        let held = name.free.available_permits() == 0;
        if held {
            name.holder().revoked.notify_one();
        }
        held
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place at which to wait for the name.
    fn enter(&self, text: &str) -> Place {
        let mut names = self.names();
        let (name, places) = names.names.entry(text.to_owned()).or_insert_with(|| {
            let name = Name { free: Arc::new(Semaphore::new(1)), holder: Mutex::default() };
            (Arc::new(name), 0)
        });
        *places += 1;
        let name = name.clone();
        drop(names);
        Place { locks: self.clone(), text: text.to_owned(), name }
    }

    fn hold(&self, place: Place, permit: OwnedSemaphorePermit, owner: String) -> Guard {
        let token = {
            let mut names = self.names();
            names.token += 1;
            FencingToken(names.token)
        };
        let revoked = Arc::new(Notify::new());
        place.name.set_holder(Holder { owner, revoked: revoked.clone() });
        let (guard, mut keeper) = guard::new(&place.text, token);
        // It ends with the guard.
        tokio::spawn(async move {
            let ended = race(keeper.released(), revoked.notified()).await;
            if let Either::Second(()) = ended {
                // First the holder hears, then the next one gets it.
                keeper.lost(Status::aborted("it was revoked"));
                drop(permit);
            } else {
                drop(permit);
                keeper.done(Ok(()));
            }
            drop(place);
        });
        guard
    }
}

impl Name {
    fn holder(&self) -> Holder {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_holder(&self, holder: Holder) {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = holder;
    }
}

/// Somebody who waits for a name or holds it. The last one's end forgets the name.
struct Place {
    locks: MemoryLock,
    text: String,
    name: Arc<Name>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut names = self.locks.names();
        let Some((_, places)) = names.names.get_mut(&self.text) else { return };
        *places -= 1;
        if *places == 0 {
            names.names.remove(&self.text);
        }
    }
}

impl Lock for MemoryLock {
    fn acquire(&self, name: &str, options: Options) -> BoxFuture<Result<Guard, Status>> {
        if name.is_empty() {
            let status =
                Status::invalid_argument("a lock needs a name").with_certainty(Certainty::NotExecuted);
            return Box::pin(std::future::ready(Err(status)));
        }
        let (locks, place) = (self.clone(), self.enter(name));
        Box::pin(async move {
            let free = place.name.free.clone();
            let permit = match options.wait {
                None => free.acquire_owned().await.ok(),
                Some(wait) if wait.is_zero() => free.try_acquire_owned().ok(),
                Some(wait) => match now().checked_add(wait) {
                    None => free.acquire_owned().await.ok(),
                    Some(end) => tokio::time::timeout_at(end.into(), free.acquire_owned())
                        .await
                        .ok()
                        .and_then(Result::ok),
                },
            };
            match permit {
                Some(permit) => Ok(locks.hold(place, permit, options.owner)),
                None => Err(Status::aborted(format!(
                    "the lock {:?} is held by {}",
                    place.text,
                    place.name.holder().owner
                ))
                .with_certainty(Certainty::NotExecuted)),
            }
        })
    }
}

impl fmt::Debug for MemoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        let mut held: Vec<_> =
            names.names.iter().map(|(text, (name, _))| (text, name.holder().owner)).collect();
        held.sort();
        f.debug_struct("MemoryLock").field("held", &held).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::status::Code;

    fn trying() -> Options {
        Options::new().wait(Duration::ZERO)
    }

    #[tokio::test]
    async fn a_revocation_that_comes_too_late_does_not_reach_the_next_holder() {
        let locks = MemoryLock::new();
        let first = locks.acquire("a", Options::new()).await.unwrap();
        let next = tokio::spawn(locks.acquire("a", Options::new()));
        tokio::task::yield_now().await;
        drop(first);
        locks.revoke("a");
        let next = next.await.unwrap().unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(next.is_held());
    }

    #[tokio::test]
    async fn one_holds_it_and_the_next_has_a_greater_token() {
        let locks = MemoryLock::new();
        let first = locks.acquire("a", Options::new().owner("one")).await.unwrap();
        let error = locks.acquire("a", trying()).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Aborted, "the lock \"a\" is held by one"));
        assert!(locks.acquire("b", trying()).await.is_ok(), "another name is another lock");
        let token = first.token();
        first.release().await.unwrap();
        let second = locks.acquire("a", trying()).await.unwrap();
        assert!(second.token() > token);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_at_its_limit_or_when_the_holder_drops_the_guard() {
        let locks = MemoryLock::new();
        let guard = locks.acquire("a", Options::new()).await.unwrap();
        let began = now();
        let waited = locks.acquire("a", Options::new().wait(Duration::from_secs(3))).await;
        assert_eq!(waited.unwrap_err().code(), Code::Aborted);
        assert_eq!(now() - began, Duration::from_secs(3));

        let waiting = tokio::spawn(locks.acquire("a", Options::new()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        drop(guard);
        assert!(waiting.await.unwrap().unwrap().is_held());
    }

    #[tokio::test]
    async fn a_revoked_lock_is_lost_before_the_next_one_has_it() {
        let locks = MemoryLock::new();
        assert!(!locks.revoke("a"));
        let guard = locks.acquire("a", Options::new()).await.unwrap();
        let next = tokio::spawn(locks.acquire("a", Options::new()));
        tokio::task::yield_now().await;
        assert!(locks.revoke("a"));
        let next = next.await.unwrap().unwrap();
        assert!(!guard.is_held());
        assert!(next.is_held());
        let fence = crate::lock::Fence::new();
        fence.admit(next.token()).unwrap();
        assert_eq!(fence.admit(guard.token()).unwrap_err().code(), Code::FailedPrecondition);
    }

    #[tokio::test]
    async fn giving_up_leaves_nothing_behind() {
        let locks = MemoryLock::new();
        let guard = locks.acquire("a", Options::new()).await.unwrap();
        let waiting = tokio::spawn(locks.acquire("a", Options::new()));
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        guard.release().await.unwrap();
        while !locks.names().names.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thousand_that_want_it_have_it_one_at_a_time() {
        let locks = MemoryLock::new();
        let inside = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let (locks, inside) = (locks.clone(), inside.clone());
            tasks.spawn(async move {
                let guard = locks.acquire("a", Options::new()).await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                guard.token()
            });
        }
        let mut tokens = tasks.join_all().await;
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 1000);
    }
}
