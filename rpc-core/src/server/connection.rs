//! The calls of one connection: each is routed, and its handler is run.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::call::request::{Deadline, Source};
use crate::codec::body::tidy;
use crate::context::{CallParts, Context, TraceContext, now};
use crate::server::exchange::{self, Call, Start, Task};
use crate::server::handler::Arrived;
use crate::server::items;
use crate::server::room::{Handled, Room};
use crate::server::router::{Route, Router};
use crate::status::Status;
use crate::transport::answers::Answers;
use crate::transport::driver::Dispatch;
use crate::transport::lane::{Lane, Reader};
use crate::transport::link::Link;
use crate::transport::slot::Place;
use crate::wire::{Incoming, ResponseHead};

/// The serving side of one connection. Belongs to its driver, so nothing here is locked.
pub(crate) struct Serving {
    router: Arc<Router>,
    /// The methods whose names the peer has bound, by number.
    bound: Vec<Option<Bound>>,
    run: Run,
}

/// A method that is called on this connection.
struct Bound {
    route: Arc<Route>,
    /// The room for its handlers' futures.
    room: Room,
}

/// What the handlers of one connection that run in place have in common.
#[derive(Default)]
struct Run {
    batch: Option<Batch>,
    tally: Option<Tally>,
    /// The context of the last call that was done at once, for the next one.
    spare: Context,
    /// Where replies are encoded, one after the other; empty between two calls.
    reply: BytesMut,
}

/// Handlers that run in place one after the other, without a look at the clock between one's end and the next one's
/// beginning.
#[derive(Clone, Copy)]
struct Batch {
    /// When the last one ended.
    last: Instant,
    /// Whether tasks were started since.
    is_old: bool,
    /// When the first byte of the last one's request came, and how long after that it ended: most of a batch came
    /// together, and a difference of times costs as much as the rest of this.
    received: Instant,
    after: Duration,
    /// From here on the rest get tasks; `None` for never.
    until: Option<Instant>,
}

/// Calls of one method that gave a reply and are not yet in its counters, which all connections share.
struct Tally {
    route: Arc<Route>,
    calls: u64,
    busy: Duration,
}

impl Serving {
    pub(crate) fn new(router: Arc<Router>) -> Self {
        Self { router, bound: Vec::new(), run: Run::default() }
    }

    /// The first call of a name that the peer has bound to a number, or any by a name without one.
    #[cold]
    fn by_name(&mut self, link: &Arc<Link>, incoming: &mut Incoming, answers: &mut Answers) {
        let number = incoming.head.number;
        let path = match number {
            Some(number) => link.lock().wire.method_name(number).unwrap_or_default().into(),
            None => incoming.head.name.take().unwrap_or_default(),
        };
        let Some(route) = self.router.find(&path).cloned() else {
            let status = Status::unimplemented(self.router.missing(&path));
            let reply = (!incoming.oneway).then(|| (ResponseHead::refusal(status), Bytes::new()));
            return answers.push(incoming.stream, reply);
        };
        let mut room = Room::default();
        self.run.call(link, &route, &mut room, incoming, answers);
        if let Some(number) = number.map(|number| number as usize) {
            if self.bound.len() <= number {
                self.bound.resize_with(number + 1, || None);
            }
            self.bound[number] = Some(Bound { route, room });
        }
    }
}

impl Dispatch for Serving {
    #[inline]
    fn request(&mut self, link: &Arc<Link>, incoming: &mut Incoming, answers: &mut Answers) {
        if let Some(number) = incoming.head.number
            && let Some(Some(Bound { route, room })) = self.bound.get_mut(number as usize)
        {
            return self.run.call(link, route, room, incoming, answers);
        }
        self.by_name(link, incoming, answers);
    }

    fn dispatched(&mut self) {
        // What is known of the time is old by the next round.
        self.run.batch = None;
        if let Some(tally) = self.run.tally.take() {
            tally.enter();
        }
    }

    fn rest(&mut self) {
        for bound in self.bound.iter_mut().flatten() {
            bound.room = Room::default();
        }
        self.run = Run::default();
    }
}

