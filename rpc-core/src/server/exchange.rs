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

use bytes::Bytes;

use crate::call::{BoxFuture, Request, Response};
use crate::context::{Context, now, poll_in};
use crate::metadata::Metadata;
use crate::middleware::catch_panic::caught;
use crate::server::connection::Start;
use crate::server::router::Route;
use crate::status::{Certainty, Code, Hop, Status};
use crate::transport::driver::Answer;
use crate::transport::lane::Lane;
use crate::transport::link::Link;
use crate::transport::pump::{Pump, Pumped};
use crate::wire::field::micros;
use crate::wire::{ResponseHead, StreamId, Token};

type Handler = BoxFuture<Result<Response, Status>>;

/// What is kept of a call while its handler runs.
pub(crate) struct Call {
    pub(crate) route: Arc<Route>,
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

/// What became of a handler's first poll.
pub(crate) enum Polled {
    Ready(Result<Response, Status>),
    Pending(Handler),
}

/// Makes the handler's future and polls it once, in place.
#[inline]
pub(crate) fn begin(call: &mut Call, request: &mut Request) -> Polled {
    // The task that a pending handler gets polls it at once, and so leaves the right waker.
    let mut cx = TaskContext::from_waker(Waker::noop());
    let streams = call.lane.is_some();
    let mut context = std::mem::take(&mut call.context);
    let polled = poll_in(&mut context, || {
        catch_unwind(AssertUnwindSafe(|| {
            let mut future = call.route.service.handle(request);
            match future.as_mut().poll(&mut cx) {
                // A call with streams has a task all the same: what belongs to it has to end with it.
                Poll::Ready(result) if streams || matches!(&result, Ok(ok) if ok.is_stream()) => {
                    Err(Box::pin(std::future::ready(result)) as Handler)
                }
                Poll::Ready(result) => Ok(result),
                Poll::Pending => Err(future),
            }
        }))
    });
    call.context = context;
    match polled {
        Ok(Ok(result)) => Polled::Ready(result),
        Ok(Err(future)) => Polled::Pending(future),
        Err(panic) => Polled::Ready(Err(caught(call.route.method.path, &*panic))),
    }
}

impl Call {
    /// How long the call waited for its handler.
    pub(crate) fn queue(&self) -> Duration {
        self.started.saturating_duration_since(self.received)
    }

