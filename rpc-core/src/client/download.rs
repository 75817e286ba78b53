//! The items of a reply, as they come.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;

use crate::call::request::Deadline;
use crate::client::destination::Chosen;
use crate::client::endpoint::{Endpoint, Lease};
use crate::client::exchange::from_peer;
use crate::context::{Context, Registration, now};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::stream::{Source, Trailing};
use crate::transport::lane::{End, Reader};
use crate::transport::stream::{Streamed, begun};

/// The items of a reply. Owns the call: dropping it cancels the call, unless it is over.
pub(crate) struct Download {
    // Before the call: what it still has goes first.
    reader: Reader,
    call: Streamed,
    endpoint: Option<Endpoint>,
    /// The server that was chosen, where there is a choice: it counts the call until the stream has ended.
    at: Option<Chosen>,
    /// The call's place on its connection, where there are several.
    lease: Option<Box<Lease>>,
    deadline: Option<Deadline>,
    /// The caller's context: the stream ends with it.
    context: Context,
    cancelled: Registration,
    trailing: Metadata,
}

impl Download {
    pub(crate) fn new(
        call: Streamed,
        endpoint: Option<Endpoint>,
        (at, lease): (Option<Chosen>, Option<Box<Lease>>),
        deadline: Option<Deadline>,
        context: Context,
    ) -> Self {
        Self {
            reader: call.reader(),
            call,
            endpoint,
            at,
            lease,
            deadline,
            context,
            cancelled: Registration::default(),
            trailing: Metadata::new(),
        }
    }

    /// What the end of the stream means for its reader, and for the balancer.
    #[cold]
    fn end(&mut self, end: End) -> Option<Result<Bytes, Status>> {
        let chosen = self.at.take();
        self.lease = None;
        let mut status = match end {
            End::Done(trailing) => {
                self.trailing = trailing;
                if let Some(chosen) = chosen {
                    chosen.succeeded();
                }
                return None;
            }
            End::Peer(status) => from_peer(status, self.call.span(), now()),
            End::Failed(status) => begun(match &self.endpoint {
                Some(endpoint) => endpoint.named(status),
                None => status,
            }),
            End::Ours(status) => return Some(Err(status)),
            End::Expired { .. } => {
                let span = self.call.span();
                let mut status = match self.deadline {
                    Some(deadline) => deadline.status(span.path),
                    None => Status::deadline_exceeded("the time is up"),
                };
                status.hops_mut().push(span.hop(now()));
                begun(status)
            }
        };
        if let Some(chosen) = chosen {
            chosen.failed(&mut status);
        }
        Some(Err(status))
    }
}

impl Source<Bytes> for Download {
    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let this = &mut *self;
        match this.reader.poll(cx) {
            Poll::Ready(Ok(body)) => Poll::Ready(Some(Ok(body))),
            Poll::Ready(Err(end)) => Poll::Ready(this.end(end)),
            Poll::Pending => {
                this.context.poll_cancelled(cx, &mut this.cancelled).map(|status| Some(Err(status)))
            }
        }
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        Trailing { metadata: std::mem::take(&mut self.trailing), from_peer: true }
    }
}
