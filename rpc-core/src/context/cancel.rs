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
            Self::Shutdown => Status::unavailable("the server shut down before the call was complete"),
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

    /// Whether it was never cancelled, and nobody has ever waited for it.
    pub(crate) fn is_untouched(&mut self) -> bool {
        let waiters = self.waiters.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.reason.get().is_none() && waiters.slots.is_empty()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    #[test]
    fn the_first_reason_counts_and_everybody_is_woken_once() {
        let place = Cancellation::default();
        let (one, one_waker) = counter();
        let (two, two_waker) = counter();
        place.wait(None, &one_waker).unwrap();
        place.wait(None, &two_waker).unwrap();
        assert!(place.cancel(Reason::Caller));
        assert!(!place.cancel(Reason::Shutdown));
        assert_eq!(place.reason(), Some(&Reason::Caller));
        assert_eq!((one.0.load(Ordering::Relaxed), two.0.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(place.wait(None, &one_waker), None);
    }

    #[test]
    fn a_task_that_waits_again_has_its_waker_replaced() {
        let place = Cancellation::default();
        let (old, old_waker) = counter();
        let (new, new_waker) = counter();
        let key = place.wait(None, &old_waker);
        assert_eq!(place.wait(key, &old_waker), key);
        assert_eq!(place.wait(key, &new_waker), key);
        assert_eq!(place.waiting(), 1);
        place.cancel(Reason::Caller);
        assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
        assert_eq!(Arc::strong_count(&old), 2, "the test's own, and its waker's");
    }

    #[test]
    fn slots_are_used_again() {
        let place = Cancellation::default();
        let keys: Vec<_> = (0..100).map(|_| place.wait(None, Waker::noop()).unwrap()).collect();
        for key in &keys {
            place.leave(*key);
            place.leave(*key);
        }
        assert_eq!(place.waiting(), 0);
        for _ in 0..100 {
            assert!(place.wait(None, Waker::noop()).unwrap() < 100);
        }
        assert_eq!(place.waiting(), 100);
    }

    #[test]
    fn leaving_after_the_cancellation_is_no_error() {
        let place = Cancellation::default();
        let key = place.wait(None, Waker::noop()).unwrap();
        place.cancel(Reason::ConnectionLost);
        place.leave(key);
        assert_eq!(place.waiting(), 0);
    }

    #[test]
    fn a_waker_may_come_back_as_it_is_woken_or_dropped() {
        struct Back(Arc<Cancellation>);

        impl Wake for Back {
            fn wake(self: Arc<Self>) {
                assert_eq!(self.0.wait(None, Waker::noop()), None);
            }
        }

        impl Drop for Back {
            fn drop(&mut self) {
                self.0.leave(0);
            }
        }

        let place = Arc::new(Cancellation::default());
        let waker = || Waker::from(Arc::new(Back(place.clone())));
        // Replaced, taken out, woken: each of these would deadlock if it happened under the lock.
        let key = place.wait(None, &waker());
        place.wait(key, &waker());
        place.leave(key.unwrap());
        place.wait(None, &waker());
        place.cancel(Reason::Caller);
    }
}
