//! [`Node`]: one link of the chain that a context points to.
//!
//! A node is made from its parent and never changed, but for what is shared on purpose: the cancellation and the marks
//! that a call leaves on its way. What every look-up would have to walk for, the deadline, is copied down as a child is
//! made; the rest is walked for. Chains are short: a call, perhaps a limit, a value or two.

use std::any::Any;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::time::Instant;

use crate::context::cancel::{Cancellation, Reason};
use crate::context::incoming::Call;
use crate::context::trace::TraceContext;
use crate::metadata::Metadata;

/// One link: what it adds to its parent.
pub(crate) struct Node {
    parent: Option<Arc<Self>>,
    /// The own deadline or the parent's, whichever is nearer.
    pub(in crate::context) deadline: Option<Instant>,
    /// Whether this node or one above it can be cancelled: a call made below none of those need not look.
    cancellable: bool,
    pub(crate) kind: Kind,
}

/// What a node adds. What is large is in a box: a value or a limit should not have to be made in the room of a call.
pub(crate) enum Kind {
    /// Only a nearer deadline.
    Limit,
    Cancel(Box<Cancellation>),
    Value(Arc<dyn Any + Send + Sync>),
    Trace(TraceContext),
    /// What a layer made of the metadata of the call above.
    Metadata(Metadata),
    Call(Box<Call>),
}

impl Node {
    /// A child. Its deadline is the nearer one of its own and its parent's.
    pub(crate) fn new(parent: Option<Arc<Self>>, deadline: Option<Instant>, kind: Kind) -> Arc<Self> {
        let above = parent.as_ref().and_then(|node| node.deadline);
        let deadline = match (deadline, above) {
            (Some(own), Some(above)) => Some(own.min(above)),
            (own, above) => own.or(above),
        };
        let cancellable = matches!(kind, Kind::Cancel(_) | Kind::Call(_))
            || parent.as_ref().is_some_and(|node| node.cancellable);
        Arc::new(Self { parent, deadline, cancellable, kind })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether this node or one above it can be cancelled.
    pub(crate) fn is_cancellable(&self) -> bool {
        self.cancellable
    }

    /// The place to wait at, if this very node has one.
    pub(crate) fn cancellation(&self) -> Option<&Cancellation> {
        match &self.kind {
            Kind::Cancel(cancellation) => Some(cancellation),
            Kind::Call(call) => Some(&call.cancellation),
            Kind::Limit | Kind::Value(_) | Kind::Trace(_) | Kind::Metadata(_) => None,
        }
    }

    /// The metadata of the call, if this very node has it.
    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        match &self.kind {
            Kind::Call(call) => Some(&call.metadata),
            Kind::Metadata(metadata) => Some(metadata),
            _ => None,
        }
    }

    /// This node and all above it, nearest first.
    pub(crate) fn chain(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        iter::successors(Some(self), |node| node.parent.as_ref())
    }

    /// The nearest call.
    pub(crate) fn call(self: &Arc<Self>) -> Option<&Call> {
        self.chain().find_map(|node| match &node.kind {
            Kind::Call(call) => Some(&**call),
            _ => None,
        })
    }

    /// Why it is cancelled, here or above; the nearest reason if there are several.
    pub(crate) fn reason(self: &Arc<Self>) -> Option<&Reason> {
        if !self.cancellable {
            return None;
        }
        self.chain().find_map(|node| node.cancellation()?.reason())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Without this a long chain would be dropped by recursion, and overflow the stack.
        let mut parent = self.parent.take();
        while let Some(mut node) = parent.and_then(Arc::into_inner) {
            parent = node.parent.take();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Limit => write!(f, "Limit({:?})", self.deadline),
            Kind::Cancel(cancellation) => write!(f, "Cancel({:?})", cancellation.reason()),
            Kind::Value(_) => f.write_str("Value"),
            Kind::Trace(trace) => write!(f, "Trace({trace})"),
            Kind::Metadata(metadata) => write!(f, "Metadata({metadata:?})"),
            Kind::Call(call) => write!(f, "Call({}, {:?})", call.method, call.cancellation.reason()),
        }
    }
}
