//! One connection, as the rest of the crate sees it: calls go in, answers come out; bytes are the driver's business.
//!
//! All state of a connection is under one lock that is held for a few hundred instructions at a time, never across an
//! await. Wakers are collected under it and woken outside.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::call::Peer;
use crate::call::wait::will_wake_at_deadline;
use crate::context::{Context, Reason, now};
use crate::status::{Certainty, Hop, Status};
use crate::transport::lane::Lane;
use crate::wire::connection::{Open, PendingId};
use crate::wire::{
    CancelReason, Config, Connection, ConnectionError, Event, OpenError, Opened, RequestHead, ResponseHead,
    Role, StreamId, Token,
};

/// One connection, shared by its driver and all who use it.
pub(crate) struct Link {
    state: Mutex<State>,
    peer: Peer,
    /// Told when the peer's SETTINGS have come, or never will.
    settled: Notify,
}

/// What the lock protects.
pub(crate) struct State {
    pub(crate) wire: Connection,
    /// Our calls, by token.
    pub(super) calls: Slab<Slot>,
    /// How many of them have streams.
    pub(super) lanes: usize,
    /// The peer's calls whose handlers have a task, by token.
    pub(super) serving: Slab<Serving>,
    /// Whose streams wait until the out-buffer is on its way.
    pub(super) crowd: Vec<Arc<Lane>>,
    /// What the driver has to act on.
    pub(crate) inbound: VecDeque<Event>,
    /// Whom to wake once the lock is free.
    pub(super) wakers: Vec<Waker>,
    /// The driver's waker, and whether it needs it.
    driver: Option<Waker>,
    asleep: bool,
    /// When the driver will wake by itself.
    wakes_at: Option<Instant>,
    /// Bytes of answers that wait to be written.
    owed: usize,
    /// Nobody wants the connection any more; the driver ends it when nothing is open.
    pub(crate) closing: bool,
}

/// A call of ours.
pub(super) enum Slot {
    Waiting {
        waker: Option<Waker>,
        place: Place,
    },
    Done(Outcome),
    /// One with streams. Its place is free once it is over, whoever still holds it.
    Stream(Arc<Lane>),
}

/// Where a call of ours is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Stream(StreamId),
    Pending(PendingId),
}

/// How a call of ours ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The peer answered, with a reply or an error; when its last byte came.
    Answer { head: ResponseHead, body: Bytes, at: Instant },
    /// The connection could not do it.
    Failed(Status),
    /// A oneway call is on its way.
    Handed,
    /// The time was up; whether the peer may have heard of the call by then.
    Expired { sent: bool },
}

/// A handler of ours that has a task.
pub(super) struct Serving {
    context: Context,
    task: Option<AbortHandle>,
    pub(super) lane: Option<Arc<Lane>>,
}

/// The state machine of a new connection.
pub(crate) fn connection(role: Role, config: &Config) -> Connection {
    let mut connection = Connection::new(role, config.clone(), now());
    // The one look at the time of day: it only serves deadlines that are points in time.
    if let Ok(since) = SystemTime::now().duration_since(UNIX_EPOCH) {
        connection.set_unix_time(since.as_micros() as u64);
    }
    connection
}

