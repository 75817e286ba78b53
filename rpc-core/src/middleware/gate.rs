//! [`Gate`]: so many may be inside at once, and so many may wait in line.
//!
//! Whoever finds a free place takes it by one atomic operation, and gives it back by one: a limit that is not reached
//! costs no lock. One word says both how many places are free and whether anybody waits:
//!
//! ```text
//!   word = free places × 2 + (1 if somebody is in line)
//!
//!   nobody waits:   enter: word - 2    leave: word + 2      by anybody, without the lock
//!   somebody waits: no place is free, and the word is changed by whoever has the lock of the line:
//!                   a place that is given back goes to the first in line, and never through the word
//! ```
//!
//! So nobody overtakes those who wait, and no place is lost: it is in the word, or somebody's.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};

/// A place in the word.
const PLACE: usize = 2;
/// Somebody is in line.
const WAITED_FOR: usize = 1;

/// Lets so many in, and so many wait.
#[derive(Debug)]
pub(crate) struct Gate {
    word: AtomicUsize,
    line: Mutex<Line>,
    /// How many may be inside.
    pub(crate) max: usize,
    /// How many may wait.
    pub(crate) queue: usize,
}

/// Who waits, in order of arrival. The waker of one that was not polled yet is `None`.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<u64, Option<Waker>>,
    /// The number of the next one.
    next: u64,
}

impl Gate {
    /// At least one may be inside.
    pub(crate) fn new(max: usize, queue: usize) -> Arc<Self> {
        let max = max.clamp(1, usize::MAX / PLACE);
        Arc::new(Self { word: AtomicUsize::new(max * PLACE), line: Mutex::default(), max, queue })
    }

    /// Enters, if there is a free place that nobody waits for.
    #[inline]
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Permit> {
        self.take_place().then(|| Permit(self.clone()))
    }

    /// Takes a free place, if nobody waits for one.
    #[inline]
    fn take_place(&self) -> bool {
        // Acquire and release, as of a lock: what was done inside before is seen by who is inside now.
        self.word
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |word| {
                if word & WAITED_FOR == 0 { word.checked_sub(PLACE) } else { None }
            })
            .is_ok()
    }

    /// Gets in line, for one that could not enter; `None` if the line is full.
    #[cold]
    pub(crate) fn queue_up(self: &Arc<Self>) -> Option<Queued> {
        let mut line = self.lock();
        let mut is_inside = false;
        // A place may have come free before the lock was there; once the line is begun, none does without it.
        while line.waiting.is_empty() && !is_inside {
            if self.take_place() {
                is_inside = true;
            } else if self.queue == 0 {
                return None;
            } else if self.word.compare_exchange(0, WAITED_FOR, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                break;
            }
        }
        if !is_inside && line.waiting.len() >= self.queue {
            return None;
        }
        let number = line.next;
        line.next += 1;
        // Whose number is not in line has been let in.
        if !is_inside {
            line.waiting.insert(number, None);
        }
        Some(Queued { gate: self.clone(), number: Some(number) })
    }

    /// Gives a place back: to the first in line, if there is one.
    #[inline]
    fn leave(&self) {
        let free = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            (word & WAITED_FOR == 0).then_some(word + PLACE)
        });
        if free.is_err() {
            self.pass_on();
        }
    }

    #[cold]
    fn pass_on(&self) {
        let mut line = self.lock();
        let first = line.waiting.pop_first();
        if first.is_none() {
            // Whoever was in line has left it in the meantime: then the place is free.
            self.word.fetch_add(PLACE, Ordering::Release);
        } else if line.waiting.is_empty() {
            self.word.store(0, Ordering::Relaxed);
        }
        drop(line);
        if let Some((_, Some(waker))) = first {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Nothing under the lock can leave the line half-written: a poisoned one is as good as any.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are inside, and how many wait.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let line = self.lock();
        (self.max - self.word.load(Ordering::Relaxed) / PLACE, line.waiting.len())
    }
}

/// A place inside; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Gate>);

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A place in line: waits for one inside. Dropping it gives up either.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Queued {
    gate: Arc<Gate>,
    /// `None` once it was let in.
    number: Option<u64>,
}

