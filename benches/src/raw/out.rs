//! Frames on their way out: small ones are copied one behind the other, large payloads ride along by reference.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;

use super::frame::HEADER;

/// Payloads from here on are not copied: below about 8 KiB the copy is cheaper than one more slice.
const BY_REFERENCE: usize = 8 * 1024;

#[derive(Default)]
pub(super) struct Out {
    small: BytesMut,
    chunks: VecDeque<Bytes>,
}

impl Out {
    #[inline]
    pub(super) fn push(&mut self, number: u64, payload: &Bytes) {
        let copied = payload.len() < BY_REFERENCE;
        self.small.reserve(HEADER + if copied { payload.len() } else { 0 });
        self.small.put_u32_le(payload.len() as u32);
        self.small.put_u64_le(number);
        if copied {
            self.small.put_slice(payload);
        } else {
            self.chunks.push_back(self.small.split().freeze());
            self.chunks.push_back(payload.clone());
        }
    }

    /// Bytes that wait, as far as they were copied.
    pub(super) fn waiting(&self) -> usize {
        self.small.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.chunks.is_empty()
    }

    /// Writes everything.
    pub(super) async fn write(&mut self, socket: &mut OwnedWriteHalf) -> io::Result<()> {
        if self.chunks.is_empty() {
            socket.write_all(&self.small).await?;
            self.small.clear();
            return Ok(());
        }
        if !self.small.is_empty() {
            self.chunks.push_back(self.small.split().freeze());
        }
        while !self.chunks.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = self.chunks.len().min(slices.len());
            for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
                *slice = IoSlice::new(chunk);
            }
            let mut written = socket.write_vectored(&slices[..filled]).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            while let Some(front) = self.chunks.front_mut() {
                if written < front.len() {
                    front.advance(written);
                    break;
                }
                written -= front.len();
                self.chunks.pop_front();
            }
        }
        Ok(())
    }
}
