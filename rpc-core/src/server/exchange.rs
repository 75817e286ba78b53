//! One call at the server: its handler is polled once in place, and gets a task if it is not done by then.
//!
//! Most handlers are done at the first poll. A task for each of them would cost more than the rest of the call (measured
//! on the raw echo that is our baseline: 635,000 calls a second against 233,000 with two workers).

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::call::{BoxFuture, MethodDescriptor, Response};
use crate::codec::body::tidy;
use crate::context::{Context, now, poll_in};
use crate::metadata::Metadata;
use crate::middleware::catch_panic::caught;
use crate::server::handler::Arrived;
use crate::server::room::{Handled, InPlace, Room};
use crate::server::router::Route;
use crate::server::stack::Handle;
use crate::status::{Certainty, Code, Hop, Status};
use crate::transport::lane::Lane;
use crate::transport::link::Link;
use crate::transport::pump::{Pump, Pumped};
use crate::wire::field::micros;
use crate::wire::{ResponseHead, StreamId, Token};

/// What is kept of a call while its handler runs.
pub(crate) struct Call {
    pub(crate) method: &'static MethodDescriptor,
    pub(crate) context: Context,
    pub(crate) stream: StreamId,
    /// When its first byte came.
    pub(crate) received: Instant,
    /// When its handler was first polled.
    pub(crate) started: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) oneway: bool,
    /// The items of the request, if it is a stream.
    pub(crate) lane: Option<Arc<Lane>>,
}

/// Makes the handler's future and polls it once.
#[inline(always)]
pub(crate) fn begin(
    call: &mut Call,
    service: &dyn Handle,
    arrived: &mut Arrived,
    waker: &Waker,
    room: &mut Room,
    reply: &mut BytesMut,
) -> Handled {
    let mut executed = false;
    let handled = poll_in(&mut call.context, || {
        catch_unwind(AssertUnwindSafe(|| {
            let executed = &mut executed;
            service.handle(arrived, InPlace { waker, room, reply: &mut *reply, executed })
        }))
    });
    let handled = match handled {
        Ok(handled) => handled,
        Err(panic) => {
            // What an encoder may have left.
            tidy(reply);
            Handled::Done(Err(caught(call.method.path, &*panic)))
        }
    };
    // Of one that is answered here nobody will ask.
    if executed && (call.lane.is_some() || !matches!(handled, Handled::Encoded)) {
        call.context.mark_executed();
    }
    handled
}

impl Call {
    /// How long the call waited for its handler.
    pub(crate) fn queue(&self) -> Duration {
        self.started.saturating_duration_since(self.received)
    }

    /// The head of the answer with a reply that was encoded in place; `None` if no answer is due.
    #[inline]
    pub(crate) fn replied(&self, queue: Duration, handler: Duration) -> Option<ResponseHead> {
        if self.oneway {
            return None;
        }
        let metadata = self.context.take_reply_metadata().unwrap_or_default();
        Some(ResponseHead { status: None, queue: micros(queue), handler: micros(handler), metadata })
    }

    /// The answer to the peer, with this hop's certainty, timings and share of the budget; `None` if none is due.
    pub(crate) fn answer(
        &self,
        result: Result<Response, Status>,
        queue: Duration,
        handler: Duration,
    ) -> Option<(ResponseHead, Bytes)> {
        if self.oneway {
            return None;
        }
        let own = self.context.take_reply_metadata();
        Some(match result {
            Ok(response) => {
                let (body, mut metadata, _) = response.into_parts();
                if let Some(own) = own {
                    metadata.extend(own);
                }
                let (queue, handler) = (micros(queue), micros(handler));
                (ResponseHead { status: None, queue, handler, metadata }, body)
            }
            Err(status) => {
                let mut status = self.outgoing(status, queue, handler);
                if let Some(own) = own {
                    status.metadata_mut().extend(own);
                }
                let (queue, handler) = (micros(queue), micros(handler));
                (
                    ResponseHead { status: Some(status), queue, handler, metadata: Metadata::new() },
                    Bytes::new(),
                )
            }
        })
    }