impl Link {
    pub(crate) fn new(wire: Connection, peer: Peer) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                wire,
                calls: Slab::new(),
                lanes: 0,
                serving: Slab::new(),
                crowd: Vec::new(),
                inbound: VecDeque::new(),
                wakers: Vec::new(),
                driver: None,
                asleep: false,
                wakes_at: None,
                owed: 0,
                closing: false,
            }),
            peer,
            settled: Notify::new(),
        })
    }

    /// Waits until the peer has shown that it speaks the protocol.
    ///
    /// # Errors
    /// Why the connection ended before.
    pub(crate) async fn established(&self) -> Result<(), String> {
        loop {
            let settled = self.settled.notified();
            {
                let state = self.lock();
                if let Some(error) = state.wire.error() {
                    return Err(error.to_string());
                }
                if state.wire.is_established() {
                    return Ok(());
                }
            }
            settled.await;
        }
    }

    /// Tells those who wait for the connection to be established, or to have failed.
    pub(crate) fn tell_settled(&self) {
        self.settled.notify_waiters();
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock runs foreign code, so a poisoned one would be a bug here: carry on, as the state
        // machine checks itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` under the lock, then wakes whom it concerns, the driver among them if there is something to write.
    #[inline]
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = f(&mut state);
        state.settle(None);
        let driver = if state.asleep && state.has_work() { state.wake_driver() } else { None };
        // An empty list keeps its room: the driver's rounds need it (250 instructions a call).
        let wakers = if state.wakers.is_empty() { Vec::new() } else { std::mem::take(&mut state.wakers) };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        for waker in wakers {
            waker.wake();
        }
        result
    }

    /// Whether the peer has shown that it speaks the protocol.
    pub(crate) fn is_established(&self) -> bool {
        self.lock().wire.is_established()
    }

    /// Whether a call could be opened.
    pub(crate) fn is_usable(&self) -> bool {
        let state = self.lock();
        state.wire.accepts_calls() && !state.closing
    }

    /// Opens a call.
    #[inline]
    pub(crate) fn call(self: Arc<Self>, call: Outbound<'_>) -> Result<Exchange, OpenError> {
        let started = now();
        let Outbound { head, body, oneway, context, deadline, path } = call;
        let key = self.with(|state| {
            let entry = state.calls.vacant_entry();
            let key = entry.key();
            let token = Token(key as u32);
            let slot = match state.wire.open(started, &head, body, Open { token, oneway, end: true })? {
                Opened::Stream(id) => Slot::Waiting { waker: None, place: Place::Stream(id) },
                Opened::Pending(id) => Slot::Waiting { waker: None, place: Place::Pending(id) },
                Opened::Handed => Slot::Done(Outcome::Handed),
            };
            entry.insert(slot);
            Ok(key)
        })?;
        Ok(Exchange { link: Some(self), key, started, deadline, context, path })
    }

    /// Gives a handler a place in the list, so that a cancel finds it.
    pub(crate) fn serve(&self, stream: StreamId, context: Context, lane: Option<Arc<Lane>>) -> Token {
        let mut state = self.lock();
        let key = state.serving.insert(Serving { context, task: None, lane });
        let token = Token(key as u32);
        state.wire.set_token(stream, token);
        token
    }

    /// Keeps the handle by which the handler's task is ended.
    pub(crate) fn set_task(&self, token: Token, task: AbortHandle) {
        // The task may be over already, and its place taken by nobody: places are given by the driver, which is the
        // one that calls this.
        if let Some(serving) = self.lock().serving.get_mut(token.0 as usize) {
            serving.task = Some(task);
        }
    }

    /// A handler with a task is done.
    pub(crate) fn served(&self, token: Token, stream: StreamId, answer: Option<(ResponseHead, Bytes)>) {
        self.with(|state| {
            state.forget(token);
            match answer {
                Some((head, body)) => state.owing(|wire| wire.respond(now(), stream, &head, body, true)),
                None => state.wire.close(stream),
            }
        });
    }

    /// Lets the connection end when nothing is open on it any more.
    pub(crate) fn close(&self) {
        self.with(|state| state.closing = true);
    }
}

impl State {
    /// Lets the state machine say something that the peer asked for, and notes how much it was.
    #[inline]
    pub(crate) fn owing<T>(&mut self, say: impl FnOnce(&mut Connection) -> T) -> T {
        let before = self.wire.unwritten();
        let result = say(&mut self.wire);
        self.owed += self.wire.unwritten().saturating_sub(before);
        result
    }

    /// Bytes of answers that wait to be written.
    pub(crate) fn owed(&self) -> usize {
        self.owed
    }

