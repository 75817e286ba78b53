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
    /// How much room a new buffer gets beside what the frame that has begun needs.
    room: usize,
    most_room: usize,
}

/// The room of a buffer for small frames.
const ROOM: usize = 16 * 1024;

/// The room of a buffer for large ones, once reads have filled the smaller ones.
const LARGE_ROOM: usize = 256 * 1024;

impl Frames {
    pub(super) fn new(socket: OwnedReadHalf, large: bool) -> Self {
        let most_room = if large { LARGE_ROOM } else { ROOM };
        Self { socket, buffer: BytesMut::with_capacity(ROOM), room: ROOM, most_room }
    }

    /// A frame that is here already.
    #[inline]
    pub(super) fn take(&mut self) -> Option<(u64, Bytes)> {
        let header = self.buffer.first_chunk::<HEADER>()?;
        let [l0, l1, l2, l3, number @ ..] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if self.buffer.len() < HEADER + length {
            let missing = HEADER + length - self.buffer.len();
            self.buffer.reserve(if self.room > ROOM { missing.max(self.room) } else { missing });
            return None;
        }
        self.buffer.advance(HEADER);
        Some((u64::from_le_bytes(number), self.buffer.split_to(length).freeze()))
    }

    /// Reads once; false at the end.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        if self.buffer.capacity() - self.buffer.len() < 4096 {
            self.buffer.reserve(self.room);
        }
        let free = self.buffer.capacity() - self.buffer.len();
        let read = self.socket.read_buf(&mut self.buffer).await?;
        // A read that fills the buffer says that there is more.
        if read == free {
            self.room = (self.room * 2).min(self.most_room);
        }
        Ok(read != 0)
    }
}
