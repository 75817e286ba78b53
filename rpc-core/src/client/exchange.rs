//! One request and its answer: puts a call on a connection and makes of what comes back a reply or a status.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::coop;

use crate::call::request::Moment;
use crate::call::response::Took;
use crate::call::wait::will_wake_at;
use crate::call::{BoxFuture, Request, Response, Shape};
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

/// A call at its endpoint, below layers.
#[must_use = "futures do nothing unless polled"]
pub struct EndpointCall {
    to: Destination,
    request: Request,
    sending: Sending,
}

/// How far the sending of a request is: it waits for a connection if there is none, then for the answer. Whoever has it
/// has the request and the destination as well, which are neither moved nor counted for it.
#[derive(Default)]
pub(crate) struct Sending {
    /// The server that was chosen, where there is a choice.
    at: Option<Chosen>,
    state: State,
    /// The connection, where the call has it for itself. After the state: the call ends before its connection is given on.
    lease: Option<Lease>,
    moves: u32,
}

#[derive(Default)]
enum State {
    #[default]
    New,
    Connecting(BoxFuture<Result<Connected, Status>>),
    Running(Exchange),
    /// A call with streams; in a box, as most have none.
    Streamed(Box<Streamed>),
    Failed(Status),
}

impl EndpointCall {
    #[inline]
    pub(crate) fn new(to: Destination, request: Request) -> Self {
        Self { to, request, sending: Sending::default() }
    }
}

impl Sending {
    /// The error of this call, whose time is up while it waits: with what it waits for, if it was not sent.
    #[cold]
    pub(crate) fn late(&self, to: &Destination, status: Status) -> Status {
        match self.state {
            State::New | State::Connecting(_) => to.not_in_time(status),
            _ => status,
        }
    }

    /// The connection to go to, if one can be named without waiting.
    #[inline]
    fn link(&mut self, to: &Destination, request: &Request) -> Option<Arc<Link>> {
        let link = match to.only() {
            Some(endpoint) => endpoint.link()?,
            None => {
                self.at = to.choose(request);
                self.at.as_ref()?.endpoint().link()?
            }
        };
        (!request.wait_for_ready || link.is_established()).then_some(link)
    }

    /// The server that the call is at.
    #[inline]
    fn endpoint<'a>(&'a self, to: &'a Destination) -> Option<&'a Endpoint> {
        to.only().or(self.at.as_ref().map(Chosen::endpoint))
    }

    /// Puts the call on a connection.
    #[inline]
    fn start(
        &mut self,
        link: Arc<Link>,
        to: &Destination,
        request: &mut Request,
        clock: Option<Moment>,
        cx: &TaskContext<'_>,
    ) -> State {
        if request.method.shape != Shape::Unary {
            return self.start_streamed(link, to, request);
        }
        let Moment { now, remaining } = clock.unwrap_or_else(|| Moment { now: now(), remaining: None });
        match Exchange::open(link, outbound(request, remaining), now, cx.waker()) {
            Ok(exchange) => State::Running(exchange),
            Err(error) => self.not_opened(to, request, error),
        }
    }

    /// Puts a call with streams on a connection.
    #[cold]
    fn start_streamed(&mut self, link: Arc<Link>, to: &Destination, request: &mut Request) -> State {
        let Request { stream, context, method, .. } = &*request;
        if !request.is_whole() {
            return State::Failed(Status::internal("the items of the request were sent already"));
        }
        match link.call_streamed(outbound(request, None), stream.is_some()) {
            Ok(mut call) => {
                if let Some(items) = stream {
                    let task = upload::start(call.way(), items.clone(), context.clone(), method.path);
                    call.set_upload(task);
                }
                State::Streamed(Box::new(call))
            }
            Err(error) => self.not_opened(to, request, error),
        }
    }

    #[cold]
    fn not_opened(&mut self, to: &Destination, request: &mut Request, error: OpenError) -> State {
        match error {
            OpenError::Closed(_) | OpenError::Draining => self.moved(to, request, error.into()),
            error => State::Failed(error.into()),
        }
    }

