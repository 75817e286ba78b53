//! Frames that carry no call: settings, ends, cancels, credit, pings.

use std::time::Instant;

use super::super::error::{CancelReason, ConnectionError, ErrorCode};
use super::super::frame::{Kind, MAX_FRAME_BODY, PREFIX, Prefix, flag};
use super::super::head::ResponseHead;
use super::super::settings::Settings;
use super::super::stream::{State, StreamId};
use super::{Connection, Event};
use crate::status::Status;

/// How many CANCEL frames for streams that are closed, and stops of halves that have ended, a peer may send beyond one for
/// each stream that was opened (§11.3): each may cross an end, but only once.
pub(super) const LATE_CANCELS: u32 = 1_000;

/// What comes of bodies, with a prefix for each, is granted again on the connection in steps of this many bytes (§8.1):
/// the peer must hear in time of items that it has few of under way.
const GRANT: u32 = 32 * 1024;
/// What comes of them is granted again from this many bytes on, if something is to be written anyway.
pub(super) const EARLY_GRANT: u32 = GRANT / 2;

/// What a oneway request costs beside its body, in bytes (§8.3), so that empty ones are not free.
pub(super) const ONEWAY_BASE: u32 = 64;
/// The most that a oneway request's body costs, so that one of any length can be sent.
pub(super) const ONEWAY_MOST: usize = 32 * 1024;

/// A oneway request's cost in credit; both sides reckon it the same way.
pub(super) fn oneway_cost(length: usize) -> u32 {
    ONEWAY_BASE + length.min(ONEWAY_MOST) as u32
}

#[cold]
pub(super) fn protocol(message: impl Into<String>) -> ConnectionError {
    ConnectionError::ours(ErrorCode::Protocol, message)
}

#[cold]
pub(super) fn overrun(what: &str) -> ConnectionError {
    ConnectionError::ours(
        ErrorCode::FlowControl,
        format!("the peer sent more on the {what} than it was granted"),
    )
}

/// A web server, say. What it says would be a frame over some limit, which is not what is wrong.
#[cold]
fn not_this_protocol(prefix: &Prefix) -> ConnectionError {
    let began = prefix.to_bytes();
    ConnectionError::ours(
        ErrorCode::BadMagic,
        format!("the peer does not speak this protocol: it began with \"{}\"", began.escape_ascii()),
    )
}

#[cold]
fn wrong_prefix(prefix: &Prefix, flags: Option<u8>) -> ConnectionError {
    protocol(match flags {
        Some(_) => format!("a frame of kind {:#04x} with flags {:#04x}", prefix.kind, prefix.flags),
        None => format!("unknown frame kind {:#04x}", prefix.kind),
    })
}

impl Connection {
    /// Whether a frame with this prefix may come, before the rest of it is here.
    #[inline]
    pub(super) fn check_prefix(&self, prefix: &Prefix) -> Result<(), ConnectionError> {
        if !self.established && Kind(prefix.kind).flags().is_none() {
            return Err(not_this_protocol(prefix));
        }
        if u32::from(prefix.header) > self.config.max_header || prefix.body as usize > MAX_FRAME_BODY {
            return Err(self.too_large(prefix));
        }
        match Kind(prefix.kind).flags() {
            Some(flags) if prefix.flags & !flags == 0 => Ok(()),
            flags => Err(wrong_prefix(prefix, flags)),
        }
    }

    #[cold]
    fn too_large(&self, prefix: &Prefix) -> ConnectionError {
        ConnectionError::ours(
            ErrorCode::TooLarge,
            format!(
                "a frame with a header of {} and a body of {} bytes; the limits are {} and {MAX_FRAME_BODY}",
                prefix.header, prefix.body, self.config.max_header
            ),
        )
    }

    /// Acts on a frame that carries no call. Its body has been dropped: none of these kinds has one.
    pub(super) fn on_control(
        &mut self,
        now: Instant,
        prefix: &Prefix,
        header: &[u8],
    ) -> Result<(), ConnectionError> {
        let (kind, id) = (Kind(prefix.kind), StreamId(prefix.stream));
        if kind.is_skippable() {
            return self.keepalive.cheap_frame(now);
        }
        if prefix.body != 0 {
            return Err(protocol(format!("a frame of kind {:#04x} with a body", kind.0)));
        }
        let of_connection = matches!(kind, Kind::SETTINGS | Kind::PING | Kind::PONG | Kind::DRAIN);
        if of_connection && id.0 != 0 {
            return Err(protocol(format!("a frame of kind {:#04x} on stream {id}", kind.0)));
        }
        match kind {
            Kind::SETTINGS => self.on_settings(now, header),
            Kind::END => self.on_end(now, id, header),
            Kind::CANCEL => self.on_cancel(now, id, header),
            Kind::CREDIT => self.on_credit(now, id, prefix.flags, header),
            Kind::PING => self.on_ping(now, header),
            Kind::PONG => self.on_pong(now, header),
            // What is left of the kinds that `check_prefix` lets through.
            _ => self.on_drain(now, header),
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
            if let Some(flow) = self.streams.get_mut(id).and_then(|stream| stream.flow.as_mut()) {
                let _ = flow.send.grant(grant);
            }
            self.queue_turn(id);
            self.unblock(id);
        }
        if self.role == super::Role::Connector {
            // Deadlines are cut by the round-trip time: know it from the start.
            self.send_ping(now);
        }
        self.open_pending(now);
        Ok(())
    }

