//! Which context is the current one: [`Context::current`], futures that carry a context, tasks that keep it.
//!
//! A future runs in polls, and between two of them the thread does other work. So the current context lives in a
//! thread-local for the length of a poll: it is moved in as the poll begins and moved back out as it ends, by a panic
//! too. Nothing is counted or allocated for that, and the contexts of futures that share a task (by `join!`, say) do
//! not mix.

use std::cell::Cell;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;
use tokio::task::JoinHandle;

use crate::context::cancelled::Cancelled;
use crate::context::context::Context;
use crate::status::Status;

thread_local! {
    // Nothing of others runs while it is taken out to be looked at.
    static CURRENT: Cell<Context> = const { Cell::new(Context::background()) };
}

/// Runs `f` with this context as the current one.
///
/// The context is moved, not cloned: until `f` returns, or panics, `context` keeps the place of the one outside.
pub(crate) fn poll_in<T>(context: &mut Context, f: impl FnOnce() -> T) -> T {
    struct Restore<'a>(&'a mut Context);

    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            swap(self.0);
        }
    }

    swap(context);
    let _restore = Restore(context);
    f()
}

fn swap(context: &mut Context) {
    // A thread that is ending has no current context any more; what its destructors do happens in the background one.
    let _ = CURRENT.try_with(|current| *context = current.replace(mem::take(context)));
}

/// Starts a task that keeps the current context: its deadline, cancellation, values and trace.
///
/// The task ends with `Err` of the context's [status](Context::status) when the context ends; what it was doing is
/// dropped at its next await. A handler that completes does not end its context by that: a task that it leaves behind
/// runs on, until the deadline of the call at the latest. Work that is to survive even that is started by
/// `tokio::spawn`, in the background context. The [`JoinHandle`] is tokio's: dropping it detaches the task, and it gives
/// a `JoinError` if the task panicked.
///
/// # Panics
/// Outside of a tokio runtime.
///
/// ```
/// use std::time::Duration;
/// use rpc_core::{Code, Context};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tokio::task::JoinError> {
/// let ctx = Context::current().with_timeout(Duration::from_millis(5));
/// let task = ctx.sync_scope(|| rpc_core::spawn(std::future::pending::<()>()));
/// assert_eq!(task.await?.unwrap_err().code(), Code::DeadlineExceeded);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<Result<F::Output, Status>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(Context::current().run(future))
}

impl Context {
    /// The context of the innermost scope that is being polled on this thread: in a handler the call's. Outside of every
    /// scope, and in tasks that `tokio::spawn` started, the [background](Self::background).
    pub fn current() -> Self {
        Self::look(Self::clone).unwrap_or_default()
    }

    /// Whether this very context is the [current](Self::current) one.
    pub(crate) fn is_current(&self) -> bool {
        let same = |current: &Self| match (&current.0, &self.0) {
            (Some(current), Some(own)) => Arc::ptr_eq(current, own),
            (current, own) => current.is_none() && own.is_none(),
        };
        Self::look(same).unwrap_or(false)
    }

    /// Looks at the current context; `None` on a thread that is ending.
    fn look<T>(f: impl FnOnce(&Self) -> T) -> Option<T> {
        let look = |place: &Cell<Self>| {
            let current = place.take();
            let result = f(&current);
            place.set(current);
            result
        };
        CURRENT.try_with(look).ok()
    }

    /// Runs a future with this context as the [current](Self::current) one, whenever it is polled and as it is dropped.
    ///
    /// It only sets the scene: calls inside inherit the deadline and cancellation, other work goes on to its end. To end
    /// that too, use [`run`](Self::run). As safe to drop as the future is.
    ///
    /// ```
    /// use rpc_core::Context;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let seen = Context::background().with_value(7_u64).scope(async { Context::current().value::<u64>() }).await;
    /// assert_eq!(*seen.unwrap(), 7);
    /// # }
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> Scope<F> {
        Scope { context: self.clone(), future: Some(future) }
    }

    /// Runs a closure with this context as the [current](Self::current) one.
    pub fn sync_scope<T>(&self, f: impl FnOnce() -> T) -> T {
        poll_in(&mut self.clone(), f)
    }

    /// Runs any future in this context, and drops it when the context ends. A future that is complete when the context
    /// ends still gives its result; in a context that has ended before, it is not even started.
    ///
    /// As safe to drop as the future is; nothing stays behind.
    ///
    /// # Errors
    /// The context's [status](Self::status): [`Code::Cancelled`](crate::Code::Cancelled) or
    /// [`Code::DeadlineExceeded`](crate::Code::DeadlineExceeded).
    ///
    /// # Panics
    /// When polled outside of a tokio runtime with a timer, if there is a deadline.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rpc_core::{Context, Status};
    ///
    /// # async fn query() -> Result<u32, Status> { Ok(7) }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Status> {
    /// // A database client that knows nothing of deadlines gets one.
    /// let rows = Context::current().with_timeout(Duration::from_millis(50)).run(query()).await??;
    /// # assert_eq!(rows, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<F: Future>(&self, future: F) -> Run<F> {
        Run { cancelled: self.cancelled(), started: false, future: Some(future) }
    }
}

pin_project! {
    /// A future with a context of its own: see [`Context::scope`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scope<F> {
        context: Context,
        // `None` only while it is dropped.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Scope<F> {
        fn drop(this: Pin<&mut Self>) {
            // Destructors of what the future holds may make calls, or tasks.
            let mut this = this.project();
            poll_in(this.context, || this.future.set(None));
        }
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        poll_in(this.context, || match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        })
    }
}

pin_project! {
    /// A future that ends with its context: see [`Context::run`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Run<F> {
        // The context, and the wait for its end.
        #[pin]
        cancelled: Cancelled,
        started: bool,
        // `None` once it is complete, or ended.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Run<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            poll_in(this.cancelled.context(), || this.future.set(None));
        }
    }
}

impl<F: Future> Future for Run<F> {
    type Output = Result<F::Output, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let context = this.cancelled.as_mut().context();
        if !mem::replace(this.started, true)
            && let Some(status) = context.status()
        {
            poll_in(context, || this.future.set(None));
            return Poll::Ready(Err(status));
        }
        // The future first: one that is ready at once costs neither a registration nor a timer.
        let polled = poll_in(context, || {
            let polled = this.future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx));
            if polled.is_ready() {
                this.future.set(None);
            }
            polled
        });
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        let ended = this.cancelled.as_mut().poll(cx);
        if ended.is_ready() {
            poll_in(this.cancelled.context(), || this.future.set(None));
        }
        ended.map(Err)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_poll_moves_the_context_and_gives_it_back() {
        let mut context = Context::background().with_value(7_u8);
        let node = context.0.clone().unwrap();
        let outer = Context::background().with_value("outer");
        outer.sync_scope(|| {
            poll_in(&mut context, || {
                assert_eq!(Arc::strong_count(&node), 2, "this test's handle and the thread's");
                assert_eq!(Context::current().value::<u8>().as_deref(), Some(&7));
                assert!(Context::current().value::<&str>().is_none());
            });
            assert!(Context::current().value::<&str>().is_some());
        });
        assert!(Arc::ptr_eq(context.0.as_ref().unwrap(), &node));
    }

    #[test]
    fn a_panic_gives_both_contexts_back() {
        let mut context = Context::background().with_value(7_u8);
        let panicked = catch_unwind(AssertUnwindSafe(|| poll_in(&mut context, || panic!("on purpose"))));
        assert!(panicked.is_err());
        assert!(Context::current().0.is_none());
        assert!(context.value::<u8>().is_some());
    }
}
