//! Waiting for the end of a context, and bringing it about.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::context::cancel::Reason;
use crate::context::context::Context;
use crate::context::node::Node;
use crate::context::{now, sleep_until};
use crate::status::Status;

/// Cancels a context and everything below it; made by [`Context::with_cancel`].
///
/// Dropping it cancels too: what nobody can stop any more should not go on by accident. A context that is to outlive
/// its handle is set free with [`detach`](Self::detach).
///
/// ```
/// use rpc_core::Context;
///
/// let (ctx, handle) = Context::current().with_cancel();
/// let child = ctx.with_value(7);
/// handle.cancel("the user closed the page");
/// assert_eq!(child.status().unwrap().message(), "the user closed the page");
/// ```
#[derive(Debug)]
#[must_use = "dropping the handle cancels the context"]
pub struct CancelHandle {
    // `None` once detached.
    node: Option<Arc<Node>>,
}

impl CancelHandle {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node: Some(node) }
    }

    /// Cancels; `reason` becomes the message of the [`Code::Cancelled`](crate::Code::Cancelled) status that those below
    /// see. Only the first reason counts: whether it was this one.
    pub fn cancel(&self, reason: impl Into<Cow<'static, str>>) -> bool {
        self.cancel_for(Reason::Other(reason.into()))
    }

    /// Gives up the right to cancel: the context lives on without a handle, and ends only with its parent.
    pub fn detach(mut self) {
        self.node = None;
    }

    pub(crate) fn cancel_for(&self, reason: Reason) -> bool {
        self.node.as_ref().and_then(|node| node.cancellation()).is_some_and(|place| place.cancel(reason))
    }
}

impl Drop for CancelHandle {
    fn drop(&mut self) {
        self.cancel_for(Reason::Other(Cow::Borrowed("the handle of the context was dropped")));
    }
}

/// The wakers that one waiting task has left, at each place whose cancellation would end its context. Dropping it takes
/// them out.
///
/// It belongs to one context, the first that it was polled with.
#[derive(Debug, Default)]
pub(crate) enum Registration {
    #[default]
    Nowhere,
    // Most contexts have one such place, the call that the server handles: it needs no list.
    Once(Entry),
    // In a box, so that next to nothing is done where a call is dropped that has none.
    #[expect(
        clippy::box_collection,
        reason = "a call has one, and it is nearly always empty: 16 bytes, not 24"
    )]
    Often(Box<Vec<Entry>>),
}

/// The waker at one place.
#[derive(Debug)]
pub(crate) struct Entry {
    node: Arc<Node>,
    key: usize,
}

impl Drop for Entry {
    // Not where a call is dropped: most have none.
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(place) = self.node.cancellation() {
            place.leave(self.key);
        }
    }
}

impl Registration {
    fn poll(&mut self, node: &Arc<Node>, cx: &TaskContext<'_>) -> Poll<Status> {
        let ended = match self {
            Self::Nowhere => node.chain().find_map(|node| self.add(node, cx)),
            Self::Once(entry) => entry.refresh(cx),
            Self::Often(entries) => entries.iter_mut().find_map(|entry| entry.refresh(cx)),
        };
        match ended {
            Some(status) => {
                *self = Self::default();
                Poll::Ready(status)
            }
            None => Poll::Pending,
        }
    }

    fn add(&mut self, node: &Arc<Node>, cx: &TaskContext<'_>) -> Option<Status> {
        let place = node.cancellation()?;
        let Some(key) = place.wait(None, cx.waker()) else {
            return place.reason().map(Reason::status);
        };
        let entry = Entry { node: node.clone(), key };
        *self = match std::mem::take(self) {
            Self::Nowhere => Self::Once(entry),
            Self::Once(first) => Self::Often(Box::new(vec![first, entry])),
            Self::Often(mut entries) => {
                entries.push(entry);
                Self::Often(entries)
            }
        };
        None
    }
}

impl Entry {
    fn refresh(&mut self, cx: &TaskContext<'_>) -> Option<Status> {
        let place = self.node.cancellation()?;
        match place.wait(Some(self.key), cx.waker()) {
            Some(key) => {
                self.key = key;
                None
            }
            None => place.reason().map(Reason::status),
        }
    }
}

impl Context {
    /// Whether a parent or this context itself was cancelled; else the task is woken when that happens.
    ///
    /// It does not look at the deadline: a call keeps that itself. Where nothing can be cancelled (outside of every
    /// handler) it costs a branch.
    #[inline]
    pub(crate) fn poll_cancelled(
        &self,
        cx: &TaskContext<'_>,
        registration: &mut Registration,
    ) -> Poll<Status> {
        match &self.0 {
            Some(node) if node.is_cancellable() => registration.poll(node, cx),
            _ => Poll::Pending,
        }
    }
}

