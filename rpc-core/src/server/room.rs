//! What a handler is run with that is done at its first poll: room for its future, and a place for its reply, both used
//! again by the next call on the same connection.
//!
//! A future that may turn out to be pending has to lie in a box before it is polled, for it cannot be moved afterwards.
//! Most are done at the first poll. Their box is kept in the [`Room`] of their method, empty, and the next call of the
//! method finds it there: no allocation (140 instructions less a call). One that is pending goes to its task together with
//! its box. An idle connection keeps no rooms.

use std::any::Any;
use std::fmt;
use std::task::Waker;

use bytes::BytesMut;

use crate::call::{BoxFuture, Response};
use crate::context::Context;
use crate::status::Status;

/// The room for the futures of one method's handlers, on one connection.
#[derive(Default)]
pub struct Room(Option<Box<dyn Any + Send>>);

impl Room {
    /// Takes what was [kept](Self::keep) here, or its default if there is nothing of this type.
    #[inline]
    pub(super) fn take<T: Any + Send + Default>(&mut self) -> Box<T> {
        match self.0.take().map(|kept| kept.downcast()) {
            Some(Ok(kept)) => kept,
            _ => Box::default(),
        }
    }

    /// Keeps it for the next call.
    #[inline]
    pub(super) fn keep<T: Any + Send>(&mut self, kept: Box<T>) {
        self.0 = Some(kept);
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Room").field(&self.0.is_some()).finish()
    }
}

/// How a handler is run.
#[derive(Debug)]
pub enum Way<'a> {
    /// As a future of its own, which keeps this context round the handler: what a layer calls.
    Boxed {
        /// The handler's.
        context: Context,
        /// The one that the call came with, if the handler's knows nothing of it.
        call: Option<Context>,
    },
    /// Polled once at once, in the context that is the current one: what a connection does.
    InPlace(InPlace<'a>),
}

/// What a handler that is polled at once is given.
#[derive(Debug)]
pub struct InPlace<'a> {
    /// Who polls.
    pub(super) waker: &'a Waker,
    /// The room for the future.
    pub(super) room: &'a mut Room,
    /// Where the reply is encoded, which is empty. It belongs to this call alone until the answer was taken out, whatever
    /// encoders and handlers do.
    pub(super) reply: &'a mut BytesMut,
    /// Is set as the user's method is begun.
    pub(super) executed: &'a mut bool,
}

/// What became of a handler by the time that it is given back.
#[must_use = "it is the answer"]
pub enum Handled {
    /// It gave a reply, which is what [`InPlace`]'s `reply` holds.
    Encoded,
    /// It gave a reply that is large or a stream, or came through layers; or an error.
    Done(Result<Response, Status>),
    /// It goes on.
    Pending(BoxFuture<Result<Response, Status>>),
}

impl Handled {
    /// Takes a reply that was encoded there to itself.
    #[inline]
    pub(super) fn complete(self, reply: &mut BytesMut) -> Self {
        match self {
            Self::Encoded => Self::Done(Ok(Response::new(reply.split().freeze()))),
            other => other,
        }
    }
}

impl fmt::Debug for Handled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoded => f.write_str("Encoded"),
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_by_its_type_and_only_once() {
        let mut room = Room::default();
        room.keep(Box::new(7_u32));
        assert_eq!(*room.take::<u32>(), 7);
        assert_eq!(*room.take::<u32>(), 0);
        room.keep(Box::new(7_u32));
        assert_eq!(*room.take::<u64>(), 0, "of another type");
        assert_eq!(*room.take::<u32>(), 0, "which has taken its place");
    }

    #[test]
    fn a_reply_leaves_with_the_answer() {
        let mut reply = BytesMut::from("reply");
        let Handled::Done(Ok(response)) = Handled::Encoded.complete(&mut reply) else { panic!("not done") };
        assert_eq!(response.body(), "reply");
        assert!(reply.is_empty());
    }
}