impl Future for Queued {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Permit> {
        let Some(number) = self.number else { return Poll::Pending };
        // Cloned and dropped outside of the lock: that is code of somebody's executor, which may come back here.
        let mut waker = Some(cx.waker().clone());
        if let Some(place) = self.gate.lock().waiting.get_mut(&number) {
            std::mem::swap(place, &mut waker);
            return Poll::Pending;
        }
        self.number = None;
        Poll::Ready(Permit(self.gate.clone()))
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut line = self.gate.lock();
        let left = line.waiting.remove(&number);
        if left.is_some() && line.waiting.is_empty() {
            self.gate.word.store(0, Ordering::Relaxed);
        }
        drop(line);
        if left.is_none() {
            // It was let in, and never came to know.
            self.gate.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;
    use std::thread::{self, Thread};
    use std::time::Duration;

    use super::*;

    fn poll(queued: &mut Queued) -> Poll<Permit> {
        Pin::new(queued).poll(&mut TaskContext::from_waker(Waker::noop()))
    }

    fn permit(gate: &Arc<Gate>) -> Permit {
        gate.enter().expect("a place is free")
    }

    fn queued(gate: &Arc<Gate>) -> Queued {
        assert!(gate.enter().is_none(), "no place is free");
        gate.queue_up().expect("there is room in the line")
    }

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn those_who_wait_are_let_in_in_order_and_nobody_overtakes_them() {
        let gate = Gate::new(1, 2);
        let inside = permit(&gate);
        let (mut first, mut second) = (queued(&gate), queued(&gate));
        assert!(gate.enter().is_none() && gate.queue_up().is_none());
        let woken = Arc::new(Flag::default());
        assert!(Pin::new(&mut first).poll(&mut TaskContext::from_waker(&woken.clone().into())).is_pending());
        drop(inside);
        assert!(woken.0.load(Ordering::SeqCst));
        assert!(poll(&mut second).is_pending(), "the place is the first one's, polled or not");
        let third = queued(&gate);
        let Poll::Ready(inside) = poll(&mut first) else { panic!("the first is let in") };
        drop(third);
        drop(inside);
        assert!(poll(&mut second).is_ready());
        assert_eq!(gate.counts(), (0, 0));
    }

    #[test]
    fn a_place_is_passed_on_by_one_who_was_let_in_and_never_came() {
        let gate = Gate::new(1, 2);
        let inside = permit(&gate);
        let (first, mut second) = (queued(&gate), queued(&gate));
        drop(inside);
        drop(first);
        assert!(poll(&mut second).is_ready());
        assert_eq!(gate.counts(), (0, 0));
        let _inside = permit(&gate);
        let only = queued(&gate);
        drop(only);
        assert_eq!(gate.counts(), (1, 0));
    }

    #[test]
    fn whoever_finds_a_place_after_all_is_let_in_without_a_line() {
        let gate = Gate::new(1, 0);
        let mut queued = gate.queue_up().expect("a place is free");
        assert_eq!(gate.counts(), (1, 0));
        drop(poll(&mut queued));
        assert_eq!(gate.counts(), (0, 0));
        drop(gate.queue_up());
        assert_eq!(gate.counts(), (0, 0), "it was let in, and never came to know");
    }

    #[test]
    fn without_a_line_nobody_waits() {
        let gate = Gate::new(1, 0);
        let inside = permit(&gate);
        assert!(gate.enter().is_none() && gate.queue_up().is_none());
        drop(inside);
        drop(permit(&gate));
    }

    #[test]
    fn no_place_is_lost_and_never_too_many_are_inside_when_threads_race() {
        /// Only a test that fails takes this long.
        const PATIENCE: Duration = Duration::from_secs(10);

        struct Unpark(Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        let gate = Gate::new(2, 8);
        let inside = AtomicUsize::new(0);
        thread::scope(|threads| {
            for thread in 0..4 {
                let (gate, inside) = (&gate, &inside);
                threads.spawn(move || {
                    let waker = Waker::from(Arc::new(Unpark(thread::current())));
                    for round in 0..5_000 {
                        let permit = gate.enter().or_else(|| {
                            let mut queued = gate.queue_up().expect("four cannot fill a line of eight");
                            if (round + thread) % 3 == 0 {
                                // Some give up, at any moment.
                                return None;
                            }
                            loop {
                                let mut cx = TaskContext::from_waker(&waker);
                                if let Poll::Ready(permit) = Pin::new(&mut queued).poll(&mut cx) {
                                    return Some(permit);
                                }
                                thread::park_timeout(PATIENCE);
                            }
                        });
                        let Some(permit) = permit else { continue };
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(gate.counts(), (0, 0));
    }
}
