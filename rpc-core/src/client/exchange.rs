//! One request and its answer: puts a call on a connection and makes of what comes back a reply or a status.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::coop;

use crate::call::moment::{Moment, lent};
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
use crate::transport::slot::{Exchange, Outcome, Span};
use crate::transport::stream::Streamed;
use crate::wire::out::Body;
use crate::wire::{OpenError, RequestHead, ResponseHead};

/// How often a call looks for another connection because the one it found had just ended. It was not sent on any of
/// them; a server that accepts and closes at once must all the same not be tried for ever.
const MOVES: u32 = 3;

/// A call at its endpoint, below layers.
#[must_use = "futures do nothing unless polled"]
pub struct EndpointCall {
    to: Destination,
    sending: Sending,
}

/// A request, and how far its sending is: it waits for a connection if there is none, then for the answer. Whoever has it
/// has the destination as well, which is neither moved nor counted for it. Dropped before its end, the call is cancelled
/// at the peer.
///
/// ```text
///             a connection is there         the answer
///   is_new ------------------------> exchange --------> nothing of these: it has ended
///      |                             ^    |               ^
///      | there is none               |    | elsewhere     |
///      +------------------> rare ----+ <--+               |
///                             +---------------------------+
/// ```
pub(crate) struct Sending {
    pub(crate) request: Request,
    is_new: bool,
    /// The body was lent for the first attempt, and is not in the request.
    is_lent: bool,
    moves: u32,
    exchange: Option<Exchange>,
    /// In a box, as few calls come here.
    rare: Option<Box<Rare>>,
    /// The server that was chosen, where there is a choice.
    at: Option<Chosen>,
    /// The connection, where the call has it for itself. Behind the others: the call ends before its connection is given
    /// on.
    lease: Option<Box<Lease>>,
}

/// What most calls do not wait for.
enum Rare {
    Connecting(BoxFuture<Result<Connected, Status>>),
    /// A call with streams.
    Streamed(Streamed),
    Failed(Status),
}

/// How a call has begun.
pub(crate) enum Begun {
    /// It waits for its answer: whoever began it is woken, at its deadline at the latest.
    Waits,
    /// It is on its way, and nothing will come back.
    Handed,
    /// It must be polled.
    Other,
}

/// What the first poll of a call has at hand.
#[derive(Clone, Copy)]
pub(crate) struct First<'a> {
    /// The last look at the clock.
    pub(crate) clock: Moment,
    /// The body, if the request does not have it: it is copied to the connection, or to the request if it cannot be sent
    /// at once.
    pub(crate) body: Option<&'a [u8]>,
}

/// Makes the body of a request once more that was lent for its first attempt.
pub(crate) type Again<'a> = &'a dyn Fn() -> Result<Bytes, Status>;

impl EndpointCall {
    #[inline]
    pub(crate) fn new(to: Destination, request: Request) -> Self {
        Self { to, sending: Sending::new(request) }
    }
}

impl Sending {
    #[inline]
    pub(crate) fn new(request: Request) -> Self {
        let (exchange, rare, at, lease) = (None, None, None, None);
        Self { request, is_new: true, is_lent: false, moves: 0, exchange, rare, at, lease }
    }

    /// The error of this call, whose time is up while it waits: with what it waits for, if it was not sent.
    #[cold]
    pub(crate) fn late(&self, to: &Destination, status: Status) -> Status {
        match self.rare.as_deref() {
            Some(Rare::Connecting(_)) => to.not_in_time(status),
            _ => status,
        }
    }

    /// Gives the call up: it is cancelled at the peer.
    #[cold]
    pub(crate) fn give_up(&mut self) {
        self.is_new = false;
        if let Some(exchange) = self.exchange.take()
            && let Some(ended) = exchange.cancel(self.request.deadline())
        {
            self.request.context.report_hop(self.span(exchange.started).hop(ended));
        }
        self.rare = None;
        self.lease = None;
        self.at = None;
    }

    /// What the call is, and how long it may take.
    fn span(&self, started: Instant) -> Span {
        Span { path: self.request.method.path, started, deadline: self.request.deadline() }
    }