    fn on_end(&mut self, now: Instant, id: StreamId, header: &[u8]) -> Result<(), ConnectionError> {
        if id.0 == 0 || !self.was_opened(id) {
            return Err(protocol(format!("END on stream {id}, which was not opened")));
        }
        let local = self.is_local(id);
        let max_metadata = self.config.max_metadata;
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        if stream.state == State::Cancelled {
            return Ok(());
        }
        if stream.peer_ended || stream.inbox().is_some() || (local && !stream.answered) {
            return Err(protocol(format!(
                "END on stream {id} before the response, in the middle of a message, or for the second time"
            )));
        }
        stream.peer_ended = true;
        let token = stream.token;
        if !local {
            self.events.push_back(Event::Ended { stream: id, token, head: None });
            return Ok(());
        }
        let mut head = ResponseHead::default();
        if let Err(reason) = head.decode(header, max_metadata) {
            let reason = format!("the end of the response cannot be read: {reason}");
            head = ResponseHead::error(Status::internal(reason));
        }
        self.free(id);
        self.events.push_back(Event::Ended { stream: id, token, head: Some(Box::new(head)) });
        self.open_pending(now);
        Ok(())
    }

    /// A cancel or a stop of this stream came, which is over.
    pub(super) fn late_cancel(&mut self, id: StreamId) -> Result<(), ConnectionError> {
        self.late_cancels = self.late_cancels.checked_sub(1).ok_or_else(|| {
            ConnectionError::ours(
                ErrorCode::TooManyCheapFrames,
                format!(
                    "a cancel or stop of stream {id}, which is over, after {LATE_CANCELS} such and one more for each \
                     stream that was opened; each stream may be cancelled, and stopped, only once"
                ),
            )
        })?;
        Ok(())
    }

    fn on_cancel(&mut self, now: Instant, id: StreamId, header: &[u8]) -> Result<(), ConnectionError> {
        if id.0 == 0 || !self.was_opened(id) {
            return Err(protocol(format!("CANCEL of stream {id}, which was not opened")));
        }
        let reason = CancelReason::from_number(header.first().copied().unwrap_or(0));
        let local = self.is_local(id);
        let state = self.streams.get_mut(id).map(|stream| (stream.state, stream.ended));
        match state {
            // It crossed our answer.
            None | Some((State::Cancelled, _)) => {
                self.late_cancel(id)?;
            }
            Some(_) if local => {
                if let Some(stream) = self.free(id) {
                    let status = Status::unavailable("the server gave up the call");
                    self.events.push_back(Event::Failed { token: stream.token, status });
                }
                self.open_pending(now);
            }
            // No handler has heard of it, or it is done and only the writing is left.
            Some((State::Receiving, _) | (_, true)) => {
                self.free(id);
            }
            Some(_) => {
                self.drop_inbox(id);
                if let Some(stream) = self.streams.get_mut(id) {
                    stream.state = State::Cancelled;
                    stream.deadline = None;
                    stream.take_outbox();
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
        if flags & flag::END != 0 {
            return self.on_stop(id, flags, bytes);
        }
        if bytes == 0 {
            self.keepalive.cheap_frame(now)?;
        }
        let too_much = |_| ConnectionError::ours(ErrorCode::FlowControl, "more than 4 GiB of credit");
        let oneway = flags & flag::ONEWAY != 0;
        if oneway && id.0 != 0 {
            return Err(protocol(format!("CREDIT for oneway requests on stream {id}")));
        }
        if id.0 == 0 {
            if oneway {
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
        let grants = self.grants();
        if let Some(stream) = self.streams.get_mut(id) {
            stream.flow(grants).send.grant(bytes).map_err(too_much)?;
            self.queue_turn(id);
            self.unblock(id);
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

    /// Grants what has come on the connection.
    #[cold]
    pub(super) fn grant_connection(&mut self) {
        self.ungranted = 0;
        if let Some(grant) = self.receive_window.flush() {
            self.send_bare(Kind::CREDIT, 0, StreamId(0), &grant.to_le_bytes());
        }
    }

    /// Notes that bytes of a body came on the connection, and grants them again: they have reached their stream's
    /// buffer, whose own credit bounds it.
    #[inline]
    pub(super) fn received(&mut self, bytes: usize) -> Result<(), ConnectionError> {
        let bytes = bytes as u32;
        let is_due = self.receive_window.pass(bytes).map_err(|_| overrun("connection"))?;
        self.ungranted += bytes + PREFIX as u32;
        if is_due || self.ungranted >= GRANT {
            self.grant_connection();
        }
        Ok(())
    }
}
