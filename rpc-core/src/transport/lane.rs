//! [`Lane`]: what a connection keeps of one call with streams, beside what the state machine keeps of it.
//!
//! ```text
//!            driver                  lane                        call
//!
//!   Item, Ended, Failed… -----> items, end, head -----> Reader: takes all that is there
//!   Sendable, room       -----> writer's waker   -----> Pump: sends as much as there is room for
//! ```
//!
//! It has a lock of its own, which is taken within the connection's, never the other way round. So a reader that finds
//! something does not touch the connection until it gives credit back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::task::coop;

use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::link::Link;
use crate::transport::slot::Place;
use crate::wire::{ResponseHead, StreamId};

/// A reader gives credit back when it has read this many bytes, or all that had come. The least window that a side may
/// have is four times as much, so a writer never waits for credit while its reader reads.
const RELEASE: usize = 16 * 1024;

/// What an item costs beside its body (§8.2).
const ITEM_COST: usize = crate::wire::frame::ITEM_COST as usize;

/// An item that waits for its reader and is smaller than this is copied: it is a slice of a buffer of up to 256 KiB that
/// was read from the socket, all of which it would keep.
const KEPT_WHOLE: usize = 64 * 1024;

/// Items up to this size share buffers.
const SMALL: usize = 1024;

/// The size of the buffers that they share.
const SHARED: usize = 4 * 1024;

/// One call with streams.
#[derive(Debug)]
pub(crate) struct Lane(Mutex<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) place: Place,
    /// Whether the call is open: then its stream and its place in the connection's list are its own.
    pub(super) open: bool,
    /// How the answer to a call of ours began.
    pub(super) head: Option<Head>,
    items: VecDeque<Bytes>,
    /// Where small items that wait are copied to.
    shared: BytesMut,
    /// How the peer's half ended, behind the items.
    end: Option<End>,
    /// Whether anybody will read the items.
    wanted: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Whether the lane is in the connection's list of those that wait for the out-buffer.
    pub(super) crowded: bool,
}

/// The beginning of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) head: ResponseHead,
    pub(crate) body: Bytes,
    /// When it came.
    pub(crate) at: Instant,
    /// Whether it is all.
    pub(crate) end: bool,
}

/// How the peer's half of a call ended, or the call as a whole.
#[derive(Debug)]
pub(crate) enum End {
    /// As it should, with this metadata behind the items.
    Done(Metadata),
    /// With an error that the peer sent.
    Peer(Status),
    /// With an error of the connection.
    Failed(Status),
    /// With an error of this side's own.
    Ours(Status),
    /// The time was up; whether the peer may have heard of the call by then.
    Expired { sent: bool },
}

impl Lane {
    pub(crate) fn new(place: Place) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner {
            place,
            open: true,
            head: None,
            items: VecDeque::new(),
            shared: BytesMut::new(),
            end: None,
            wanted: true,
            reader: None,
            writer: None,
            crowded: false,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // No foreign code runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream, once there is one.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        match self.lock().place {
            Place::Stream(id) => Some(id),
            Place::Pending(_) => None,
        }
    }

    /// How the answer to a call of ours began, or why there is none.
    pub(crate) fn poll_head(&self, cx: &TaskContext<'_>) -> Poll<Result<Head, End>> {
        let mut lane = self.lock();
        if let Some(head) = lane.head.take() {
            return Poll::Ready(Ok(head));
        }
        if let Some(end) = lane.end.take() {
            return Poll::Ready(Err(end));
        }
        leave(&mut lane.reader, cx);
        Poll::Pending
    }

    /// Whether the call has its stream; else the task is woken when it does, or is over.
    pub(crate) fn poll_stream(&self, cx: &TaskContext<'_>) -> Poll<Option<StreamId>> {
        let mut lane = self.lock();
        match lane.place {
            _ if !lane.open => Poll::Ready(None),
            Place::Stream(id) => Poll::Ready(Some(id)),
            Place::Pending(_) => {
                leave(&mut lane.writer, cx);
                Poll::Pending
            }
        }
    }
}