pin_project! {
    /// Resolves when a context ends: see [`Context::cancelled`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Cancelled {
        context: Context,
        registration: Registration,
        // Armed by the first poll that has to wait, at the context's deadline.
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Cancelled {
    pub(crate) fn new(context: Context) -> Self {
        Self { context, registration: Registration::default(), timer: None }
    }

    pub(crate) fn context(self: Pin<&mut Self>) -> &mut Context {
        self.project().context
    }
}

impl Future for Cancelled {
    type Output = Status;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Status> {
        let mut this = self.project();
        if let Poll::Ready(status) = this.context.poll_cancelled(cx, this.registration) {
            return Poll::Ready(status);
        }
        let Some(deadline) = this.context.deadline() else { return Poll::Pending };
        // The clock decides and the timer only wakes: a task that has used up its share of tokio's cooperative budget
        // is told by every timer to come back later, and would never end.
        if has_passed(deadline) {
            return Poll::Ready(this.context.deadline_status());
        }
        if this.timer.is_none() {
            this.timer.set(Some(sleep_until(deadline)));
        }
        match this.timer.as_pin_mut().map(|timer| timer.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(this.context.deadline_status()),
            _ => Poll::Pending,
        }
    }
}

pub(crate) fn has_passed(deadline: Instant) -> bool {
    deadline <= now()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::thread::{self, Thread};
    use std::time::Duration;

    use super::*;

    fn waiting(context: &Context) -> usize {
        let node = context.0.as_ref();
        node.into_iter()
            .flat_map(Node::chain)
            .filter_map(|node| node.cancellation())
            .map(|p| p.waiting())
            .sum()
    }

    fn noop() -> TaskContext<'static> {
        TaskContext::from_waker(Waker::noop())
    }

    #[tokio::test]
    async fn waiting_leaves_nothing_behind() {
        let (parent, _parent_handle) = Context::background().with_cancel();
        let (child, child_handle) = parent.with_value(1).with_cancel();
        let mut one = Box::pin(child.cancelled());
        let mut two = Box::pin(child.run(std::future::pending::<()>()));
        let never_polled = child.cancelled();
        assert_eq!(waiting(&child), 0, "a future that is not polled does not wait");

        for _ in 0..3 {
            assert!(one.as_mut().poll(&mut noop()).is_pending());
            assert!(two.as_mut().poll(&mut noop()).is_pending());
        }
        assert_eq!((waiting(&child), waiting(&parent)), (4, 2), "each waits at both places, once");

        drop((one, never_polled));
        assert_eq!((waiting(&child), waiting(&parent)), (2, 1));
        child_handle.cancel("enough");
        assert!(two.as_mut().poll(&mut noop()).is_ready());
        assert_eq!(waiting(&child), 0, "it does not wait on at the parent either");
    }

    #[test]
    fn a_parent_that_is_cancelled_already_is_not_waited_for() {
        let (parent, parent_handle) = Context::background().with_cancel();
        let (child, _handle) = parent.with_cancel();
        parent_handle.cancel("before");
        let mut registration = Registration::default();
        let Poll::Ready(status) = child.poll_cancelled(&noop(), &mut registration) else { panic!() };
        assert_eq!(status.message(), "before");
        assert_eq!(waiting(&child), 0);
    }

    #[test]
    fn where_nothing_can_be_cancelled_nobody_waits() {
        let limited = Context::background().with_deadline(Instant::now());
        for context in [Context::background(), limited.with_value(1)] {
            let mut registration = Registration::default();
            // The deadline has passed, and this is not its business.
            assert!(context.poll_cancelled(&noop(), &mut registration).is_pending());
            assert!(matches!(registration, Registration::Nowhere));
        }
    }

    #[test]
    fn no_wake_is_missed_and_no_waker_is_left_when_threads_race() {
        /// Only a test that fails takes this long.
        const PATIENCE: Duration = Duration::from_secs(10);

        struct Unpark(Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        fn spin_until(counter: &AtomicUsize, round: usize) {
            let start = Instant::now();
            let mut spins = 0_u32;
            while counter.load(Ordering::SeqCst) < round {
                spins += 1;
                // On a machine with one free core, spinning on would only hold the other thread up.
                if spins.is_multiple_of(1_000) {
                    assert!(start.elapsed() < PATIENCE, "the other thread is gone");
                    thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
            }
        }

        fn block_on(context: &Context) {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let mut registration = Registration::default();
            while context.poll_cancelled(&TaskContext::from_waker(&waker), &mut registration).is_pending() {
                let parked = Instant::now();
                thread::park_timeout(PATIENCE);
                assert!(parked.elapsed() < PATIENCE, "a wake was missed");
            }
        }

        // Two threads that meet at each context, spinning, so that the cancellation often hits the registration itself.
        let contexts: Vec<_> = (0..20_000)
            .map(|_| {
                let (parent, handle) = Context::background().with_cancel();
                let (child, child_handle) = parent.with_cancel();
                (child, handle, child_handle)
            })
            .collect();
        let (cancelling, waiting_at) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|threads| {
            threads.spawn(|| {
                for (n, (child, ..)) in contexts.iter().enumerate() {
                    waiting_at.store(n + 1, Ordering::SeqCst);
                    spin_until(&cancelling, n + 1);
                    if n % 4 == 0 {
                        while child.poll_cancelled(&noop(), &mut Registration::default()).is_pending() {}
                    } else {
                        block_on(child);
                    }
                }
            });
            for (n, (_, handle, _)) in contexts.iter().enumerate() {
                spin_until(&waiting_at, n + 1);
                cancelling.store(n + 1, Ordering::SeqCst);
                for _ in 0..fastrand::u32(..16) {
                    std::hint::spin_loop();
                }
                handle.cancel("now");
            }
        });
        assert!(contexts.iter().all(|(child, ..)| waiting(child) == 0));
    }
}
