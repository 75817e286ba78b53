//! What this side wants to send: commands, and whose turn it is.
//!
//! A message that fits into the window and into one frame goes into the out-buffer at once. Any other is cut into
//! parts, and streams with parts take turns when the driver asks for bytes, so that the parts of a large message lie
//! between the small ones, never before them all.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::credit::{ReceiveWindow, SendWindow};
use super::super::error::CancelReason;
use super::super::frame::{Kind, MAX_FRAME_BODY, MAX_PART, flag};
use super::super::head::{RequestHead, ResponseHead, TimeLimit, put_message_length};
use super::super::method::Naming;
use super::super::out::Mark;
use super::super::stream::{Outbox, Outgoing, State, Stream, StreamId, Token};
use super::receive::oneway_cost;
use super::{Connection, Event};
use crate::status::{Certainty, Status};

/// How many bytes of large messages may be unacknowledged while small ones are under way (§8.5): what the sockets
/// have swallowed cannot be overtaken.
const SHARED_WINDOW: u32 = 256 * 1024;

/// Small messages count as under way for this long after one was sent.
const SMALL_LATELY: Duration = Duration::from_millis(10);

/// Large messages leave this much of the connection's credit for small ones, or a quarter of it.
const RESERVE: u32 = 1024 * 1024;

/// How many bytes of parts go into the out-buffer for one write.
const BATCH: usize = 256 * 1024;

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
    pub(super) deadline: Option<Instant>,
    /// `None` once it was given up: the place in the queue stays until its turn.
    pub(super) call: Option<(Box<RequestHead>, Bytes, Open)>,
}