    /// Bytes reached the socket. Where answers and calls of ours wait, answers count as the first to go: who takes
    /// nothing at all is found out all the same.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.wire.written(bytes);
        self.owed = self.owed.saturating_sub(bytes);
    }

    /// Bytes came from the peer.
    pub(crate) fn handle_bytes(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), ConnectionError> {
        if self.wire.calls() > 0 {
            // Among what this makes us say may be calls that have waited for it.
            return self.wire.handle_bytes(now, input);
        }
        self.owing(|wire| wire.handle_bytes(now, input))
    }

    /// Acts on what happened to our calls, and keeps the rest for the driver. Done before the lock is given up, so
    /// that no event outlives the token that it names.
    #[inline]
    pub(crate) fn settle(&mut self, at: Option<Instant>) {
        if self.calls.is_empty() && self.inbound.is_empty() {
            // A server without calls of its own: all of it is the driver's, and need not be moved one by one.
            return self.wire.swap_events(&mut self.inbound);
        }
        while let Some(event) = self.wire.poll_event() {
            let event = match self.lanes {
                0 => event,
                _ => match self.settle_stream(event, at) {
                    Some(event) => event,
                    None => continue,
                },
            };
            let (token, outcome) = match event {
                Event::Response { token, head, body, end: true, .. } => {
                    (token, Outcome::Answer { head, body, at: at.unwrap_or_else(now) })
                }
                // What follows belongs to nobody: without this the stream would stay open, and its events would name
                // a token that is another call's by then.
                Event::Response { stream, token, .. } => {
                    self.wire.cancel(at.unwrap_or_else(now), stream, CancelReason::Dropped);
                    let status =
                        Status::internal("the server answered with a stream, where one reply was due");
                    (token, Outcome::Failed(status.with_certainty(Certainty::Executed)))
                }
                Event::Failed { token, status } => (token, Outcome::Failed(status)),
                Event::Expired { token } => {
                    let slot = self.calls.get(token.0 as usize);
                    let waits = matches!(slot, Some(Slot::Waiting { place: Place::Pending(_), .. }));
                    (token, Outcome::Expired { sent: !waits })
                }
                Event::Handed { token } => (token, Outcome::Handed),
                Event::Opened { token, stream } => {
                    if let Some(Slot::Waiting { place, .. }) = self.calls.get_mut(token.0 as usize) {
                        *place = Place::Stream(stream);
                    }
                    continue;
                }
                other => {
                    self.inbound.push_back(other);
                    continue;
                }
            };
            if let Some(slot) = self.calls.get_mut(token.0 as usize)
                && let Slot::Waiting { waker, .. } = std::mem::replace(slot, Slot::Done(outcome))
            {
                self.wakers.extend(waker);
            }
        }
    }

    /// Whether the driver has something to do that it does not know of.
    #[inline]
    fn has_work(&self) -> bool {
        self.wire.unwritten() > 0
            || self.wire.has_turns()
            || self.closing
            || !self.inbound.is_empty()
            || self.wakes_late()
    }

    /// Whether the driver would sleep past something: a call that waits for a stream writes nothing and yet has a
    /// deadline.
    fn wakes_late(&self) -> bool {
        let due = self.wire.poll_timeout();
        due.is_some_and(|due| self.wakes_at.is_none_or(|at| due < at))
    }

    /// Gives memory back that a burst of calls has left, if nothing is under way.
    pub(crate) fn shrink(&mut self) {
        if self.is_idle() && self.inbound.is_empty() && self.wakers.is_empty() {
            self.wire.shrink();
            self.calls = Slab::new();
            self.crowd = Vec::new();
            self.inbound = VecDeque::new();
            self.wakers = Vec::new();
        }
    }

    /// Takes the wakers out, to be woken when the lock is free.
    pub(crate) fn take_wakers(&mut self, into: &mut Vec<Waker>) {
        into.append(&mut self.wakers);
    }

    /// The driver is awake: whoever has something for it need not wake it.
    pub(crate) fn awake(&mut self) {
        self.asleep = false;
    }

    fn wake_driver(&mut self) -> Option<Waker> {
        self.asleep = false;
        self.driver.clone()
    }

    /// Whether nothing is open in either direction.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.wire.is_idle()
    }

    /// The driver goes to sleep until then at the latest, and leaves its waker.
    pub(crate) fn sleep(&mut self, until: Option<Instant>, waker: &Waker) {
        self.asleep = true;
        self.wakes_at = until;
        match &self.driver {
            Some(driver) if driver.will_wake(waker) => {}
            _ => self.driver = Some(waker.clone()),
        }
    }

    /// The handler's task and context of a call that is to end.
    pub(crate) fn serving(&mut self, stream: StreamId) -> Option<(Context, Option<AbortHandle>)> {
        let serving = self.serving.get(self.wire.token(stream).0 as usize)?;
        Some((serving.context.clone(), serving.task.clone()))
    }

    /// Every handler that has a task.
    pub(crate) fn all_serving(&self) -> Vec<(Context, Option<AbortHandle>)> {
        self.serving.iter().map(|(_, serving)| (serving.context.clone(), serving.task.clone())).collect()
    }

    /// How many of our calls hold a place here: for tests that look for leaks.
    pub(crate) fn places(&self) -> usize {
        self.calls.len() + self.serving.len()
    }
}

