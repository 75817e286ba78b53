//! What this side sends on open streams: answers, items, and whose turn it is.
//!
//! A message that fits into the window and into one frame goes into the out-buffer at once. Any other is cut into
//! parts, and streams with parts take turns when the driver asks for bytes, so that the parts of a large message lie
//! between the small ones, never before them all.

use std::fmt;
use std::time::Instant;

use bytes::Bytes;

use super::super::error::CancelReason;
use super::super::frame::{ITEM_COST, Kind, MAX_FRAME_BODY, MAX_PART, flag};
use super::super::head::{ResponseHead, put_message_length};
use super::super::out::{Body, Mark};
use super::super::stream::{Finish, Flow, Outgoing, State, Stream, StreamId, Token};
use super::room::enqueue;
use super::{Connection, Event};
use crate::status::{Certainty, Status};

/// An item up to this length, in bytes, counts as a small message; a longer one is bulk.
const SMALL_ITEM: usize = 8 * 1024;

/// How many bytes of parts go into the out-buffer for one write…
const BATCH: usize = 256 * 1024;

/// …and how many while no small message is under way: each write wakes the peer, but what is written at once is to fit the
/// core's cache together with what is read (1 MiB took 8 % more processor time between two processes).
const BULK: usize = 512 * 1024;

/// Why an item could not be sent. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The stream is closed or was given up, or this side has ended its half.
    Closed,
    /// The call has not been answered yet: items come after [`Connection::respond`].
    NotAnswered,
    /// The item is longer than the peer takes.
    TooLarge {
        /// Its length, in bytes.
        length: usize,
        /// The most that the peer takes.
        max: u32,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the stream is closed"),
            Self::NotAnswered => f.write_str("an item before the response"),
            Self::TooLarge { length, max } => {
                write!(f, "an item of {length} bytes; the peer takes up to {max}")
            }
        }
    }
}

impl std::error::Error for SendError {}

/// What is left to know of a stream that was closed.
#[derive(Clone, Copy)]
pub(super) struct Freed {
    pub(super) token: Token,
    pub(super) oneway: Option<u32>,
}

