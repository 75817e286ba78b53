//! [`Pump`]: moves the items of a stream onto a connection, as fast as the other end takes them.
//!
//! Items that are ready are gathered and sent together, with one lock. How many is bounded three times:
//!
//! * by the credit of the stream, and of the connection: an item is asked for only when there is room for it, so a
//!   producer runs no further ahead of its reader than the reader's window;
//! * by the share that items may have of what is under way, all streams together, so that a call waits behind no more than
//!   that (§8.5): pumps that find nothing left of it stand in a line;
//! * by [`TURN`]: a stream that always has something gives way to other tasks after so much.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use bytes::Bytes;

use crate::context::now;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::stream::Streaming;
use crate::transport::lane::Lane;
use crate::transport::link::{Link, State};
use crate::wire::frame::ITEM_COST;
use crate::wire::{SendError, StreamId};

/// What is gathered before the connection is locked: this many items, or bytes.
const BATCH_ITEMS: usize = 256;
const BATCH_BYTES: usize = 32 * 1024;

/// How many bytes a stream may send before other tasks get their turn.
const TURN: usize = 64 * 1024;

/// How a stream that was pumped ended.
#[derive(Debug)]
pub(crate) enum Pumped {
    /// It came to its end; with this metadata behind it.
    Ended(Metadata),
    /// It ended with an error, or an item cannot be sent.
    Failed(Status),
    /// It panicked.
    Panicked(Box<dyn Any + Send>),
    /// The call is over: nobody wants the rest.
    Unwanted,
}

/// Moves the items of a stream onto a connection.
#[derive(Debug)]
pub(crate) struct Pump {
    items: Streaming<Bytes>,
    batch: Vec<Bytes>,
    /// How many bytes there was room for at the last look.
    room: usize,
    /// Items that were sent.
    sent: u64,
    end: Option<Pumped>,
}

impl Pump {
    pub(crate) fn new(items: Streaming<Bytes>) -> Self {
        Self { items, batch: Vec::new(), room: 0, sent: 0, end: None }
    }

    /// Sends what is ready. Completes when the stream has ended and all of it was sent; how to end this side's half is the
    /// caller's affair.
    pub(crate) fn poll(
        &mut self,
        link: &Link,
        lane: &Arc<Lane>,
        id: StreamId,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Pumped> {
        let mut turn = TURN;
        loop {
            let gathered = catch_unwind(AssertUnwindSafe(|| self.gather(cx)));
            let (gathered, waits) = gathered.unwrap_or_else(|panic| {
                // What it gave before goes out before.
                self.end = Some(Pumped::Panicked(panic));
                (0, false)
            });
            turn = turn.saturating_sub(gathered);
            let sent = link.with(|state| self.send(state, lane, id, waits || turn == 0, cx));
            match sent {
                Ok(()) => {}
                Err(SendError::TooLarge { length, max }) => {
                    return Poll::Ready(Pumped::Failed(Status::resource_exhausted(format!(
                        "item {} has {length} bytes; the other side takes up to {max}",
                        self.sent + 1
                    ))));
                }
                Err(_) => return Poll::Ready(Pumped::Unwanted),
            }
            if self.batch.is_empty()
                && let Some(end) = self.end.take()
            {
                return Poll::Ready(end);
            }
            if waits || self.room == 0 {
                return Poll::Pending;
            }
            if turn == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Asks for items while there is room for them. How many bytes, and whether the next one has to be waited for.
    fn gather(&mut self, cx: &mut TaskContext<'_>) -> (usize, bool) {
        let mut bytes = 0;
        while self.room > 0 && self.batch.len() < BATCH_ITEMS && bytes < BATCH_BYTES {
            match self.items.poll_item(cx) {
                Poll::Ready(Some(Ok(body))) => {
                    let cost = body.len() + ITEM_COST as usize;
                    bytes += cost;
                    self.room = self.room.saturating_sub(cost);
                    self.batch.push(body);
                }
                Poll::Ready(Some(Err(status))) => {
                    self.end = Some(Pumped::Failed(status));
                    break;
                }
                Poll::Ready(None) => {
                    self.end = Some(Pumped::Ended(self.items.take_trailing()));
                    break;
                }
                Poll::Pending => return (bytes, true),
            }
        }
        (bytes, false)
    }

    /// Puts what was gathered into the out-buffer, and looks how much room there is then.
    fn send(
        &mut self,
        state: &mut State,
        lane: &Arc<Lane>,
        id: StreamId,
        waits: bool,
        cx: &TaskContext<'_>,
    ) -> Result<(), SendError> {
        let at = now();
        let is_early = |body: &Bytes| state.wire.is_early(body.len());
        let ready = self.batch.iter().position(is_early).unwrap_or(self.batch.len());
        for body in self.batch.drain(..ready) {
            state.wire.send_item(at, id, body, false)?;
            self.sent += 1;
        }
        // Asked for also where nothing was sent: that is how a pump begins, and how it hears that the call is over.
        self.room = state.wire.item_room(id).ok_or(SendError::Closed)?;
        if !self.batch.is_empty() {
            state.wire.wait_to_send(id);
            self.room = 0;
        }
        let goes_on = self.end.is_none() || !self.batch.is_empty();
        if goes_on && (self.room == 0 || waits) {
            let mut inner = lane.lock();
            // One that waits for its producer has to hear of the end of the call as well.
            inner.wait_to_write(cx);
        }
        if self.end.is_none() && self.room > 0 {
            self.room = self.room.min(state.wire.share_of_items(at));
            if self.room == 0 {
                state.wait_for_share(lane, cx);
            }
        }
        Ok(())
    }
}

impl State {
    /// Wakes the lane's writer when streams may send again.
    fn wait_for_share(&mut self, lane: &Arc<Lane>, cx: &TaskContext<'_>) {
        let mut inner = lane.lock();
        inner.wait_to_write(cx);
        if !std::mem::replace(&mut inner.crowded, true) {
            self.crowd.push_back(lane.clone());
        }
    }

    /// Lets pumps that wait go on, the one that has waited longest first, as many as there is something for. Whoever it is
    /// that leaves something, because its stream has nothing or its call is over, locks the connection; then the next
    /// gets it (see [`Link::with`]).
    pub(super) fn uncrowd(&mut self, now: Instant) {
        if self.crowd.is_empty() {
            return;
        }
        let mut share = self.wire.share_of_items(now);
        while share > 0 {
            let Some(lane) = self.crowd.pop_front() else { return };
            let mut inner = lane.lock();
            inner.crowded = false;
            if let Some(writer) = inner.writer() {
                self.wakers.push(writer);
                share = share.saturating_sub(TURN);
            }
        }
    }
}
