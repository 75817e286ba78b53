//! The calls of one connection: each is routed, and its handler is run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::call::request::{Deadline, Source};
use crate::call::{BoxFuture, Request, Response};
use crate::context::{CallParts, Context, TraceContext, now};
use crate::server::exchange::{self, Polled, Task};
use crate::server::items;
use crate::server::router::{Route, Router};
use crate::status::Status;
use crate::transport::driver::{Answer, Dispatch};
use crate::transport::lane::{Lane, Reader};
use crate::transport::link::Link;
use crate::transport::slot::Place;
use crate::wire::head::IncomingHead;
use crate::wire::{Incoming, ResponseHead};

/// The serving side of one connection. Belongs to its driver, so nothing here is locked.
pub(crate) struct Serving {
    router: Arc<Router>,
    /// The routes of the names that the peer has bound, by number.
    bound: Vec<Option<Arc<Route>>>,
    batch: Option<Batch>,
    /// The context of the last call that was done at once, for the next one.
    spare: Context,
}

/// Handlers that run in place one after the other, without a look at the clock between one's end and the next one's
/// beginning.
#[derive(Clone, Copy)]
struct Batch {
    /// When the last one ended.
    last: Instant,
    /// When the first byte of the last one's request came, and how long after that it ended: most of a batch came
    /// together, and a difference of times costs as much as the rest of this.
    received: Instant,
    after: Duration,
    /// From here on the rest get tasks; `None` for never.
    until: Option<Instant>,
}

impl Serving {
    pub(crate) fn new(router: Arc<Router>) -> Self {
        Self { router, bound: Vec::new(), batch: None, spare: Context::background() }
    }

    /// The route of a request: by number where the name is bound, a look-up by name the first time.
    #[inline]
    fn route(&mut self, link: &Link, head: &IncomingHead) -> Result<Arc<Route>, Status> {
        let Some(number) = head.number else {
            let path = head.name.as_deref().unwrap_or_default();
            return self.router.find(path).cloned().ok_or_else(|| self.unknown(path));
        };
        if let Some(Some(route)) = self.bound.get(number as usize) {
            return Ok(route.clone());
        }
        let path: Box<str> = link.lock().wire.method_name(number).unwrap_or_default().into();
        let Some(route) = self.router.find(&path).cloned() else { return Err(self.unknown(&path)) };
        let number = number as usize;
        if self.bound.len() <= number {
            self.bound.resize(number + 1, None);
        }
        self.bound[number] = Some(route.clone());
        Ok(route)
    }

    fn unknown(&self, path: &str) -> Status {
        Status::unimplemented(self.router.missing(path))
    }
}

impl Dispatch for Serving {
    fn request(&mut self, link: &Arc<Link>, incoming: &mut Incoming, answers: &mut Vec<Answer>) {
        let &mut Incoming { stream, ref mut head, ref mut body, oneway, end, received, deadline } = incoming;
        let route = match self.route(link, head) {
            Ok(route) => route,
            Err(status) => {
                let reply = (!oneway).then(|| (ResponseHead::refusal(status), Bytes::new()));
                answers.push(Answer { stream, reply });
                return;
            }
        };
        if answers.is_empty() {
            // A new round: what is known of the time is old.
            self.batch = None;
        }
        let batch = self.batch.get_or_insert_with(|| {
            let at = now();
            let after = at.saturating_duration_since(received);
            Batch { last: at, received, after, until: at.checked_add(route.in_place) }
        });
        // Handlers that run one after the other share a look at the clock.
        let started = batch.last;
        if batch.received != received {
            batch.received = received;
            batch.after = started.saturating_duration_since(received);
        }
        let queue = batch.after;
        let over = batch.until.is_some_and(|until| until < started);
        let parts = CallParts {
            deadline,
            metadata: std::mem::take(&mut head.metadata),
            caller: None,
            trace: head.trace.and_then(|trace| TraceContext::from_bytes(&trace)),
            method: route.method.path,
            is_retry: head.is_retry,
        };
        let context = std::mem::take(&mut self.spare).renewed(parts, || link.clone());
        let body = std::mem::take(body);
        let mut request = request(&route, head, body, context.clone(), received, deadline);
        let mut lane = None;
        if !end {
            let items = lane.insert(Lane::new(Place::Stream(stream)));
            request.stream = Some(items::received(Reader::new(link.clone(), items.clone())));
        }
        let mut call = exchange::Call { route, context, stream, received, started, deadline, oneway, lane };

        if deadline.is_some_and(|deadline| deadline <= started) {
            // Nobody waits for it any more.
            answers.push(call.too_late());
            return;
        }
        if over || call.route.in_place.is_zero() || call.route.is_slow() {
            Task::start(link, call, Start::Request(request));
            return;
        }
        let polled = exchange::begin(&mut call, &mut request);
        let ended = now();
        let took = ended.saturating_duration_since(started);
        call.route.polled(took);
        if let Some(batch) = &mut self.batch {
            batch.last = ended;
            batch.after += took;
        }
        match polled {
            Polled::Ready(result) => {
                answers.push(call.answer(result, queue, took));
                self.spare = call.context;
            }
            Polled::Pending(future) => Task::start(link, call, Start::Future(future)),
        }
    }

    fn rest(&mut self) {
        self.spare = Context::background();
    }
}

/// What a handler's task begins with.
pub(crate) enum Start {
    Request(Request),
    Future(BoxFuture<Result<Response, Status>>),
}

fn request(
    route: &Route,
    head: &IncomingHead,
    body: Bytes,
    context: Context,
    received: Instant,
    deadline: Option<Instant>,
) -> Request {
    Request {
        deadline: deadline.map(|at| Deadline { at, since: received, source: Source::Caller }),
        attempt: head.attempt,
        is_retry: head.is_retry,
        context,
        is_incoming: true,
        ..Request::new(route.method, head.codec, body)
    }
}