impl Connection {
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
    /// and [`finish`](Self::finish). A call that was given up, or is oneway, is only closed. A second answer is none.
    #[inline]
    pub fn respond(&mut self, now: Instant, id: StreamId, head: &ResponseHead, body: Body<'_>, end: bool) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.oneway.is_some() || stream.state == State::Cancelled {
            self.close(id);
            return;
        }
        if stream.answered || stream.state == State::Open {
            return;
        }
        let length = body.len();
        if length > self.peer.max_message as usize {
            let status = Status::resource_exhausted(format!(
                "a reply of {length} bytes; the client takes up to {}",
                self.peer.max_message
            ));
            let status = Some(status.with_certainty(Certainty::Executed));
            let head =
                ResponseHead { status, queue: head.queue, handler: head.handler, ..Default::default() };
            return self.respond(now, id, &head, Body::default(), true);
        }
        let credit = stream.flow.as_ref().map_or(self.peer.stream_credit, |flow| flow.send.left());
        let whole = self.fits(credit, length);
        let (mark, header) = self.out.begin(head.size_hint() + length.min(1024));
        head.encode(header);
        if !whole {
            put_message_length(header, length);
        }
        let header = self.out.header_len(mark);
        if header > self.peer.max_header as usize {
            self.out.abandon(mark);
            if whole {
                self.send_window.untake(length as u32);
            }
            let head = self.without_what_is_too_much(head, header);
            return self.respond(now, id, &head, Body::default(), true);
        }
        let flags = if end { flag::END } else { 0 };
        if whole {
            self.last_small = Some(now);
            if end {
                self.last_call = Some(now);
            }
            self.finish_frame(mark, Kind::RESPONSE, flags, id.0, body);
            if end {
                self.take_out(id);
            } else {
                let grants = self.grants();
                if let Some(stream) = self.streams.get_mut(id) {
                    stream.answered = true;
                    stream.flow(grants).send.take(length as u32);
                }
            }
            return;
        }
        self.finish_frame(mark, Kind::RESPONSE, flags | flag::MORE, id.0, Body::default());
        if let Some(stream) = self.streams.get_mut(id) {
            stream.answered = true;
            stream.ended = end;
            if end {
                // The handler is done: nothing is overdue any more but the writing.
                stream.deadline = None;
            }
        }
        self.queue_message(id, Outgoing { body: body.to_bytes(), begun: true, end });
    }

    /// An answer must go out: the head of one without what makes its header longer than the peer takes. An error keeps
    /// its code.
    fn without_what_is_too_much(&self, head: &ResponseHead, header: usize) -> ResponseHead {
        let max = self.peer.max_header;
        let status = match &head.status {
            Some(status) => Status::new(
                status.code(),
                format!(
                    "{} (details and metadata left out: {header} bytes; the client takes up to {max})",
                    &status.message()[..status.message().floor_char_boundary(512)]
                ),
            )
            .with_certainty(status.certainty()),
            None => Status::resource_exhausted(format!(
                "the response's header has {header} bytes, metadata included; the client takes up to {max}"
            ))
            .with_certainty(Certainty::Executed),
        };
        ResponseHead { status: Some(status), queue: head.queue, handler: head.handler, ..Default::default() }
    }

    /// Sends an item of a stream; `end` if it is this side's last. Whether there is room for more: if not, a producer
    /// stops until [`Event::Sendable`]. What it sends all the same is kept.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn send_item(
        &mut self,
        now: Instant,
        id: StreamId,
        body: Bytes,
        end: bool,
    ) -> Result<bool, SendError> {
        let (reserve, grants) = (self.reserve(), self.grants());
        let stream = self.streams.get_mut(id).ok_or(SendError::Closed)?;
        if stream.ended || stream.state == State::Cancelled {
            return Err(SendError::Closed);
        }
        if stream.state != State::Open && !stream.answered {
            return Err(SendError::NotAnswered);
        }
        let (length, max) = (body.len(), self.peer.max_message);
        if length > max as usize {
            return Err(SendError::TooLarge { length, max });
        }
        stream.ended = end;
        if end && stream.state != State::Open {
            stream.deadline = None;
        }
        let flow = stream.flow(grants);
        let fits = flow.outbox.is_none()
            && length <= MAX_FRAME_BODY
            && flow.send.left() >= ITEM_COST + length as u32
            && self.send_window.left() >= reserve + length as u32
            && self.send_window.take(length as u32);
        if fits {
            flow.send.take(ITEM_COST + length as u32);
            let (mark, _) = self.out.begin(length.min(1024));
            self.finish_frame(mark, Kind::DATA, if end { flag::END } else { 0 }, id.0, Body::from(&body));
            if length <= SMALL_ITEM {
                self.last_small = Some(now);
            }
            self.item_sent(length);
            if end {
                self.close(id);
                return Ok(false);
            }
        } else {
            self.queue_message(id, Outgoing { body, begun: false, end });
        }
        let Some(stream) = self.streams.get_mut(id) else { return Ok(false) };
        let flow = stream.flow(grants);
        let room = flow.outbox.is_none() && flow.send.left() > ITEM_COST;
        flow.blocked = !room && !end;
        Ok(room && !end)
    }

    /// Whether an item of this length has to wait until the peer has said what it takes (§5.2): most take more than what all
    /// of them take.
    pub fn is_early(&self, length: usize) -> bool {
        !self.established && length > self.peer.max_message as usize
    }

    /// An [`Event::Sendable`] shall come as soon as the peer has said what it takes.
    pub fn wait_to_send(&mut self, id: StreamId) {
        let grants = self.grants();
        if let Some(stream) = self.streams.get_mut(id) {
            stream.flow(grants).blocked = true;
        }
    }

    /// How many bytes of items, with what each costs beside its length, may be sent on this stream at the moment; at 0
    /// an [`Event::Sendable`] will come. `None` if nothing may be sent on it any more.
    pub fn item_room(&mut self, id: StreamId) -> Option<usize> {
        let shared = self.send_window.left().saturating_sub(self.reserve());
        let grants = self.grants();
        let stream = self.streams.get_mut(id)?;
        if stream.ended || stream.state == State::Cancelled {
            return None;
        }
        let flow = stream.flow(grants);
        if flow.outbox.is_some() || flow.send.left() <= ITEM_COST {
            flow.blocked = true;
            return Some(0);
        }
        // Where the connection has no room the next item waits in the outbox, and that it has left is told.
        Some(flow.send.left().min(shared).max(ITEM_COST + 1) as usize)
    }

    /// Ends this side's half of a stream after the items that wait; at the side that answers with this status and
    /// metadata, which closes the stream.
    pub fn finish(&mut self, now: Instant, id: StreamId, head: Option<&ResponseHead>) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.state == State::Cancelled {
            return self.close(id);
        }
        if stream.ended {
            return;
        }
        if stream.state != State::Open {
            if !stream.answered {
                return self.respond(
                    now,
                    id,
                    head.unwrap_or(&ResponseHead::default()),
                    Body::default(),
                    true,
                );
            }
            stream.deadline = None;
        }
        stream.ended = true;
        if let Some(flow) = &mut stream.flow {
            flow.blocked = false;
        }
        match stream.outbox() {
            Some(outbox) => outbox.finish = Some(Finish(head.cloned().map(Box::new))),
            None => self.write_end(id, head),
        }
    }

    fn write_end(&mut self, id: StreamId, head: Option<&ResponseHead>) {
        let (mark, header) = self.out.begin(head.map_or(0, ResponseHead::size_hint));
        if let Some(head) = head {
            head.encode(header);
        }
        let header = self.out.header_len(mark);
        if let Some(head) = head
            && header > self.peer.max_header as usize
        {
            self.out.abandon(mark);
            let head = self.without_what_is_too_much(head, header);
            return self.write_end(id, Some(&head));
        }
        self.finish_frame(mark, Kind::END, 0, id.0, Body::default());
        self.close(id);
    }

    /// Closes a stream of the peer's without a word: its handler is gone and no answer is due.
    pub fn close(&mut self, id: StreamId) {
        if !self.is_local(id) {
            self.free(id);
        }
    }

    /// Ends a call of the peer's with an error, while its handler is still there.
    pub(super) fn send_end(&mut self, id: StreamId, answered: bool, head: &ResponseHead) {
        let (mark, header) = self.out.begin(head.size_hint());
        head.encode(header);
        let (kind, flags) = if answered { (Kind::END, 0) } else { (Kind::RESPONSE, flag::END) };
        self.finish_frame(mark, kind, flags, id.0, Body::default());
    }

    /// Refuses a request that has no stream yet.
    pub(super) fn refuse(&mut self, id: StreamId, oneway_cost: Option<u32>, status: Status) {
        if let Some(cost) = oneway_cost {
            self.return_oneway(cost);
            return;
        }
        self.send_end(id, false, &ResponseHead::refusal(status));
    }

    /// Removes a stream, and gives back all that it held.
    pub(super) fn free(&mut self, id: StreamId) -> Option<Freed> {
        self.take_out(id)
    }

    /// The same, within the functions that end most calls.
    #[inline(always)]
    pub(super) fn take_out(&mut self, id: StreamId) -> Option<Freed> {
        let take = |stream: &mut Stream| {
            let &mut Stream { token, state, oneway, buffered, .. } = stream;
            (token, state, oneway, buffered, stream.flow.take())
        };
        let (token, state, oneway, buffered, flow) = self.streams.close(id, take)?;
        if let Some(flow) = flow {
            self.leave_flow(id, &flow);
        }
        match (state, oneway) {
            (State::Open, oneway) => self.local_open -= u32::from(oneway.is_none()),
            (_, Some(cost)) => self.return_oneway(cost),
            (_, None) => self.remote_open -= 1,
        }
        self.leave_room(self.side(id), buffered);
        Some(Freed { token, oneway })
    }

    /// Gives back what the items and parts of a stream have held.
    #[cold]
    fn leave_flow(&mut self, id: StreamId, flow: &Flow) {
        self.unread -= flow.unread as usize;
        if let Some(inbox) = &flow.inbox {
            self.leave_inbox(id, inbox);
        }
    }

    fn return_oneway(&mut self, cost: u32) {
        if let Some(grant) = self.receive_oneway.consume(cost).grant
            && self.error.is_none()
        {
            self.send_bare(Kind::CREDIT, flag::ONEWAY, StreamId(0), &grant.to_le_bytes());
        }
    }

    /// Keeps a message until its turn. On a stream of the peer's what waits counts like what the peer has sent: one
    /// that asks for much and reads nothing is refused more.
    fn queue_message(&mut self, id: StreamId, message: Outgoing) {
        let (side, grants) = (self.side(id), self.grants());
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.state != State::Open {
            stream.buffered += message.body.len();
            self.rooms[side].used += message.body.len();
        }
        stream.flow(grants).outbox.get_or_insert_default().messages.push_back(message);
        self.queue_turn(id);
    }

    /// Puts a stream that has something to send into the queue, unless it stands there.
    pub(super) fn queue_turn(&mut self, id: StreamId) {
        let Some(outbox) = self.streams.get_mut(id).and_then(Stream::outbox) else { return };
        if !std::mem::replace(&mut outbox.queued, true) {
            enqueue(&mut self.turns, id, &mut self.streams);
        }
    }

    /// Gives each waiting stream its turn, until the batch is full or the connection's credit is used up.
    pub(super) fn take_turns(&mut self, now: Instant) {
        let whole = self.peer.connection_credit;
        let shared = self.small_lately(now);
        let window = whole - self.reserve();
        // The batch is of parts alone: a connection that is full of small messages must not starve the large ones.
        let mut batch = if shared { BATCH } else { BULK };
        while let Some(&id) = self.turns.front() {
            let unacknowledged = whole.saturating_sub(self.send_window.left());
            let mut room = window.saturating_sub(unacknowledged).min(MAX_PART as u32);
            room = room.min(self.send_window.left());
            // Also when it is not asked for: what is acknowledged leaves the list.
            let share = self.share_of_parts();
            if shared {
                room = room.min(share);
            }
            if batch == 0 || (room == 0 && self.next_part_has_bytes(id)) {
                break;
            }
            self.turns.pop_front();
            let before = self.out.len();
            if self.send_part(id, room) {
                self.turns.push_back(id);
            }
            batch = batch.saturating_sub(self.out.len() - before);
        }
    }

    fn next_part_has_bytes(&mut self, id: StreamId) -> bool {
        let outbox = self.streams.get_mut(id).and_then(Stream::outbox);
        outbox.and_then(|outbox| outbox.messages.front()).is_some_and(|message| !message.body.is_empty())
    }

    /// Sends one part of a stream's next message; whether the stream wants another turn.
    fn send_part(&mut self, id: StreamId, room: u32) -> bool {
        let side = self.side(id);
        let Some(stream) = self.streams.get_mut(id) else { return false };
        let Some(flow) = stream.flow.as_mut() else { return false };
        let Some(outbox) = flow.outbox.as_mut() else { return false };
        outbox.queued = false;
        let Some(message) = outbox.messages.front_mut() else { return false };
        let left = message.body.len();
        // An item costs something beside its bytes, which is paid with its first part.
        let cost = if message.begun { 0 } else { ITEM_COST };
        let part = left.min(room.min(flow.send.left().saturating_sub(cost)) as usize);
        if (part == 0 && left > 0) || !flow.send.take(part as u32 + cost) {
            // The stream's credit is used up; a grant puts it back into the queue.
            return false;
        }
        if self.send_window.take(part as u32) {
            self.parts.sent(self.send_window.taken(), part as u32);
        }
        let body = message.body.split_to(part);
        let (first, more, end) = (!std::mem::replace(&mut message.begun, true), part < left, message.end);
        let mut finish = None;
        if !more {
            outbox.messages.pop_front();
            if outbox.messages.is_empty() {
                finish = outbox.finish.take();
                flow.outbox = None;
            }
        }
        let wants = flow.outbox.as_mut().is_some_and(|outbox| {
            outbox.queued = true;
            true
        });
        let (local, oneway, token) = (stream.state == State::Open, stream.oneway.is_some(), stream.token);
        if !local {
            stream.buffered -= part;
        }
        if !wants && flow.blocked && flow.send.left() > ITEM_COST {
            flow.blocked = false;
            self.events.push_back(Event::Sendable { stream: id, token });
        }

        // That the half ends stands on the first frame of the message.
        let mut flags = if more { flag::MORE } else { 0 };
        if first && end {
            flags |= flag::END;
        }
        let (mark, header) = self.out.begin(16);
        if first && more {
            put_message_length(header, left);
        }
        self.finish_frame(mark, Kind::DATA, flags, id.0, Body::from(&body));
        if !local {
            self.leave_room(side, part);
        }
        if !more && local {
            if oneway {
                self.free(id);
                self.events.push_back(Event::Handed { token });
            } else if let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.ends_at == u64::MAX)
            {
                // Only now can the peer have the request.
                stream.ends_at = self.queued;
            }
        } else if !more && end {
            self.close(id);
        }
        if let Some(Finish(head)) = finish {
            self.write_end(id, head.as_deref());
        }
        wants
    }

    /// Tells a producer that stopped that there is room, after a grant.
    pub(super) fn unblock(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(id)
            && let Some(flow) = &mut stream.flow
            && flow.blocked
            && flow.outbox.is_none()
            && flow.send.left() > ITEM_COST
        {
            flow.blocked = false;
            self.events.push_back(Event::Sendable { stream: id, token: stream.token });
        }
    }

    pub(super) fn send_cancel(&mut self, id: StreamId, reason: CancelReason) {
        self.send_bare(Kind::CANCEL, 0, id, &[reason as u8]);
    }

    /// Appends a frame that is nothing but its header.
    pub(super) fn send_bare(&mut self, kind: Kind, flags: u8, id: StreamId, header: &[u8]) {
        let (mark, out) = self.out.begin(header.len());
        out.extend_from_slice(header);
        self.finish_frame(mark, kind, flags, id.0, Body::default());
    }

    #[inline]
    pub(super) fn finish_frame(&mut self, mark: Mark, kind: Kind, flags: u8, stream: u64, body: Body<'_>) {
        let frame = super::PREFIX + self.out.header_len(mark) + body.len();
        self.out.finish(mark, kind.0, flags, stream, body);
        self.queued += frame as u64;
        if matches!(kind, Kind::RESPONSE | Kind::END | Kind::CREDIT | Kind::PONG) {
            self.caused += frame;
        }
    }
}
