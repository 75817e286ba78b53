//! One request and its answer: puts a call on a connection and makes of what comes back a reply or a status.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use crate::call::wait::will_wake_at_deadline;
use crate::call::{BoxFuture, Request, Response, Timings};
use crate::client::cluster::Wish;
use crate::client::destination::{Chosen, Connected, Destination};
use crate::client::endpoint::{Endpoint, Lease};
use crate::context::now;
use crate::status::{Certainty, Code, Hop, Status};
use crate::transport::link::Link;
use crate::transport::slot::{Exchange, Outbound, Outcome};
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
    Failed(Status),
}

impl EndpointCall {
    /// `clock` is the time, if the call is polled at once: it need not look at the clock again.
    #[inline]
    pub(crate) fn new(to: Destination, request: Request, clock: Option<Instant>) -> Self {
        Self { to, at: None, lease: None, request, state: State::New, moves: 0, clock }
    }

    /// The connection to go to, if one can be named without waiting.
    #[inline]
    fn link(&mut self) -> Option<Arc<Link>> {
        let link = match self.to.only() {
            Some(endpoint) => endpoint.link()?,
            None => {
                self.at = self.to.choose(&self.request);
                self.at.as_ref()?.endpoint.link()?
            }
        };
        (!self.request.wait_for_ready || link.is_established()).then_some(link)
    }

    /// The server that the call is at.
    #[inline]
    fn endpoint(&self) -> Option<&Endpoint> {
        self.to.only().or(self.at.as_ref().map(|chosen| &chosen.endpoint))
    }

    /// Puts the call on a connection.
    #[inline]
    fn start(&mut self, link: Arc<Link>, cx: &TaskContext<'_>) -> State {
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
        let outbound = Outbound {
            head,
            body: request.body(),
            oneway: method.oneway,
            deadline,
            context: request.context.clone(),
            path: method.path,
        };
        let started = self.clock.take().unwrap_or_else(now);
        match Exchange::open(link, outbound, started, cx.waker()) {
            Ok(exchange) => State::Running(exchange),
            Err(error @ (OpenError::Closed(_) | OpenError::Draining)) => self.moved(error.into()),
            Err(error) => State::Failed(error.into()),
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

    /// What an outcome means for the caller; or the next state, if the call goes on elsewhere.
    #[inline]
    fn end(&mut self, exchange: &Exchange, outcome: Outcome) -> Result<Result<Response, Status>, State> {
        let status = match outcome {
            Outcome::Answer { head: ResponseHead { status: Some(status), .. }, at, .. } => {
                let status = from_peer(status, exchange, at);
                // One that stays and sheds load is not asked again at once: that is for a retry layer, which waits.
                if self.endpoint().is_none_or(Endpoint::takes_calls) {
                    return Ok(Err(status));
                }
                status
            }
            Outcome::Answer { head, body, at } => return Ok(Ok(reply(exchange.started(), head, body, at))),
            Outcome::Handed => return Ok(Ok(Response::default())),
            Outcome::Expired { sent } => {
                let mut status = self.request.deadline_status();
                if !sent {
                    status.set_certainty(Certainty::NotSent);
                }
                status.hops_mut().push(exchange.hop(now()));
                return Ok(Err(status));
            }
            Outcome::Failed(status) => match self.endpoint() {
                Some(endpoint) => endpoint.named(status),
                None => status,
            },
        };
        // A server that goes away gives back what it has not run: that is its way of saying "elsewhere".
        let again = self.moves == 0 || self.to.has_others() || self.request.wait_for_ready;
        if again && status.code() == Code::Unavailable && status.certainty().is_safe_to_retry() {
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
fn from_peer(mut status: Status, exchange: &Exchange, at: Instant) -> Status {
    status.set_from_peer();
    if status.code() == Code::DeadlineExceeded {
        let seen = exchange.hop(at);
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
                    let outcome = match ready!(Pin::new(&mut *exchange).poll(cx)) {
                        // The common end. The exchange stays where it is: to move it out costs more than to leave it.
                        Outcome::Answer { head: head @ ResponseHead { status: None, .. }, body, at } => {
                            let started = exchange.started();
                            this.lease = None;
                            if let Some(chosen) = this.at.take() {
                                chosen.succeeded();
                            }
                            return Poll::Ready(Ok(reply(started, head, body, at)));
                        }
                        outcome => outcome,
                    };
                    let State::Running(exchange) = std::mem::replace(&mut this.state, State::New) else {
                        return Poll::Ready(Err(Status::internal("a call lost its exchange")));
                    };
                    match this.end(&exchange, outcome) {
                        Ok(mut result) => {
                            this.lease = None;
                            match (this.at.take(), &mut result) {
                                (None, _) => {}
                                (Some(chosen), Ok(_)) => chosen.succeeded(),
                                (Some(chosen), Err(status)) => chosen.failed(status),
                            }
                            return Poll::Ready(result);
                        }
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
