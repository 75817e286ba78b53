//! [`Cancellation`]: one place that can be cancelled, once, and the tasks that wait for it.
//!
//! The reason is written once and never changes, so looking for it is one load. Waiting tasks leave their waker in a
//! slab and take it out again when they are dropped. No waker is cloned, woken or dropped under the lock: each of these
//! runs code of somebody's executor, which may come back here.
//!
//! ```text
//!   wait:    lock, look for the reason, put the waker in, unlock
//!   cancel:  write the reason; then lock, take all wakers out, unlock, wake them
//! ```
//!
//! Whichever gets the lock first, nothing is missed: either `wait` sees the reason, or `cancel` finds the waker.

use std::borrow::Cow;
use std::mem;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use crate::status::Status;

/// Why a context was cancelled. Not yet a [`Status`], which allocates: most calls that are cancelled have nobody who
/// asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The caller cancelled the call, or dropped it.
    Caller,
    /// The connection that the call came over is gone.
    ConnectionLost,
    /// The server stops, and waited long enough.
    Shutdown,
    /// Whoever keeps the call's deadline says that it has passed.
    Deadline,
    /// The user's words.
    Other(Cow<'static, str>),
}

impl Reason {
    /// What a task sees that was ended for this reason.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Caller => Status::cancelled("the caller cancelled the call"),
            Self::ConnectionLost => Status::cancelled("the connection to the caller was lost"),
            Self::Shutdown => Status::cancelled("the server is shutting down"),
            Self::Deadline => Status::deadline_exceeded("the deadline has passed"),
            Self::Other(message) => Status::cancelled(message.clone()),
        }
    }
}

/// Can be cancelled, once.
#[derive(Debug, Default)]
pub(crate) struct Cancellation {
    reason: OnceLock<Reason>,
    waiters: Mutex<Waiters>,
}

impl Cancellation {
    /// Why it was cancelled; `None` if it was not.
    pub(crate) fn reason(&self) -> Option<&Reason> {
        self.reason.get()
    }

    /// Cancels and wakes who waits; whether it was the first to do so. Allocates nothing.
    pub(crate) fn cancel(&self, reason: Reason) -> bool {
        if self.reason.set(reason).is_err() {
            return false;
        }
        let waiters = mem::take(&mut *self.lock());
        for slot in waiters.slots {
            if let Slot::Waiting(waker) = slot {
                waker.wake();
            }
        }
        true
    }

    /// Leaves a waker, or replaces the one under `key`; the key to take it out with, or `None` if it is cancelled.
    pub(crate) fn wait(&self, key: Option<usize>, waker: &Waker) -> Option<usize> {
        if let Some(key) = key
            && self.lock().get(key).is_some_and(|known| known.will_wake(waker))
        {
            return Some(key);
        }
        let waker = waker.clone();
        let mut waiters = self.lock();
        let (key, unused) = if self.reason.get().is_some() {
            (None, Some(waker))
        } else if let Some(known) = key.and_then(|key| waiters.get_mut(key)) {
            (key, Some(mem::replace(known, waker)))
        } else {
            (Some(waiters.insert(waker)), None)
        };
        drop(waiters);
        drop(unused);
        key
    }

    /// Takes a waker out. A key that [`cancel`](Self::cancel) was faster with is no error.
    pub(crate) fn leave(&self, key: usize) {
        let waker = self.lock().remove(key);
        drop(waker);
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().slots.iter().filter(|slot| matches!(slot, Slot::Waiting(_))).count()
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        // Nothing under the lock can leave the slab half-written: a poisoned one is as good as any.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slab of wakers: inserting and removing take the same time however many there are.
#[derive(Debug, Default)]
struct Waiters {
    slots: Vec<Slot>,
    /// The head of the list of free slots.
    free: Option<usize>,
}

#[derive(Debug)]
enum Slot {
    Waiting(Waker),
    Free { next: Option<usize> },
}

impl Waiters {
    fn insert(&mut self, waker: Waker) -> usize {
        let slot = Slot::Waiting(waker);
        if let Some(key) = self.free
            && let Some(Slot::Free { next }) = self.slots.get(key)
        {
            self.free = *next;
            self.slots[key] = slot;
            key
        } else {
            self.slots.push(slot);
            self.slots.len() - 1
        }
    }

    fn get(&self, key: usize) -> Option<&Waker> {
        match self.slots.get(key) {
            Some(Slot::Waiting(waker)) => Some(waker),
            _ => None,
        }
    }

    fn get_mut(&mut self, key: usize) -> Option<&mut Waker> {
        match self.slots.get_mut(key) {
            Some(Slot::Waiting(waker)) => Some(waker),
            _ => None,
        }
    }

    fn remove(&mut self, key: usize) -> Option<Waker> {
        // Nobody waits after a cancellation, so a key from before it meets an empty slab, never another one's waker.
        let slot = self.slots.get_mut(key).filter(|slot| matches!(slot, Slot::Waiting(_)))?;
        let Slot::Waiting(waker) = mem::replace(slot, Slot::Free { next: self.free }) else { return None };
        self.free = Some(key);
        Some(waker)
    }
}
