//! The calls of ours on a connection: a place in a list for each, and the future that waits there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;

use crate::call::wait::will_wake_at_deadline;
use crate::context::{Context, now};
use crate::status::{Hop, Status};
use crate::transport::link::Link;
use crate::wire::connection::{Open, PendingId};
use crate::wire::{CancelReason, OpenError, Opened, RequestHead, ResponseHead, StreamId, Token};

/// The calls of ours on one connection, by token.
#[derive(Default)]
pub(crate) struct Slots(Slab<Slot>);

/// A call of ours.
enum Slot {
    Waiting { waker: Option<Waker>, place: Place },
    Done(Outcome),
}

/// Where a call of ours is.
#[derive(Clone, Copy)]
enum Place {
    Stream(StreamId),
    Pending(PendingId),
}

/// How a call of ours ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The peer answered, with a reply or an error; when its last byte came.
    Answer { head: ResponseHead, body: Bytes, at: Instant },
    /// The connection could not do it.
    Failed(Status),
    /// A oneway call is on its way.
    Handed,
    /// The time was up; whether the peer may have heard of the call by then.
    Expired { sent: bool },
}

impl Slots {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a call waits for a stream: nothing of it was sent.
    pub(crate) fn is_pending(&self, token: Token) -> bool {
        matches!(self.0.get(token.0 as usize), Some(Slot::Waiting { place: Place::Pending(_), .. }))
    }

    /// A call that has waited for a stream has one.
    pub(crate) fn opened(&mut self, token: Token, stream: StreamId) {
        if let Some(Slot::Waiting { place, .. }) = self.0.get_mut(token.0 as usize) {
            *place = Place::Stream(stream);
        }
    }

    /// A call has ended; who waits for it.
    #[inline]
    pub(crate) fn end(&mut self, token: Token, outcome: Outcome) -> Option<Waker> {
        match std::mem::replace(self.0.get_mut(token.0 as usize)?, Slot::Done(outcome)) {
            Slot::Waiting { waker, .. } => waker,
            Slot::Done(_) => None,
        }
    }
}

/// A call to be opened.
pub(crate) struct Outbound<'a> {
    pub(crate) head: RequestHead,
    pub(crate) body: &'a Bytes,
    pub(crate) oneway: bool,
    pub(crate) deadline: Option<Instant>,
    /// The context that the call is made in, for its part of a budget report.
    pub(crate) context: Context,
    pub(crate) path: &'static str,
}

/// A call of ours on a connection: resolves when it has ended. Dropped before, it is cancelled at the peer.
#[must_use = "dropping an exchange cancels the call"]
pub(crate) struct Exchange {
    /// `None` once it has ended.
    link: Option<Arc<Link>>,
    key: usize,
    /// It waits with the waker that it was opened with, and has not been polled.
    is_new: bool,
    started: Instant,
    deadline: Option<Instant>,
    context: Context,
    path: &'static str,
}

impl Exchange {
    /// Opens a call. The task is the one that polls the exchange next: with its waker in place from the start, the first
    /// poll need not look.
    #[inline]
    pub(crate) fn open(
        link: Arc<Link>,
        call: Outbound<'_>,
        started: Instant,
        task: &Waker,
    ) -> Result<Self, OpenError> {
        let waker = task.clone();
        let Outbound { head, body, oneway, context, deadline, path } = call;
        let key = link.with(|state| {
            let entry = state.calls.0.vacant_entry();
            let key = entry.key();
            let token = Token(key as u32);
            let slot = match state.wire.open(started, &head, body, Open { token, oneway, end: true })? {
                Opened::Stream(id) => Slot::Waiting { waker: Some(waker), place: Place::Stream(id) },
                Opened::Pending(id) => Slot::Waiting { waker: Some(waker), place: Place::Pending(id) },
                Opened::Handed => Slot::Done(Outcome::Handed),
            };
            entry.insert(slot);
            Ok(key)
        })?;
        Ok(Self { link: Some(link), key, is_new: !oneway, started, deadline, context, path })
    }

    /// When the call was handed to the connection.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// What this side can tell of the time that the call took until `at`.
    pub(crate) fn hop(&self, at: Instant) -> Hop {
        let since = |at: Instant| at.saturating_duration_since(self.started);
        Hop::unanswered(self.path, self.deadline.map_or(Duration::MAX, since), since(at))
    }
}

impl Future for Exchange {
    type Output = Outcome;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Outcome> {
        if std::mem::take(&mut self.is_new) {
            will_wake_at_deadline();
            return Poll::Pending;
        }
        let Some(link) = &self.link else {
            return Poll::Ready(Outcome::Failed(Status::internal("an exchange was polled after its end")));
        };
        let mut state = link.lock();
        match state.calls.0.get_mut(self.key) {
            Some(Slot::Waiting { waker, .. }) => {
                match waker {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    _ => *waker = Some(cx.waker().clone()),
                }
                drop(state);
                will_wake_at_deadline();
                return Poll::Pending;
            }
            Some(Slot::Done(_)) => {}
            None => return Poll::Ready(Outcome::Failed(Status::internal("an exchange lost its place"))),
        }
        let Slot::Done(outcome) = state.calls.0.remove(self.key) else {
            return Poll::Ready(Outcome::Failed(Status::internal("an exchange lost its place")));
        };
        drop(state);
        self.link = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        let ended = now();
        let reason = match self.deadline {
            Some(deadline) if deadline <= ended => CancelReason::Deadline,
            _ => CancelReason::Dropped,
        };
        let waiting = link.with(|state| {
            let slot = state.calls.0.try_remove(self.key);
            match slot {
                Some(Slot::Waiting { place: Place::Stream(id), .. }) => state.wire.cancel(ended, id, reason),
                Some(Slot::Waiting { place: Place::Pending(id), .. }) => state.wire.cancel_pending(ended, id),
                _ => return false,
            }
            true
        });
        if waiting {
            self.context.report_hop(self.hop(ended));
        }
    }
}
