//! Our calls: opened at once, or in the queue until the peer takes one more.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use bytes::Bytes;

use super::super::error::CancelReason;
use super::super::frame::{Kind, MAX_FRAME_BODY, flag};
use super::super::head::{RequestHead, TimeLimit, put_message_length};
use super::super::method::Naming;
use super::super::out::Body;
use super::super::stream::{Outgoing, State, Stream, StreamId, Token};
use super::control::oneway_cost;
use super::{Connection, Event};
use crate::metadata::Metadata;
use crate::status::{Certainty, Status};

/// How a call is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Comes back in each event of the call.
    pub token: Token,
    /// Whether the call is not answered.
    pub oneway: bool,
    /// Whether the body is all of the request; otherwise it is empty, and items follow.
    pub end: bool,
}

/// How a call was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Its request is in the out-buffer, or has its turn.
    Stream(StreamId),
    /// It is oneway and in the out-buffer, whole: there is nothing more to it.
    Handed,
    /// It waits for a free stream, or for credit; an [`Event::Opened`] or [`Event::Handed`] will come.
    Pending(PendingId),
}

/// A call that waits for a free stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingId(u64);

/// Why a call could not be opened. Nothing of it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The connection has ended, for this reason.
    Closed(String),
    /// The peer takes no more calls on this connection.
    Draining,
    /// The request message is longer than the peer takes.
    TooLarge {
        /// Its length, in bytes.
        length: usize,
        /// The most that the peer takes.
        max: u32,
    },
    /// The request's header, in which the metadata is, is longer than the peer takes.
    HeaderTooLarge {
        /// Its length, in bytes.
        length: usize,
        /// The most that the peer takes.
        max: u32,
    },
    /// Too many calls wait for a free stream already.
    QueueFull {
        /// How many.
        pending: usize,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(reason) => f.write_str(reason),
            Self::Draining => f.write_str("the server is shutting down"),
            Self::TooLarge { length, max } => {
                write!(f, "a request of {length} bytes; the server takes up to {max}")
            }
            Self::HeaderTooLarge { length, max } => {
                write!(
                    f,
                    "a request header of {length} bytes, metadata included; the server takes up to {max}"
                )
            }
            Self::QueueFull { pending } => {
                write!(f, "{pending} calls already wait for a free stream on this connection")
            }
        }
    }
}

impl std::error::Error for OpenError {}

impl From<OpenError> for Status {
    fn from(error: OpenError) -> Self {
        let status = match error {
            OpenError::Closed(_) | OpenError::Draining => Self::unavailable(error.to_string()),
            _ => Self::resource_exhausted(error.to_string()),
        };
        status.with_certainty(Certainty::NotSent)
    }
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Pending {
    id: PendingId,
    deadline: Option<Instant>,
    head: Box<RequestHead<'static>>,
    /// Of the head, which borrows them.
    trace: Option<[u8; 25]>,
    metadata: Metadata,
    body: Bytes,
    options: Open,
}

/// Calls that wait, in order. One that is given up leaves its place behind until its turn, or until places are most
/// of the queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    places: VecDeque<(PendingId, Option<Pending>)>,
    live: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.live
    }

    fn push(&mut self, pending: Pending) {
        self.live += 1;
        self.places.push_back((pending.id, Some(pending)));
    }

    fn front(&mut self) -> Option<&Pending> {
        while let Some((_, None)) = self.places.front() {
            self.places.pop_front();
        }
        self.places.front().and_then(|(_, pending)| pending.as_ref())
    }

    pub(super) fn pop(&mut self) -> Option<Pending> {
        self.front()?;
        self.live -= 1;
        self.places.pop_front()?.1
    }

    fn cancel(&mut self, id: PendingId) {
        if let Ok(place) = self.places.binary_search_by_key(&id, |(id, _)| *id)
            && self.places[place].1.take().is_some()
        {
            self.live -= 1;
            self.sweep();
        }
    }

    /// Takes out those for which `due` is true of their deadline.
    pub(super) fn expire(
        &mut self,
        mut due: impl FnMut(Option<Instant>) -> bool,
        mut expired: impl FnMut(Token),
    ) {
        for (_, place) in &mut self.places {
            if let Some(pending) = place.take_if(|pending| due(pending.deadline)) {
                self.live -= 1;
                expired(pending.options.token);
            }
        }
        self.sweep();
    }

    fn sweep(&mut self) {
        if self.places.len() > 2 * self.live + 16 {
            self.places.retain(|(_, pending)| pending.is_some());
        }
    }
}

