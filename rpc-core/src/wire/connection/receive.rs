//! A frame came: one match arm a kind, one method an arm.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use super::super::credit::{ReceiveWindow, SendWindow};
use super::super::error::{CancelReason, ConnectionError, ErrorCode};
use super::super::frame::{Kind, MAX_FRAME_BODY, PREFIX, Prefix, flag};
use super::super::head::{RequestFields, ResponseHead, TimeLimit, message_length};
use super::super::settings::Settings;
use super::super::stream::{Inbox, InboxOf, State, Stream, StreamId, Token};
use super::{Connection, Event, Incoming};
use crate::status::{Certainty, Status};

/// How many CANCEL frames for streams that are closed a peer may send beyond one for each request (§11.3): a cancel
/// may cross its reply, but only once.
pub(super) const LATE_CANCELS: u32 = 1_000;

/// What a oneway request costs beside its body, in bytes (§8.3), so that empty ones are not free.
pub(super) const ONEWAY_BASE: u32 = 64;
/// The most that a oneway request's body costs, so that one of any length can be sent.
pub(super) const ONEWAY_MOST: usize = 32 * 1024;

/// A oneway request's cost in credit; both sides reckon it the same way.
pub(super) fn oneway_cost(length: usize) -> u32 {
    ONEWAY_BASE + length.min(ONEWAY_MOST) as u32
}

fn protocol(message: impl Into<String>) -> ConnectionError {
    ConnectionError::ours(ErrorCode::Protocol, message)
}

fn overrun(what: &str) -> ConnectionError {
    ConnectionError::ours(
        ErrorCode::FlowControl,
        format!("the peer sent more on the {what} than it was granted"),
    )
}

impl Connection {
    /// Whether a frame with this prefix may come, before the rest of it is here.
    #[inline]
    pub(super) fn check_prefix(&self, prefix: &Prefix) -> Result<(), ConnectionError> {
        if !self.established && !Kind(prefix.kind).is_known() {
            // A web server, say. What it says would be a frame over some limit, which is not what is wrong.
            return Err(ConnectionError::ours(
                ErrorCode::BadMagic,
                format!(
                    "the peer does not speak this protocol: it began with \"{}\"",
                    prefix.to_bytes().escape_ascii()
                ),
            ));
        }
        if u32::from(prefix.header) > self.config.max_header || prefix.body as usize > MAX_FRAME_BODY {
            return Err(ConnectionError::ours(
                ErrorCode::TooLarge,
                format!(
                    "a frame with a header of {} and a body of {} bytes; the limits are {} and {MAX_FRAME_BODY}",
                    prefix.header, prefix.body, self.config.max_header
                ),
            ));
        }
        if prefix.flags & !flag::ALL != 0 && !Kind(prefix.kind).is_skippable() {
            return Err(protocol(format!(
                "a frame of kind {:#04x} with flags {:#04x}",
                prefix.kind, prefix.flags
            )));
        }
        if !self.established && prefix.kind != Kind::SETTINGS.0 {
            return Err(protocol("the first frame is not SETTINGS"));
        }
        Ok(())
    }

    /// Takes the frame out of `input` and acts on it.
    #[inline]
    pub(super) fn handle_frame(
        &mut self,
        now: Instant,
        began: Instant,
        prefix: Prefix,
        head: usize,
        input: &mut BytesMut,
    ) -> Result<(), ConnectionError> {
        let id = StreamId(prefix.stream);
        // The header is read where it lies, the body is cut off as a slice of the buffer it came in.
        match Kind(prefix.kind) {
            Kind::REQUEST => {
                let fields = RequestFields::decode(&input[PREFIX..head], self.config.max_metadata);
                let body = take_body(input, head, &prefix);
                self.on_request(began, id, prefix.flags, fields, body)
            }
            Kind::RESPONSE => {
                let fields = ResponseHead::decode(&input[PREFIX..head], self.config.max_metadata);
                let body = take_body(input, head, &prefix);
                self.on_response(now, id, prefix.flags, fields, body)
            }
            Kind::DATA => {
                let length = if head > PREFIX { message_length(&input[PREFIX..head]) } else { None };
                let body = take_body(input, head, &prefix);
                self.on_data(now, id, prefix.flags, length, body)
            }
            kind => {
                let header = input.split_to(head).freeze().slice(PREFIX..);
                let body = input.split_to(prefix.body as usize);
                if kind.is_skippable() {
                    return self.keepalive.cheap_frame(now);
                }
                if !body.is_empty() {
                    return Err(protocol(format!("a frame of kind {:#04x} with a body", kind.0)));
                }
                match kind {
                    Kind::SETTINGS => self.on_settings(now, &header),
                    Kind::END => self.on_end(id, &header),
                    Kind::CANCEL => self.on_cancel(now, id, &header),
                    Kind::CREDIT => self.on_credit(now, id, prefix.flags, &header),
                    Kind::PING => self.on_ping(now, &header),
                    Kind::PONG => self.on_pong(now, &header),
                    Kind::DRAIN => self.on_drain(&header),
                    _ => Err(protocol(format!("unknown frame kind {:#04x}", kind.0))),
                }
            }
        }
    }