    /// The connection to go to, if one can be named without waiting.
    #[inline]
    fn link(&mut self, to: &Destination) -> Option<Arc<Link>> {
        let link = match to.only() {
            Some(endpoint) => endpoint.link()?,
            None => {
                self.at = to.choose(&self.request);
                self.at.as_ref()?.endpoint().link()?
            }
        };
        (!self.request.marks.wait_for_ready || link.is_established()).then_some(link)
    }

    /// The server that the call is at.
    #[inline]
    fn endpoint<'a>(&'a self, to: &'a Destination) -> Option<&'a Endpoint> {
        to.only().or(self.at.as_ref().map(Chosen::endpoint))
    }

    /// Puts the call on a connection, if one can be named without waiting.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        to: &Destination,
        first: Option<First<'_>>,
        cx: &TaskContext<'_>,
    ) -> Begun {
        self.is_new = false;
        match self.link(to) {
            Some(link) => self.start(link, to, first, cx),
            None => {
                // Whom the balancer chose is not usable any more: that is no call of theirs.
                self.at = None;
                self.keep(first.and_then(|first| first.body));
                self.rare = Some(connect(to, &self.request));
                Begun::Other
            }
        }
    }

    /// Puts the call on this connection.
    #[inline]
    fn start(
        &mut self,
        link: Arc<Link>,
        to: &Destination,
        first: Option<First<'_>>,
        cx: &TaskContext<'_>,
    ) -> Begun {
        let request = &self.request;
        if request.method.shape != Shape::Unary {
            self.rare = Some(self.start_streamed(link, to));
            return Begun::Other;
        }
        let (now, remaining, lent) = match first {
            Some(First { clock: Moment { now, remaining }, body }) => (now, remaining, body),
            None => (now(), None, None),
        };
        let trace = request.trace().map(|trace| trace.to_bytes());
        let head = head(request, remaining, trace.as_ref());
        let body = lent.map_or_else(|| Body::from(&request.body), Body::from);
        match Exchange::open(link, &head, body, request.method.oneway, now, cx.waker()) {
            Ok(Some(exchange)) => {
                self.exchange = Some(exchange);
                self.is_lent = lent.is_some();
                will_wake_at(self.request.deadline());
                Begun::Waits
            }
            Ok(None) => {
                self.succeeded();
                Begun::Handed
            }
            Err(error) => {
                self.keep(lent);
                self.rare = Some(self.not_opened(to, error));
                Begun::Other
            }
        }
    }

    /// Keeps the body that was lent, for the call has to wait.
    #[cold]
    fn keep(&mut self, lent: Option<&[u8]>) {
        if let Some(body) = lent {
            self.request.body = Bytes::copy_from_slice(body);
        }
    }

    /// Puts a call with streams on a connection.
    #[cold]
    fn start_streamed(&mut self, link: Arc<Link>, to: &Destination) -> Box<Rare> {
        let (stream, Request { context, method, body, .. }) = (self.request.stream(), &self.request);
        if !self.request.is_whole() {
            return failed(Status::internal("the items of the request were sent already"));
        }
        let trace = self.request.trace().map(|trace| trace.to_bytes());
        let head = head(&self.request, None, trace.as_ref());
        match link.call_streamed(&head, Body::from(body), context.clone(), stream.is_some()) {
            Ok(mut call) => {
                if let Some(items) = stream {
                    let task = upload::start(call.way(), items.clone(), context.clone(), method.path);
                    call.set_upload(task);
                }
                Box::new(Rare::Streamed(call))
            }
            Err(error) => self.not_opened(to, error),
        }
    }

    #[cold]
    fn not_opened(&mut self, to: &Destination, error: OpenError) -> Box<Rare> {
        match error {
            OpenError::Closed(_) | OpenError::Draining => self.moved(to, error.into()),
            error => failed(error.into()),
        }
    }

    /// Looks for another connection, for the server cannot have run the call.
    #[cold]
    fn moved(&mut self, to: &Destination, mut status: Status) -> Box<Rare> {
        self.moves += 1;
        self.lease = None;
        if let Some(chosen) = self.at.take() {
            self.request.add_tried(chosen.mark());
            chosen.failed(&mut status);
        }
        // A call that waits does so up to its deadline, however often it is disappointed.
        if self.moves > MOVES && !self.request.marks.wait_for_ready {
            return failed(status);
        }
        connect(to, &self.request)
    }

    /// What the beginning of an answer to a call with streams means for the caller.
    #[cold]
    fn head(
        &mut self,
        call: Streamed,
        head: Result<Head, End>,
        to: &Destination,
        again: Again<'_>,
    ) -> Result<Result<Response, Status>, Box<Rare>> {
        let started = call.span().started;
        let outcome = match head {
            Ok(Head { head, at, end: false, .. }) => return Ok(self.stream(call, head, at, to)),
            Ok(Head { head, body, at, end: true }) => Outcome::Answer { head, body, at },
            Err(End::Failed(status)) => Outcome::Failed(status),
            Err(End::Expired { sent }) => Outcome::Expired { sent },
            Err(End::Ours(status) | End::Peer(status)) => return Ok(Err(status)),
            Err(End::Done(_)) => return Ok(Err(Status::internal("an answer that ended before it began"))),
        };
        self.end(started, outcome, to, again)
    }

    /// The reply that is a stream.
    fn stream(
        &mut self,
        call: Streamed,
        head: ResponseHead,
        at: Instant,
        to: &Destination,
    ) -> Result<Response, Status> {
        let Request { method, deadline, context, .. } = &self.request;
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
    #[cold]
    fn report(&mut self, result: &mut Result<Response, Status>) {
        match result {
            Ok(_) => self.succeeded(),
            Err(status) => {
                self.lease = None;
                if let Some(chosen) = self.at.take() {
                    chosen.failed(status);
                }
            }
        }
    }

    /// The same, of a call that went well.
    #[inline]
    fn succeeded(&mut self) {
        if self.lease.is_some() {
            self.lease = None;
        }
        if self.at.is_some()
            && let Some(chosen) = self.at.take()
        {
            chosen.succeeded();
        }
    }

    /// What an outcome means for the caller; or what comes next, if the call goes on elsewhere.
    #[cold]
    fn end(
        &mut self,
        started: Instant,
        outcome: Outcome,
        to: &Destination,
        again: Again<'_>,
    ) -> Result<Result<Response, Status>, Box<Rare>> {
        let span = self.span(started);
        let status = match outcome {
            Outcome::Answer { head: ResponseHead { status: Some(status), .. }, at, .. } => {
                let status = from_peer(status, span, at);
                // One that stays and sheds load is not asked again at once: that is for a retry layer, which waits.
                if self.endpoint(to).is_none_or(Endpoint::takes_calls) {
                    return Ok(Err(status));
                }
                status
            }
            Outcome::Answer { head, body, at } => return Ok(Ok(reply(started, head, body, at))),
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
            Outcome::Failed(status) => match self.endpoint(to) {
                Some(endpoint) => endpoint.named(status),
                None => status,
            },
        };
        // A server that goes away gives back what it has not run: that is its way of saying "elsewhere".
        let may_move = self.moves == 0 || to.has_others() || self.request.marks.wait_for_ready;
        if may_move
            && self.request.is_whole()
            && status.code() == Code::Unavailable
            && status.certainty().is_safe_to_retry()
        {
            if std::mem::take(&mut self.is_lent) {
                match again() {
                    Ok(body) => self.request.body = body,
                    Err(error) => return Ok(Err(error)),
                }
            }
            return Err(self.moved(to, status));
        }
        Ok(Err(status))
    }
}

