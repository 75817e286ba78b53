//! [`Context`]: what surrounds a call, as a handle that is cheap to clone.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::context::cancel::Reason;
use crate::context::cancelled::{CancelHandle, Cancelled, has_passed};
use crate::context::incoming::Call;
use crate::context::node::{Kind, Node};
use crate::context::now;
use crate::context::peer::Peer;
use crate::context::trace::TraceContext;
use crate::metadata::Metadata;
use crate::status::Status;

/// Deadline, cancellation and values of the work at hand.
///
/// In a handler [`Context::current`] is the context of the call: its deadline, its caller's cancellation, the metadata
/// that came with it. Calls made there inherit all of it. The `with_…` methods make a child and leave this one as it
/// is; a child never has more time than its parent, and ends with it.
///
/// Cloning costs one reference count; the background context costs nothing at all.
#[derive(Clone, Default)]
pub struct Context(pub(in crate::context) Option<Arc<Node>>);

impl Context {
    /// The context outside of every call: no deadline, never cancelled, no values.
    pub const fn background() -> Self {
        Self(None)
    }

    /// When everything done here must be complete; `None` if it may take for ever.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.as_ref()?.deadline()
    }

    /// The time that is left until the deadline, zero when it has passed; `None` if there is no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.deadline()?.saturating_duration_since(now()))
    }

    /// A child that ends this long from now, or with its parent, whichever comes first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rpc_core::Context;
    ///
    /// let parent = Context::background().with_timeout(Duration::from_millis(50));
    /// let child = parent.with_timeout(Duration::from_secs(5));
    /// assert_eq!(child.deadline(), parent.deadline());
    /// ```
    #[must_use = "it makes a child; this context stays as it is"]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        match now().checked_add(timeout) {
            Some(deadline) => self.with_deadline(deadline),
            // A time that the clock cannot express limits nothing.
            None => self.clone(),
        }
    }

    /// A child that ends at this moment, or with its parent, whichever comes first.
    #[must_use = "it makes a child; this context stays as it is"]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        if self.deadline().is_some_and(|nearer| nearer <= deadline) {
            return self.clone();
        }
        self.child(Some(deadline), Kind::Limit)
    }

    /// A child, and the handle that cancels it. Dropping the handle cancels it too, unless it is
    /// [detached](CancelHandle::detach).
    pub fn with_cancel(&self) -> (Self, CancelHandle) {
        let node = Node::new(self.0.clone(), None, Kind::Cancel(Box::default()));
        (Self(Some(node.clone())), CancelHandle::new(node))
    }

    /// A child that has this value, found by its type. It hides a value of the same type further up.
    ///
    /// A type of your own makes the best name: `with_value(User(…))`. What goes in as an `Arc<User>` is found as that,
    /// not as a `User`.
    #[must_use = "it makes a child; this context stays as it is"]
    pub fn with_value<T: Send + Sync + 'static>(&self, value: T) -> Self {
        self.child(None, Kind::Value(Arc::new(value)))
    }

    /// The nearest value of this type, here or in a parent; `None` if there is none.
    ///
    /// Values of children cannot be seen; [the module](crate::context#an-answer-from-a-child) shows what to do.
    ///
    /// ```
    /// use rpc_core::Context;
    ///
    /// struct User(&'static str);
    ///
    /// let parent = Context::background().with_value(User("ada"));
    /// let child = parent.with_value(7_u64);
    /// assert_eq!(child.value::<User>().unwrap().0, "ada");
    /// assert!(parent.value::<u64>().is_none());
    /// ```
    pub fn value<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.as_ref()?.chain().find_map(|node| match &node.kind {
            Kind::Value(value) if (**value).is::<T>() => value.clone().downcast().ok(),
            _ => None,
        })
    }

    /// A child that belongs to this trace, as do the calls made in it.
    #[must_use = "it makes a child; this context stays as it is"]
    pub fn with_trace(&self, trace: TraceContext) -> Self {
        self.child(None, Kind::Trace(trace))
    }

    /// The trace that the work at hand belongs to; `None` if it is not traced.
    pub fn trace(&self) -> Option<TraceContext> {
        self.0.as_ref()?.chain().find_map(|node| match &node.kind {
            Kind::Trace(trace) => Some(*trace),
            Kind::Call(call) => call.trace,
            _ => None,
        })
    }

    /// A child in which the request came with this metadata: what a layer of the server made of it.
    pub(crate) fn with_metadata(&self, metadata: Metadata) -> Self {
        self.child(None, Kind::Metadata(metadata))
    }

    /// The metadata that came with the request; empty outside of a handler.
    pub fn metadata(&self) -> &Metadata {
        static EMPTY: Metadata = Metadata::new();
        let node = self.0.as_ref();
        node.and_then(|node| node.chain().find_map(|node| node.metadata())).unwrap_or(&EMPTY)
    }

    /// Who called; `None` outside of a handler.
    pub fn peer(&self) -> Option<&Peer> {
        self.caller_link().map(|caller| caller.peer())
    }

    /// Whether this context has ended: it or a parent was cancelled, or the deadline has passed.
    ///
    /// For loops that compute; whoever waits is better served by [`run`](Self::run) or [`cancelled`](Self::cancelled).
    pub fn is_cancelled(&self) -> bool {
        let Some(node) = &self.0 else { return false };
        node.reason().is_some() || node.deadline().is_some_and(has_passed)
    }

    /// Why this context has ended: [`Code::Cancelled`](crate::Code::Cancelled) with the reason, or
    /// [`Code::DeadlineExceeded`](crate::Code::DeadlineExceeded). `None` while it has not.
    ///
    /// A loop that computes stops with `if let Some(status) = ctx.status() { return Err(status) }`.
    #[inline]
    pub fn status(&self) -> Option<Status> {
        let node = self.0.as_ref()?;
        node.reason()
            .map(Reason::status)
            .or_else(|| node.deadline().is_some_and(has_passed).then(|| self.deadline_status()))
    }

    /// Waits until this context ends, and says why, as [`status`](Self::status) does. Pending for ever in a context
    /// that neither can be cancelled nor has a deadline.
    ///
    /// The future is independent of this handle (it may go to another task) and safe to drop at any moment: nothing of
    /// it stays behind.
    ///
    /// # Panics
    /// When polled outside of a tokio runtime with a timer, if there is a deadline.
    ///
    /// ```
    /// use rpc_core::Context;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (ctx, handle) = Context::current().with_cancel();
    /// tokio::join!(
    ///     async { assert_eq!(ctx.cancelled().await.message(), "enough") },
    ///     async { assert!(handle.cancel("enough")) },
    /// );
    /// # }
    /// ```
    pub fn cancelled(&self) -> Cancelled {
        Cancelled::new(self.clone())
    }

    fn child(&self, deadline: Option<Instant>, kind: Kind) -> Self {
        Self(Some(Node::new(self.0.clone(), deadline, kind)))
    }

    pub(in crate::context) fn call(&self) -> Option<&Call> {
        self.0.as_ref()?.call()
    }

    pub(in crate::context) fn deadline_status(&self) -> Status {
        match self.call() {
            Some(call) => Status::deadline_exceeded(format!("the deadline of {} has passed", call.method)),
            None => Status::deadline_exceeded("the deadline of the context has passed"),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Context(background)"),
            Some(node) => {
                f.write_str("Context")?;
                f.debug_list().entries(node.chain()).finish()
            }
        }
    }
}
