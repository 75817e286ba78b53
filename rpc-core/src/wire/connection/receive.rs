//! A frame of a call came: a request, a response, or more of either.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::error::{CancelReason, ConnectionError, ErrorCode};
use super::super::frame::{ITEM_COST, Kind, Prefix, flag};
use super::super::head::{RequestFields, ResponseHead, TimeLimit, message_length};
use super::super::inbox::InboxOf;
use super::super::stream::{Flow, State, Stream, StreamId, Token};
use super::control::{oneway_cost, overrun, protocol};
use super::{Answers, Connection, Event, Incoming};
use crate::status::{Certainty, Status};

impl Connection {
    /// Acts on a frame. Its body is a slice of the buffer that it came in.
    #[inline]
    pub(super) fn handle_frame(
        &mut self,
        now: Instant,
        began: Instant,
        prefix: &Prefix,
        header: &[u8],
        body: Bytes,
        answers: &mut impl Answers,
    ) -> Result<(), ConnectionError> {
        let id = StreamId(prefix.stream);
        match Kind(prefix.kind) {
            Kind::REQUEST => self.on_request(now, began, prefix, header, body),
            Kind::RESPONSE => {
                let mut head = ResponseHead::default();
                let length = head.decode(header, self.config.max_metadata);
                self.on_response(now, prefix, &mut head, length, body, answers)
            }
            Kind::DATA => self.on_data(now, id, prefix.flags, message_length(header), body),
            _ => self.on_control(now, prefix, header),
        }
    }

    #[inline]
    fn on_request(
        &mut self,
        now: Instant,
        began: Instant,
        prefix: &Prefix,
        header: &[u8],
        body: Bytes,
    ) -> Result<(), ConnectionError> {
        let (id, flags) = (StreamId(prefix.stream), prefix.flags);
        if id.0 == 0 || self.is_local(id) {
            return Err(protocol(format!("a request on stream {id}, which is not the peer's to open")));
        }
        if id.0 <= self.highest_remote {
            return Err(protocol(format!("stream {id} was opened after stream {}", self.highest_remote)));
        }
        let (end, more, oneway) =
            (flags & flag::END != 0, flags & flag::MORE != 0, flags & flag::ONEWAY != 0);
        if oneway && !end {
            return Err(protocol(format!("a oneway request on stream {id} that is not one message")));
        }
        self.highest_remote = id.0;
        self.late_cancels = self.late_cancels.saturating_add(1);
        self.received(body.len())?;

        let mut fields = RequestFields::default();
        fields.decode(header, self.config.max_metadata);
        // Bindings hold in wire order, whatever becomes of the request.
        let RequestFields { mut head, number, limit, length, mut refused } = fields;
        match (number, &head.name) {
            (Some(number), Some(name)) => {
                head.number = Some(self.names.bind(number, name, self.config.max_methods)?);
            }
            (Some(number), None) => head.number = Some(self.names.check(number)?),
            (None, Some(_)) => {}
            (None, None) => {
                refused.get_or_insert("the request names no method".into());
            }
        }

        let total = if more { length } else { Some(body.len() as u64) };
        let cost = oneway
            .then(|| oneway_cost(total.map_or(0, |total| usize::try_from(total).unwrap_or(usize::MAX))));
        if let Some(cost) = cost {
            self.receive_oneway.receive(cost).map_err(|_| overrun("connection for oneway requests"))?;
        }
        if body.len() as u32 > self.config.stream_credit {
            return Err(overrun("stream"));
        }
        let deadline = self.read_limit(limit, began);
        let refusal = match total {
            None => {
                Some(Status::invalid_argument("the request comes in parts and does not say how long it is"))
            }
            Some(_) if refused.is_some() => Some(Status::invalid_argument(format!(
                "the request's header cannot be read: {}",
                refused.take().unwrap_or_default()
            ))),
            Some(_) if deadline.is_some_and(|deadline| deadline <= now) => {
                Some(Status::deadline_exceeded("the time was up before the whole request was here"))
            }
            Some(total) => self.admit(id, total, body.len(), oneway),
        };
        if let Some(status) = refusal {
            self.refuse(id, cost, status);
            return Ok(());
        }
        // Not above the limit, or it would have been refused.
        let total = total.unwrap_or(0) as u32;
        if let Some(deadline) = deadline {
            self.note_deadline(deadline);
        }
        let mut stream = Stream {
            token: Token::NONE,
            deadline,
            ends_at: 0,
            buffered: 0,
            state: State::Running,
            oneway: cost,
            peer_ended: end && !more,
            ended: false,
            answered: false,
            flow: None,
        };
        if more || !end {
            // Not above the credit, which was looked at.
            let _ = stream.flow(self.grants()).receive.receive(body.len() as u32);
        }
        if !oneway {
            self.remote_open += 1;
        }
        if more {
            stream.state = State::Receiving;
            self.streams.insert(id, stream);
            self.begin_message(id, total, &body, end, InboxOf::Request(Box::new(head), began));
            return Ok(());
        }
        stream.buffered = total as usize;
        self.rooms[0].used += total as usize;
        self.streams.insert(id, stream);
        if !end {
            self.consume_first(id, total);
        }
        self.events.push_back(Event::Request(Incoming {
            stream: id,
            head,
            body,
            oneway,
            end,
            received: began,
            deadline,
        }));
        Ok(())
    }