impl Pending {
    pub(super) fn token(&self) -> Token {
        self.options.token
    }
}

impl Connection {
    /// Opens a call. Head and body are lent: most of both is copied to the out-buffer, and what has to wait is kept here.
    ///
    /// # Errors
    /// Why it could not be; nothing of it was sent.
    #[inline(always)]
    pub fn open(
        &mut self,
        now: Instant,
        head: &RequestHead<'_>,
        body: Body<'_>,
        mut options: Open,
    ) -> Result<Opened, OpenError> {
        // A copy: what is only read as numbers need not lie in memory for the call that has to wait.
        let head = *head;
        // A oneway request is one message: nobody could say how much of a stream was handled.
        options.end |= options.oneway;
        if let Some(error) = &self.error {
            return Err(OpenError::Closed(error.to_string()));
        }
        if self.peer_drains {
            return Err(OpenError::Draining);
        }
        if self.established && body.len() > self.peer.max_message as usize {
            return Err(OpenError::TooLarge { length: body.len(), max: self.peer.max_message });
        }
        let waits = if options.oneway {
            self.pending_oneway.len() > 0 || self.send_oneway.left() < oneway_cost(body.len())
        } else {
            self.pending.len() > 0 || self.local_open >= self.peer.max_streams
        };
        // What is more than the least that every peer takes waits until this one has said what it takes.
        let early = || {
            body.len() > self.peer.max_message as usize || head.size_hint() > self.peer.max_header as usize
        };
        if waits || (!self.established && early()) {
            return self.wait(head, body, options);
        }
        self.write_request(now, head, body, options)
    }

    #[cold]
    fn wait(&mut self, head: RequestHead<'_>, body: Body<'_>, options: Open) -> Result<Opened, OpenError> {
        let pending = self.pending.len() + self.pending_oneway.len();
        if pending >= self.config.max_pending {
            return Err(OpenError::QueueFull { pending });
        }
        let id = PendingId(self.next_pending);
        self.next_pending += 1;
        let deadline = head.deadline;
        if let Some(deadline) = deadline {
            self.note_deadline(deadline);
        }
        let queue = if options.oneway { &mut self.pending_oneway } else { &mut self.pending };
        let (trace, metadata, body) = (head.trace.copied(), head.metadata.clone(), body.to_bytes());
        // By the time that it is sent, less remains.
        let RequestHead { method, path, codec, attempt, is_retry, .. } = head;
        let rest = RequestHead::default();
        let head = Box::new(RequestHead { method, path, codec, deadline, attempt, is_retry, ..rest });
        queue.push(Pending { id, deadline, head, trace, metadata, body, options });
        Ok(Opened::Pending(id))
    }

    /// Gives up a call that waits.
    pub fn cancel_pending(&mut self, now: Instant, id: PendingId) {
        self.pending.cancel(id);
        self.pending_oneway.cancel(id);
        // A oneway call behind it may need less credit.
        self.open_pending(now);
    }

    /// Sends what has waited, as far as it may be sent now.
    #[inline]
    pub(super) fn open_pending(&mut self, now: Instant) {
        // Before the peer's SETTINGS are here, what waits may wait for them.
        if (self.pending.len() > 0 || self.pending_oneway.len() > 0) && self.established {
            self.open_those(now);
        }
    }

    fn open_those(&mut self, now: Instant) {
        while self.local_open < self.peer.max_streams {
            let Some(pending) = self.pending.pop() else { break };
            self.open_waiting(now, pending);
        }
        while let Some(pending) = self.pending_oneway.front() {
            if self.send_oneway.left() < oneway_cost(pending.body.len()) {
                break;
            }
            if let Some(pending) = self.pending_oneway.pop() {
                self.open_waiting(now, pending);
            }
        }
    }

    fn open_waiting(&mut self, now: Instant, pending: Pending) {
        let Pending { head, trace, metadata, body, options, .. } = pending;
        let head = RequestHead { trace: trace.as_ref(), metadata: &metadata, ..*head };
        let token = options.token;
        let opened = if body.len() > self.peer.max_message as usize {
            Err(OpenError::TooLarge { length: body.len(), max: self.peer.max_message })
        } else {
            self.write_request(now, head, Body::from(&body), options)
        };
        self.events.push_back(match opened {
            Ok(Opened::Stream(stream)) => Event::Opened { token, stream },
            Ok(_) => Event::Handed { token },
            Err(error) => Event::Failed { token, status: error.into() },
        });
    }