impl Inner {
    /// Leaves the writer's waker.
    pub(super) fn wait_to_write(&mut self, cx: &TaskContext<'_>) {
        leave(&mut self.writer, cx);
    }

    /// Whom to wake when there is room.
    pub(super) fn writer(&mut self) -> Option<Waker> {
        self.writer.take()
    }

    /// Whom to wake when something has come.
    pub(super) fn reader(&mut self) -> Option<Waker> {
        self.reader.take()
    }

    /// An item came.
    #[inline]
    pub(super) fn push(&mut self, body: Bytes) {
        if !self.wanted {
            return;
        }
        // One that is waited for is taken at once.
        let body = if self.reader.is_some() || body.len() >= KEPT_WHOLE { body } else { self.copied(&body) };
        self.items.push_back(body);
    }

    fn copied(&mut self, body: &[u8]) -> Bytes {
        if body.is_empty() {
            return Bytes::new();
        }
        if body.len() > SMALL {
            return Bytes::copy_from_slice(body);
        }
        if self.shared.capacity() < body.len() {
            self.shared = BytesMut::with_capacity(SHARED);
        }
        self.shared.extend_from_slice(body);
        self.shared.split().freeze()
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
        }
    }

    /// The call is over, and its stream and place are free: both ends hear of it.
    pub(super) fn close(&mut self, end: End, wakers: &mut Vec<Waker>) {
        self.open = false;
        self.end(end);
        wakers.extend(self.reader.take());
        wakers.extend(self.writer.take());
    }
}

fn leave(place: &mut Option<Waker>, cx: &TaskContext<'_>) {
    match place {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *place = Some(cx.waker().clone()),
    }
}

/// Reads the items of one lane. Dropping it says that no more are wanted.
#[derive(Debug)]
pub(crate) struct Reader {
    link: Arc<Link>,
    lane: Arc<Lane>,
    /// What was there at the last look.
    taken: VecDeque<Bytes>,
    /// What the items cost that were read, and not yet given back.
    read: usize,
}

impl Reader {
    pub(crate) fn new(link: Arc<Link>, lane: Arc<Lane>) -> Self {
        Self { link, lane, taken: VecDeque::new(), read: 0 }
    }

    /// The next item, or how the stream ended.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Bytes, End>> {
        // A window full of small items is thousands of them. A task that reads on gives way to others in between, as one
        // that reads a channel of tokio's does.
        let turn = ready!(coop::poll_proceed(cx));
        let item = self.take(cx);
        if item.is_ready() {
            turn.made_progress();
        }
        item
    }

    #[inline]
    fn take(&mut self, cx: &TaskContext<'_>) -> Poll<Result<Bytes, End>> {
        loop {
            if let Some(body) = self.taken.pop_front() {
                self.read += body.len() + ITEM_COST;
                if self.read >= RELEASE {
                    self.release();
                }
                return Poll::Ready(Ok(body));
            }
            if self.read > 0 {
                // Before the wait: what is waited for may be waiting for credit.
                self.release();
            }
            let mut lane = self.lane.lock();
            if lane.items.is_empty() {
                if let Some(end) = lane.end.take() {
                    return Poll::Ready(Err(end));
                }
                leave(&mut lane.reader, cx);
                return Poll::Pending;
            }
            std::mem::swap(&mut self.taken, &mut lane.items);
        }
    }

    /// No more is wanted, though the call may go on: its sender is told.
    pub(crate) fn stop(&self) {
        if let Some(id) = self.lane.stream() {
            self.link.with(|state| state.wire.stop(id));
        }
    }

    /// Gives credit back for what was read.
    fn release(&mut self) {
        let cost = std::mem::take(&mut self.read);
        if let Some(id) = self.lane.stream() {
            self.link.with(|state| state.wire.release_cost(id, cost));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut lane = self.lane.lock();
        lane.wanted = false;
        lane.reader = None;
        let waiting = std::mem::take(&mut lane.items);
        drop(lane);
        drop(waiting);
    }
}
