//! Who wakes a call when its time is up.
//!
//! A timer for each call would cost more than the rest of the call: a runtime's timer wheel is one lock. So the edge
//! of the client checks the clock each time that a call is polled, and only has to make sure that *somebody* polls it
//! in time. While a call waits for a reply, its connection does that, with one timer for all of its calls; it says so
//! with [`will_wake_at_deadline`]. Where a call is pending and nobody said so (it waits for a connection, in a layer,
//! between attempts) the edge arms a timer of its own.

use std::cell::Cell;
use std::task::Poll;

thread_local! {
    static COVERED: Cell<bool> = const { Cell::new(false) };
}

/// Promises, from inside of a poll that will be pending, that the task is woken when the call's deadline passes.
pub(crate) fn will_wake_at_deadline() {
    COVERED.set(true);
}

/// Polls, and tells whether someone below made the promise.
pub(crate) fn covered<T>(poll: impl FnOnce() -> Poll<T>) -> (Poll<T>, bool) {
    // A call polled inside of a call's poll (a handler run in place, a local channel) has its own answer.
    let outer = COVERED.replace(false);
    let poll = poll();
    (poll, COVERED.replace(outer))
}
