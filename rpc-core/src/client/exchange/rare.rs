//! What few calls meet: no connection is there, streams, servers that go away, errors. All that is cold.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use tokio::task::coop;

use super::{Again, Begun, First, Sending, head, reply};
use crate::call::request::Upload;
use crate::call::response::Took;
use crate::call::wait::will_wake_at;
use crate::call::{BoxFuture, Request, Response, Shape};
use crate::client::cluster::Wish;
use crate::client::destination::{Connected, Destination};
use crate::client::download::Download;
use crate::client::endpoint::Endpoint;
use crate::client::upload;
use crate::context::now;
use crate::status::{Certainty, Code, Hop, Status};
use crate::stream::Streaming;
use crate::transport::lane::{End, Head};
use crate::transport::link::Link;
use crate::transport::slot::{Outcome, Span};
use crate::transport::stream::Streamed;
use crate::wire::out::Body;
use crate::wire::{OpenError, ResponseHead};

/// How often a call looks for another connection because the one it found had just ended. It was not sent on any of
/// them; a server that accepts and closes at once must all the same not be tried for ever.
const MOVES: u32 = 3;

/// What most calls do not wait for.
pub(super) enum Rare {
    Connecting(BoxFuture<Result<Connected, Status>>),
    /// A call with streams.
    Streamed(Streamed),
    Failed(Status),
}

impl Sending {
    /// The error of this call, whose time is up while it waits: with what it waits for, if it was not sent.
    #[cold]
    pub(crate) fn late(&self, to: &Destination, status: Status) -> Status {
        match self.rare.as_deref() {
            Some(Rare::Connecting(_)) => to.not_in_time(status),
            _ => status,
        }
    }

    /// The same for what does not wait for an answer as most do.
    #[cold]
    pub(super) fn poll_rare(
        &mut self,
        to: &Destination,
        again: Again<'_>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Response, Status>> {
        loop {
            let ended = || Poll::Ready(Err(Status::internal("a call was polled after its end")));
            match self.rare.as_deref_mut() {
                Some(Rare::Connecting(connected)) => match connected.as_mut().poll(cx) {
                    Poll::Ready(Ok(Connected { at, line })) => {
                        self.rare = None;
                        self.at = at;
                        self.lease = line.lease;
                        match self.start(line.link, to, First::default(), cx) {
                            Begun::Waits => return Poll::Pending,
                            Begun::Handed => return Poll::Ready(Ok(Response::default())),
                            Begun::Other => {}
                        }
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

    /// Puts a call with streams on a connection.
    #[cold]
    pub(super) fn start_streamed(&mut self, link: Arc<Link>, to: &Destination) -> Box<Rare> {
        let (stream, Request { context, method, body, .. }) = (self.request.stream(), &self.request);
        if !self.request.is_whole() {
            return failed(Upload::gone());
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
    pub(super) fn not_opened(&mut self, to: &Destination, error: OpenError) -> Box<Rare> {
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
            Err(End::Ours(status)) => {
                // That says nothing of the server.
                self.at = None;
                return Ok(Err(status));
            }
            Err(End::Peer(status)) => return Ok(Err(status)),
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

    /// What an outcome means for the caller; or what comes next, if the call goes on elsewhere.
    #[cold]
    pub(super) fn end(
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

    /// Tells the balancer, where there is one, how the call went.
    #[cold]
    pub(super) fn report(&mut self, result: &mut Result<Response, Status>) {
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
}

pub(super) fn failed(status: Status) -> Box<Rare> {
    Box::new(Rare::Failed(status))
}

/// Waits for a connection, up to the deadline.
#[cold]
pub(super) fn connect(to: &Destination, request: &Request) -> Box<Rare> {
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
