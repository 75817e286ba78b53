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
//! When the connection ends, the streams of running handlers are cancelled and stay until they are closed.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use bytes::Bytes;

use super::credit::{ReceiveWindow, SendWindow};
use super::head::ResponseHead;
use super::inbox::Inbox;

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

/// What is kept for an open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) token: Token,
    pub(crate) deadline: Option<Instant>,
    /// The place in all that we sent at which the request message ends; `u64::MAX` while parts of it are to come.
    /// Tells, when the connection dies, whether the peer can have the request.
    pub(crate) ends_at: u64,
    /// Bytes that count against `max_buffered` until the stream is closed: the request, what of the items was lent,
    /// and what waits to be sent.
    pub(crate) buffered: usize,
    pub(crate) state: State,
    /// What a oneway request holds of the credit for such requests; `None` if it is answered.
    pub(crate) oneway: Option<u32>,
    /// Whether the peer's half has ended.
    pub(crate) peer_ended: bool,
    /// Whether our half has ended, or will with what is in the outbox: nothing may be added. On a stream of the peer's
    /// it says as well that the handler is done.
    pub(crate) ended: bool,
    /// Whether the RESPONSE has come, or has gone out: items may follow it.
    pub(crate) answered: bool,
    /// What more than a frame each way takes. Made when it is first needed, which is never for a small call with one message
    /// each way.
    pub(crate) flow: Option<Box<Flow>>,
}

/// The flow control of a stream that carries more than one frame each way.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) send: SendWindow,
    pub(crate) receive: ReceiveWindow,
    /// What of the window are items, or parts of one, that the reader has not taken.
    pub(crate) unread: u32,
    /// Whether we told the peer to end its half (§9.4): what still comes of it is dropped.
    pub(crate) stopped: bool,
    /// Whether a producer of items waits for [`Event::Sendable`](super::Event::Sendable).
    pub(crate) blocked: bool,
    /// Messages that wait for credit, or for their turn.
    pub(crate) outbox: Option<Box<Outbox>>,
    /// The message that is coming in parts.
    pub(crate) inbox: Option<Box<Inbox>>,
}

/// The credit that each stream has to begin with, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grants {
    /// What the peer grants.
    pub(crate) send: u32,
    /// What this side grants.
    pub(crate) receive: u32,
}

impl Stream {
    /// The stream's flow control; its windows are whole if it had none.
    #[inline]
    pub(crate) fn flow(&mut self, grants: Grants) -> &mut Flow {
        Flow::of(&mut self.flow, grants)
    }

    /// The message that is coming in parts.
    pub(crate) fn inbox(&mut self) -> Option<&mut Inbox> {
        self.flow.as_mut()?.inbox.as_deref_mut()
    }

    /// Messages that wait for credit, or for their turn.
    pub(crate) fn outbox(&mut self) -> Option<&mut Outbox> {
        self.flow.as_mut()?.outbox.as_deref_mut()
    }

    /// Takes the messages out that wait.
    pub(crate) fn take_outbox(&mut self) -> Option<Box<Outbox>> {
        self.flow.as_mut()?.outbox.take()
    }
}

impl Flow {
    /// The flow control in this place, where the rest of the stream is used beside it.
    #[inline]
    pub(crate) fn of(place: &mut Option<Box<Self>>, grants: Grants) -> &mut Self {
        place.get_or_insert_with(|| Box::new(Self::new(grants)))
    }

    pub(crate) fn new(grants: Grants) -> Self {
        Self {
            send: SendWindow::new(grants.send),
            receive: ReceiveWindow::new(grants.receive),
            unread: 0,
            stopped: false,
            blocked: false,
            outbox: None,
            inbox: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// We opened it.
    Open,
    /// The peer opened it; its request is not whole yet.
    Receiving,
    /// The peer opened it; its request was handed over.
    Running,
    /// The peer opened it and gave it up, or is gone; its handler is still there.
    Cancelled,
}

/// Messages of one stream that are not in the out-buffer yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) messages: VecDeque<Outgoing>,
    /// What comes after the messages: an END frame, with the end of the response if we answer.
    pub(crate) finish: Option<Finish>,
    /// Whether the stream stands in the queue of those that may send.
    pub(crate) queued: bool,
}

/// An END frame that waits for the messages before it.
#[derive(Debug)]
pub(crate) struct Finish(pub(crate) Option<Box<ResponseHead>>);

/// A message that is being cut into parts.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) body: Bytes,
    /// Whether the first frame, the one that says how long the message is, has been sent.
    pub(crate) begun: bool,
    /// Whether this side's half ends with it.
    pub(crate) end: bool,
}