    /// The head of an answer that is a stream.
    fn head(&self, response: Response, handler: Duration) -> ResponseHead {
        let (_, mut metadata, _) = response.into_parts();
        if let Some(own) = self.context.take_reply_metadata() {
            metadata.extend(own);
        }
        ResponseHead { status: None, queue: micros(self.queue()), handler: micros(handler), metadata }
    }

    /// What stands at the end of such an answer.
    fn closing_head(&self, result: Result<Metadata, Status>, handler: Duration) -> ResponseHead {
        match result {
            Ok(metadata) => ResponseHead { handler: micros(handler), metadata, ..ResponseHead::default() },
            Err(status) => {
                let status = Some(self.outgoing(status, self.queue(), handler));
                ResponseHead { status, handler: micros(handler), ..ResponseHead::default() }
            }
        }
    }

    /// The answer to a call whose time was up before its handler was begun.
    #[cold]
    pub(crate) fn too_late(&self) -> Option<(ResponseHead, Bytes)> {
        self.answer(Err(self.overdue("begun")), self.queue(), Duration::ZERO)
    }

    /// The error of a call whose time is up.
    fn overdue(&self, what: &str) -> Status {
        let budget = self.deadline.map_or(Duration::ZERO, |at| at.saturating_duration_since(self.received));
        Status::deadline_exceeded(format!(
            "{} was not {what} in the {budget:.1?} that its caller left it",
            self.method.path
        ))
    }

    /// A status as it leaves this server: what describes one hop is set anew.
    fn outgoing(&self, mut status: Status, queue: Duration, handler: Duration) -> Status {
        let executed = self.context.was_executed();
        status.set_certainty(if executed { Certainty::Executed } else { Certainty::NotExecuted });
        status.leave_hop();
        if status.code() == Code::DeadlineExceeded {
            // What nested calls told as they were dropped is in the context; what one told as it failed is in the
            // status already.
            let dropped = self.context.take_hops();
            let hops = status.hops_mut();
            if hops.is_empty() {
                *hops = dropped;
            }
            hops.insert(
                0,
                Hop {
                    method: self.method.path.to_owned(),
                    budget: self
                        .deadline
                        .map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(self.received)),
                    queue: Some(queue),
                    handler: Some(handler),
                    elapsed: None,
                },
            );
        }
        status
    }
}

/// What a handler's task begins with.
pub(crate) enum Start {
    Request(Arrived),
    Future(BoxFuture<Result<Response, Status>>),
}

/// The task of a handler that was not done at its first poll, must not be polled in place, or gave a stream: then it is
/// the stream's task as well.
///
/// Dropping it, which is what an abort does, drops the handler, then closes the call: with an answer if there is
/// somebody who waits for one.
pub(crate) struct Task {
    link: Arc<Link>,
    token: Token,
    route: Arc<Route>,
    call: Call,
    start: Option<Start>,
    /// What the handler gave, if that is a stream.
    reply: Option<(Arc<Lane>, Pump)>,
    answered: bool,
}

impl Task {
    pub(crate) fn start(link: &Arc<Link>, route: &Arc<Route>, call: Call, start: Start) {
        let token = link.serve(call.stream, call.context.clone(), call.lane.clone());
        let (link_, route, start) = (link.clone(), route.clone(), Some(start));
        let task = Self { link: link_, token, route, call, start, reply: None, answered: false };
        let handle = tokio::spawn(task).abort_handle();
        link.set_task(token, handle);
    }

    /// The first poll of a handler that was not polled in place.
    fn begin(&mut self, mut arrived: Arrived, waker: &Waker) -> Poll<Result<Response, Status>> {
        let Self { route, call, start, .. } = self;
        call.started = now();
        if call.deadline.is_some_and(|deadline| deadline <= call.started) {
            return Poll::Ready(Err(call.overdue("begun")));
        }
        let mut reply = BytesMut::new();
        let handled = begin(call, &*route.service, &mut arrived, waker, &mut Room::default(), &mut reply);
        route.polled(now().saturating_duration_since(call.started));
        match handled {
            Handled::Encoded => Poll::Ready(Ok(Response::new(reply.freeze()))),
            Handled::Done(result) => Poll::Ready(result),
            Handled::Pending(future) => {
                *start = Some(Start::Future(future));
                Poll::Pending
            }
        }
    }