impl Run {
    #[inline]
    fn call(
        &mut self,
        link: &Arc<Link>,
        route: &Arc<Route>,
        room: &mut Room,
        incoming: &mut Incoming,
        answers: &mut Answers,
    ) {
        let &mut Incoming { stream, ref mut head, ref mut body, oneway, end, received, deadline } = incoming;
        let batch = self.batch.get_or_insert_with(|| {
            let at = now();
            let after = at.saturating_duration_since(received);
            Batch { last: at, is_old: false, received, after, until: at.checked_add(route.in_place) }
        });
        if batch.is_old {
            batch.look();
        }
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
        let mut arrived = Arrived {
            method: route.method,
            codec: head.codec,
            body: std::mem::take(body),
            items: None,
            attempt: head.attempt,
            is_retry: head.is_retry,
            deadline: deadline.map(|at| Deadline { at, since: received, source: Source::Caller }),
        };
        let mut lane = None;
        if !end {
            let items = lane.insert(Lane::new(Place::Stream(stream)));
            arrived.items = Some(items::received(Reader::new(link.clone(), items.clone())));
        }
        let mut call =
            Call { method: route.method, context, stream, received, started, deadline, oneway, lane };

        if deadline.is_some_and(|deadline| deadline <= started) {
            // Nobody waits for it any more.
            route.counters.ended(false, Duration::ZERO);
            return answers.push(stream, call.too_late());
        }
        if over || route.in_place.is_zero() || route.is_slow() {
            return self.start(link, route, call, Start::Request(arrived));
        }
        // The task that a pending handler gets polls it at once, and so leaves the right waker.
        let handled =
            exchange::begin(&mut call, &*route.service, &mut arrived, Waker::noop(), room, &mut self.reply);
        let ended = now();
        let took = ended.saturating_duration_since(started);
        route.polled(took);
        batch.last = ended;
        batch.after += took;
        if matches!(handled, Handled::Encoded) && call.lane.is_none() {
            // Nothing is in it that would have to be dropped, which the compiler does not see.
            std::mem::forget(handled);
            self.count(route, took);
            answers.push_encoded(stream, call.replied(queue, took), &self.reply);
            tidy(&mut self.reply);
            self.spare = call.context;
            return;
        }
        match handled.complete(&mut self.reply) {
            // A call with streams has a task all the same: what belongs to it has to end with it.
            Handled::Done(result) if call.lane.is_some() || matches!(&result, Ok(ok) if ok.is_stream()) => {
                self.start(link, route, call, Start::Future(Box::pin(std::future::ready(result))));
            }
            Handled::Done(result) => {
                route.counters.ended(result.is_ok(), took);
                answers.push(stream, call.answer(result, queue, took));
                self.spare = call.context;
            }
            Handled::Pending(future) => self.start(link, route, call, Start::Future(future)),
            Handled::Encoded => {}
        }
    }

    /// Gives the call a task. What that takes is not the next one's time.
    fn start(&mut self, link: &Arc<Link>, route: &Arc<Route>, call: Call, start: Start) {
        if let Some(batch) = &mut self.batch {
            batch.is_old = true;
        }
        Task::start(link, route, call, start);
    }

    /// Counts a call that gave a reply: a round's calls of one method are entered together.
    #[inline]
    fn count(&mut self, route: &Arc<Route>, took: Duration) {
        match &mut self.tally {
            Some(tally) if Arc::ptr_eq(&tally.route, route) => {
                tally.calls += 1;
                tally.busy += took;
            }
            other => {
                let tally = Tally { route: route.clone(), calls: 1, busy: took };
                if let Some(before) = other.replace(tally) {
                    before.enter();
                }
            }
        }
    }
}

impl Batch {
    /// Looks at the clock again, in the middle of a round.
    #[cold]
    fn look(&mut self) {
        let at = now();
        self.after += at.saturating_duration_since(self.last);
        (self.last, self.is_old) = (at, false);
    }
}

impl Tally {
    fn enter(self) {
        self.route.counters.add(self.calls, self.busy);
    }
}
