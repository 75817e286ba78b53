//! Messages that come in parts, and how much of what the peer sends is kept (§8.4).
//!
//! What may come unasked of a message, which is the stream's first grant, counts at once. The rest is granted when
//! there is room for all of it, in order of arrival: each message is reserved whole or not at all, so that two which
//! are half here cannot wait for each other. For the same reason the first parts of those that wait do not count
//! against a reservation: they are bounded by the streams' own credit.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::super::credit::Consumed;
use super::super::frame::{ITEM_COST, Kind};
use super::super::inbox::{Inbox, InboxOf, Place};
use super::super::stream::{State, Stream, StreamId};
use super::super::table::Table;
use super::{Connection, Event, Incoming};
use crate::status::Status;

/// What is kept of the messages on one side's streams.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes that are kept, or that room is reserved for.
    pub(super) used: usize,
    /// Of these, the first parts of messages that have no room of their own yet.
    waiting: usize,
    /// Messages that wait for room, in order of arrival.
    queue: VecDeque<StreamId>,
}

impl Room {
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn clear_queue(&mut self) {
        self.queue.clear();
    }
}

/// Appends a stream to a queue. Streams that end leave their place behind; so that a peer which opens and cancels
/// cannot make the queue grow without end, the places are swept when there are more of them than streams.
pub(super) fn enqueue(queue: &mut VecDeque<StreamId>, id: StreamId, streams: &mut Table<Stream>) {
    if queue.len() > 2 * streams.len() + 16 {
        queue.retain(|id| streams.get_mut(*id).is_some());
    }
    queue.push_back(id);
}

impl Connection {
    /// The side whose streams share a room with this one.
    #[inline]
    pub(super) fn side(&self, id: StreamId) -> usize {
        usize::from(self.is_local(id))
    }

    /// A message that comes in parts has begun.
    pub(super) fn begin_message(&mut self, id: StreamId, total: u32, first: &[u8], end: bool, of: InboxOf) {
        let (side, grants) = (self.side(id), self.grants());
        let Some(stream) = self.streams.get_mut(id) else { return };
        let flow = stream.flow(grants);
        let held = total.min(self.config.stream_credit) as usize;
        self.rooms[side].used += held;
        let is_item = matches!(of, InboxOf::Item);
        let cost = if is_item { ITEM_COST } else { 0 };
        let grant = if is_item { flow.receive.flush() } else { None };
        let place = if total.saturating_add(cost) <= self.config.stream_credit {
            Place::Reserved
        } else if is_item && flow.receive.taken() > first.len() as u32 + ITEM_COST {
            Place::Behind
        } else {
            Place::Queued
        };
        flow.inbox = Some(Box::new(Inbox::new(total, first, end, of, held, place)));
        if let Some(grant) = grant {
            // What was not worth a frame may be what the rest of the item needs.
            self.send_bare(Kind::CREDIT, 0, id, &grant.to_le_bytes());
        }
        if place != Place::Reserved {
            self.rooms[side].waiting += held;
        }
        if place == Place::Queued {
            enqueue(&mut self.rooms[side].queue, id, &mut self.streams);
            self.grant_room(side);
        }
    }

    /// Reserves room for messages that wait, as far as there is any.
    pub(super) fn grant_room(&mut self, side: usize) {
        // A quarter is left for small requests, which are refused where there is no room.
        let most = self.config.max_buffered - self.config.max_buffered / 4;
        while let Some(&id) = self.rooms[side].queue.front() {
            let stream = self.streams.get_mut(id);
            // A stream may have ended while it stood here.
            if let Some(flow) = stream.and_then(|stream| stream.flow.as_mut())
                && let Some(inbox) = flow.inbox.as_deref_mut().filter(|inbox| inbox.place == Place::Queued)
            {
                let (room, total) = (&mut self.rooms[side], inbox.total as usize);
                if room.used - room.waiting + total > most {
                    return;
                }
                room.waiting -= inbox.held;
                room.used += total - inbox.held;
                inbox.held = total;
                inbox.place = Place::Reserved;
                if let Some(grant) = flow.receive.lend(inbox.total - inbox.here as u32) {
                    self.send_bare(Kind::CREDIT, 0, id, &grant.to_le_bytes());
                }
            }
            self.rooms[side].queue.pop_front();
        }
    }

    /// Drops a message that is not whole, and the room that it has.
    pub(super) fn drop_inbox(&mut self, id: StreamId) {
        if let Some(inbox) = self.streams.get_mut(id).and_then(|stream| stream.flow.as_mut()?.inbox.take()) {
            self.leave_inbox(id, &inbox);
        }
    }

    /// Gives back the room of a message that is not whole and never will be.
    pub(super) fn leave_inbox(&mut self, id: StreamId, inbox: &Inbox) {
        let side = self.side(id);
        self.rooms[side].used -= inbox.held;
        if inbox.place != Place::Reserved {
            self.rooms[side].waiting -= inbox.held;
        }
        self.grant_room(side);
    }

    /// Gives back room that a stream has held.
    #[inline]
    pub(super) fn leave_room(&mut self, side: usize, bytes: usize) {
        if bytes > 0 {
            let room = &mut self.rooms[side];
            room.used -= bytes;
            if !room.queue.is_empty() {
                self.grant_room(side);
            }
        }
    }