    fn on_settings(&mut self, now: Instant, header: &[u8]) -> Result<(), ConnectionError> {
        if self.established {
            return Err(protocol("a second SETTINGS frame"));
        }
        let before = std::mem::replace(&mut self.peer, Settings::decode(header)?);
        self.established = true;
        // Requests may have used the least that every peer grants; what is above it comes on top. Settings are never
        // below the least, so nothing here can fail.
        let more = |after: u32, before: u32| after.saturating_sub(before);
        let _ = self.send_window.grant(more(self.peer.connection_credit, before.connection_credit));
        let _ = self.send_oneway.grant(more(self.peer.oneway_credit, before.oneway_credit));
        let grant = more(self.peer.stream_credit, before.stream_credit);
        let waiting: Vec<_> = self.streams.iter().map(|(id, _)| id).collect();
        for id in waiting {
            if let Some(stream) = self.streams.get_mut(id) {
                let _ = stream.send.grant(grant);
            }
            self.queue_turn(id);
        }
        if self.role == super::Role::Connector {
            // Deadlines are cut by the round-trip time: know it from the start.
            self.send_ping(now);
        }
        self.open_pending(now);
        Ok(())
    }

    fn on_request(
        &mut self,
        began: Instant,
        id: StreamId,
        flags: u8,
        fields: RequestFields,
        body: Bytes,
    ) -> Result<(), ConnectionError> {
        if id.0 == 0 || self.is_local(id) {
            return Err(protocol(format!("a request on stream {id}, which is not the peer's to open")));
        }
        if id.0 <= self.highest_remote {
            return Err(protocol(format!("stream {id} was opened after stream {}", self.highest_remote)));
        }
        self.highest_remote = id.0;
        self.late_cancels = self.late_cancels.saturating_add(1);
        self.received(body.len())?;

        // Bindings hold in wire order, whatever becomes of the request.
        let RequestFields { mut head, number, limit, length, mut refused } = fields;
        match (number, &head.name) {
            (Some(number), Some(name)) => {
                head.number = Some(self.names.bind(number, name, self.config.max_methods)?)
            }
            (Some(number), None) => head.number = Some(self.names.check(number)?),
            (None, Some(_)) => {}
            (None, None) => {
                refused.get_or_insert("the request names no method".into());
            }
        }

        let oneway = flags & flag::ONEWAY != 0;
        let more = flags & flag::MORE != 0;
        let total = if more { length } else { Some(body.len() as u64) };
        let cost = oneway
            .then(|| oneway_cost(total.map_or(0, |total| usize::try_from(total).unwrap_or(usize::MAX))));
        if let Some(cost) = cost {
            self.receive_oneway.receive(cost).map_err(|_| overrun("connection for oneway requests"))?;
        }
        let refusal = match total {
            None => {
                Some(Status::invalid_argument("the request comes in parts and does not say how long it is"))
            }
            Some(_) if refused.is_some() => Some(Status::invalid_argument(format!(
                "the request's header cannot be read: {}",
                refused.unwrap_or_default()
            ))),
            Some(total) => self.admit(id, total, body.len(), oneway),
        };
        let total = u32::try_from(total.unwrap_or(0)).unwrap_or(u32::MAX);
        if let Some(status) = refusal {
            self.refuse(id, cost, status);
            return Ok(());
        }

        let deadline = self.read_limit(limit, began);
        if let Some(deadline) = deadline {
            self.note_deadline(deadline);
        }
        let mut receive = ReceiveWindow::new(self.config.stream_credit);
        receive.receive(body.len() as u32).map_err(|_| overrun("stream"))?;
        let end = flags & flag::END != 0;
        let mut stream = Stream {
            token: Token::NONE,
            deadline,
            ends_at: 0,
            send: SendWindow::new(self.peer.stream_credit),
            receive,
            buffered: 0,
            state: State::Running,
            oneway: cost,
            peer_ended: end && !more,
            outbox: None,
            inbox: None,
        };
        if !oneway {
            self.remote_open += 1;
        }
        if more {
            stream.state = State::Receiving;
            self.streams.insert(id, stream);
            self.begin_message(id, total, &body, end, InboxOf::Request(Box::new(head), began));
        } else {
            stream.buffered = total;
            self.buffered += total as usize;
            self.streams.insert(id, stream);
            self.events.push_back(Event::Request(Incoming {
                stream: id,
                head,
                body,
                oneway,
                end,
                received: began,
                deadline,
            }));
        }
        Ok(())
    }

