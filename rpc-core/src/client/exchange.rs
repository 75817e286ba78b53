//! One request and its answer: puts a call on a connection and makes of what comes back a reply or a status.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use crate::call::wait::will_wake_at_deadline;
use crate::call::{BoxFuture, Request, Response, Shape, Timings};
use crate::client::cluster::Wish;
use crate::client::destination::{Chosen, Connected, Destination};
use crate::client::download::Download;
use crate::client::endpoint::{Endpoint, Lease};
use crate::client::upload;
use crate::context::now;
use crate::status::{Certainty, Code, Hop, Status};
use crate::stream::Streaming;
use crate::transport::lane::{End, Head};
use crate::transport::link::Link;
use crate::transport::slot::{Exchange, Outbound, Outcome, Span};
use crate::transport::stream::Streamed;
use crate::wire::{OpenError, RequestHead, ResponseHead};

/// How often a call looks for another connection because the one it found had just ended. It was not sent on any of
/// them; a server that accepts and closes at once must all the same not be tried for ever.
const MOVES: u32 = 3;

/// A call at its endpoint: waits for a connection if there is none, then for the answer.
#[must_use = "futures do nothing unless polled"]
pub struct EndpointCall {
    to: Destination,
    /// The server that was chosen, where there is a choice.
    at: Option<Chosen>,
    request: Request,
    state: State,
    /// The connection, where the call has it for itself. After the state: the call ends before its connection is given on.
    lease: Option<Lease>,
    moves: u32,
    /// The time, if it was looked at a moment ago and nothing was waited for since.
    clock: Option<Instant>,
}

enum State {
    New,
    Connecting(BoxFuture<Result<Connected, Status>>),
    Running(Exchange),
    /// A call with streams; in a box, as most have none.
    Streamed(Box<Streamed>),
    Failed(Status),
}

impl EndpointCall {
    /// `clock` is the time, if the call is polled at once: it need not look at the clock again.
    #[inline]
    pub(crate) fn new(to: Destination, request: Request, clock: Option<Instant>) -> Self {
        Self { to, at: None, lease: None, request, state: State::New, moves: 0, clock }
    }

    /// The error of this call, whose time is up while it waits: with what it waits for, if it was not sent.
    #[cold]
    pub(crate) fn late(&self, status: Status) -> Status {
        match self.state {
            State::New | State::Connecting(_) => self.to.not_in_time(status),
            _ => status,
        }
    }

    /// The connection to go to, if one can be named without waiting.
    #[inline]
    fn link(&mut self) -> Option<Arc<Link>> {
        let link = match self.to.only() {
            Some(endpoint) => endpoint.link()?,
            None => {
                self.at = self.to.choose(&self.request);
                self.at.as_ref()?.endpoint().link()?
            }
        };
        (!self.request.wait_for_ready || link.is_established()).then_some(link)
    }

    /// The server that the call is at.
    #[inline]
    fn endpoint(&self) -> Option<&Endpoint> {
        self.to.only().or(self.at.as_ref().map(Chosen::endpoint))
    }

    /// Puts the call on a connection.
    #[inline]
    fn start(&mut self, link: Arc<Link>, cx: &TaskContext<'_>) -> State {
        if self.request.method.shape != Shape::Unary {
            return self.start_streamed(link);
        }
        let started = self.clock.take().unwrap_or_else(now);
        match Exchange::open(link, self.outbound(), started, cx.waker()) {
            Ok(exchange) => State::Running(exchange),
            Err(error) => self.not_opened(error),
        }
    }

    /// Puts a call with streams on a connection.
    #[cold]
    fn start_streamed(&mut self, link: Arc<Link>) -> State {
        let Request { stream, context, method, .. } = &self.request;
        if !self.request.is_whole() {
            return State::Failed(Status::internal("the items of the request were sent already"));
        }
        match link.call_streamed(self.outbound(), stream.is_some()) {
            Ok(mut call) => {
                if let Some(items) = stream {
                    let task = upload::start(call.way(), items.clone(), context.clone(), method.path);
                    call.set_upload(task);
                }
                State::Streamed(Box::new(call))
            }
            Err(error) => self.not_opened(error),
        }
    }

    #[cold]
    fn not_opened(&mut self, error: OpenError) -> State {
        match error {
            OpenError::Closed(_) | OpenError::Draining => self.moved(error.into()),
            error => State::Failed(error.into()),
        }
    }

