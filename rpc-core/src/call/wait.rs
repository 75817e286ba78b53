//! Who wakes a call when its time is up.
//!
//! A timer for each call would cost more than the rest of the call: a runtime's timer wheel is one lock. So the edge
//! of the client checks the clock each time that a call is polled, and only has to make sure that *somebody* polls it
//! in time. While a call waits for a reply, its connection does that, with one timer for all of its calls; it says so
//! with `will_wake_at`. Where a call is pending and nobody said so (it waits for a connection, in a layer,
//! between attempts) the edge arms a timer of its own.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::Context as TaskContext;
use std::time::Instant;

use tokio::time::Sleep;

use crate::context::{now, sleep_until};

thread_local! {
    static COVERED: Cell<bool> = const { Cell::new(false) };
}

/// Promises, from inside of a poll that will be pending, that the task is woken when the call's deadline passes. Who knows
/// of no deadline promises nothing: a layer may have left it out.
#[inline]
pub(crate) fn will_wake_at(deadline: Option<Instant>) {
    if deadline.is_some() {
        COVERED.set(true);
    }
}

/// Finds out whether someone below made the promise: begun before a poll, ended after it.
#[must_use]
pub(crate) struct Cover {
    outer: bool,
}

impl Cover {
    #[inline]
    pub(crate) fn begin() -> Self {
        // A call polled inside of a call's poll (a handler run in place, a local channel) has its own answer.
        Self { outer: COVERED.replace(false) }
    }

    /// Whether someone did.
    #[inline]
    pub(crate) fn end(self) -> bool {
        COVERED.replace(self.outer)
    }
}

/// Tells a future that is pending when its time is up.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// Armed only where nobody below wakes the task.
    timer: Option<Pin<Box<Sleep>>>,
    polled: bool,
}

impl Alarm {
    /// Whether the time is up, asked after a poll that was pending; if not, the task is woken when it is.
    #[inline]
    pub(crate) fn rings(&mut self, at: Instant, is_covered: bool, cx: &mut TaskContext<'_>) -> bool {
        // At the first poll the time has just begun: a look at the clock is saved, for most calls the only one.
        let is_first = !std::mem::replace(&mut self.polled, true);
        !(is_first && is_covered) && self.look(at, is_first, is_covered, cx)
    }

    fn look(&mut self, at: Instant, is_first: bool, is_covered: bool, cx: &mut TaskContext<'_>) -> bool {
        if !is_first && at <= now() {
            return true;
        }
        if is_covered {
            return false;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        timer.as_mut().poll(cx).is_ready()
    }
}
