//! One connection, as the rest of the crate sees it: calls go in, answers come out; bytes are the driver's business.
//!
//! All state of a connection is under one lock that is held for a few hundred instructions at a time, never across an
//! await. Wakers are collected under it and woken outside.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::call::Peer;
use crate::context::{Caller, Context, Reason, now};
use crate::status::{Certainty, Status};
use crate::transport::lane::Lane;
use crate::transport::slot::{Outcome, Slots, Waiting};
use crate::wire::out::Body;
use crate::wire::{
    CancelReason, Config, Connection, ConnectionError, Event, Part, ResponseHead, Role, StreamId, Token,
};

/// One connection, shared by its driver and all who use it.
pub(crate) struct Link {
    state: Mutex<State>,
    peer: Peer,
    /// Told when the peer's SETTINGS have come, or never will; and when it takes no more calls.
    settled: Notify,
}

/// What the lock protects.
pub(crate) struct State {
    pub(crate) wire: Connection,
    /// Our calls, by token.
    pub(in crate::transport) calls: Slots,
    /// The peer's calls whose handlers have a task, by token.
    pub(super) serving: Slab<Serving>,
    /// Whose streams wait until more items may be sent, in order.
    pub(super) crowd: VecDeque<Arc<Lane>>,
    /// What the driver has to act on.
    pub(crate) inbound: VecDeque<Event>,
    /// Whom to wake once the lock is free.
    pub(super) wakers: Vec<Waker>,
    /// The driver's waker, and whether it needs it.
    driver: Option<Waker>,
    asleep: bool,
    /// When the driver will wake by itself.
    wakes_at: Option<Instant>,
    /// Nobody wants the connection any more; the driver ends it when nothing is open.
    pub(crate) closing: bool,
    /// No handler gets a task any more.
    cut_off: bool,
}

/// A handler of ours that has a task.
pub(super) struct Serving {
    context: Context,
    task: Option<AbortHandle>,
    /// If the call has streams.
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
                calls: Slots::default(),
                serving: Slab::new(),
                crowd: VecDeque::new(),
                inbound: VecDeque::new(),
                wakers: Vec::new(),
                driver: None,
                asleep: false,
                wakes_at: None,
                closing: false,
                cut_off: false,
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