    /// Why a request that could be read is refused all the same, if it is.
    #[inline(always)]
    fn admit(&self, id: StreamId, total: u64, here: usize, oneway: bool) -> Option<Status> {
        if total > u64::from(self.config.max_message) {
            return Some(Status::resource_exhausted(format!(
                "a request of {total} bytes; this server takes up to {}",
                self.config.max_message
            )));
        }
        if (here as u64) > total {
            return Some(Status::invalid_argument("the request is longer than it says"));
        }
        if self.drain.refuses(id) {
            return Some(Status::unavailable("the server is shutting down"));
        }
        if !oneway && self.remote_open >= self.config.max_streams {
            return Some(Status::resource_exhausted(format!(
                "{} calls are open on this connection; this server takes no more",
                self.remote_open
            )));
        }
        // Of a large message only what may come unasked counts here; the rest waits for room.
        let unasked = total.min(u64::from(self.config.stream_credit)) as usize;
        let used = self.rooms[0].used;
        if used + unasked > self.config.max_buffered {
            return Some(Status::resource_exhausted(format!(
                "requests of {used} bytes are waiting on this connection; this server takes no more"
            )));
        }
        None
    }

    /// When the time of a request is up that says this of itself.
    #[inline(always)]
    fn read_limit(&self, limit: TimeLimit, began: Instant) -> Option<Instant> {
        match limit {
            TimeLimit::None => None,
            // A limit beyond the end of time is none.
            TimeLimit::Remaining(micros) => began.checked_add(Duration::from_micros(micros)),
            TimeLimit::At(unix) => {
                let micros = unix.saturating_sub(self.opened_unix?);
                self.opened_at.checked_add(Duration::from_micros(micros))
            }
        }
    }

    #[inline]
    fn on_response(
        &mut self,
        now: Instant,
        prefix: &Prefix,
        head: &mut ResponseHead,
        length: Result<Option<u64>, Cow<'static, str>>,
        mut body: Bytes,
        answers: &mut impl Answers,
    ) -> Result<(), ConnectionError> {
        let (id, flags) = (StreamId(prefix.stream), prefix.flags);
        self.received(body.len())?;
        if id.0 == 0 || !self.is_local(id) || !self.was_opened(id) {
            return Err(protocol(format!("a response on stream {id}, which was not opened")));
        }
        let grants = self.grants();
        let Some(stream) = self.streams.get_mut(id) else {
            // It crossed our cancel, or the stream's deadline.
            return Ok(());
        };
        if stream.answered {
            return Err(protocol(format!("a second response on stream {id}")));
        }
        if stream.oneway.is_some() {
            return Err(protocol(format!("a response to the oneway request on stream {id}")));
        }
        stream.answered = true;
        self.answered = true;
        let (end, more, token) = (flags & flag::END != 0, flags & flag::MORE != 0, stream.token);
        let bytes = body.len() as u32;
        let in_window = match &mut stream.flow {
            None if end && !more => bytes <= self.config.stream_credit,
            _ => stream.flow(grants).receive.receive(bytes).is_ok(),
        };
        if !in_window {
            return Err(overrun("stream"));
        }
        let length = match length {
            Ok(length) => length,
            Err(reason) => {
                let status = Status::internal(format!("the response's header cannot be read: {reason}"));
                return self.give_up(now, id, status, (!end || more).then_some(CancelReason::Dropped));
            }
        };
        let total = if more { length } else { Some(body.len() as u64) };
        let Some(total) = total.filter(|total| body.len() as u64 <= *total) else {
            return Err(protocol("a response in parts that does not say how long it is, or is longer"));
        };
        let max = self.config.max_message;
        if total > u64::from(max) {
            let status = Status::resource_exhausted(format!(
                "a reply of {total} bytes; this client takes up to {max}"
            ))
            .with_certainty(Certainty::Executed);
            return self.give_up(now, id, status, (!end || more).then_some(CancelReason::TooLarge));
        }
        if more {
            self.begin_message(
                id,
                total as u32,
                &body,
                end,
                InboxOf::Response(Box::new(std::mem::take(head))),
            );
            return Ok(());
        }
        if end {
            self.take_out(id);
            self.open_pending(now);
            if answers.answer(token, head, &mut body) {
                return Ok(());
            }
        } else {
            self.consume_first(id, total as u32);
        }
        let head = std::mem::take(head);
        self.events.push_back(Event::Response { stream: id, token, head, body, end });
        Ok(())
    }

