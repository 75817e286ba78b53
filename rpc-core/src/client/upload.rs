//! The task that sends the items of a request. It belongs to the call, and ends with it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use tokio::task::AbortHandle;

use crate::call::request::Upload;
use crate::context::{Context, poll_in};
use crate::middleware::catch_panic::caught;
use crate::transport::pump::{Pump, Pumped};
use crate::transport::stream::Way;
use crate::wire::StreamId;

/// Sends the items, once the call has its stream: until then it can still be made elsewhere, as nothing of it is used up.
/// They are asked for in the context of the call.
pub(crate) fn start(way: Way, items: Upload, context: Context, path: &'static str) -> AbortHandle {
    tokio::spawn(Task { way, items, context, path, pump: None }).abort_handle()
}

struct Task {
    way: Way,
    items: Upload,
    context: Context,
    path: &'static str,
    pump: Option<(StreamId, Pump)>,
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        let (stream, pump) = match &mut this.pump {
            Some((stream, pump)) => (*stream, pump),
            None => {
                let Some(stream) = ready!(this.way.lane.poll_stream(cx)) else { return Poll::Ready(()) };
                let Some(items) = this.items.take() else {
                    // Another attempt was quicker.
                    this.way.fail(Upload::gone());
                    return Poll::Ready(());
                };
                (stream, &mut this.pump.insert((stream, Pump::new(items))).1)
            }
        };
        let Way { link, lane, .. } = &this.way;
        let polled = poll_in(&mut this.context, || pump.poll(link, lane, stream, cx));
        match ready!(polled) {
            Pumped::Ended(_) => this.way.finish(stream),
            Pumped::Failed(status) => this.way.fail(status),
            Pumped::Panicked(panic) => this.way.fail(caught(this.path, &*panic)),
            Pumped::Unwanted => {}
        }
        Poll::Ready(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // What the stream holds may make calls as it goes.
        let pump = self.pump.take();
        poll_in(&mut self.context, || drop(pump));
    }
}