    /// Why a request that could be read is refused all the same, if it is.
    #[inline]
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
        if self.buffered + unasked > self.config.max_buffered {
            return Some(Status::resource_exhausted(format!(
                "requests of {} bytes are waiting on this connection; this server takes no more",
                self.buffered
            )));
        }
        None
    }

    /// When the time of a request is up that says this of itself.
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

    fn on_response(
        &mut self,
        now: Instant,
        id: StreamId,
        flags: u8,
        fields: Result<(ResponseHead, Option<u64>), std::borrow::Cow<'static, str>>,
        body: Bytes,
    ) -> Result<(), ConnectionError> {
        self.received(body.len())?;
        if id.0 == 0 || !self.is_local(id) || !self.was_opened(id) {
            return Err(protocol(format!("a response on stream {id}, which was not opened")));
        }
        let Some(stream) = self.streams.get_mut(id) else {
            // It crossed our cancel, or the stream's deadline.
            return Ok(());
        };
        let token = stream.token;
        if stream.inbox.is_some() {
            return Err(protocol(format!("a second response on stream {id}")));
        }
        stream.receive.receive(body.len() as u32).map_err(|_| overrun("stream"))?;
        let more = flags & flag::MORE != 0;
        let end = flags & flag::END != 0;
        let (head, length) = match fields {
            Ok(fields) => fields,
            Err(reason) => {
                let status = Status::internal(format!("the response's header cannot be read: {reason}"));
                return self.give_up(now, id, status, (!end || more).then_some(CancelReason::Dropped));
            }
        };
        if !more {
            if end {
                self.free(id);
                self.open_pending(now);
            }
            self.events.push_back(Event::Response { token, head: Box::new(head), body, end });
            return Ok(());
        }
        let max = self.config.max_message;
        match length.map(u32::try_from) {
            Some(Ok(total)) if total <= max && body.len() <= total as usize => {
                self.begin_message(id, total, &body, end, InboxOf::Response(Box::new(head)));
                Ok(())
            }
            None => Err(protocol("a response in parts that does not say how long it is")),
            Some(total) => {
                let total = total.map_or_else(|_| "over 4 GiB".to_owned(), |total| total.to_string());
                let status = Status::resource_exhausted(format!(
                    "a reply of {total} bytes; this client takes up to {max}"
                ));
                self.give_up(
                    now,
                    id,
                    status.with_certainty(Certainty::Executed),
                    Some(CancelReason::TooLarge),
                )
            }
        }
    }

    /// Ends a call of ours with this status, and tells the peer if it would go on.
    fn give_up(
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
        let more = flags & flag::MORE != 0;
        let end = flags & flag::END != 0;
        if body.is_empty() && more {
            self.keepalive.cheap_frame(now)?;
        }
        self.received(body.len())?;
        if id.0 == 0 || !self.was_opened(id) {
            return Err(protocol(format!("data on stream {id}, which was not opened")));
        }
        let local = self.is_local(id);
        let max = self.config.max_message;
        let Some(stream) = self.streams.get_mut(id) else {
            // Late: the stream was answered or given up while this was under way.
            return Ok(());
        };
        stream.receive.receive(body.len() as u32).map_err(|_| overrun("stream"))?;
        if let Some(inbox) = &mut stream.inbox {
            let total = inbox.total as usize;
            let here = inbox.bytes.len() + body.len();
            if here > total || (!more && here < total) {
                return Err(protocol(format!("a message of {total} bytes on stream {id} came as {here}")));
            }
            // Room is made as the bytes come, twice what is here at a time: a claim alone costs nothing.
            if inbox.bytes.capacity() < here {
                inbox.bytes.reserve((2 * here).min(total) - inbox.bytes.len());
            }
            inbox.bytes.extend_from_slice(&body);
            if !more {
                self.complete(now, id);
            }
            return Ok(());
        }
        if stream.peer_ended || stream.state == State::Receiving {
            return Err(protocol(format!("data on stream {id} after its end")));
        }
        if stream.state == State::Cancelled {
            return Ok(());
        }
        stream.peer_ended = end && !more;
        if more {
            let total = length.and_then(|length| u32::try_from(length).ok()).filter(|total| *total <= max);
            let Some(total) = total.filter(|total| body.len() <= *total as usize) else {
                return Err(ConnectionError::ours(
                    ErrorCode::TooLarge,
                    format!("an item of {length:?} bytes on stream {id}; the limit is {max}"),
                ));
            };
            self.begin_message(id, total, &body, end, InboxOf::Item);
            return Ok(());
        }
        let token = stream.token;
        self.events.push_back(Event::Item { stream: id, token, body });
        if end && !local {
            self.events.push_back(Event::Ended { stream: id, token, head: None });
        }
        Ok(())
    }

    /// A message that comes in parts has begun. What may come unasked counts at once, the rest when there is room.
    fn begin_message(&mut self, id: StreamId, total: u32, first: &[u8], end: bool, of: InboxOf) {
        let unasked = total.min(self.config.stream_credit);
        let reserved = unasked == total;
        let Some(stream) = self.streams.get_mut(id) else { return };
        let bytes = BytesMut::from(first);
        stream.inbox = Some(Box::new(Inbox { total, bytes, end, of, reserved }));
        stream.buffered += unasked;
        self.buffered += unasked as usize;
        if !reserved {
            self.waiting += unasked as usize;
            self.reservations.push_back(id);
            self.grant_reservations();
        }
    }

    /// A message that came in parts is whole.
    fn complete(&mut self, now: Instant, id: StreamId) {
        let local = self.is_local(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(inbox) = stream.inbox.take() else { return };
        let Inbox { bytes, end, of, .. } = *inbox;
        let (body, token) = (bytes.freeze(), stream.token);
        stream.peer_ended = end;
        match of {
            InboxOf::Request(head, received) => {
                stream.state = State::Running;
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
            }
            InboxOf::Response(head) => {
                if end {
                    self.free(id);
                    self.open_pending(now);
                } else {
                    self.unreserve(id);
                }
                self.events.push_back(Event::Response { token, head, body, end });
            }
            InboxOf::Item => {
                // What the reader has not taken counts against the stream's own credit; the room was for the rest.
                self.unreserve(id);
                self.events.push_back(Event::Item { stream: id, token, body });
                if end && !local {
                    self.events.push_back(Event::Ended { stream: id, token, head: None });
                }
            }
        }
    }

    fn on_end(&mut self, id: StreamId, header: &[u8]) -> Result<(), ConnectionError> {
        if id.0 == 0 || !self.was_opened(id) {
            return Err(protocol(format!("END on stream {id}, which was not opened")));
        }
        let local = self.is_local(id);
        let max_metadata = self.config.max_metadata;
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        if stream.peer_ended || stream.inbox.is_some() || stream.state == State::Receiving {
            return Err(protocol(format!(
                "END on stream {id} in the middle of a message, or for the second time"
            )));
        }
        stream.peer_ended = true;
        let (token, state) = (stream.token, stream.state);
        let head = if local {
            let head = match ResponseHead::decode(header, max_metadata) {
                Ok((head, _)) => head,
                Err(reason) => ResponseHead {
                    status: Some(Status::internal(format!(
                        "the end of the response cannot be read: {reason}"
                    ))),
                    ..ResponseHead::default()
                },
            };
            self.free(id);
            Some(Box::new(head))
        } else {
            None
        };
        if state != State::Cancelled {
            self.events.push_back(Event::Ended { stream: id, token, head });
        }
        Ok(())
    }

    fn on_cancel(&mut self, now: Instant, id: StreamId, header: &[u8]) -> Result<(), ConnectionError> {
        if id.0 == 0 || !self.was_opened(id) {
            return Err(protocol(format!("CANCEL of stream {id}, which was not opened")));
        }
        let reason = CancelReason::from_number(header.first().copied().unwrap_or(0));
        let local = self.is_local(id);
        let state = self.streams.get_mut(id).map(|stream| stream.state);
        match state {
            // It crossed our answer.
            None | Some(State::Cancelled) => {
                self.late_cancels = self.late_cancels.checked_sub(1).ok_or_else(|| {
                    ConnectionError::ours(ErrorCode::TooManyCheapFrames, "more cancels than requests")
                })?;
            }
            Some(_) if local => {
                if let Some(stream) = self.free(id) {
                    let status = Status::unavailable("the server gave up the call");
                    self.events.push_back(Event::Failed { token: stream.token, status });
                }
                self.open_pending(now);
            }
            // Nobody has heard of it.
            Some(State::Receiving) => {
                self.free(id);
            }
            Some(_) => {
                self.drop_inbox(id);
                if let Some(stream) = self.streams.get_mut(id) {
                    stream.state = State::Cancelled;
                    stream.deadline = None;
                    stream.outbox = None;
                    self.events.push_back(Event::Cancelled { stream: id, reason });
                }
            }
        }
        Ok(())
    }

    fn on_credit(
        &mut self,
        now: Instant,
        id: StreamId,
        flags: u8,
        header: &[u8],
    ) -> Result<(), ConnectionError> {
        let Ok(bytes) = header.try_into().map(u32::from_le_bytes) else {
            return Err(protocol("a CREDIT frame whose header is not 4 bytes"));
        };
        if bytes == 0 {
            self.keepalive.cheap_frame(now)?;
        }
        let too_much = |_| ConnectionError::ours(ErrorCode::FlowControl, "more than 4 GiB of credit");
        if id.0 == 0 {
            if flags & flag::ONEWAY != 0 {
                self.send_oneway.grant(bytes).map_err(too_much)?;
                self.open_pending(now);
            } else {
                self.send_window.grant(bytes).map_err(too_much)?;
            }
            return Ok(());
        }
        if !self.was_opened(id) {
            return Err(protocol(format!("CREDIT for stream {id}, which was not opened")));
        }
        if let Some(stream) = self.streams.get_mut(id) {
            stream.send.grant(bytes).map_err(too_much)?;
            self.queue_turn(id);
        }
        Ok(())
    }

    fn on_ping(&mut self, now: Instant, header: &[u8]) -> Result<(), ConnectionError> {
        self.keepalive.cheap_frame(now)?;
        if header.len() != 8 {
            return Err(protocol("a PING frame whose header is not 8 bytes"));
        }
        self.send_bare(Kind::PONG, 0, StreamId(0), header);
        Ok(())
    }

    fn on_pong(&mut self, now: Instant, header: &[u8]) -> Result<(), ConnectionError> {
        let Ok(number) = header.try_into().map(u64::from_le_bytes) else {
            return Err(protocol("a PONG frame whose header is not 8 bytes"));
        };
        if !self.keepalive.pong(number, now) {
            self.keepalive.cheap_frame(now)?;
        }
        self.drain_pong(number);
        Ok(())
    }

    /// Notes that bytes of bodies came on the connection, and grants them again: they have reached their stream's
    /// buffer, whose own credit bounds it.
    #[inline]
    fn received(&mut self, bytes: usize) -> Result<(), ConnectionError> {
        if bytes == 0 {
            return Ok(());
        }
        let bytes = bytes as u32;
        self.receive_window.receive(bytes).map_err(|_| overrun("connection"))?;
        if let Some(grant) = self.receive_window.consume(bytes) {
            self.send_bare(Kind::CREDIT, 0, StreamId(0), &grant.to_le_bytes());
        }
        Ok(())
    }
}

/// Takes the frame's body off the input; the header has been read.
#[inline]
fn take_body(input: &mut BytesMut, head: usize, prefix: &Prefix) -> Bytes {
    input.advance(head);
    if prefix.body == 0 { Bytes::new() } else { input.split_to(prefix.body as usize).freeze() }
}