impl Connection {
    /// Opens a call.
    ///
    /// # Errors
    /// Why it could not be; nothing of it was sent.
    #[inline]
    pub fn open(
        &mut self,
        now: Instant,
        head: RequestHead,
        body: Bytes,
        options: Open,
    ) -> Result<Opened, OpenError> {
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
            !self.pending_oneway.is_empty() || self.send_oneway.left() < oneway_cost(body.len())
        } else {
            !self.pending.is_empty() || self.local_open >= self.peer.max_streams
        };
        // What is over the limits that every peer has may be within those that this one is about to tell.
        let large =
            body.len() > self.peer.max_message as usize || head.size_hint() > self.peer.max_header as usize;
        if waits || (large && !self.established) {
            return self.wait(head, body, options);
        }
        self.write_request(now, &head, body, options)
    }

    fn wait(&mut self, head: RequestHead, body: Bytes, options: Open) -> Result<Opened, OpenError> {
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
        queue.push_back(Pending { id, deadline, call: Some((Box::new(head), body, options)) });
        Ok(Opened::Pending(id))
    }

    /// Gives up a call that waits.
    pub fn cancel_pending(&mut self, id: PendingId) {
        for queue in [&mut self.pending, &mut self.pending_oneway] {
            if let Ok(place) = queue.binary_search_by_key(&id, |pending| pending.id) {
                queue[place].call = None;
            }
            while queue.front().is_some_and(|pending| pending.call.is_none()) {
                queue.pop_front();
            }
        }
    }

    /// Sends what has waited, as far as it may be sent now.
    pub(super) fn open_pending(&mut self, now: Instant) {
        // Before the peer's SETTINGS are here, what waits may wait for them.
        if (self.pending.is_empty() && self.pending_oneway.is_empty()) || !self.established {
            return;
        }
        while self.local_open < self.peer.max_streams {
            let Some(pending) = self.pending.pop_front() else { break };
            self.open_waiting(now, pending);
        }
        while let Some(pending) = self.pending_oneway.front() {
            let cost = pending.call.as_ref().map_or(0, |(_, body, _)| oneway_cost(body.len()));
            if self.send_oneway.left() < cost {
                break;
            }
            if let Some(pending) = self.pending_oneway.pop_front() {
                self.open_waiting(now, pending);
            }
        }
    }

    fn open_waiting(&mut self, now: Instant, pending: Pending) {
        let Some((head, body, options)) = pending.call else { return };
        let token = options.token;
        let opened = if body.len() > self.peer.max_message as usize {
            Err(OpenError::TooLarge { length: body.len(), max: self.peer.max_message })
        } else {
            self.write_request(now, &head, body, options)
        };
        self.events.push_back(match opened {
            Ok(Opened::Stream(stream)) => Event::Opened { token, stream },
            Ok(_) => Event::Handed { token },
            Err(error) => Event::Failed { token, status: error.into() },
        });
    }

    #[inline]
    fn write_request(
        &mut self,
        now: Instant,
        head: &RequestHead,
        body: Bytes,
        options: Open,
    ) -> Result<Opened, OpenError> {
        let length = body.len();
        let naming = self.bound.name(head.method, self.peer.max_methods);
        let limit = self.limit(now, head.deadline);
        let id = StreamId(self.next_local);
        let mut send = SendWindow::new(self.peer.stream_credit);
        let whole = self.fits(&mut send, length);

        let (mark, header) = self.out.begin(head.size_hint() + length.min(1024));
        head.encode(naming, limit, header);
        if !whole {
            put_message_length(header, length);
        }
        let header = self.out.header_len(mark);
        if header > self.peer.max_header as usize {
            self.out.abandon(mark);
            if whole {
                // A window cannot overflow by what was just taken from it.
                let _ = self.send_window.grant(length as u32);
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
        if whole {
            self.last_small = Some(now);
            self.finish_frame(mark, Kind::REQUEST, flags, id.0, body);
            if options.oneway {
                return Ok(Opened::Handed);
            }
            self.insert_local(id, options, head.deadline, send, self.queued, None);
        } else {
            self.finish_frame(mark, Kind::REQUEST, flags | flag::MORE, id.0, Bytes::new());
            let outgoing = Outgoing { body, begun: true, end: options.end };
            let outbox = Outbox { messages: VecDeque::from([outgoing]), queued: false };
            self.insert_local(id, options, head.deadline, send, u64::MAX, Some(Box::new(outbox)));
            self.queue_turn(id);
        }
        Ok(Opened::Stream(id))
    }

    #[inline]
    fn insert_local(
        &mut self,
        id: StreamId,
        options: Open,
        deadline: Option<Instant>,
        send: SendWindow,
        ends_at: u64,
        outbox: Option<Box<Outbox>>,
    ) {
        if let Some(deadline) = deadline {
            self.note_deadline(deadline);
        }
        if !options.oneway {
            self.local_open += 1;
        }
        self.streams.insert(
            id,
            Stream {
                token: options.token,
                deadline,
                ends_at,
                send,
                receive: ReceiveWindow::new(self.config.stream_credit),
                buffered: 0,
                state: State::Open,
                oneway: options.oneway.then_some(0),
                peer_ended: false,
                outbox,
                inbox: None,
            },
        );
    }

    /// Takes the credit for a message of this length, if it may go in one frame and at once.
    #[inline]
    fn fits(&mut self, send: &mut SendWindow, length: usize) -> bool {
        length == 0
            || (length <= MAX_FRAME_BODY
                && length <= send.left() as usize
                && self.send_window.take(length as u32)
                && send.take(length as u32))
    }

    /// The time limit to write for this deadline (§6.3).
    #[inline]
    fn limit(&self, now: Instant, deadline: Option<Instant>) -> TimeLimit {
        let Some(deadline) = deadline else { return TimeLimit::None };
        if self.config.timestamp_deadlines {
            let since = deadline.saturating_duration_since(self.opened_at);
            return self
                .opened_unix
                .map_or(TimeLimit::None, |unix| TimeLimit::At(unix + since.as_micros() as u64));
        }
        let remaining = self.keepalive.remaining_to_send(deadline.saturating_duration_since(now));
        TimeLimit::Remaining(remaining.as_micros() as u64)
    }

    /// Gives up a call of ours. Its late answer will be dropped; a stream that is closed already stays so.
    pub fn cancel(&mut self, now: Instant, id: StreamId, reason: CancelReason) {
        if self.is_local(id) && self.free(id).is_some() {
            self.send_cancel(id, reason);
            self.open_pending(now);
        }
    }

    /// Keeps a number with a stream of the peer's, to come back in its events.
    pub fn set_token(&mut self, id: StreamId, token: Token) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.token = token;
        }
    }

    /// The number that is kept with a stream of the peer's; [`Token::NONE`] if there is none.
    pub fn token(&mut self, id: StreamId) -> Token {
        self.streams.get_mut(id).map_or(Token::NONE, |stream| stream.token)
    }

    /// Answers a call of the peer's. If `end` is set this is all, and the stream is closed; otherwise items follow,
    /// and [`finish`](Self::finish). A call that was given up, or is oneway, is only closed.
    #[inline]
    pub fn respond(&mut self, now: Instant, id: StreamId, head: &ResponseHead, body: Bytes, end: bool) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.oneway.is_some() || stream.state == State::Cancelled {
            self.close(id);
            return;
        }
        let length = body.len();
        if length > self.peer.max_message as usize && self.established {
            let status = Status::resource_exhausted(format!(
                "a reply of {length} bytes; the client takes up to {}",
                self.peer.max_message
            ));
            let head =
                ResponseHead { status: Some(status.with_certainty(Certainty::Executed)), ..head.clone() };
            return self.respond(
                now,
                id,
                &ResponseHead { metadata: Default::default(), ..head },
                Bytes::new(),
                true,
            );
        }
        let mut send = stream.send;
        let whole = self.fits(&mut send, length);
        let (mark, header) = self.out.begin(head.size_hint() + length.min(1024));
        head.encode(header);
        if !whole {
            put_message_length(header, length);
        }
        let header = self.out.header_len(mark);
        if header > self.peer.max_header as usize {
            self.out.abandon(mark);
            if whole {
                let _ = self.send_window.grant(length as u32);
            }
            // An answer must go out: one without what is too much, and that says so.
            let status = Status::resource_exhausted(format!(
                "the response's header has {header} bytes, metadata and error details included; the client takes up to {}",
                self.peer.max_header
            ));
            let certainty = head.status.as_ref().map_or(Certainty::Executed, Status::certainty);
            let head =
                ResponseHead { status: Some(status.with_certainty(certainty)), ..ResponseHead::default() };
            return self.respond(now, id, &head, Bytes::new(), true);
        }
        let flags = if end { flag::END } else { 0 };
        if whole {
            self.last_small = Some(now);
            self.finish_frame(mark, Kind::RESPONSE, flags, id.0, body);
            if end {
                self.close(id);
            } else if let Some(stream) = self.streams.get_mut(id) {
                stream.send = send;
            }
            return;
        }
        self.finish_frame(mark, Kind::RESPONSE, flags | flag::MORE, id.0, Bytes::new());
        if let Some(stream) = self.streams.get_mut(id) {
            // The handler is done with a unary call: nothing is overdue any more but the writing.
            stream.deadline = None;
            // What waits for the peer to take it counts like what the peer has sent: one that asks for much and reads
            // nothing is refused more.
            stream.buffered += length as u32;
            self.buffered += length;
            let outbox = stream.outbox.get_or_insert_default();
            outbox.messages.push_back(Outgoing { body, begun: true, end });
        }
        self.queue_turn(id);
    }

    /// Sends an item of a stream; `end` if it is this side's last. Whether there is credit for more: a producer stops
    /// when there is none until the out-box is empty again.
    pub fn send_item(&mut self, id: StreamId, body: Bytes, end: bool) -> bool {
        let Some(stream) = self.streams.get_mut(id) else { return false };
        if stream.state == State::Cancelled {
            return false;
        }
        let outbox = stream.outbox.get_or_insert_default();
        outbox.messages.push_back(Outgoing { body, begun: false, end });
        self.queue_turn(id);
        self.streams.get_mut(id).is_some_and(|stream| stream.outbox.is_none() && stream.send.left() > 0)
    }

    /// Ends this side's half of a stream; at the side that answers with this status and metadata, which closes the
    /// stream.
    pub fn finish(&mut self, id: StreamId, head: Option<&ResponseHead>) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.state == State::Cancelled {
            return self.close(id);
        }
        let (mark, header) = self.out.begin(head.map_or(0, ResponseHead::size_hint));
        if let Some(head) = head {
            head.encode(header);
        }
        if self.out.header_len(mark) > self.peer.max_header as usize {
            self.out.abandon(mark);
            let status =
                Status::resource_exhausted("the stream's closing metadata is more than the peer takes");
            return self.finish(id, Some(&ResponseHead { status: Some(status), ..ResponseHead::default() }));
        }
        self.finish_frame(mark, Kind::END, 0, id.0, Bytes::new());
        if !self.is_local(id) {
            self.close(id);
        }
    }

    /// The reader took this many bytes of items: grants them again.
    pub fn release(&mut self, id: StreamId, bytes: usize) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if let Some(grant) = stream.receive.consume(bytes as u32) {
            self.send_bare(Kind::CREDIT, 0, id, &grant.to_le_bytes());
        }
    }

    /// Closes a stream of the peer's without a word: its handler is gone and no answer is due.
    pub fn close(&mut self, id: StreamId) {
        if !self.is_local(id) {
            self.free(id);
        }
    }

    /// Refuses a request that has no stream yet.
    pub(super) fn refuse(&mut self, id: StreamId, oneway_cost: Option<u32>, status: Status) {
        if let Some(cost) = oneway_cost {
            self.return_oneway(cost);
            return;
        }
        let head = ResponseHead::refusal(status);
        let (mark, header) = self.out.begin(head.size_hint());
        head.encode(header);
        self.finish_frame(mark, Kind::RESPONSE, flag::END, id.0, Bytes::new());
    }

    /// Removes a stream, and gives back all that it held.
    #[inline]
    pub(super) fn free(&mut self, id: StreamId) -> Option<Stream> {
        if self.streams.get_mut(id)?.inbox.is_some() {
            self.drop_inbox(id);
        }
        let stream = self.streams.remove(id)?;
        match (stream.state, stream.oneway) {
            (State::Open, oneway) => self.local_open -= u32::from(oneway.is_none()),
            (_, Some(cost)) => self.return_oneway(cost),
            (_, None) => self.remote_open -= 1,
        }
        if stream.buffered > 0 {
            self.buffered -= stream.buffered as usize;
            self.grant_reservations();
        }
        Some(stream)
    }

    fn return_oneway(&mut self, cost: u32) {
        if let Some(grant) = self.receive_oneway.consume(cost) {
            self.send_bare(Kind::CREDIT, flag::ONEWAY, StreamId(0), &grant.to_le_bytes());
        }
    }

    /// Drops a message that is not whole, and the room that it has.
    pub(super) fn drop_inbox(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(inbox) = stream.inbox.take() else { return };
        let held = std::mem::take(&mut stream.buffered) as usize;
        self.buffered -= held;
        if !inbox.reserved {
            self.waiting -= held;
        }
        self.grant_reservations();
    }

    /// Makes room for large messages, in order of arrival: each is reserved whole or not at all, so that two that
    /// are half here cannot wait for each other. For the same reason the first parts of those that wait do not count.
    pub(super) fn grant_reservations(&mut self) {
        while let Some(&id) = self.reservations.front() {
            let stream = self.streams.get_mut(id);
            // A stream may have ended while it stood here.
            let waiting = stream.and_then(|stream| {
                let inbox = stream.inbox.as_mut().filter(|inbox| !inbox.reserved)?;
                Some((&mut stream.receive, &mut stream.buffered, inbox))
            });
            if let Some((receive, buffered, inbox)) = waiting {
                let (total, held) = (inbox.total as usize, *buffered as usize);
                if self.buffered - self.waiting + total > self.config.max_buffered {
                    return;
                }
                inbox.reserved = true;
                self.waiting -= held;
                self.buffered += total - held;
                *buffered = inbox.total;
                if let Some(grant) = receive.lend((total - inbox.bytes.len()) as u32) {
                    self.send_bare(Kind::CREDIT, 0, id, &grant.to_le_bytes());
                }
            }
            self.reservations.pop_front();
        }
    }

    /// Gives back the room of a message that is whole and was handed over.
    pub(super) fn unreserve(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(id) {
            self.buffered -= std::mem::take(&mut stream.buffered) as usize;
            self.grant_reservations();
        }
    }

    /// Puts a stream that has something to send into the queue, unless it stands there.
    pub(super) fn queue_turn(&mut self, id: StreamId) {
        let Some(outbox) = self.streams.get_mut(id).and_then(|stream| stream.outbox.as_mut()) else { return };
        if !outbox.queued && !outbox.messages.is_empty() {
            outbox.queued = true;
            self.turns.push_back(id);
        }
    }

    /// Gives each waiting stream its turn, until the batch is full or the connection's credit is used up.
    pub(super) fn take_turns(&mut self, now: Instant) {
        let whole = self.peer.connection_credit;
        let lately = |at: Instant| now.saturating_duration_since(at) < SMALL_LATELY;
        let window = if self.last_small.is_some_and(lately) {
            SHARED_WINDOW.min(whole)
        } else {
            whole - RESERVE.min(whole / 4)
        };
        while self.out.len() < BATCH {
            let unacknowledged = whole.saturating_sub(self.send_window.left());
            let room = window.saturating_sub(unacknowledged).min(MAX_PART as u32);
            let Some(&id) = self.turns.front() else { break };
            if room == 0 && self.next_part_has_bytes(id) {
                break;
            }
            self.turns.pop_front();
            if self.send_part(id, room) {
                self.turns.push_back(id);
            }
        }
    }

    fn next_part_has_bytes(&mut self, id: StreamId) -> bool {
        let outbox = self.streams.get_mut(id).and_then(|stream| stream.outbox.as_ref());
        outbox.and_then(|outbox| outbox.messages.front()).is_some_and(|message| !message.body.is_empty())
    }

    /// Sends one part of a stream's next message; whether the stream wants another turn.
    fn send_part(&mut self, id: StreamId, room: u32) -> bool {
        let local = self.is_local(id);
        let Some(stream) = self.streams.get_mut(id) else { return false };
        let Some(outbox) = stream.outbox.as_mut() else { return false };
        outbox.queued = false;
        let Some(message) = outbox.messages.front_mut() else { return false };
        let left = message.body.len();
        let part = left.min(room.min(stream.send.left()) as usize);
        if part == 0 && left > 0 {
            // The stream's credit is used up; a grant puts it back into the queue.
            return false;
        }
        stream.send.take(part as u32);
        self.send_window.take(part as u32);
        let body = message.body.split_to(part);
        let (first, more) = (!std::mem::replace(&mut message.begun, true), part < left);
        let end = message.end;
        let mut wants = true;
        if !more {
            outbox.messages.pop_front();
            if outbox.messages.is_empty() {
                stream.outbox = None;
                wants = false;
            }
        }
        if let Some(outbox) = stream.outbox.as_mut() {
            outbox.queued = true;
        }
        let (oneway, token) = (stream.oneway.is_some(), stream.token);

        let mut flags = if more { flag::MORE } else { 0 };
        if end {
            flags |= flag::END;
        }
        let (mark, header) = self.out.begin(16);
        if first && more {
            put_message_length(header, left);
        }
        self.finish_frame(mark, Kind::DATA, flags, id.0, body);
        if end && !more {
            if !local {
                self.close(id);
            } else if oneway {
                self.free(id);
                self.events.push_back(Event::Handed { token });
            } else if let Some(stream) = self.streams.get_mut(id) {
                stream.ends_at = self.queued;
            }
        }
        wants
    }

    pub(super) fn send_cancel(&mut self, id: StreamId, reason: CancelReason) {
        self.send_bare(Kind::CANCEL, 0, id, &[reason as u8]);
    }

    /// Appends a frame that is nothing but its header.
    pub(super) fn send_bare(&mut self, kind: Kind, flags: u8, id: StreamId, header: &[u8]) {
        let (mark, out) = self.out.begin(header.len());
        out.extend_from_slice(header);
        self.finish_frame(mark, kind, flags, id.0, Bytes::new());
    }

    #[inline]
    pub(super) fn finish_frame(&mut self, mark: Mark, kind: Kind, flags: u8, stream: u64, body: Bytes) {
        let before = self.out.len();
        let frame = super::PREFIX + self.out.header_len(mark) + body.len();
        self.out.finish(mark, kind.0, flags, stream, body);
        debug_assert!(self.out.len() >= before);
        self.queued += frame as u64;
    }
}
