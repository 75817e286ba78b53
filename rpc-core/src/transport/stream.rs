//! Calls with streams, as a connection has them: [`Streamed`] is one of ours; [`deliver`] hands out what came for those
//! of the peer's.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use tokio::task::AbortHandle;

use crate::call::wait::will_wake_at;
use crate::context::{Context, now};
use crate::status::{Certainty, Status};
use crate::transport::lane::{End, Head, Lane, Reader};
use crate::transport::link::{Link, State};
use crate::transport::slot::{Place, Span};
use crate::wire::connection::Open;
use crate::wire::out::Body;
use crate::wire::{CancelReason, Event, OpenError, Opened, RequestHead, ResponseHead, StreamId, Token};

/// A call of ours with streams. Dropped before it is over, it is cancelled at the peer; what it sends ends with it.
#[derive(Debug)]
#[must_use = "dropping it cancels the call"]
pub(crate) struct Streamed {
    link: Arc<Link>,
    lane: Arc<Lane>,
    key: usize,
    span: Span,
    context: Context,
    upload: Option<AbortHandle>,
}

impl Link {
    /// Opens a call with streams. If `uploads` is set, items of the request follow.
    pub(crate) fn call_streamed(
        self: Arc<Self>,
        head: &RequestHead<'_>,
        body: Body<'_>,
        context: Context,
        uploads: bool,
    ) -> Result<Streamed, OpenError> {
        let started = now();
        let (key, lane) = self.with(|State { calls, wire, .. }| {
            calls.add_stream(|token| {
                let options = Open { token, oneway: false, end: !uploads };
                match wire.open(started, head, body, options)? {
                    Opened::Stream(id) => Ok(Place::Stream(id)),
                    Opened::Pending(id) => Ok(Place::Pending(id)),
                    // That is for oneway calls.
                    Opened::Handed => Err(OpenError::Closed("a call with streams is answered".to_owned())),
                }
            })
        })?;
        let span = Span { path: head.path, started, deadline: head.deadline };
        Ok(Streamed { link: self, lane, key, span, context, upload: None })
    }

    /// The handler of a call of the peer's gave a stream: sends the head of the answer, and gives the lane for the items
    /// that follow.
    pub(crate) fn respond(&self, token: Token, stream: StreamId, head: &ResponseHead) -> Arc<Lane> {
        self.with(|state| {
            state.wire.respond(now(), stream, head, Body::default(), false);
            let new = || Lane::new(Place::Stream(stream));
            match state.serving.get_mut(token.0 as usize) {
                Some(serving) => serving.lane.get_or_insert_with(new).clone(),
                None => new(),
            }
        })
    }

    /// The stream that a handler gave has ended, or the handler with it.
    pub(crate) fn finished(&self, token: Token, stream: StreamId, head: &ResponseHead) {
        self.with(|state| {
            state.forget(token);
            state.wire.finish(now(), stream, Some(head));
        });
    }
}

impl Streamed {
    /// What the call is, and how long it may take.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// How the answer begins, or why there is none.
    pub(crate) fn poll_head(&self, cx: &TaskContext<'_>) -> Poll<Result<Head, End>> {
        let head = self.lane.poll_head(cx);
        if head.is_pending() {
            will_wake_at(self.span.deadline);
        }
        head
    }

    /// Reads the items of the answer.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.link.clone(), self.lane.clone())
    }

    /// What sends the items of the request needs.
    pub(crate) fn way(&self) -> Way {
        Way { link: self.link.clone(), lane: self.lane.clone(), key: self.key }
    }

    /// The task that sends the items of the request: it ends with the call.
    pub(crate) fn set_upload(&mut self, task: AbortHandle) {
        self.upload = Some(task);
    }

    /// Ends the call.
    fn end(&self) -> bool {
        let ended = now();
        let reason = match self.span.deadline {
            Some(deadline) if deadline <= ended => CancelReason::Deadline,
            _ => CancelReason::Dropped,
        };
        let end = End::Ours(Status::cancelled("the call was dropped"));
        self.link.with(|state| state.end_call(self.key, &self.lane, reason, end))
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        let was_open = self.end();
        if let Some(upload) = &self.upload {
            upload.abort();
        }
        if was_open {
            self.context.report_hop(self.span.hop(now()));
        }
    }
}

/// The way of a request's items.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) link: Arc<Link>,
    pub(crate) lane: Arc<Lane>,
    key: usize,
}