    /// Waits until no call can be opened any more: the peer drains, or the connection has ended.
    pub(crate) async fn unusable(&self) {
        loop {
            let settled = self.settled.notified();
            if !self.is_usable() {
                return;
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
        if !state.crowd.is_empty() {
            state.uncrowd(now());
        }
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

    /// Gives a handler a place in the list, so that a cancel finds it.
    pub(crate) fn serve(&self, stream: StreamId, context: Context, lane: Option<Arc<Lane>>) -> Token {
        let mut state = self.lock();
        let key = state.serving.insert(Serving { context, task: None, lane });
        let token = Token(key as u32);
        state.wire.set_token(stream, token);
        token
    }

    /// Keeps the handle by which the handler's task is ended; ends it if all were cut off meanwhile.
    pub(crate) fn set_task(&self, token: Token, task: AbortHandle) {
        let mut state = self.lock();
        let cut_off = state.cut_off;
        // The task may be over already, and its place taken by nobody: places are given by the driver, which is the
        // one that calls this.
        let Some(serving) = state.serving.get_mut(token.0 as usize) else { return };
        if !cut_off {
            serving.task = Some(task);
            return;
        }
        let context = serving.context.clone();
        drop(state);
        end(&context, Some(task), Reason::Shutdown);
    }

    /// Ends every handler that has a task, and those that get one from now on; their calls are answered. Whoever cuts off
    /// does not run on the driver's task, which may be about to give a handler its own.
    pub(crate) fn cut_off(&self) {
        self.lock().cut_off = true;
        self.end_all(Reason::Shutdown);
    }

    /// Ends every handler that has a task.
    pub(crate) fn end_all(&self, reason: Reason) {
        let serving = self.lock().all_serving();
        for (context, task) in serving {
            end(&context, task, reason.clone());
        }
    }

    /// A handler with a task is done.
    pub(crate) fn served(&self, token: Token, stream: StreamId, answer: Option<(ResponseHead, Bytes)>) {
        self.with(|state| {
            state.forget(token);
            match answer {
                Some((head, body)) => {
                    state.wire.respond(now(), stream, &head, Body::from(&body), true);
                }
                None => state.wire.close(stream),
            }
        });
    }

    /// Lets the connection end when nothing is open on it any more.
    pub(crate) fn close(&self) {
        self.with(|state| state.closing = true);
    }

    /// The same, and tells the peer to call no more: what it has sent by the time that it hears of it is still served.
    pub(crate) fn leave(&self) {
        self.with(|state| {
            state.wire.drain(now());
            state.closing = true;
        });
    }
}

impl State {
    /// Bytes came from the peer.
    pub(crate) fn handle_input(
        &mut self,
        now: Instant,
        input: &mut BytesMut,
        part: &mut Option<Part>,
    ) -> Result<(), ConnectionError> {
        let Self { wire, calls, wakers, .. } = self;
        if wire.calls() > 0 {
            // Among what this makes us say may be calls that have waited for it.
            return wire.handle_input_with(now, input, part, &mut Waiting { calls, wakers, now });
        }
        wire.handle_input(now, input, part)
    }

    /// Acts on what happened to our calls, and keeps the rest for the driver. Done before the lock is given up, so
    /// that no event outlives the token that it names.
    #[inline]
    pub(crate) fn settle(&mut self, at: Option<Instant>) {
        if self.wire.has_events() {
            self.settle_events(at);
        }
    }

    fn settle_events(&mut self, at: Option<Instant>) {
        if self.calls.is_empty() && self.inbound.is_empty() {
            // A server without calls of its own: all of it is the driver's, and need not be moved one by one.
            return self.wire.swap_events(&mut self.inbound);
        }
        while let Some(event) = self.wire.poll_event() {
            let event = match self.calls.have_streams() {
                false => event,
                true => match self.settle_stream(event, at) {
                    Some(event) => event,
                    None => continue,
                },
            };
            match event {
                Event::Response { token, head, body, end: true, .. } => {
                    let at = at.unwrap_or_else(now);
                    self.end(token, Outcome::Answer { head, body, at });
                }
                // What follows belongs to nobody: without this the stream would stay open, and its events would name
                // a token that is another call's by then.
                Event::Response { stream, token, .. } => {
                    self.wire.cancel(at.unwrap_or_else(now), stream, CancelReason::Dropped);
                    let status =
                        Status::internal("the server answered with a stream, where one reply was due");
                    self.end(token, Outcome::Failed(status.with_certainty(Certainty::Executed)));
                }
                Event::Failed { token, status } => self.end(token, Outcome::Failed(status)),
                Event::Expired { token } => {
                    let sent = !self.calls.is_pending(token);
                    self.end(token, Outcome::Expired { sent });
                }
                Event::Handed { token } => self.end(token, Outcome::Handed),
                Event::Opened { token, stream } => self.calls.opened(token, stream),
                other => self.inbound.push_back(other),
            }
        }
    }

    #[inline]
    fn end(&mut self, token: Token, outcome: Outcome) {
        self.wakers.extend(self.calls.end(token, outcome));
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
            self.calls = Slots::default();
            self.crowd = VecDeque::new();
            self.inbound = VecDeque::new();
            self.wakers = Vec::new();
        }
    }

    /// Whether something has come that somebody waits for.
    pub(crate) fn has_news(&self) -> bool {
        !self.inbound.is_empty() || !self.wakers.is_empty()
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

    /// Whether all has been said that ever will be.
    pub(crate) fn is_over(&self) -> bool {
        if !self.closing {
            return self.wire.is_drained();
        }
        // A call whose answer is here needs no connection any more, whenever it is taken.
        self.wire.is_idle() && !self.wire.is_announcing()
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

/// Why a handler's context ends, in the words of the context.
pub(crate) fn context_reason(reason: CancelReason) -> Reason {
    match reason {
        CancelReason::Deadline => Reason::Deadline,
        CancelReason::ConnectionLost => Reason::ConnectionLost,
        _ => Reason::Caller,
    }
}

/// What a handler's context keeps, to call back.
impl Caller for Link {
    fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// Ends the context first, so that it can be asked why, then the task. The task's own guard closes the stream once it is
/// really gone.
pub(super) fn end(context: &Context, task: Option<AbortHandle>, reason: Reason) {
    context.cancel_call(reason);
    if let Some(task) = task {
        task.abort();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Arc<Link> {
        Link::new(connection(Role::Acceptor, &Config::default()), Peer::new("there"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_is_cut_off_whenever_it_gets_its_task() {
        // Before it has a place, before its task is known, and after.
        for moment in 0..3 {
            let link = link();
            let cut_off = |now| {
                if now == moment {
                    link.cut_off();
                }
            };
            cut_off(0);
            let token = link.serve(StreamId(1), Context::default(), None);
            let task = tokio::spawn(std::future::pending::<()>());
            cut_off(1);
            link.set_task(token, task.abort_handle());
            cut_off(2);
            let ended = tokio::time::timeout(std::time::Duration::from_secs(1), task).await;
            assert!(ended.is_ok_and(|ended| ended.unwrap_err().is_cancelled()), "it runs on: {moment}");
        }
    }
}
