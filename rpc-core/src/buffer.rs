//! Large buffers that are used again.
//!
//! The pages of a large buffer cost more than the bytes in it: the system hands them out one fault at a time, clears each,
//! and an allocator gives them back as soon as the body is dropped (900 faults and two thirds of the time of a call with
//! 1 MiB each way). So the memory of large bodies is kept for the next ones, last in, first out, as long as it is in use.
//!
//! One list for the process, for a body is encoded on one thread and dropped on another. It is locked for a few
//! instructions, and only for large bodies. It holds [`MOST`] bytes; what has lain there for [`IDLE`] goes as soon as anybody
//! comes by: whoever gives a buffer back, and every connection that comes to rest or ends ([`trim`]).
//!
//! What is in a buffer is never seen by its next user: it comes back empty, and only what is written counts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

/// Buffers from this size on are kept, in bytes. For smaller ones allocators do well.
pub(crate) const LARGE: usize = 64 * 1024;

/// How many bytes are kept at most.
const MOST: usize = 16 * 1024 * 1024;

/// For how long a buffer is kept that nobody needs.
const IDLE: Duration = Duration::from_secs(1);

/// Buffers that nobody uses, and since when; the longest unused first.
static KEPT: Mutex<Kept> = Mutex::new(Kept { buffers: Vec::new(), bytes: 0 });

#[derive(Debug)]
struct Kept {
    buffers: Vec<(Instant, BytesMut)>,
    bytes: usize,
}

impl Kept {
    fn lock() -> MutexGuard<'static, Self> {
        // Whole at any time: nothing under the lock panics half-way.
        KEPT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The buffer that was used last among those of this size. Not a much larger one, which another body may need.
    fn take(&mut self, size: usize) -> Option<BytesMut> {
        let fits = |(_, buffer): &(Instant, BytesMut)| (size..=2 * size).contains(&buffer.capacity());
        let place = self.buffers.iter().rposition(fits)?;
        let (_, buffer) = self.buffers.remove(place);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Keeps a buffer; gives what there is no place for any more.
    fn give(&mut self, now: Instant, buffer: BytesMut) -> Vec<(Instant, BytesMut)> {
        self.bytes += buffer.capacity();
        self.buffers.push((now, buffer));
        self.remove_old(now)
    }

    /// Takes out what has not been needed for a while, or is too much, the longest unused first; to be dropped when the
    /// list is free again, for it takes time to give pages back.
    fn remove_old(&mut self, now: Instant) -> Vec<(Instant, BytesMut)> {
        let mut gone = 0;
        for (since, buffer) in &self.buffers {
            if self.bytes <= MOST && now.saturating_duration_since(*since) < IDLE {
                break;
            }
            self.bytes -= buffer.capacity();
            gone += 1;
        }
        self.buffers.drain(..gone).collect()
    }
}

/// An empty buffer with room for so many bytes at least.
pub(crate) fn take(size: usize) -> BytesMut {
    if size < LARGE {
        return BytesMut::with_capacity(size);
    }
    // Bodies of one kind differ a little in size: with sizes in steps of an eighth they can use each other's buffers.
    let step = size.next_power_of_two() / 8;
    let size = size.next_multiple_of(step);
    Kept::lock().take(size).unwrap_or_else(|| BytesMut::with_capacity(size))
}

/// Takes a buffer back that is not needed any more.
pub(crate) fn give(mut buffer: BytesMut) {
    buffer.clear();
    if (LARGE..=MOST).contains(&buffer.capacity()) {
        let gone = Kept::lock().give(Instant::now(), buffer);
        drop(gone);
    }
}

/// What was written, to be read by many; if the buffer is a large one, it is given back when the last of them is done.
pub(crate) fn freeze(buffer: BytesMut) -> Bytes {
    if buffer.capacity() < LARGE {
        return buffer.freeze();
    }
    Bytes::from_owner(Shared(buffer))
}

/// Drops what nobody has needed for a while.
pub(crate) fn trim() {
    let gone = Kept::lock().remove_old(Instant::now());
    drop(gone);
}

/// Gives its buffer back at the end.
struct Shared(BytesMut);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Kept {
        Kept { buffers: Vec::new(), bytes: 0 }
    }

