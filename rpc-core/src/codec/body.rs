//! Where bodies are encoded.
//!
//! A small body does not get a buffer of its own: it is encoded at the end of one that the thread keeps, and cut off as
//! a slice of it. One allocation serves dozens of bodies, and a body is shared from the start, so that a request can
//! be cloned (for one more attempt) without one more. Two allocations of a call less at each side.
//!
//! A short request that no layer sees needs not even that: it is encoded in the thread's [`Scratch`], and copied from there
//! to its connection.
//!
//! What it costs: a small body that lives long keeps all of its buffer. So buffers are small.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};

use crate::buffer;
use crate::codec::CodecError;

/// The buffers that a thread cuts bodies off, in bytes.
const SHARED: usize = 4 * 1024;

/// A body of which this much is announced gets a buffer of its own, of the right size.
const OWN: usize = 1024;

thread_local! {
    static BUFFER: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// What `encode` appends to the buffer that it is given, as a body. `size` is how much that will be, or 0.
///
/// # Errors
/// What `encode` gives.
#[inline]
pub(crate) fn body(
    size: usize,
    encode: impl FnOnce(&mut BytesMut) -> Result<(), CodecError>,
) -> Result<Bytes, CodecError> {
    if size >= OWN {
        let mut buffer = buffer::take(size);
        encode(&mut buffer)?;
        return Ok(buffer::freeze(buffer));
    }
    // Taken out meanwhile: an encoder that encodes finds an empty one and makes its own. So does one on a thread that is
    // ending, whose buffer is gone.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    if buffer.capacity() < size.max(64) {
        // Used again if no body of it is left.
        buffer.reserve(SHARED);
    }
    let result = encode(&mut buffer);
    let body = buffer.split();
    if body.capacity() > SHARED {
        // Larger than announced: whatever is left of such a buffer is not worth keeping the rest for.
        buffer = BytesMut::new();
    }
    // On a thread that is ending it is dropped.
    let _ = BUFFER.try_with(|place| place.set(buffer));
    result.map(|()| body.freeze())
}

/// The same, in a buffer of the caller's that is empty and will be again: a small body stays there, which costs nothing but
/// the copy; a large one is given out by itself.
///
/// # Errors
/// What `encode` gives; the buffer is empty then.
#[inline]
pub(crate) fn body_in(
    place: &mut BytesMut,
    size: usize,
    encode: impl FnOnce(&mut BytesMut) -> Result<(), CodecError>,
) -> Result<Option<Bytes>, CodecError> {
    if size >= OWN {
        return body(size, encode).map(Some);
    }
    place.reserve(size.max(64));
    if let Err(error) = encode(place) {
        tidy(place);
        return Err(error);
    }
    // Larger than announced.
    Ok((place.len() >= OWN).then(|| std::mem::take(place).freeze()))
}

/// Empties a buffer, for the next body.
#[inline]
pub(crate) fn tidy(place: &mut BytesMut) {
    place.clear();
    if place.capacity() > SHARED {
        // One that had to grow is not worth its memory.
        *place = BytesMut::new();
    }
}

thread_local! {
    static SCRATCH: Cell<Option<Box<BytesMut>>> = const { Cell::new(None) };
}

/// The buffer in which a thread encodes short requests, one after the other: each is copied to its connection before the
/// next one comes, and is never made into shared bytes (150 instructions, three atomic ones among them).
///
/// It is taken out meanwhile: an encoder that makes a call of its own finds none, and makes one.
pub(crate) struct Scratch(Box<BytesMut>);

impl Scratch {
    #[inline]
    pub(crate) fn take() -> Self {
        Self(SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_else(Self::make))
    }

    #[cold]
    fn make() -> Box<BytesMut> {
        Box::new(BytesMut::with_capacity(OWN))
    }

    /// The empty buffer.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    /// Keeps the buffer for the next request.
    #[inline]
    pub(crate) fn give_back(mut self) {
        tidy(&mut self.0);
        // On a thread that is ending it is dropped.
        let _ = SCRATCH.try_with(|place| place.set(Some(self.0)));
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn put(text: &'static str) -> impl FnOnce(&mut BytesMut) -> Result<(), CodecError> {
        move |out| {
            out.put_slice(text.as_bytes());
            Ok(())
        }
    }

    #[test]
    fn bodies_are_what_was_encoded_whatever_their_size() {
        for size in [0, 1, 100, OWN, 100 * 1024] {
            for announced in [0, size] {
                let text = "x".repeat(size);
                let body = body(announced, |out| {
                    out.put_slice(text.as_bytes());
                    Ok(())
                });
                assert_eq!(body.unwrap(), text);
            }
        }
    }

    #[test]
    fn small_bodies_lie_in_one_buffer() {
        let one = body(3, put("one")).unwrap();
        let two = body(3, put("two")).unwrap();
        assert_eq!(one.as_ptr().wrapping_add(3), two.as_ptr());
        assert_eq!((&one[..], &two[..]), (&b"one"[..], &b"two"[..]));
    }

    #[test]
    fn an_encoder_that_fails_leaves_nothing_behind() {
        let failed = body(3, |out| {
            out.put_slice(b"half");
            Err(CodecError::new("no"))
        });
        assert!(failed.is_err());
        assert_eq!(body(3, put("one")).unwrap(), "one");
    }

    #[test]
    fn an_encoder_may_encode() {
        let outer = body(3, |out| {
            out.put_slice(&body(3, put("inner"))?);
            Ok(())
        });
        assert_eq!(outer.unwrap(), "inner");
    }

    #[test]
    fn a_small_body_stays_where_it_was_encoded_and_a_large_one_does_not() {
        let mut place = BytesMut::new();
        for size in [0, 1, OWN - 1, OWN, 100 * 1024] {
            for announced in [0, size] {
                let text = "x".repeat(size);
                let own = body_in(&mut place, announced, |out| {
                    out.put_slice(text.as_bytes());
                    Ok(())
                });
                let own = own.unwrap();
                assert_eq!(own.is_some(), size >= OWN, "{size}");
                assert_eq!(own.unwrap_or_else(|| place.split().freeze()), text);
                assert!(place.is_empty());
            }
        }
        let failed = body_in(&mut place, 3, |out| {
            out.put_slice(b"half");
            Err(CodecError::new("no"))
        });
        assert!(failed.is_err() && place.is_empty());
    }

    #[test]
    fn the_scratch_is_empty_each_time_and_not_shared_with_an_encoder_s_own_call() {
        let mut outer = Scratch::take();
        outer.buffer().put_slice(b"outer");
        let mut inner = Scratch::take();
        assert!(inner.buffer().is_empty());
        inner.buffer().put_slice(b"inner");
        inner.give_back();
        assert_eq!(outer.buffer(), "outer");
        outer.give_back();
        let mut next = Scratch::take();
        assert!(next.buffer().is_empty());
        // What had to grow is not kept.
        next.buffer().put_slice(&[0; SHARED + 1]);
        next.give_back();
        assert!(Scratch::take().buffer().capacity() <= SHARED);
    }
}
