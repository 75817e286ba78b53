//! The items of a request, as they come.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;

use crate::call::request::Upload;
use crate::status::Status;
use crate::stream::{Source, Streaming};
use crate::transport::lane::{End, Reader};

/// What a handler reads: the items of its call's request.
pub(super) fn received(reader: Reader) -> Upload {
    Upload::new(Streaming::from_source(Received(reader)))
}

struct Received(Reader);

impl Source<Bytes> for Received {
    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        self.0.poll(cx).map(|item| match item {
            Ok(body) => Some(Ok(body)),
            Err(End::Done(_)) => None,
            Err(End::Peer(status) | End::Failed(status) | End::Ours(status)) => Some(Err(status)),
            // The deadline of a call of the peer's ends its handler.
            Err(End::Expired { .. }) => Some(Err(Status::deadline_exceeded("the time is up"))),
        })
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // The call may go on for long: whoever sends is not left to wait for it.
        self.0.stop();
    }
}