    #[test]
    fn a_buffer_that_comes_back_is_used_again_by_bodies_of_its_size() {
        let (mut kept, now) = (empty(), Instant::now());
        assert!(kept.take(LARGE).is_none());
        let buffer = BytesMut::with_capacity(4 * LARGE);
        let place = buffer.as_ptr();
        kept.give(now, buffer);
        assert!(kept.take(LARGE).is_none(), "four times of what is needed is left to others");
        assert!(kept.take(5 * LARGE).is_none());
        assert_eq!(kept.take(3 * LARGE).map(|buffer| buffer.as_ptr()), Some(place));
        assert_eq!((kept.bytes, kept.buffers.len()), (0, 0));
    }

    #[test]
    fn the_buffer_that_was_used_last_is_the_first_to_go_out() {
        let (mut kept, now) = (empty(), Instant::now());
        let buffers = [0, 1].map(|_| BytesMut::with_capacity(LARGE));
        let places = buffers.each_ref().map(|buffer| buffer.as_ptr());
        for buffer in buffers {
            kept.give(now, buffer);
        }
        for place in places.into_iter().rev() {
            assert_eq!(kept.take(LARGE).map(|buffer| buffer.as_ptr()), Some(place));
        }
    }

    #[test]
    fn no_more_is_kept_than_was_said_and_the_longest_unused_goes_first() {
        let (mut kept, now) = (empty(), Instant::now());
        for n in 0..8 {
            let gone = kept.give(now + Duration::from_millis(n), BytesMut::with_capacity(MOST / 4));
            assert!(kept.bytes <= MOST);
            let since: Vec<_> = gone.into_iter().map(|(since, _)| since).collect();
            let oldest = n.checked_sub(4).map(|oldest| now + Duration::from_millis(oldest));
            assert_eq!(since, Vec::from_iter(oldest));
        }
    }

    #[test]
    fn what_nobody_needs_goes_after_a_while() {
        let (mut kept, now) = (empty(), Instant::now());
        kept.give(now, BytesMut::with_capacity(LARGE));
        kept.give(now + IDLE / 2, BytesMut::with_capacity(LARGE));
        assert_eq!(kept.remove_old(now + IDLE / 2).len(), 0);
        assert_eq!(kept.remove_old(now + IDLE).len(), 1);
        assert_eq!(kept.give(now + 2 * IDLE, BytesMut::with_capacity(LARGE)).len(), 1);
        assert_eq!(kept.buffers.len(), 1);
        assert_eq!(kept.bytes, kept.buffers[0].1.capacity());
    }

    #[test]
    fn a_body_is_what_was_written_whoever_had_the_buffer_before() {
        for size in [1, LARGE - 1, LARGE, 3 * LARGE + 5] {
            for byte in [b'a', b'b'] {
                let mut buffer = take(size);
                assert!(buffer.is_empty() && buffer.capacity() >= size);
                buffer.resize(size, byte);
                let body = freeze(buffer);
                assert!(body.len() == size && body.iter().all(|found| *found == byte));
                // The last slice keeps it.
                let slice = body.slice(size / 2..);
                drop(body);
                assert!(slice.iter().all(|found| *found == byte));
            }
        }
    }

    #[test]
    fn small_buffers_and_huge_ones_are_not_kept() {
        assert!(take(0).capacity() < LARGE);
        let body = freeze(BytesMut::from(&b"small"[..]));
        assert!(body.try_into_mut().is_ok(), "as the allocator gave it");
        let huge = BytesMut::with_capacity(2 * MOST);
        give(huge);
        assert!(Kept::lock().buffers.iter().all(|(_, buffer)| buffer.capacity() <= MOST));
    }
}