    /// The answer to the peer, with this hop's certainty, timings and share of the budget.
    #[inline]
    pub(crate) fn answer(
        &self,
        result: Result<Response, Status>,
        queue: Duration,
        handler: Duration,
    ) -> Answer {
        self.route.counters.ended(result.is_ok(), handler);
        if self.oneway {
            return Answer { stream: self.stream, reply: None };
        }
        let own = self.context.take_reply_metadata();
        let reply = match result {
            Ok(response) => {
                let (body, mut metadata, _) = response.into_parts();
                if let Some(own) = own {
                    metadata.extend(own);
                }
                (
                    ResponseHead { status: None, queue: micros(queue), handler: micros(handler), metadata },
                    body,
                )
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
        };
        Answer { stream: self.stream, reply: Some(reply) }
    }

    /// The head of an answer that is a stream.
    fn head(&self, response: Response, handler: Duration) -> ResponseHead {
        let (_, metadata, _) = response.into_parts();
        ResponseHead { status: None, queue: micros(self.queue()), handler: micros(handler), metadata }
    }

    /// What stands at the end of such an answer.
    fn closing_head(&self, result: Result<Metadata, Status>, handler: Duration) -> ResponseHead {
        self.route.counters.ended(result.is_ok(), handler);
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
    pub(crate) fn too_late(&self) -> Answer {
        self.answer(Err(self.overdue("begun")), self.queue(), Duration::ZERO)
    }

    /// The error of a call whose time is up.
    fn overdue(&self, what: &str) -> Status {
        let budget = self.deadline.map_or(Duration::ZERO, |at| at.saturating_duration_since(self.received));
        Status::deadline_exceeded(format!(
            "{} was not {what} in the {budget:.1?} that its caller left it",
            self.route.method.path
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
                    method: self.route.method.path.to_owned(),
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

/// The task of a handler that was not done at its first poll, must not be polled in place, or gave a stream: then it is
/// the stream's task as well.
///
/// Dropping it, which is what an abort does, drops the handler, then closes the call: with an answer if there is
/// somebody who waits for one.
pub(crate) struct Task {
    link: Arc<Link>,
    token: Token,
    call: Call,
    start: Option<Start>,
    /// What the handler gave, if that is a stream.
    reply: Option<(Arc<Lane>, Pump)>,
    answered: bool,
}

impl Task {
    pub(crate) fn start(link: &Arc<Link>, call: Call, start: Start) {
        let token = link.serve(call.stream, call.context.clone(), call.lane.clone());
        let task = Self { link: link.clone(), token, call, start: Some(start), reply: None, answered: false };
        let handle = tokio::spawn(task).abort_handle();
        link.set_task(token, handle);
    }

    fn finish(&mut self, result: Result<Response, Status>) {
        self.answered = true;
        let handler = now().saturating_duration_since(self.call.started);
        let answer = self.call.answer(result, self.call.queue(), handler);
        self.link.served(self.token, self.call.stream, answer.reply);
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
        let mut context = std::mem::take(&mut call.context);
        let polled = poll_in(&mut context, || pump.poll(link, lane, call.stream, cx));
        call.context = context;
        let result = match ready!(polled) {
            Pumped::Ended(trailing) => Ok(trailing),
            Pumped::Failed(status) => Err(status),
            Pumped::Panicked(panic) => Err(caught(call.route.method.path, &*panic)),
            Pumped::Unwanted => Err(Status::cancelled("the caller gave up the call")),
        };
        self.drop_reply();
        self.finish_stream(result);
        Poll::Ready(())
    }

    fn finish_stream(&mut self, result: Result<Metadata, Status>) {
        self.answered = true;
        let handler = now().saturating_duration_since(self.call.started);
        let head = self.call.closing_head(result, handler);
        self.link.finished(self.token, self.call.stream, &head);
    }

    /// Drops what the handler is or gave, in its own context: the calls that it has under way leave their part of the
    /// report. Whether it gave a stream.
    fn drop_reply(&mut self) -> bool {
        let (start, reply) = (self.start.take(), self.reply.take());
        let streams = reply.is_some();
        let mut context = std::mem::take(&mut self.call.context);
        let dropped = poll_in(&mut context, || catch_unwind(AssertUnwindSafe(|| drop((start, reply)))));
        self.call.context = context;
        if let Err(panic) = dropped {
            let _ = caught(self.call.route.method.path, &*panic);
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
        let first = matches!(this.start, Some(Start::Request(_)));
        let mut context = std::mem::take(&mut this.call.context);
        let polled = poll_in(&mut context, || {
            catch_unwind(AssertUnwindSafe(|| {
                let mut future = match this.start.take() {
                    Some(Start::Future(future)) => future,
                    Some(Start::Request(mut request)) => {
                        this.call.started = now();
                        if this.call.deadline.is_some_and(|deadline| deadline <= this.call.started) {
                            return Poll::Ready(Err(this.call.overdue("begun")));
                        }
                        this.call.route.service.handle(&mut request)
                    }
                    None => return Poll::Pending,
                };
                let polled = future.as_mut().poll(cx);
                if polled.is_pending() {
                    this.start = Some(Start::Future(future));
                }
                polled
            }))
        });
        this.call.context = context;
        if first {
            this.call.route.polled(now().saturating_duration_since(this.call.started));
        }
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(response))) if response.is_stream() => {
                this.begin_stream(response);
                this.poll_stream(cx)
            }
            Ok(Poll::Ready(result)) => {
                this.finish(result);
                Poll::Ready(())
            }
            Err(panic) => {
                let status = caught(this.call.route.method.path, &*panic);
                this.finish(Err(status));
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
