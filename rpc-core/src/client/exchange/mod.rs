//! One request and its answer: puts a call on a connection and makes of what comes back a reply or a status.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::call::response::Took;
use crate::call::wait::{will_not_wake, will_wake_at};
use crate::call::{Request, Response, Shape};
use crate::client::destination::{Chosen, Destination};
use crate::client::endpoint::{Endpoint, Lease};
use crate::context::now;
use crate::status::Status;
use crate::transport::link::Link;
use crate::transport::slot::{Exchange, Outcome, Span};
use crate::wire::out::Body;
use crate::wire::{RequestHead, ResponseHead};

mod rare;

use rare::{Rare, connect, failed};

pub(crate) use rare::from_peer;

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
#[derive(Clone, Copy, Default)]
pub(crate) struct First<'a> {
    /// The last look at the clock, if nothing has been done since.
    pub(crate) clock: Option<Clock>,
    /// The body, if the request does not have it: it is copied to the connection, or to the request if it cannot be sent
    /// at once.
    pub(crate) body: Option<&'a [u8]>,
}

/// A look at the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Instant,
    /// What remained until the deadline, if that was known without reckoning.
    pub(crate) remaining: Option<Duration>,
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

    /// Gives the call up: it is cancelled at the peer.
    #[cold]
    pub(crate) fn give_up(&mut self) {
        will_not_wake();
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
    pub(crate) fn begin(&mut self, to: &Destination, first: First<'_>, cx: &TaskContext<'_>) -> Begun {
        self.is_new = false;
        match self.link(to) {
            Some(link) => self.start(link, to, first, cx),
            None => {
                // Whom the balancer chose is not usable any more: that is no call of theirs.
                self.at = None;
                self.keep(first.body);
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
        First { clock, body: lent }: First<'_>,
        cx: &TaskContext<'_>,
    ) -> Begun {
        let request = &self.request;
        if request.method.shape != Shape::Unary {
            self.rare = Some(self.start_streamed(link, to));
            return Begun::Other;
        }
        let Clock { now, remaining } = match clock {
            Some(clock) => clock,
            None => {
                let now = now();
                if request.deadline().is_some_and(|deadline| deadline <= now) {
                    // Whatever took so long: layers, an encoder, or the way to a connection.
                    self.rare = Some(failed(request.unsent_in_time()));
                    return Begun::Other;
                }
                Clock { now, remaining: None }
            }
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

    /// Tells the balancer, where there is one, that the call went well.
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

impl Drop for Sending {
    #[inline]
    fn drop(&mut self) {
        if self.exchange.is_some() || self.rare.is_some() {
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
            match sending.begin(to, First::default(), cx) {
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
