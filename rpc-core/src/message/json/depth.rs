//! How deep messages may stand in each other: as deep as in protobuf, so that what can be read in the one can be read in
//! the other, whatever the format's own limit is.
//!
//! Serde hands nothing down to the values within values, so the depth is the thread's while something is read. It is the
//! thread's stack that has to hold it, after all.

use std::cell::Cell;

use serde::de::Error;

use crate::message::wire::{MAX_DEPTH, STACK, TOO_DEEP, TOO_LARGE, stack_of};

thread_local! {
    static DEPTH: Cell<Depth> = const { Cell::new(Depth { messages: 0, stack: STACK }) };
}

/// What is around the value that is being read.
#[derive(Clone, Copy)]
struct Depth {
    /// How many messages, this one included.
    messages: u32,
    /// What is left of the stack.
    stack: u32,
}

/// One level further down, until it is dropped.
pub(super) struct Level(Depth);

impl Level {
    /// Into a message, unless it stands too deep in others.
    #[inline]
    pub(super) fn enter<T, E: Error>() -> Result<Self, E> {
        let around = DEPTH.get();
        // What stands in no other has to fit.
        let stack = match around.messages {
            0 => Some(around.stack),
            _ => around.stack.checked_sub(const { stack_of::<T>() }),
        };
        match stack {
            _ if around.messages > MAX_DEPTH => Err(E::custom(TOO_DEEP)),
            None => Err(E::custom(TOO_LARGE)),
            Some(stack) => {
                DEPTH.set(Depth { messages: around.messages + 1, stack });
                Ok(Self(around))
            }
        }
    }
}

impl Drop for Level {
    #[inline]
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}