    #[inline]
    fn outbound(&self) -> Outbound<'_> {
        let request = &self.request;
        let method = request.method();
        let deadline = request.deadline();
        let head = RequestHead {
            method: method.key(),
            path: method.path,
            codec: request.codec,
            deadline,
            attempt: request.attempt,
            is_retry: request.is_retry,
            trace: request.trace().map(|trace| trace.to_bytes()),
            metadata: request.metadata().clone(),
        };
        Outbound {
            head,
            body: request.body(),
            oneway: method.oneway,
            deadline,
            context: request.context.clone(),
            path: method.path,
        }
    }

    /// Looks for another connection, for the server cannot have run the call.
    #[cold]
    fn moved(&mut self, mut status: Status) -> State {
        self.moves += 1;
        self.lease = None;
        if let Some(chosen) = self.at.take() {
            self.request.tried.add(chosen.mark());
            chosen.failed(&mut status);
        }
        // A call that waits does so up to its deadline, however often it is disappointed.
        if self.moves > MOVES && !self.request.wait_for_ready {
            return State::Failed(status);
        }
        self.connect()
    }

    /// Waits for a connection, up to the deadline.
    #[cold]
    fn connect(&self) -> State {
        let (to, wish) = (self.to.clone(), Wish::of(&self.request));
        let Some(deadline) = self.request.deadline() else {
            return State::Connecting(Box::pin(async move { to.connected(wish).await }));
        };
        let (began, mut status) = (now(), self.request.deadline_status());
        let method = self.request.method().path;
        State::Connecting(Box::pin(async move {
            match tokio::time::timeout_at(deadline.into(), to.connected(wish)).await {
                Ok(connected) => connected,
                Err(_) => {
                    let since = |at: Instant| at.saturating_duration_since(began);
                    status.hops_mut().push(Hop::unanswered(method, since(deadline), since(now())));
                    Err(to.not_in_time(status))
                }
            }
        }))
    }

    /// What the beginning of an answer to a call with streams means for the caller.
    #[cold]
    fn head(&mut self, call: Streamed, head: Result<Head, End>) -> Result<Result<Response, Status>, State> {
        let span = call.span();
        let outcome = match head {
            Ok(Head { head, at, end: false, .. }) => return Ok(self.stream(call, head, at)),
            Ok(Head { head, body, at, end: true }) => Outcome::Answer { head, body, at },
            Err(End::Failed(status)) => Outcome::Failed(status),
            Err(End::Expired { sent }) => Outcome::Expired { sent },
            Err(End::Ours(status) | End::Peer(status)) => return Ok(Err(status)),
            Err(End::Done(_)) => return Ok(Err(Status::internal("an answer that ended before it began"))),
        };
        self.end(span, outcome)
    }

    /// The reply that is a stream.
    fn stream(&mut self, call: Streamed, head: ResponseHead, at: Instant) -> Result<Response, Status> {
        let Request { method, deadline, context, .. } = &self.request;
        if !matches!(method.shape, Shape::ServerStreaming | Shape::BidiStreaming) {
            let status = Status::internal("the server answered with a stream, where one reply was due");
            return Err(status.with_certainty(Certainty::Executed));
        }
        let (deadline, context) = (*deadline, context.clone());
        let ResponseHead { queue, handler, metadata, .. } = head;
        let elapsed = at.saturating_duration_since(call.span().started);
        let endpoint = self.endpoint().cloned();
        let place = (self.at.take(), self.lease.take());
        let items = Download::new(call, endpoint, place, deadline, context);
        let mut response = Response::streaming(Streaming::from_source(items));
        response.metadata = metadata;
        response.timings = Timings { queue, handler, network: elapsed.saturating_sub(queue + handler) };
        Ok(response)
    }

    /// Tells the balancer, where there is one, how the call went.
    #[inline]
    fn report(&mut self, mut result: Result<Response, Status>) -> Poll<Result<Response, Status>> {
        self.lease = None;
        match (self.at.take(), &mut result) {
            (None, _) => {}
            (Some(chosen), Ok(_)) => chosen.succeeded(),
            (Some(chosen), Err(status)) => chosen.failed(status),
        }
        Poll::Ready(result)
    }

    /// What an outcome means for the caller; or the next state, if the call goes on elsewhere.
    #[inline]
    fn end(&mut self, span: Span, outcome: Outcome) -> Result<Result<Response, Status>, State> {
        let status = match outcome {
            Outcome::Answer { head: ResponseHead { status: Some(status), .. }, at, .. } => {
                let status = from_peer(status, span, at);
                // One that stays and sheds load is not asked again at once: that is for a retry layer, which waits.
                if self.endpoint().is_none_or(Endpoint::takes_calls) {
                    return Ok(Err(status));
                }
                status
            }
            Outcome::Answer { head, body, at } => return Ok(Ok(reply(span.started, head, body, at))),
            Outcome::Handed => return Ok(Ok(Response::default())),
            Outcome::Expired { sent } => {
                let mut status = self.request.deadline_status();
                if !sent {
                    let message = format!(
                        "{}: it waited for a place among the calls that the server takes on one connection",
                        status.message()
                    );
                    status = status.with_message(message).with_certainty(Certainty::NotSent);
                }
                status.hops_mut().push(span.hop(now()));
                return Ok(Err(status));
            }
            Outcome::Failed(status) => match self.endpoint() {
                Some(endpoint) => endpoint.named(status),
                None => status,
            },
        };
        // A server that goes away gives back what it has not run: that is its way of saying "elsewhere".
        let again = self.moves == 0 || self.to.has_others() || self.request.wait_for_ready;
        if again
            && self.request.is_whole()
            && status.code() == Code::Unavailable
            && status.certainty().is_safe_to_retry()
        {
            return Err(self.moved(status));
        }
        Ok(Err(status))
    }
}

