//! Bytes on their way to the socket.
//!
//! Small frames are copied one behind the other into one buffer, so that hundreds of calls are one write; a body of
//! 8 KiB or more rides along by reference, as a slice of its own in a vectored write. (Measured on the raw echo that
//! is our baseline: below about 8 KiB the copy is cheaper than one more slice.)

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::frame::{PREFIX, Prefix};

/// Bodies from here on are not copied.
const BY_REFERENCE: usize = 8 * 1024;

/// Frames that wait to be written, in order.
#[derive(Debug, Default)]
pub struct Transmit {
    /// What is behind all chunks.
    tail: BytesMut,
    chunks: VecDeque<Bytes>,
    /// The bytes in `chunks`.
    chunked: usize,
}

/// The body of a frame, for as long as the frame is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Body<'a> {
    bytes: &'a [u8],
    /// The same bytes, where they can be kept without a copy.
    shared: Option<&'a Bytes>,
}

/// Bytes whose memory the caller uses again: whatever is kept of them is copied.
impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, shared: None }
    }
}

/// Bytes that can be shared.
impl<'a> From<&'a Bytes> for Body<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        Self { bytes, shared: Some(bytes) }
    }
}

impl Body<'_> {
    /// How many bytes there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes, to be kept.
    #[cold]
    pub(crate) fn to_bytes(self) -> Bytes {
        self.shared.cloned().unwrap_or_else(|| Bytes::copy_from_slice(self.bytes))
    }
}

/// The place of a frame that was begun: where its prefix stands in the tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Transmit {
    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.chunked + self.tail.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `slices` with the first bytes, for a vectored write; how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self
            .chunks
            .iter()
            .map(|chunk| &chunk[..])
            .chain((!self.tail.is_empty()).then_some(&self.tail[..]));
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    /// The bytes as one slice, if they are in one: what a plain write takes.
    #[inline]
    pub fn single(&self) -> Option<&[u8]> {
        self.chunks.is_empty().then_some(&self.tail[..])
    }

    /// Drops the first bytes, which have been written.
    pub fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.chunks.front_mut() {
            if written < front.len() {
                front.advance(written);
                self.chunked -= written;
                return;
            }
            written -= front.len();
            self.chunked -= front.len();
            self.chunks.pop_front();
        }
        let written = written.min(self.tail.len());
        if written == self.tail.len() {
            // Keeps the buffer for the next frames, which `advance` would give away byte by byte.
            self.tail.clear();
        } else {
            self.tail.advance(written);
        }
    }

    /// Takes all bytes out, as one buffer.
    pub fn take_all(&mut self) -> BytesMut {
        let mut all = BytesMut::with_capacity(self.len());
        for chunk in self.chunks.drain(..) {
            all.put_slice(&chunk);
        }
        self.chunked = 0;
        all.put_slice(&self.tail);
        self.tail.clear();
        all
    }

    /// Gives memory back that a burst has left: an idle connection must not hold a large buffer.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Appends bytes that are no frame.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.tail.put_slice(bytes);
    }

    /// Begins a frame; the header's fields are appended to the buffer that comes back.
    #[inline]
    pub(crate) fn begin(&mut self, header_and_body: usize) -> (Mark, &mut BytesMut) {
        self.tail.reserve(PREFIX + header_and_body);
        let mark = Mark(self.tail.len());
        self.tail.put_slice(&[0; PREFIX]);
        (mark, &mut self.tail)
    }

    /// The length of the header of the frame that was begun.
    #[inline]
    pub(crate) fn header_len(&self, mark: Mark) -> usize {
        self.tail.len() - mark.0 - PREFIX
    }

    /// Takes the frame that was begun back.
    pub(crate) fn abandon(&mut self, mark: Mark) {
        self.tail.truncate(mark.0);
    }

    /// Completes the frame that was begun. The caller has checked that the header's length fits.
    #[inline(always)]
    pub(crate) fn finish(&mut self, mark: Mark, kind: u8, flags: u8, stream: u64, body: Body<'_>) {
        let header = self.header_len(mark) as u16;
        let prefix = Prefix { kind, flags, header, body: body.len() as u32, stream };
        if let Some(place) = self.tail.get_mut(mark.0..mark.0 + PREFIX) {
            place.copy_from_slice(&prefix.to_bytes());
        }
        self.body(body);
    }

    #[inline(always)]
    fn body(&mut self, body: Body<'_>) {
        if body.len() < BY_REFERENCE {
            self.tail.put_slice(body.bytes);
        } else {
            self.by_reference(body);
        }
    }

    #[cold]
    fn by_reference(&mut self, body: Body<'_>) {
        let before = self.tail.split().freeze();
        self.chunked += before.len() + body.len();
        self.chunks.extend([before, body.to_bytes()]);
    }
}
