//! A call that comes in: the root of a handler's context, and what the framework keeps there.
//!
//! Every method here goes to the nearest call of the chain, and does nothing if there is none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::context::caller::Caller;
use crate::context::cancel::{Cancellation, Reason};
use crate::context::context::Context;
use crate::context::node::{Kind, Node};
use crate::context::trace::TraceContext;
use crate::metadata::{InvalidName, Metadata};
use crate::status::Hop;

/// How many reports of nested calls a call keeps: more than a person reads, and few enough that a handler that starts
/// and drops calls in a loop costs nothing.
const MAX_HOPS: usize = 16;

/// What a server knows of a call as it comes in.
#[derive(Debug)]
pub(crate) struct CallParts {
    /// When the call must be complete.
    pub(crate) deadline: Option<Instant>,
    /// What came with the request.
    pub(crate) metadata: Metadata,
    /// Who calls, and over what.
    pub(crate) caller: Option<Arc<dyn Caller>>,
    /// The trace that the call belongs to.
    pub(crate) trace: Option<TraceContext>,
    /// The method, as `service/Method`.
    pub(crate) method: &'static str,
    /// Whether the caller, or one above it, tries again: then the calls that are made below must not.
    pub(crate) is_retry: bool,
}

/// A call that a server handles.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) is_retry: bool,
    pub(crate) metadata: Metadata,
    pub(crate) caller: Option<Arc<dyn Caller>>,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) cancellation: Cancellation,
    /// Whether the handler was started.
    pub(crate) executed: AtomicBool,
    /// What the nested calls that were dropped unfinished knew of their time budget. Allocates with the first one.
    pub(crate) hops: Mutex<Vec<Hop>>,
    /// What the handler sends beside its reply. Most send nothing.
    pub(crate) reply: OnceLock<Box<Mutex<Metadata>>>,
}

impl Context {
    /// The context of a call that comes in: two allocations in all, which the next call takes over, see
    /// [`renewed`](Self::renewed).
    pub(crate) fn for_call(parts: CallParts) -> Self {
        let CallParts { deadline, metadata, caller, trace, method, is_retry } = parts;
        let call = Call {
            method,
            is_retry,
            metadata,
            caller,
            trace,
            cancellation: Cancellation::default(),
            executed: AtomicBool::new(false),
            hops: Mutex::new(Vec::new()),
            reply: OnceLock::new(),
        };
        Self(Some(Node::new(None, deadline, Kind::Call(Box::new(call)))))
    }

    /// The context of a call that comes in, in the place of one that is over, of the same caller: nothing is allocated if
    /// nobody else has that one any more, and nobody had an interest in its end (200 instructions less a call).
    pub(crate) fn renewed(mut self, parts: CallParts, caller: impl FnOnce() -> Arc<dyn Caller>) -> Self {
        let node = self.0.as_mut().and_then(Arc::get_mut);
        if let Some(Node { deadline, kind: Kind::Call(call), .. }) = node
            && call.cancellation.is_untouched()
        {
            *deadline = parts.deadline;
            call.method = parts.method;
            call.is_retry = parts.is_retry;
            call.metadata = parts.metadata;
            call.trace = parts.trace;
            call.reply.take();
            *call.executed.get_mut() = false;
            call.hops.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
            return self;
        }
        Self::for_call(CallParts { caller: Some(caller()), ..parts })
    }

    /// The connection that the call came over; `None` outside of a handler.
    #[inline]
    pub(crate) fn caller_link(&self) -> Option<&Arc<dyn Caller>> {
        self.call()?.caller.as_ref()
    }

