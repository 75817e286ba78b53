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
    /// The earliest time at which somebody has promised to wake the task.
    static PROMISED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Promises, from inside of a poll that will be pending, that the task is woken when this deadline passes. Who knows of
/// no deadline promises nothing: a layer may have left it out.
#[inline]
pub(crate) fn will_wake_at(deadline: Option<Instant>) {
    if let Some(at) = deadline
        && PROMISED.get().is_none_or(|other| at < other)
    {
        PROMISED.set(deadline);
    }
}

/// Takes all promises back that were made in this poll, for somebody who made one is gone. Those of others go with it,
/// which costs them a timer.
#[cold]
pub(crate) fn will_not_wake() {
    // On a thread that is ending nobody is polled.
    let _ = PROMISED.try_with(|promised| promised.set(None));
}

/// Finds out whether someone below made the promise: begun before a poll, ended after it.
#[must_use]
pub(crate) struct Cover {
    outer: Option<Instant>,
}

impl Cover {
    #[inline]
    pub(crate) fn begin() -> Self {
        // A call polled inside of a call's poll (a handler run in place, a local channel) has its own answer.
        Self { outer: PROMISED.replace(None) }
    }

    /// The earliest time at which someone wakes the task.
    #[inline]
    pub(crate) fn end(self) -> Option<Instant> {
        PROMISED.replace(self.outer)
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
    /// Whether the time is up, asked after a poll that was pending; if not, the task is woken when it is. `covered` is when
    /// somebody below wakes it.
    #[inline]
    pub(crate) fn rings(&mut self, at: Instant, covered: Option<Instant>, cx: &mut TaskContext<'_>) -> bool {
        // Who is woken sooner asks again.
        let is_covered = covered.is_some_and(|covered| covered <= at);
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
