//! How a driver reads: what came first of all, what comes all the time, and the parts of large messages.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::{Dispatch, Driver, MOST_READ, Phase};

/// The first read buffer, in bytes: it grows as reads fill it. A connection that is idle keeps none.
pub(super) const LEAST_READ: usize = 2 * 1024;

/// So many reads of a connection that is new, or was at rest, keep only what came, in memory of its size. Thousands that are
/// made at once and say hello would each have a read buffer in their first second, and what they had the allocator keeps.
pub(super) const FIRST_READS: u8 = 4;

/// With less room than this the next read gets a new buffer. Not with less than a whole one: the bodies of a call keep
/// the old one busy, and one call after the other would allocate one each.
const LEAST_ROOM: usize = 512;

/// How much is read of what comes between the parts of large messages: grants, small calls, and a little of the next part,
/// which has to be copied.
const BETWEEN_PARTS: usize = 4 * 1024;

impl<D: Dispatch> Driver<D> {
    /// Reads once. Whether something came.
    pub(super) fn read(&mut self, cx: &mut TaskContext<'_>) -> io::Result<Option<usize>> {
        if self.in_parts {
            return self.read_part(cx);
        }
        if self.first_reads > 0 && self.missing == 0 {
            return self.read_little(cx);
        }
        self.make_room();
        let room = self.input.capacity() - self.input.len();
        match pin!(self.io.read_buf(&mut self.input)).poll(cx) {
            Poll::Ready(Ok(count)) => {
                // A read that fills the buffer says that there is more: the next one should take it in one go.
                if count == room {
                    self.read_size = (self.read_size * 2).min(MOST_READ);
                }
                self.moved += count;
                Ok(Some(count))
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(None),
        }
    }

    /// Reads once, and keeps no more memory than came.
    #[cold]
    fn read_little(&mut self, cx: &mut TaskContext<'_>) -> io::Result<Option<usize>> {
        let mut place = [const { MaybeUninit::uninit() }; LEAST_READ];
        let mut came = ReadBuf::uninit(&mut place);
        match Pin::new(&mut self.io).poll_read(cx, &mut came) {
            Poll::Ready(Ok(())) => {
                // Whoever sends as much will send more.
                self.first_reads = if came.remaining() == 0 { 0 } else { self.first_reads - 1 };
                self.input.extend_from_slice(came.filled());
                Ok(Some(came.filled().len()))
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(None),
        }
    }

    #[inline]
    fn make_room(&mut self) {
        if self.input.capacity() - self.input.len() < self.missing.max(LEAST_ROOM) {
            self.input.reserve(self.read_size);
        }
    }

    /// Reads once, to the place of the part that comes, or little, if it is something else that comes.
    fn read_part(&mut self, cx: &mut TaskContext<'_>) -> io::Result<Option<usize>> {
        let polled = match &mut self.part {
            Some(part) => pin!(self.io.read_buf(&mut part.room())).poll(cx),
            None => {
                self.make_room();
                let mut room = (&mut self.input).limit(self.missing.max(BETWEEN_PARTS));
                pin!(self.io.read_buf(&mut room)).poll(cx)
            }
        };
        match polled {
            Poll::Ready(read) => read.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// While parts of large messages come and nothing else, takes in one after the other: to answer each by itself, with
    /// a grant, would be a system call for each. A small call among them is not kept waiting for the next part.
    pub(super) fn take_in_parts(&mut self, cx: &mut TaskContext<'_>, at: Instant) {
        let mut left = MOST_READ;
        while left > 0 && self.in_parts && self.phase == Phase::Open {
            let somebody_waits;
            {
                let mut state = self.link.lock();
                state.wire.written(std::mem::take(&mut self.written));
                let in_part = self.part.is_some();
                if state.handle_input(at, &mut self.input, &mut self.part).is_err() {
                    self.phase = Phase::Flushing;
                }
                // Behind a part comes what the peer has to say about ours, and then most often the next part.
                self.in_parts = in_part || self.part.is_some();
                state.settle(Some(at));
                somebody_waits = state.has_news() || state.wire.has_frame(&self.input);
            }
            if somebody_waits || !self.in_parts || self.phase != Phase::Open {
                break;
            }
            match self.read(cx) {
                Ok(Some(0)) => {
                    self.ahead = Some(0);
                    break;
                }
                Ok(Some(count)) => left = left.saturating_sub(count),
                // An error the next round meets again.
                Ok(None) | Err(_) => break,
            }
        }
    }
}