fn failed(status: Status) -> Box<Rare> {
    Box::new(Rare::Failed(status))
}

/// Waits for a connection, up to the deadline.
#[cold]
fn connect(to: &Destination, request: &Request) -> Box<Rare> {
    let (to, wish) = (to.clone(), Wish::of(request));
    let Some(deadline) = request.deadline() else {
        return Box::new(Rare::Connecting(Box::pin(async move { to.connected(wish).await })));
    };
    let (began, mut status) = (now(), request.deadline_status());
    let method = request.method().path;
    Box::new(Rare::Connecting(Box::pin(async move {
        match tokio::time::timeout_at(deadline.into(), to.connected(wish)).await {
            Ok(connected) => connected,
            Err(_) => {
                let since = |at: Instant| at.saturating_duration_since(began);
                status.hops_mut().push(Hop::unanswered(method, since(deadline), since(now())));
                Err(to.not_in_time(status))
            }
        }
    })))
}

#[inline]
fn head<'a>(
    request: &'a Request,
    remaining: Option<Duration>,
    trace: Option<&'a [u8; 25]>,
) -> RequestHead<'a> {
    RequestHead {
        method: request.method.key(),
        path: request.method.path,
        codec: request.marks.codec,
        deadline: request.deadline(),
        remaining,
        attempt: request.marks.attempt,
        is_retry: request.marks.is_retry,
        trace,
        metadata: request.metadata(),
    }
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
    /// Sends the request, and gives the answer.
    #[inline]
    pub(crate) fn poll(
        &mut self,
        to: &Destination,
        again: Again<'_>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Response, Status>> {
        let Some(exchange) = &self.exchange else { return self.poll_rare(to, again, cx) };
        let Poll::Ready(outcome) = exchange.poll(cx) else {
            will_wake_at(self.request.deadline());
            return Poll::Pending;
        };
        let started = exchange.started;
        self.exchange = None;
        match outcome {
            // The common end.
            Outcome::Answer { head: head @ ResponseHead { status: None, .. }, body, at } => {
                self.succeeded();
                Poll::Ready(Ok(reply(started, head, body, at)))
            }
            outcome => match self.end(started, outcome, to, again) {
                Ok(mut result) => {
                    self.report(&mut result);
                    Poll::Ready(result)
                }
                Err(next) => {
                    self.rare = Some(next);
                    self.poll_rare(to, again, cx)
                }
            },
        }
    }

    /// The same for what does not wait for an answer as most do.
    #[cold]
    fn poll_rare(
        &mut self,
        to: &Destination,
        again: Again<'_>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Response, Status>> {
        let mut begun = Begun::Other;
        loop {
            match begun {
                Begun::Waits => return Poll::Pending,
                Begun::Handed => return Poll::Ready(Ok(Response::default())),
                Begun::Other => {}
            }
            let ended = || Poll::Ready(Err(Status::internal("a call was polled after its end")));
            match self.rare.as_deref_mut() {
                Some(Rare::Connecting(connected)) => match connected.as_mut().poll(cx) {
                    Poll::Ready(Ok(Connected { at, line })) => {
                        self.rare = None;
                        self.at = at;
                        self.lease = line.lease;
                        begun = self.start(line.link, to, None, cx);
                    }
                    Poll::Ready(Err(status)) => self.rare = Some(failed(status)),
                    Poll::Pending => {
                        will_wake_at(self.request.deadline());
                        return Poll::Pending;
                    }
                },
                Some(Rare::Streamed(call)) => {
                    let head = ready!(call.poll_head(cx));
                    let Some(Rare::Streamed(call)) = self.rare.take().map(|rare| *rare) else {
                        return ended();
                    };
                    match self.head(call, head, to, again) {
                        Ok(mut result) => {
                            self.report(&mut result);
                            return Poll::Ready(result);
                        }
                        Err(next) => self.rare = Some(next),
                    }
                }
                Some(Rare::Failed(status)) => {
                    // Nothing was waited for: who tries again and again must let others run all the same, whoever is to
                    // make an end of the failure among them.
                    ready!(coop::poll_proceed(cx)).made_progress();
                    return Poll::Ready(Err(status.clone()));
                }
                None => return ended(),
            }
        }
    }
}

impl Drop for Sending {
    #[inline]
    fn drop(&mut self) {
        if self.exchange.is_some() {
            self.give_up();
        }
    }
}

impl Future for EndpointCall {
    type Output = Result<Response, Status>;

    // Inlined, so that calls with layers share the copy of what it calls with those that have none.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Self { to, sending } = &mut *self;
        if sending.is_new {
            let first = lent(sending.request.deadline()).map(|clock| First { clock, body: None });
            match sending.begin(to, first, cx) {
                Begun::Waits => return Poll::Pending,
                Begun::Handed => return Poll::Ready(Ok(Response::default())),
                Begun::Other => {}
            }
        }
        // Its request has come with the body.
        sending.poll(to, &|| Err(Status::internal("a request lost its body")), cx)
    }
}

impl fmt::Debug for EndpointCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointCall")
            .field("method", &self.sending.request.method().path)
            .finish_non_exhaustive()
    }
}
