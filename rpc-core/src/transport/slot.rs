//! The calls of ours on a connection: a place in a list for each, and the future that waits there.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;

use crate::context::now;
use crate::status::{Hop, Status};
use crate::transport::lane::Lane;
use crate::transport::link::Link;
use crate::wire::connection::{Answers, Open, PendingId};
use crate::wire::out::Body;
use crate::wire::{CancelReason, OpenError, Opened, RequestHead, ResponseHead, StreamId, Token};

/// The calls of ours on one connection, by token.
#[derive(Default)]
pub(crate) struct Slots {
    list: Slab<Slot>,
    /// How many of them have streams.
    lanes: usize,
}

/// A call of ours.
enum Slot {
    Waiting {
        waker: Option<Waker>,
        place: Place,
    },
    Done(Outcome),
    /// One with streams. Its place is free once it is over, whoever still holds it.
    Stream(Arc<Lane>),
}

/// Where a call of ours is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
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
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a call waits for a stream: nothing of it was sent.
    pub(crate) fn is_pending(&self, token: Token) -> bool {
        matches!(self.list.get(token.0 as usize), Some(Slot::Waiting { place: Place::Pending(_), .. }))
    }

    /// A call that has waited for a stream has one.
    pub(crate) fn opened(&mut self, token: Token, stream: StreamId) {
        if let Some(Slot::Waiting { place, .. }) = self.list.get_mut(token.0 as usize) {
            *place = Place::Stream(stream);
        }
    }

    /// A call has ended; who waits for it.
    #[inline]
    pub(crate) fn end(&mut self, token: Token, outcome: Outcome) -> Option<Waker> {
        let slot = self.list.get_mut(token.0 as usize)?;
        let waker = match slot {
            Slot::Waiting { waker, .. } => waker.take(),
            Slot::Done(_) | Slot::Stream(_) => None,
        };
        *slot = Slot::Done(outcome);
        waker
    }

    /// Whether any of the calls has streams.
    #[inline]
    pub(super) fn have_streams(&self) -> bool {
        self.lanes > 0
    }

    /// Opens a call with streams: `open` gets the number of its place.
    pub(super) fn add_stream<E>(
        &mut self,
        open: impl FnOnce(Token) -> Result<Place, E>,
    ) -> Result<(usize, Arc<Lane>), E> {
        let entry = self.list.vacant_entry();
        let key = entry.key();
        let lane = Lane::new(open(Token(key as u32))?);
        entry.insert(Slot::Stream(lane.clone()));
        self.lanes += 1;
        Ok((key, lane))
    }

    /// The call with streams at this place, if it is one.
    #[inline]
    pub(super) fn stream(&self, token: Token) -> Option<&Arc<Lane>> {
        match self.list.get(token.0 as usize) {
            Some(Slot::Stream(lane)) => Some(lane),
            _ => None,
        }
    }

    /// A call with streams is over.
    pub(super) fn remove_stream(&mut self, key: usize) {
        if self.list.try_remove(key).is_some() {
            self.lanes -= 1;
        }
    }
}

/// The calls that wait while bytes are read: whole answers go to their places at once.
pub(super) struct Waiting<'a> {
    pub(super) calls: &'a mut Slots,
    pub(super) wakers: &'a mut Vec<Waker>,
    pub(super) now: Instant,
}

impl Answers for Waiting<'_> {
    #[inline(always)]
    fn answer(&mut self, token: Token, head: &mut ResponseHead, body: &mut Bytes) -> bool {
        let Some(slot @ Slot::Waiting { .. }) = self.calls.list.get_mut(token.0 as usize) else {
            return false;
        };
        let (head, body) = (std::mem::take(head), std::mem::take(body));
        let done = Slot::Done(Outcome::Answer { head, body, at: self.now });
        if let Slot::Waiting { waker: Some(waker), .. } = std::mem::replace(slot, done) {
            self.wakers.push(waker);
        }
        true
    }
}

/// A call of ours in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) path: &'static str,
    /// When it was handed to the connection.
    pub(crate) started: Instant,
    pub(crate) deadline: Option<Instant>,
}

impl Span {
    /// What this side can tell of the time that the call took until `at`.
    pub(crate) fn hop(self, at: Instant) -> Hop {
        let since = |at: Instant| at.saturating_duration_since(self.started);
        Hop::unanswered(self.path, self.deadline.map_or(Duration::MAX, since), since(at))
    }
}

/// A call of ours on a connection. Whoever has it keeps it until it has given its [`Outcome`], or [cancels](Self::cancel)
/// it: what that takes (deadline, context, name) is the request's, and not kept here once more.
#[must_use = "an exchange must be polled to its end, or cancelled"]
pub(crate) struct Exchange {
    link: Arc<Link>,
    key: usize,
    /// When it was handed to the connection.
    pub(crate) started: Instant,
}

impl Exchange {
    /// Opens a call; `None` if it is on its way and nothing will come back. The task is the one that polls the exchange
    /// next: with its waker in place from the start, it need not be polled before it is woken.
    #[inline]
    pub(crate) fn open(
        link: Arc<Link>,
        head: &RequestHead<'_>,
        body: Body<'_>,
        oneway: bool,
        started: Instant,
        task: &Waker,
    ) -> Result<Option<Self>, OpenError> {
        let waker = task.clone();
        let key = link.with(|state| {
            let entry = state.calls.list.vacant_entry();
            let key = entry.key();
            let token = Token(key as u32);
            let place = match state.wire.open(started, head, body, Open { token, oneway, end: true })? {
                Opened::Stream(id) => Place::Stream(id),
                Opened::Pending(id) => Place::Pending(id),
                Opened::Handed => return Ok(None),
            };
            entry.insert(Slot::Waiting { waker: Some(waker), place });
            Ok(Some(key))
        })?;
        Ok(key.map(|key| Self { link, key, started }))
    }

    /// How the call ended, once.
    #[inline]
    pub(crate) fn poll(&self, cx: &TaskContext<'_>) -> Poll<Outcome> {
        let mut state = self.link.lock();
        if let Some(Slot::Waiting { waker, .. }) = state.calls.list.get_mut(self.key) {
            match waker {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        match state.calls.list.try_remove(self.key) {
            Some(Slot::Done(outcome)) => Poll::Ready(outcome),
            _ => Poll::Ready(lost()),
        }
    }

    /// Cancels the call at the peer, unless it has ended; when, if it had not.
    #[cold]
    pub(crate) fn cancel(&self, deadline: Option<Instant>) -> Option<Instant> {
        let ended = now();
        let reason = match deadline {
            Some(deadline) if deadline <= ended => CancelReason::Deadline,
            _ => CancelReason::Dropped,
        };
        self.link.with(|state| {
            match state.calls.list.try_remove(self.key) {
                Some(Slot::Waiting { place: Place::Stream(id), .. }) => state.wire.cancel(ended, id, reason),
                Some(Slot::Waiting { place: Place::Pending(id), .. }) => state.wire.cancel_pending(ended, id),
                _ => return None,
            }
            Some(ended)
        })
    }
}

/// The outcome of a call that was polled after it had given its own.
#[cold]
fn lost() -> Outcome {
    Outcome::Failed(Status::internal("an exchange lost its place"))
}