impl Way {
    /// The request is complete.
    pub(crate) fn finish(&self, stream: StreamId) {
        self.link.with(|state| state.wire.finish(now(), stream, None));
    }

    /// The request cannot be completed: the call ends with this error.
    pub(crate) fn fail(&self, status: Status) {
        self.link.with(|state| {
            state.end_call(self.key, &self.lane, CancelReason::Dropped, End::Ours(status));
        });
    }
}

impl State {
    /// Ends a call of ours, if it is not over; whether it was not.
    fn end_call(&mut self, key: usize, lane: &Arc<Lane>, reason: CancelReason, end: End) -> bool {
        let mut inner = lane.lock();
        if !inner.open {
            return false;
        }
        match inner.place {
            Place::Stream(id) => self.wire.cancel(now(), id, reason),
            Place::Pending(id) => self.wire.cancel_pending(now(), id),
        }
        inner.close(end, &mut self.wakers);
        drop(inner);
        self.calls.remove_stream(key);
        true
    }

    /// A call of the peer's is over.
    pub(super) fn forget(&mut self, token: Token) {
        let Some(serving) = self.serving.try_remove(token.0 as usize) else { return };
        if let Some(lane) = serving.lane {
            let end = End::Ours(Status::cancelled("the call that the stream belongs to is over"));
            lane.lock().close(end, &mut self.wakers);
        }
    }

    /// Acts on an event of a call of ours with streams; gives back any other.
    pub(super) fn settle_stream(&mut self, event: Event, at: Option<Instant>) -> Option<Event> {
        let token = match &event {
            Event::Response { token, .. }
            | Event::Failed { token, .. }
            | Event::Expired { token }
            | Event::Opened { token, .. } => *token,
            Event::Item { stream, token, .. }
            | Event::Sendable { stream, token }
            | Event::Ended { stream, token, .. }
                if self.wire.is_local(*stream) =>
            {
                *token
            }
            _ => return Some(event),
        };
        let Some(lane) = self.calls.stream(token) else { return Some(event) };
        let mut inner = lane.lock();
        let over = match event {
            Event::Item { body, .. } => {
                inner.push(body);
                self.wakers.extend(inner.reader());
                return None;
            }
            Event::Sendable { .. } => {
                self.wakers.extend(inner.writer());
                return None;
            }
            Event::Opened { stream, .. } => {
                inner.place = Place::Stream(stream);
                self.wakers.extend(inner.writer());
                return None;
            }
            Event::Response { head, body, end, .. } => {
                inner.head = Some(Head { head, body, at: at.unwrap_or_else(now), end });
                if !end {
                    self.wakers.extend(inner.reader());
                    return None;
                }
                End::Done(Default::default())
            }
            Event::Ended { head, .. } => match head.map(|head| *head).unwrap_or_default() {
                ResponseHead { status: Some(status), .. } => End::Peer(status),
                ResponseHead { metadata, .. } => End::Done(metadata),
            },
            Event::Failed { status, .. } => End::Failed(status),
            Event::Expired { .. } => End::Expired { sent: matches!(inner.place, Place::Stream(_)) },
            // None of these came through the first match.
            other => return Some(other),
        };
        inner.close(over, &mut self.wakers);
        drop(inner);
        self.calls.remove_stream(token.0 as usize);
        None
    }
}

/// Hands out what came for the peer's calls with streams.
pub(super) fn deliver(link: &Link, events: &mut Vec<Event>) {
    link.with(|state| {
        for event in events.drain(..) {
            let (Event::Item { stream, .. } | Event::Sendable { stream, .. } | Event::Ended { stream, .. }) =
                event
            else {
                continue;
            };
            let key = state.wire.token(stream).0 as usize;
            // A call that was answered meanwhile reads nothing any more.
            let Some(lane) = state.serving.get(key).and_then(|serving| serving.lane.as_ref()) else {
                continue;
            };
            let mut inner = lane.lock();
            let waker = match event {
                Event::Item { body, .. } => {
                    inner.push(body);
                    inner.reader()
                }
                Event::Ended { .. } => {
                    inner.end(End::Done(Default::default()));
                    inner.reader()
                }
                _ => inner.writer(),
            };
            state.wakers.extend(waker);
        }
    });
}

/// The error of a call that failed although the other side had begun to answer it.
pub(crate) fn begun(mut status: Status) -> Status {
    if status.certainty() == Certainty::Unknown {
        status.set_certainty(Certainty::Executed);
    }
    status
}