    /// Ends a call of ours with this status, and tells the peer if it would go on.
    pub(super) fn give_up(
        &mut self,
        now: Instant,
        id: StreamId,
        status: Status,
        tell: Option<CancelReason>,
    ) -> Result<(), ConnectionError> {
        if let Some(reason) = tell {
            self.send_cancel(id, reason);
        }
        if let Some(stream) = self.free(id) {
            self.events.push_back(Event::Failed { token: stream.token, status });
        }
        self.open_pending(now);
        Ok(())
    }

    fn on_data(
        &mut self,
        now: Instant,
        id: StreamId,
        flags: u8,
        length: Option<u64>,
        body: Bytes,
    ) -> Result<(), ConnectionError> {
        let (end, more) = (flags & flag::END != 0, flags & flag::MORE != 0);
        if body.is_empty() && more {
            self.keepalive.cheap_frame(now)?;
        }
        self.received(body.len())?;
        if id.0 == 0 || !self.was_opened(id) {
            return Err(protocol(format!("data on stream {id}, which was not opened")));
        }
        let local = self.is_local(id);
        let (max, grants) = (self.config.max_message, self.grants());
        let Some(stream) = self.streams.get_mut(id) else {
            // Late: the stream was answered or given up while this was under way.
            return Ok(());
        };
        let flow = Flow::of(&mut stream.flow, grants);
        if flow.stopped {
            // It crossed our stop. Nothing of it is kept.
            stream.peer_ended |= end;
            return flow.receive.receive(body.len() as u32).map_err(|_| overrun("stream"));
        }
        if let Some(inbox) = &mut flow.inbox {
            flow.receive.receive(body.len() as u32).map_err(|_| overrun("stream"))?;
            let total = inbox.total as usize;
            let here = inbox.here + body.len();
            if here > total || (!more && here < total) {
                return Err(protocol(format!("a message of {total} bytes on stream {id} came as {here}")));
            }
            if end {
                return Err(protocol(format!("END on a further part of a message on stream {id}")));
            }
            inbox.append(&body);
            return self.part_came(now, id, body.len() as u32, more);
        }
        if stream.state == State::Cancelled {
            return Ok(());
        }
        if stream.peer_ended || (local && !stream.answered) {
            return Err(protocol(format!("data on stream {id} before the response, or after the end")));
        }
        flow.receive.receive(body.len() as u32 + ITEM_COST).map_err(|_| overrun("stream"))?;
        let total = if more { length } else { Some(body.len() as u64) };
        let Some(total) = total.filter(|total| body.len() as u64 <= *total) else {
            return Err(protocol("an item in parts that does not say how long it is, or is longer"));
        };
        if total > u64::from(max) {
            return Err(ConnectionError::ours(
                ErrorCode::TooLarge,
                format!("an item of {total} bytes on stream {id}; the limit is {max}"),
            ));
        }
        if !self.note_unread(id, body.len() as u32 + ITEM_COST) {
            return self.crowded_out(now, id);
        }
        if more {
            self.begin_message(id, total as u32, &body, end, InboxOf::Item);
        } else {
            self.hand_item(now, id, body, end);
        }
        Ok(())
    }
    /// A further part of a message, of this length, is in the inbox.
    pub(super) fn part_came(
        &mut self,
        now: Instant,
        id: StreamId,
        length: u32,
        more: bool,
    ) -> Result<(), ConnectionError> {
        let inbox = self.streams.get_mut(id).and_then(Stream::inbox);
        if inbox.is_some_and(|inbox| matches!(inbox.of, InboxOf::Item)) && !self.note_unread(id, length) {
            return self.crowded_out(now, id);
        }
        if !more {
            self.complete(now, id);
        }
        Ok(())
    }
}