    #[inline(always)]
    fn write_request(
        &mut self,
        now: Instant,
        head: RequestHead<'_>,
        body: Body<'_>,
        options: Open,
    ) -> Result<Opened, OpenError> {
        let length = body.len();
        let naming = self.bound.name(head.method, head.path, self.peer.max_methods);
        let limit = self.limit(now, &head);
        let id = StreamId(self.next_local);
        let whole = self.fits(self.peer.stream_credit, length);

        let (mark, header) = self.out.begin(head.size_hint() + length.min(1024));
        head.encode(naming, limit, header);
        if !whole {
            put_message_length(header, length);
        }
        let header = self.out.header_len(mark);
        if header > self.peer.max_header as usize {
            self.out.abandon(mark);
            if whole {
                self.send_window.untake(length as u32);
            }
            return Err(OpenError::HeaderTooLarge { length: header, max: self.peer.max_header });
        }
        // Nothing can go wrong any more: from here on the state changes.
        if let Naming::Bind(_) = naming {
            self.bound.bind(head.method);
        }
        self.next_local += 2;
        let mut flags = 0;
        if options.oneway {
            flags |= flag::ONEWAY;
            self.send_oneway.take(oneway_cost(length));
        }
        if options.end {
            flags |= flag::END;
        }
        let here = if whole { body } else { Body::default() };
        if whole {
            self.last_small = Some(now);
            if options.end && !options.oneway {
                self.last_call = Some(now);
            }
        } else {
            flags |= flag::MORE;
        }
        self.finish_frame(mark, Kind::REQUEST, flags, id.0, here);
        if whole && options.oneway {
            return Ok(Opened::Handed);
        }
        self.insert_local(id, options, head.deadline);
        if !whole {
            self.send_in_parts(id, body, options.end);
        } else if !options.end {
            self.count_first(id, length as u32);
        }
        Ok(Opened::Stream(id))
    }

    /// The request's frame said how long the message is; all of it is still to come.
    #[cold]
    fn send_in_parts(&mut self, id: StreamId, body: Body<'_>, end: bool) {
        let grants = self.grants();
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.ends_at = u64::MAX;
        let outgoing = Outgoing { body: body.to_bytes(), begun: true, end };
        stream.flow(grants).outbox.get_or_insert_default().messages.push_back(outgoing);
        self.queue_turn(id);
    }

    /// The first message, before items, counts against their credit.
    #[cold]
    fn count_first(&mut self, id: StreamId, length: u32) {
        let grants = self.grants();
        if let Some(stream) = self.streams.get_mut(id) {
            stream.flow(grants).send.take(length);
        }
    }

    #[inline]
    fn insert_local(&mut self, id: StreamId, options: Open, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            self.note_deadline(deadline);
        }
        if !options.oneway {
            self.local_open += 1;
        }
        self.late_cancels = self.late_cancels.saturating_add(1);
        self.streams.insert(
            id,
            Stream {
                token: options.token,
                deadline,
                ends_at: self.queued,
                buffered: 0,
                state: State::Open,
                oneway: options.oneway.then_some(0),
                peer_ended: false,
                ended: options.end,
                answered: false,
                flow: None,
            },
        );
    }

    /// Takes the connection's credit for a message of this length, if it may go in one frame and at once; `credit` is the
    /// stream's.
    #[inline]
    pub(super) fn fits(&mut self, credit: u32, length: usize) -> bool {
        length == 0
            || (length <= MAX_FRAME_BODY && length <= credit as usize && self.send_window.take(length as u32))
    }

    /// The time limit to write for this deadline (§6.3).
    #[inline(always)]
    fn limit(&self, now: Instant, head: &RequestHead<'_>) -> TimeLimit {
        let Some(deadline) = head.deadline else { return TimeLimit::None };
        if self.config.timestamp_deadlines {
            let since = deadline.saturating_duration_since(self.opened_at);
            return self.opened_unix.map_or(TimeLimit::None, |unix| {
                TimeLimit::At(unix.saturating_add(since.as_micros() as u64))
            });
        }
        let remaining = head.remaining.unwrap_or_else(|| deadline.saturating_duration_since(now));
        TimeLimit::Remaining(self.keepalive.remaining_to_send(remaining))
    }

    /// Gives up a call of ours. Its late answer will be dropped; a stream that is closed already stays so.
    pub fn cancel(&mut self, now: Instant, id: StreamId, reason: CancelReason) {
        if self.is_local(id) && self.free(id).is_some() {
            self.send_cancel(id, reason);
            self.open_pending(now);
        }
    }
}
