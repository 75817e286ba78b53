//! Frames that come in.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

/// The number of a message that is not answered.
pub(super) const ONEWAY: u64 = u64::MAX;

/// Length and number.
pub(super) const HEADER: usize = 12;

/// Reads as much as there is at a time, and gives frames as slices of it.
pub(super) struct Frames {
    socket: OwnedReadHalf,
    buffer: BytesMut,
}

impl Frames {
    pub(super) fn new(socket: OwnedReadHalf) -> Self {
        Self { socket, buffer: BytesMut::with_capacity(16 * 1024) }
    }

    /// A frame that is here already.
    #[inline]
    pub(super) fn take(&mut self) -> Option<(u64, Bytes)> {
        let header = self.buffer.first_chunk::<HEADER>()?;
        let [l0, l1, l2, l3, number @ ..] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if self.buffer.len() < HEADER + length {
            self.buffer.reserve(HEADER + length - self.buffer.len());
            return None;
        }
        self.buffer.advance(HEADER);
        Some((u64::from_le_bytes(number), self.buffer.split_to(length).freeze()))
    }

    /// Reads once; false at the end.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        if self.buffer.capacity() - self.buffer.len() < 4096 {
            self.buffer.reserve(16 * 1024);
        }
        Ok(self.socket.read_buf(&mut self.buffer).await? != 0)
    }
}