    /// Sends an entry of metadata with the reply, or with the error if there will be one, in place of any that has this
    /// name. For a handler, and for what it calls; see [`Metadata`] for what a name may be. Does nothing outside of a
    /// handler, and nothing once the answer has left.
    ///
    /// ```
    /// use rpc_core::{Context, Status};
    ///
    /// async fn look_up(name: String) -> Result<String, Status> {
    ///     Context::current().set_reply_metadata("cache", "miss")?;
    ///     Ok(name)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`InvalidName`] if the name may not be one; it converts into a [`Status`](crate::Status).
    pub fn set_reply_metadata(&self, name: &str, value: impl Into<bytes::Bytes>) -> Result<(), InvalidName> {
        let Some(call) = self.call() else { return Metadata::new().insert(name, value) };
        let reply = call.reply.get_or_init(Box::default);
        reply.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value)
    }

    /// Takes what the handler sends beside its reply.
    #[inline]
    pub(crate) fn take_reply_metadata(&self) -> Option<Metadata> {
        let reply = self.call()?.reply.get()?;
        Some(std::mem::take(&mut *reply.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Ends the call and everything below it; whether it was the first to do so. Only a user's own words allocate.
    pub(crate) fn cancel_call(&self, reason: Reason) -> bool {
        self.call().is_some_and(|call| call.cancellation.cancel(reason))
    }

    /// The method of the call, as `service/Method`.
    pub(crate) fn method(&self) -> Option<&'static str> {
        self.call().map(|call| call.method)
    }

    /// Whether this is within a call that is being tried again.
    pub(crate) fn is_retry(&self) -> bool {
        self.call().is_some_and(|call| call.is_retry)
    }

    /// Whether it is a call's, or made of one.
    pub(crate) fn is_of_a_call(&self) -> bool {
        self.call().is_some()
    }

    /// Notes that the handler was started.
    pub(crate) fn mark_executed(&self) {
        if let Some(call) = self.call() {
            // Relaxed, because it guards no other data.
            call.executed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the handler was started.
    pub(crate) fn was_executed(&self) -> bool {
        self.call().is_some_and(|call| call.executed.load(Ordering::Relaxed))
    }

    /// Leaves what a nested call that is dropped unfinished knows of its time budget, for the report of the call that
    /// it was made in.
    ///
    /// Only the latest [`MAX_HOPS`] are kept. Those are the ones that were pending as the time ran out.
    pub(crate) fn report_hop(&self, hop: Hop) {
        let Some(call) = self.call() else { return };
        let mut hops = call.hops.lock().unwrap_or_else(PoisonError::into_inner);
        if hops.len() == MAX_HOPS {
            hops.remove(0);
        }
        hops.push(hop);
    }

    /// Takes what the nested calls have left, in the order in which they left it.
    pub(crate) fn take_hops(&self) -> Vec<Hop> {
        let Some(call) = self.call() else { return Vec::new() };
        std::mem::take(&mut call.hops.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::context::{Peer, now};

    #[derive(Debug)]
    struct Connection(Peer);

    impl Caller for Connection {
        fn peer(&self) -> &Peer {
            &self.0
        }
    }

    fn call(deadline: Option<Instant>) -> Context {
        let mut metadata = Metadata::new();
        metadata.insert("tenant", "a").unwrap();
        let trace = Some(TraceContext::new_root());
        Context::for_call(CallParts {
            deadline,
            metadata,
            caller: Some(caller()),
            trace,
            method: "test.Echo/echo",
            is_retry: false,
        })
    }

    fn caller() -> Arc<dyn Caller> {
        Arc::new(Connection(Peer::new("here")))
    }

    fn hop(method: &str) -> Hop {
        let budget = Duration::from_millis(1);
        Hop { method: method.to_owned(), budget, queue: None, handler: None, elapsed: None }
    }

    #[test]
    fn children_see_the_call_that_they_belong_to() {
        let outer = call(None);
        let child = outer.with_value(7).with_timeout(Duration::from_secs(1));
        assert_eq!(child.metadata().get("tenant"), Some("a"));
        assert_eq!(child.peer().unwrap().address(), "here");
        assert_eq!(child.trace(), outer.trace());
        let span = outer.trace().unwrap().child();
        assert_eq!(child.with_trace(span).trace(), Some(span));
    }

    #[test]
    fn a_context_that_is_over_is_used_again_and_tells_nothing_of_the_call_before() {
        fn next() -> CallParts {
            CallParts {
                deadline: None,
                metadata: Metadata::new(),
                caller: None,
                trace: None,
                method: "test.Echo/next",
                is_retry: true,
            }
        }

        let over = call(Some(now()));
        over.mark_executed();
        over.report_hop(hop("B/b"));
        over.set_reply_metadata("cache", "miss").unwrap();
        let place = Arc::as_ptr(over.0.as_ref().unwrap());
        let context = over.renewed(next(), caller);
        assert_eq!(Arc::as_ptr(context.0.as_ref().unwrap()), place);
        assert_eq!(
            (context.deadline(), context.trace(), context.method()),
            (None, None, Some("test.Echo/next"))
        );
        assert!(context.metadata().is_empty() && context.is_retry() && !context.was_executed());
        assert!(context.take_hops().is_empty() && context.take_reply_metadata().is_none());

        // What a task still has, or what was cancelled, is left alone.
        let task = context.clone();
        let context = context.renewed(next(), caller);
        assert!(!Arc::ptr_eq(task.0.as_ref().unwrap(), context.0.as_ref().unwrap()));
        context.cancel_call(Reason::Caller);
        assert!(context.renewed(next(), caller).status().is_none());
    }

    #[test]
    fn marks_and_reports_go_to_the_nearest_call() {
        let context = call(None);
        let child = context.with_value(7);
        assert!(!context.was_executed());
        child.mark_executed();
        assert!(context.was_executed());

        child.report_hop(hop("B/one"));
        context.report_hop(hop("B/two"));
        assert_eq!(child.take_hops(), [hop("B/one"), hop("B/two")]);
        assert_eq!(context.take_hops(), []);
    }

    #[test]
    fn the_reply_s_metadata_is_the_call_s_and_the_last_entry_of_a_name_stays() {
        let context = call(None);
        assert_eq!(context.take_reply_metadata(), None);
        context.with_value(7).set_reply_metadata("cache", "miss").unwrap();
        context.set_reply_metadata("cache", "hit").unwrap();
        assert!(context.set_reply_metadata("not a name", "").is_err());
        let metadata = context.take_reply_metadata().unwrap();
        assert_eq!(metadata.iter().collect::<Vec<_>>(), [("cache", b"hit".as_slice())]);
        assert!(context.metadata().get("cache").is_none(), "what came is not what goes");
    }

    #[test]
    fn reports_are_bounded_and_the_latest_stay() {
        let context = call(None);
        for n in 0..100 {
            context.report_hop(hop(&n.to_string()));
        }
        let hops = context.take_hops();
        assert_eq!((hops.len(), hops[0].method.as_str(), hops[15].method.as_str()), (16, "84", "99"));
    }

    #[test]
    fn the_background_takes_marks_and_reports_and_forgets_them() {
        let background = Context::background();
        background.mark_executed();
        background.set_reply_metadata("cache", "miss").unwrap();
        assert!(background.take_reply_metadata().is_none());
        background.report_hop(hop("B/b"));
        assert!(!background.was_executed() && background.take_hops().is_empty());
        assert!(!background.cancel_call(Reason::Caller));
        assert!(
            background.metadata().is_empty() && background.peer().is_none() && background.trace().is_none()
        );
    }

    #[test]
    fn a_call_that_is_cancelled_ends_what_is_below_it() {
        use crate::status::Code;

        let reasons = [
            (Reason::Caller, Code::Cancelled),
            (Reason::ConnectionLost, Code::Cancelled),
            (Reason::Shutdown, Code::Unavailable),
            (Reason::Deadline, Code::DeadlineExceeded),
        ];
        for (reason, code) in reasons {
            let context = call(None);
            let (child, _handle) = context.with_cancel();
            assert!(child.cancel_call(reason.clone()) && !context.cancel_call(reason.clone()));
            assert_eq!(context.status().unwrap().code(), code, "{reason:?}");
            assert_eq!(child.status().unwrap().code(), code, "{reason:?}");
        }
    }

    #[test]
    fn the_error_of_a_deadline_names_the_method() {
        let status = call(Some(now())).with_value(7).status().unwrap();
        assert_eq!(status.to_string(), "DEADLINE_EXCEEDED: the deadline of test.Echo/echo has passed");
    }

    #[test]
    fn debug_shows_the_chain_and_no_secrets() {
        let (context, _handle) = call(None).with_value("secret").with_cancel();
        assert_eq!(format!("{context:?}"), "Context[Cancel(None), Value, Call(test.Echo/echo, None)]");
        assert_eq!(format!("{:?}", Context::background()), "Context(background)");
    }
}