/// A call to be opened.
pub(crate) struct Outbound<'a> {
    pub(crate) head: RequestHead,
    pub(crate) body: &'a Bytes,
    pub(crate) oneway: bool,
    pub(crate) deadline: Option<Instant>,
    /// The context that the call is made in, for its part of a budget report.
    pub(crate) context: Context,
    pub(crate) path: &'static str,
}

/// A call of ours on a connection: resolves when it has ended. Dropped before, it is cancelled at the peer.
#[must_use = "dropping an exchange cancels the call"]
pub(crate) struct Exchange {
    /// `None` once it has ended.
    link: Option<Arc<Link>>,
    key: usize,
    started: Instant,
    deadline: Option<Instant>,
    context: Context,
    path: &'static str,
}

impl Exchange {
    fn hop(&self, at: Instant) -> Hop {
        self.span().hop(at)
    }

    /// What the call is, and how long it may take.
    pub(crate) fn span(&self) -> Span {
        Span { path: self.path, started: self.started, deadline: self.deadline }
    }
}

/// A call of ours in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) path: &'static str,
    /// When it was handed to the connection.
    pub(crate) started: Instant,
    pub(crate) deadline: Option<Instant>,
}

impl Span {
    /// What this side can tell of the time that the call took until `at`.
    pub(crate) fn hop(self, at: Instant) -> Hop {
        Hop {
            method: self.path.to_owned(),
            budget: self
                .deadline
                .map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(self.started)),
            queue: None,
            handler: None,
            elapsed: Some(at.saturating_duration_since(self.started)),
        }
    }
}

impl Future for Exchange {
    type Output = Outcome;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Outcome> {
        let Some(link) = &self.link else {
            return Poll::Ready(Outcome::Failed(Status::internal("an exchange was polled after its end")));
        };
        let mut state = link.lock();
        match state.calls.get_mut(self.key) {
            Some(Slot::Waiting { waker, .. }) => {
                match waker {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    _ => *waker = Some(cx.waker().clone()),
                }
                drop(state);
                will_wake_at_deadline();
                return Poll::Pending;
            }
            Some(Slot::Done(_)) => {}
            _ => return Poll::Ready(Outcome::Failed(Status::internal("an exchange lost its place"))),
        }
        let Slot::Done(outcome) = state.calls.remove(self.key) else {
            return Poll::Ready(Outcome::Failed(Status::internal("an exchange lost its place")));
        };
        drop(state);
        self.link = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        let ended = now();
        let reason = match self.deadline {
            Some(deadline) if deadline <= ended => CancelReason::Deadline,
            _ => CancelReason::Dropped,
        };
        let waiting = link.with(|state| {
            let slot = state.calls.try_remove(self.key);
            match slot {
                Some(Slot::Waiting { place: Place::Stream(id), .. }) => state.wire.cancel(ended, id, reason),
                Some(Slot::Waiting { place: Place::Pending(id), .. }) => state.wire.cancel_pending(ended, id),
                _ => return false,
            }
            true
        });
        if waiting {
            self.context.report_hop(self.hop(ended));
        }
    }
}

/// Why a handler's context ends, in the words of the context.
pub(crate) fn context_reason(reason: CancelReason) -> Reason {
    match reason {
        CancelReason::Deadline => Reason::Deadline,
        CancelReason::ConnectionLost => Reason::ConnectionLost,
        _ => Reason::Caller,
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}
