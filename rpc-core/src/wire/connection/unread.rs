//! Items that wait for their readers, on all streams of a connection together.
//!
//! A stream's own window bounds what waits on it. Thousands of streams that nobody reads would be gigabytes all the same,
//! so their sum is bounded too: the stream whose item goes beyond [`Config::max_unread`](crate::wire::Config) is ended. One
//! that has next to nothing waiting is let through: its reader is not what is wrong.

use std::time::Instant;

use super::super::error::{CancelReason, ConnectionError};
use super::super::head::ResponseHead;
use super::super::stream::{State, StreamId};
use super::{Connection, Event};
use crate::status::{Certainty, Status};

/// What a stream may have waiting whatever the others have, in bytes.
pub(super) const SHARE: u32 = 4 * 1024;

impl Connection {
    /// Counts bytes of an item that came. Gives `false`, and counts nothing, if there is no place for it.
    #[inline]
    pub(super) fn note_unread(&mut self, id: StreamId, bytes: u32) -> bool {
        let grants = self.grants();
        let Some(stream) = self.streams.get_mut(id) else { return true };
        let flow = stream.flow(grants);
        let unread = flow.unread.saturating_add(bytes);
        if self.unread + bytes as usize > self.config.max_unread && unread > SHARE {
            return false;
        }
        flow.unread = unread;
        self.unread += bytes as usize;
        true
    }

    /// Ends a stream whose items have no place.
    #[cold]
    pub(super) fn crowded_out(&mut self, now: Instant, id: StreamId) -> Result<(), ConnectionError> {
        let status = Status::resource_exhausted(format!(
            "{} bytes of items wait for their readers on this connection; this side takes no more",
            self.unread
        ))
        .with_certainty(Certainty::Executed);
        if self.is_local(id) {
            return self.give_up(now, id, status, Some(CancelReason::TooLarge));
        }
        if self.streams.get_mut(id).is_some_and(|stream| stream.ended) {
            // The handler is done, and its answer is on its way.
            self.stop(id);
            return Ok(());
        }
        self.drop_inbox(id);
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        let head = ResponseHead::error(status);
        let (answered, busy) = (stream.answered, stream.take_outbox().is_some());
        stream.state = State::Cancelled;
        stream.deadline = None;
        self.events.push_back(Event::Cancelled { stream: id, reason: CancelReason::TooLarge });
        if busy {
            // In the middle of an item no end can be sent.
            self.send_cancel(id, CancelReason::TooLarge);
        } else {
            self.send_end(id, answered, &head);
        }
        Ok(())
    }
}