    /// Looks for another connection, for the server cannot have run the call.
    #[cold]
    fn moved(&mut self, to: &Destination, request: &mut Request, mut status: Status) -> State {
        self.moves += 1;
        self.lease = None;
        if let Some(chosen) = self.at.take() {
            request.tried.add(chosen.mark());
            chosen.failed(&mut status);
        }
        // A call that waits does so up to its deadline, however often it is disappointed.
        if self.moves > MOVES && !request.wait_for_ready {
            return State::Failed(status);
        }
        connect(to, request)
    }

    /// What the beginning of an answer to a call with streams means for the caller.
    #[cold]
    fn head(
        &mut self,
        call: Streamed,
        head: Result<Head, End>,
        to: &Destination,
        request: &mut Request,
    ) -> Result<Result<Response, Status>, State> {
        let span = call.span();
        let outcome = match head {
            Ok(Head { head, at, end: false, .. }) => return Ok(self.stream(call, head, at, to, request)),
            Ok(Head { head, body, at, end: true }) => Outcome::Answer { head, body, at },
            Err(End::Failed(status)) => Outcome::Failed(status),
            Err(End::Expired { sent }) => Outcome::Expired { sent },
            Err(End::Ours(status) | End::Peer(status)) => return Ok(Err(status)),
            Err(End::Done(_)) => return Ok(Err(Status::internal("an answer that ended before it began"))),
        };
        self.end(span, outcome, to, request)
    }

    /// The reply that is a stream.
    fn stream(
        &mut self,
        call: Streamed,
        head: ResponseHead,
        at: Instant,
        to: &Destination,
        request: &Request,
    ) -> Result<Response, Status> {
        let Request { method, deadline, context, .. } = request;
        if !matches!(method.shape, Shape::ServerStreaming | Shape::BidiStreaming) {
            let status = Status::internal("the server answered with a stream, where one reply was due");
            return Err(status.with_certainty(Certainty::Executed));
        }
        let (deadline, context) = (*deadline, context.clone());
        let ResponseHead { queue, handler, metadata, .. } = head;
        let started = call.span().started;
        let endpoint = self.endpoint(to).cloned();
        let place = (self.at.take(), self.lease.take());
        let items = Download::new(call, endpoint, place, deadline, context);
        let mut response = Response::streaming(Streaming::from_source(items));
        response.metadata = metadata;
        response.took = Took { queue, handler, span: Some((started, at)) };
        Ok(response)
    }

    /// Tells the balancer, where there is one, how the call went.
    #[inline]
    fn report(&mut self, result: &mut Result<Response, Status>) {
        self.lease = None;
        match (self.at.take(), result) {
            (None, _) => {}
            (Some(chosen), Ok(_)) => chosen.succeeded(),
            (Some(chosen), Err(status)) => chosen.failed(status),
        }
    }

