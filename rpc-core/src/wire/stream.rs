//! One call's state on its connection (§9).
//!
//! ```text
//!        opener                                                     acceptor
//!
//!   (waiting) no free stream: nothing is on the wire
//!       |
//!       v  REQUEST                                                 REQUEST
//!   +--------+   DATA… (parts of a large message, items)   +-----------+
//!   |  open  | ------------------------------------------> | receiving |
//!   +--------+                                             +-----------+
//!    |  |  |                                                  | message whole: Event::Request
//!    |  |  |                                                  v
//!    |  |  |            RESPONSE, DATA…                    +---------+   CANCEL or deadline  +-----------+
//!    |  |  | <-------------------------------------------- | running | --------------------> | cancelled |
//!    |  |  |                                               +---------+                       +-----------+
//!    |  |  |   the end of the response (§9.2)                 | respond                          | the handler
//!    |  |  +--> closed                                        v                                  v is gone
//!    |  +--- CANCEL by either side: closed                 closed                             closed
//!    +------ oneway: closed once all of it is in the out-buffer
//! ```
//!
//! The end of the response ends the whole stream, whatever is still to come of the request. A cancelled stream counts
//! as open until its handler is gone: that, and no limit on cancels, is what makes a flood of opens and cancels dear.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::credit::{ReceiveWindow, SendWindow};
use super::head::{IncomingHead, ResponseHead};

/// The number of a stream: odd if the connecting side opened it, even otherwise; it rises and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number of the driver's own that comes back in each event of a stream: its place in the driver's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u32);

impl Token {
    /// A stream that the driver keeps nothing for.
    pub const NONE: Self = Self(u32::MAX);
}

/// What is kept for an open stream. One that carries a small call has none of the boxes.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) token: Token,
    pub(crate) deadline: Option<Instant>,
    /// The place in all that we sent at which the request ends; `u64::MAX` while parts are to come. Tells, when the
    /// connection dies, whether the peer can have the request.
    pub(crate) ends_at: u64,
    pub(crate) send: SendWindow,
    pub(crate) receive: ReceiveWindow,
    /// Bytes that count against `max_buffered` until the stream is closed.
    pub(crate) buffered: u32,
    pub(crate) state: State,
    /// What a oneway request holds of the credit for such requests; `None` if it is answered.
    pub(crate) oneway: Option<u32>,
    /// Whether the peer may send more on its half.
    pub(crate) peer_ended: bool,
    /// Messages that wait for credit, or for their turn.
    pub(crate) outbox: Option<Box<Outbox>>,
    /// The message that is coming in parts.
    pub(crate) inbox: Option<Box<Inbox>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// We opened it.
    Open,
    /// The peer opened it; its request is not whole yet.
    Receiving,
    /// The peer opened it; its request was handed over.
    Running,
    /// The peer opened it and gave it up; its handler is still there.
    Cancelled,
}

/// Messages of one stream that are not in the out-buffer yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) messages: VecDeque<Outgoing>,
    /// Whether the stream stands in the queue of those that may send.
    pub(crate) queued: bool,
}

/// A message that is being cut into parts.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) body: Bytes,
    /// Whether the first frame, the one that says how long the message is, has been sent.
    pub(crate) begun: bool,
    /// Whether this side's half ends with it.
    pub(crate) end: bool,
}

/// A message of which parts are here.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) total: u32,
    pub(crate) bytes: BytesMut,
    /// Whether this message ends the peer's half.
    pub(crate) end: bool,
    pub(crate) of: InboxOf,
    /// Whether the room for it is reserved, so that the peer has been granted all of it.
    pub(crate) reserved: bool,
}

/// What the message that comes in parts belongs to.
#[derive(Debug)]
pub(crate) enum InboxOf {
    Request(Box<IncomingHead>, Instant),
    Response(Box<ResponseHead>),
    Item,
}