    /// A message that came in parts is whole.
    pub(super) fn complete(&mut self, now: Instant, id: StreamId) {
        let side = self.side(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(flow) = stream.flow.as_mut() else { return };
        let Some(inbox) = flow.inbox.take() else { return };
        let (end, held, place, total) = (inbox.end, inbox.held, inbox.place, inbox.total);
        if place != Place::Reserved {
            // All of it fitted into the stream's credit after all, as the reader went on.
            self.rooms[side].waiting -= held;
            self.rooms[side].queue.retain(|queued| *queued != id);
        }
        let (token, (of, body)) = (stream.token, inbox.into_body());
        stream.peer_ended = end;
        match of {
            InboxOf::Request(head, received) => {
                stream.state = State::Running;
                stream.buffered += held;
                if stream.deadline.is_some_and(|deadline| deadline <= now) {
                    return self.refuse_late(id);
                }
                let (oneway, deadline) = (stream.oneway.is_some(), stream.deadline);
                self.events.push_back(Event::Request(Incoming {
                    stream: id,
                    head: *head,
                    body,
                    oneway,
                    end,
                    received,
                    deadline,
                }));
                if !end {
                    self.consume_first(id, total);
                }
            }
            InboxOf::Response(head) => {
                if end {
                    self.free(id);
                    self.open_pending(now);
                } else {
                    self.consume_first(id, total);
                }
                self.leave_room(side, held);
                self.events.push_back(Event::Response { stream: id, token, head: *head, body, end });
            }
            InboxOf::Item => {
                // What the reader has not taken counts against the stream's own credit; what was lent beyond it keeps
                // its room until it is paid back.
                let kept = held.min(flow.receive.lent() as usize);
                stream.buffered += kept;
                self.leave_room(side, held - kept);
                self.hand_item(now, id, body, end);
            }
        }
    }

    /// Hands an item over, and closes the stream if it was the last of a response.
    pub(super) fn hand_item(&mut self, now: Instant, id: StreamId, body: Bytes, end: bool) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let token = stream.token;
        stream.peer_ended = end;
        self.events.push_back(Event::Item { stream: id, token, body });
        if end {
            let local = self.is_local(id);
            let head = local.then(Box::default);
            self.events.push_back(Event::Ended { stream: id, token, head });
            if local {
                self.free(id);
                self.open_pending(now);
            }
        }
    }

    /// The first message of a half that goes on is here: its credit is for the items now.
    #[cold]
    pub(super) fn consume_first(&mut self, id: StreamId, bytes: u32) {
        if bytes == 0 {
            return;
        }
        let grants = self.grants();
        if let Some(stream) = self.streams.get_mut(id)
            && let Some(grant) = stream.flow(grants).receive.consume(bytes).grant
        {
            self.send_bare(Kind::CREDIT, 0, id, &grant.to_le_bytes());
        }
    }

    /// The reader took an item of this length: grants its bytes again.
    pub fn release(&mut self, id: StreamId, length: usize) {
        self.release_cost(id, length.saturating_add(ITEM_COST as usize));
    }

    /// The reader took items that cost this much, their lengths and [`ITEM_COST`] for each: grants it again.
    pub(crate) fn release_cost(&mut self, id: StreamId, cost: usize) {
        let side = self.side(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(flow) = stream.flow.as_mut().filter(|flow| !flow.stopped) else { return };
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        let partial = match flow.inbox.as_deref() {
            Some(Inbox { of: InboxOf::Item, here, .. }) => *here as u32 + ITEM_COST,
            _ => 0,
        };
        // An item that is not whole cannot have been read.
        let cost = cost.min(flow.receive.taken().saturating_sub(partial));
        let read = cost.min(flow.unread);
        flow.unread -= read;
        self.unread -= read as usize;
        let Consumed { grant, paid_back } = flow.receive.consume(cost);
        let grant = match (grant, partial) {
            (None, 1..) => flow.receive.flush(),
            (grant, _) => grant,
        };
        let room = (paid_back as usize).min(stream.buffered);
        stream.buffered -= room;
        if let Some(grant) = grant.filter(|_| stream.state != State::Cancelled) {
            self.send_bare(Kind::CREDIT, 0, id, &grant.to_le_bytes());
        }
        self.leave_room(side, room);
        if let Some(flow) = self.streams.get_mut(id).and_then(|stream| stream.flow.as_mut())
            && flow.receive.taken() == partial
            && let Some(inbox) = flow.inbox.as_deref_mut()
            && inbox.place == Place::Behind
        {
            inbox.place = Place::Queued;
            enqueue(&mut self.rooms[side].queue, id, &mut self.streams);
            self.grant_room(side);
        }
    }

    /// Answers a request whose time was up before it was whole.
    pub(super) fn refuse_late(&mut self, id: StreamId) {
        // `free` gives the credit of a oneway request back; what is left to do for one is nothing.
        let cost = self.free(id).and_then(|stream| stream.oneway).map(|_| 0);
        self.refuse(id, cost, Status::deadline_exceeded("the time was up before the whole request was here"));
    }
}