#[inline]
fn reply(started: Instant, head: ResponseHead, body: Bytes, at: Instant) -> Response {
    let ResponseHead { queue, handler, metadata, .. } = head;
    let network = at.saturating_duration_since(started).saturating_sub(queue + handler);
    let mut response = Response::new(body);
    response.metadata = metadata;
    response.timings = Timings { queue, handler, network };
    response
}

/// An error that the server sent, with what this side knows of the hop.
#[cold]
pub(crate) fn from_peer(mut status: Status, span: Span, at: Instant) -> Status {
    status.set_from_peer();
    if status.code() == Code::DeadlineExceeded {
        let seen = span.hop(at);
        match status.hops_mut().first_mut() {
            Some(hop) if hop.method == seen.method => {
                // The server knows what reached it; the budget is what the caller began with.
                hop.budget = seen.budget;
                hop.elapsed = seen.elapsed;
            }
            _ => status.hops_mut().insert(0, seen),
        }
    }
    status
}

impl Future for EndpointCall {
    type Output = Result<Response, Status>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let next = match &mut this.state {
                State::New => match this.link() {
                    Some(link) => this.start(link, cx),
                    None => {
                        // Whom the balancer chose is not usable any more: that is no call of theirs.
                        this.at = None;
                        this.connect()
                    }
                },
                State::Connecting(connected) => match connected.as_mut().poll(cx) {
                    Poll::Ready(Ok(Connected { at, line })) => {
                        this.at = at;
                        this.lease = line.lease;
                        this.start(line.link, cx)
                    }
                    Poll::Ready(Err(status)) => State::Failed(status),
                    Poll::Pending => {
                        will_wake_at_deadline();
                        return Poll::Pending;
                    }
                },
                State::Running(exchange) => {
                    let outcome = ready!(Pin::new(&mut *exchange).poll(cx));
                    let span = exchange.span();
                    // The common end. The exchange stays where it is: to move it out costs more than to leave it.
                    if let Outcome::Answer { head: head @ ResponseHead { status: None, .. }, body, at } =
                        outcome
                    {
                        return this.report(Ok(reply(span.started, head, body, at)));
                    }
                    match this.end(span, outcome) {
                        Ok(result) => return this.report(result),
                        Err(next) => next,
                    }
                }
                State::Streamed(call) => {
                    let head = ready!(call.poll_head(cx));
                    let State::Streamed(call) = std::mem::replace(&mut this.state, State::New) else {
                        return Poll::Ready(Err(Status::internal("a call lost its exchange")));
                    };
                    match this.head(*call, head) {
                        Ok(result) => return this.report(result),
                        Err(next) => next,
                    }
                }
                State::Failed(status) => return Poll::Ready(Err(status.clone())),
            };
            this.state = next;
        }
    }
}

impl fmt::Debug for EndpointCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointCall").field("method", &self.request.method().path).finish_non_exhaustive()
    }
}