    /// What an outcome means for the caller; or the next state, if the call goes on elsewhere.
    #[inline]
    fn end(
        &mut self,
        span: Span,
        outcome: Outcome,
        to: &Destination,
        request: &mut Request,
    ) -> Result<Result<Response, Status>, State> {
        let status = match outcome {
            Outcome::Answer { head: ResponseHead { status: Some(status), .. }, at, .. } => {
                let status = from_peer(status, span, at);
                // One that stays and sheds load is not asked again at once: that is for a retry layer, which waits.
                if self.endpoint(to).is_none_or(Endpoint::takes_calls) {
                    return Ok(Err(status));
                }
                status
            }
            Outcome::Answer { head, body, at } => return Ok(Ok(reply(span.started, head, body, at))),
            Outcome::Handed => return Ok(Ok(Response::default())),
            Outcome::Expired { sent } => {
                let mut status = request.deadline_status();
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
            Outcome::Failed(status) => match self.endpoint(to) {
                Some(endpoint) => endpoint.named(status),
                None => status,
            },
        };
        // A server that goes away gives back what it has not run: that is its way of saying "elsewhere".
        let again = self.moves == 0 || to.has_others() || request.wait_for_ready;
        if again
            && request.is_whole()
            && status.code() == Code::Unavailable
            && status.certainty().is_safe_to_retry()
        {
            return Err(self.moved(to, request, status));
        }
        Ok(Err(status))
    }
}

/// Waits for a connection, up to the deadline.
#[cold]
fn connect(to: &Destination, request: &Request) -> State {
    let (to, wish) = (to.clone(), Wish::of(request));
    let Some(deadline) = request.deadline() else {
        return State::Connecting(Box::pin(async move { to.connected(wish).await }));
    };
    let (began, mut status) = (now(), request.deadline_status());
    let method = request.method().path;
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

#[inline]
fn outbound(request: &Request, remaining: Option<Duration>) -> Outbound<'_> {
    let method = request.method();
    let deadline = request.deadline();
    let head = RequestHead {
        method: method.key(),
        path: method.path,
        codec: request.codec,
        deadline,
        remaining,
        attempt: request.attempt,
        is_retry: request.is_retry,
        trace: request.trace().map(|trace| trace.to_bytes()),
        metadata: request.metadata(),
    };
    let (oneway, context) = (method.oneway, request.context.clone());
    Outbound { head, body: request.body(), oneway, deadline, context, path: method.path }
}

#[inline]
fn reply(started: Instant, head: ResponseHead, body: Bytes, at: Instant) -> Response {
    let ResponseHead { queue, handler, metadata, .. } = head;
    let mut response = Response::new(body);
    response.metadata = metadata;
    response.took = Took { queue, handler, span: Some((started, at)) };
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

impl Sending {
    /// Sends the request, and gives the answer. `clock` is the last look at the clock, if that was a moment ago.
    #[inline]
    pub(crate) fn poll(
        &mut self,
        to: &Destination,
        request: &mut Request,
        mut clock: Option<Moment>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Response, Status>> {
        loop {
            let link = match &mut self.state {
                State::New => match self.link(to, request) {
                    Some(link) => link,
                    None => {
                        // Whom the balancer chose is not usable any more: that is no call of theirs.
                        self.at = None;
                        self.state = connect(to, request);
                        clock = None;
                        continue;
                    }
                },
                State::Connecting(connected) => match connected.as_mut().poll(cx) {
                    Poll::Ready(Ok(Connected { at, line })) => {
                        self.at = at;
                        self.lease = line.lease;
                        line.link
                    }
                    Poll::Ready(Err(status)) => {
                        self.state = State::Failed(status);
                        continue;
                    }
                    Poll::Pending => {
                        will_wake_at(request.deadline());
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
                        let mut result = Ok(reply(span.started, head, body, at));
                        self.report(&mut result);
                        return Poll::Ready(result);
                    }
                    match self.end(span, outcome, to, request) {
                        Ok(mut result) => {
                            self.report(&mut result);
                            return Poll::Ready(result);
                        }
                        Err(next) => self.state = next,
                    }
                    continue;
                }
                State::Streamed(call) => {
                    let head = ready!(call.poll_head(cx));
                    let State::Streamed(call) = std::mem::take(&mut self.state) else {
                        return Poll::Ready(Err(Status::internal("a call lost its exchange")));
                    };
                    match self.head(*call, head, to, request) {
                        Ok(mut result) => {
                            self.report(&mut result);
                            return Poll::Ready(result);
                        }
                        Err(next) => self.state = next,
                    }
                    continue;
                }
                State::Failed(status) => {
                    // Nothing was waited for: who tries again and again must let others run all the same, whoever is to
                    // make an end of the failure among them.
                    ready!(coop::poll_proceed(cx)).made_progress();
                    return Poll::Ready(Err(status.clone()));
                }
            };
            self.state = self.start(link, to, request, clock.take(), cx);
        }
    }
}

impl Future for EndpointCall {
    type Output = Result<Response, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Self { to, request, sending } = &mut *self;
        sending.poll(to, request, None, cx)
    }
}

impl fmt::Debug for EndpointCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointCall").field("method", &self.request.method().path).finish_non_exhaustive()
    }
}