    /// A further poll of a handler.
    fn go_on(
        &mut self,
        mut future: BoxFuture<Result<Response, Status>>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Response, Status>> {
        let Self { call, start, .. } = self;
        let polled = poll_in(&mut call.context, || {
            catch_unwind(AssertUnwindSafe(|| {
                let polled = future.as_mut().poll(cx);
                if polled.is_pending() {
                    *start = Some(Start::Future(future));
                }
                polled
            }))
        });
        polled.unwrap_or_else(|panic| Poll::Ready(Err(caught(call.method.path, &*panic))))
    }

    fn finish(&mut self, result: Result<Response, Status>) {
        self.answered = true;
        let handler = now().saturating_duration_since(self.call.started);
        self.route.counters.ended(result.is_ok(), handler);
        let answer = self.call.answer(result, self.call.queue(), handler);
        self.link.served(self.token, self.call.stream, answer);
    }

    /// The handler gave a stream: its head goes out, its items follow.
    fn begin_stream(&mut self, mut response: Response) {
        let Some(items) = response.take_stream() else { return };
        let head = self.call.head(response, now().saturating_duration_since(self.call.started));
        let lane = self.link.respond(self.token, self.call.stream, &head);
        self.reply = Some((lane, Pump::new(items)));
    }

    /// Sends what is ready of the stream. When it has ended the call is answered.
    fn poll_stream(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Self { link, call, reply: Some((lane, pump)), .. } = self else { return Poll::Ready(()) };
        let stream = call.stream;
        let polled = poll_in(&mut call.context, || pump.poll(link, lane, stream, cx));
        let result = match ready!(polled) {
            Pumped::Ended(trailing) => Ok(trailing),
            Pumped::Failed(status) => Err(status),
            Pumped::Panicked(panic) => Err(caught(call.method.path, &*panic)),
            Pumped::Unwanted => Err(Status::cancelled("the caller gave up the call")),
        };
        self.drop_reply();
        self.finish_stream(result);
        Poll::Ready(())
    }

    fn finish_stream(&mut self, result: Result<Metadata, Status>) {
        self.answered = true;
        let handler = now().saturating_duration_since(self.call.started);
        self.route.counters.ended(result.is_ok(), handler);
        let head = self.call.closing_head(result, handler);
        self.link.finished(self.token, self.call.stream, &head);
    }

    /// Drops what the handler is or gave, in its own context: the calls that it has under way leave their part of the
    /// report. Whether it gave a stream.
    fn drop_reply(&mut self) -> bool {
        let (start, reply) = (self.start.take(), self.reply.take());
        let streams = reply.is_some();
        let dropped =
            poll_in(&mut self.call.context, || catch_unwind(AssertUnwindSafe(|| drop((start, reply)))));
        if let Err(panic) = dropped {
            let _ = caught(self.call.method.path, &*panic);
        }
        streams
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.reply.is_some() {
            return this.poll_stream(cx);
        }
        let polled = match this.start.take() {
            Some(Start::Request(arrived)) => this.begin(arrived, cx.waker()),
            Some(Start::Future(future)) => this.go_on(future, cx),
            None => Poll::Pending,
        };
        match ready!(polled) {
            Ok(response) if response.is_stream() => {
                this.begin_stream(response);
                this.poll_stream(cx)
            }
            result => {
                this.finish(result);
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // The handler goes first, then the call.
        let streams = self.drop_reply();
        let status = self.call.context.status().unwrap_or_else(|| Status::unavailable("the server stopped"));
        let status = match status.code() {
            Code::DeadlineExceeded if self.call.context.was_executed() => self.call.overdue("complete"),
            Code::DeadlineExceeded => self.call.overdue("begun"),
            _ => status,
        };
        // A call that was cancelled is only closed: the state machine knows that nobody waits.
        match streams {
            true => self.finish_stream(Err(status)),
            false => self.finish(Err(status)),
        }
    }
}
