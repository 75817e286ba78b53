//! Time: deadlines, pings, the two steps of a drain, and the end of a connection.

use std::time::{Duration, Instant};

use super::super::error::{CancelReason, ConnectionError, ErrorCode};
use super::super::field::{Reader, put_bytes, put_number};
use super::super::frame::Kind;
use super::super::head::ResponseHead;
use super::super::out::Body;
use super::super::stream::{State, StreamId};
use super::room::Room;
use super::{Connection, Event};
use crate::status::{Certainty, Status};

/// How long the answer to the ping of a drain may take before the last stream is named all the same (§10).
const DRAIN_PONG: Duration = Duration::from_secs(5);

/// Deadlines are looked through at most this often: they are no finer than the driver's timer.
const TICK: Duration = Duration::from_millis(1);

mod key {
    pub(super) const LAST: u8 = 1;
    pub(super) const CODE: u8 = 2;
    pub(super) const MESSAGE: u8 = 3;
}

/// How far the drain of this side is (§10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    No,
    /// The peer was told; what it sent before it heard is still served, until this ping is answered or this moment.
    Announced(u64, Instant),
    /// Streams above this one are refused.
    After(StreamId),
}

impl Drain {
    pub(super) fn refuses(self, id: StreamId) -> bool {
        matches!(self, Self::After(last) if id > last)
    }
}

/// How many things a connection holds: for tests that look for leaks, and for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Calls of ours under way.
    pub calls: usize,
    /// Calls of ours that wait for a stream.
    pub pending: usize,
    /// Calls of the peer's under way.
    pub serving: usize,
    /// Bytes of the peer's messages that are kept.
    pub buffered: usize,
    /// Bytes that wait to be written.
    pub unwritten: usize,
    /// The smoothed round-trip time, once a ping has been answered.
    pub round_trip: Option<Duration>,
}

impl Connection {
    /// What the connection holds at the moment.
    pub fn snapshot(&self) -> Snapshot {
        let calls = self.streams.iter().filter(|(_, stream)| stream.state == State::Open).count();
        Snapshot {
            calls,
            pending: self.pending.len() + self.pending_oneway.len(),
            serving: self.streams.len() - calls,
            buffered: self.rooms.iter().map(|room| room.used).sum(),
            unwritten: self.out.len(),
            round_trip: self.keepalive.srtt(),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) should be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.error.is_some() {
            return None;
        }
        let sign = if self.established {
            self.keepalive.timeout()
        } else {
            Some(self.opened_at + self.config.handshake_timeout)
        };
        let next = match (sign, self.next_deadline) {
            (Some(sign), Some(deadline)) => Some(if sign < deadline { sign } else { deadline }),
            (sign, deadline) => sign.or(deadline),
        };
        match self.drain {
            Drain::Announced(_, at) => Some(next.map_or(at, |next| next.min(at))),
            Drain::No | Drain::After(_) => next,
        }
    }

    /// Time has passed.
    ///
    /// # Errors
    /// What ended the connection.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ConnectionError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let result = self.handle_time(now);
        if let Err(error) = &result {
            self.fail(error.clone());
        }
        result
    }

    fn handle_time(&mut self, now: Instant) -> Result<(), ConnectionError> {
        if self.next_deadline.is_some_and(|at| at <= now) {
            self.expire(now);
        }
        if let Drain::Announced(_, at) = self.drain
            && at <= now
        {
            self.refuse_from_now();
        }
        if !self.established {
            if self.opened_at + self.config.handshake_timeout <= now {
                return Err(ConnectionError::ours(
                    ErrorCode::Timeout,
                    format!(
                        "the peer's first frame did not come within {:.1?}",
                        self.config.handshake_timeout
                    ),
                ));
            }
        } else if self.keepalive.due(now)? {
            self.send_ping(now);
        }
        Ok(())
    }

    pub(super) fn send_ping(&mut self, now: Instant) -> u64 {
        let number = self.keepalive.ping(now);
        self.send_bare(Kind::PING, 0, StreamId(0), &number.to_le_bytes());
        number
    }

    /// Remembers that a call must end by then. One field and not a queue: most calls end long before, so it is
    /// cheaper to look through the few that are open when the nearest deadline has passed.
    #[inline]
    pub(super) fn note_deadline(&mut self, deadline: Instant) {
        if self.next_deadline.is_none_or(|next| deadline < next) {
            self.next_deadline = Some(deadline);
        }
    }

    /// Ends every call whose time is up.
    fn expire(&mut self, now: Instant) {
        let mut next: Option<Instant> = None;
        let mut look = |deadline: Option<Instant>| match deadline {
            Some(deadline) if deadline <= now => true,
            Some(deadline) => {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
                false
            }
            None => false,
        };
        let due: Vec<StreamId> =
            self.streams.iter().filter(|(_, stream)| look(stream.deadline)).map(|(id, _)| id).collect();
        for queue in [&mut self.pending, &mut self.pending_oneway] {
            queue.expire(&mut look, |token| self.events.push_back(Event::Expired { token }));
        }
        self.next_deadline = next.map(|next| next.max(now + TICK));
        for id in due {
            self.expire_stream(id);
        }
        self.open_pending(now);
    }

    fn expire_stream(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.deadline = None;
        let token = stream.token;
        match stream.state {
            State::Open => {
                self.free(id);
                self.send_cancel(id, CancelReason::Deadline);
                self.events.push_back(Event::Expired { token });
            }
            // Nobody but us has heard of it: the rest of it will be dropped as late.
            State::Receiving => self.refuse_late(id),
            State::Running => self.events.push_back(Event::Overdue { stream: id }),
            State::Cancelled => {}
        }
    }

    /// Takes no more calls from the peer, in two steps: the peer is told at once, and what it has sent by the time
    /// that it hears of it is still served.
    pub fn drain(&mut self, now: Instant) {
        if self.drain != Drain::No || self.error.is_some() {
            return;
        }
        self.send_drain(Some(u64::MAX), ErrorCode::Graceful, "");
        if self.established {
            let number = self.send_ping(now);
            self.drain = Drain::Announced(number, now + DRAIN_PONG);
        } else {
            self.refuse_from_now();
        }
    }

    pub(super) fn drain_pong(&mut self, number: u64) {
        if matches!(self.drain, Drain::Announced(ping, _) if ping == number) {
            self.refuse_from_now();
        }
    }

    fn refuse_from_now(&mut self) {
        let last = StreamId(self.highest_remote);
        self.drain = Drain::After(last);
        self.send_drain(Some(last.0), ErrorCode::Graceful, "");
    }

    /// Whether nothing is open in either direction.
    pub fn is_idle(&self) -> bool {
        self.streams.len() == 0 && self.pending.len() == 0 && self.pending_oneway.len() == 0
    }

    /// Whether the peer has been told of a drain, and has not said yet that it heard.
    pub fn is_announcing(&self) -> bool {
        matches!(self.drain, Drain::Announced(..))
    }

    /// Whether a drain is over: the peer can open nothing any more, and nothing is open.
    pub fn is_drained(&self) -> bool {
        matches!(self.drain, Drain::After(_)) && self.streams.len() == 0
    }

    pub(super) fn on_drain(&mut self, now: Instant, header: &[u8]) -> Result<(), ConnectionError> {
        self.keepalive.cheap_frame(now)?;
        let (mut last, mut code, mut message) = (u64::MAX, 0, String::new());
        for field in Reader::new(header) {
            let Ok(field) = field else {
                return Err(ConnectionError::ours(ErrorCode::Protocol, "a DRAIN frame that cannot be read"));
            };
            match field.key {
                key::LAST => last = field.number().unwrap_or(u64::MAX),
                key::CODE => code = field.number().unwrap_or(2),
                key::MESSAGE => message = String::from_utf8_lossy(field.value).into_owned(),
                _ => {}
            }
        }
        if code != 0 {
            return Err(ConnectionError { code: ErrorCode::from_number(code), by_peer: true, message });
        }
        if !self.peer_drains {
            self.peer_drains = true;
            self.events.push_back(Event::Draining);
        }
        let moved = Status::unavailable("the server is shutting down");
        self.fail_pending(&moved);
        // What the peer has not accepted it will never run; no need to wait for it to say so one by one.
        let refused: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(id, stream)| stream.state == State::Open && id.0 > last)
            .map(|(id, _)| id)
            .collect();
        for id in refused {
            if let Some(stream) = self.free(id) {
                let status = moved.clone().with_certainty(Certainty::NotExecuted);
                self.events.push_back(Event::Failed { token: stream.token, status });
            }
        }
        Ok(())
    }

    fn send_drain(&mut self, last: Option<u64>, code: ErrorCode, message: &str) {
        let (mark, header) = self.out.begin(message.len() + 32);
        if let Some(last) = last {
            put_number(header, key::LAST, last);
        }
        if code != ErrorCode::Graceful {
            put_number(header, key::CODE, code as u64);
            put_bytes(header, key::MESSAGE, &message.as_bytes()[..message.len().min(512)]);
        }
        self.finish_frame(mark, Kind::DRAIN, 0, 0, Body::default());
    }

    /// The socket is gone, or the peer has closed it.
    pub fn handle_lost(&mut self, reason: &str) {
        self.fail(ConnectionError::ours(ErrorCode::Transport, reason));
    }

    /// Ends the connection: every call of ours fails, every call of the peer's is cancelled, and the peer is told if
    /// it is to blame and can still hear it.
    pub(super) fn fail(&mut self, error: ConnectionError) {
        if self.error.is_some() {
            return;
        }
        if !error.by_peer && error.code != ErrorCode::Transport {
            self.send_drain(None, error.code, &error.message);
        }
        let status = Status::unavailable(error.to_string());
        self.error = Some(error);
        self.turns.clear();
        self.rooms.iter_mut().for_each(Room::clear_queue);
        self.next_deadline = None;
        self.fail_pending(&status);
        let open: Vec<StreamId> = self.streams.iter().map(|(id, _)| id).collect();
        for id in open {
            self.lose(id, &status);
        }
    }

    /// Ends the calls that wait for a stream: nothing of them was sent.
    fn fail_pending(&mut self, status: &Status) {
        while let Some(pending) = self.pending.pop().or_else(|| self.pending_oneway.pop()) {
            let status = status.clone().with_certainty(Certainty::NotSent);
            self.events.push_back(Event::Failed { token: pending.token(), status });
        }
    }

    fn lose(&mut self, id: StreamId, status: &Status) {
        self.drop_inbox(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        match stream.state {
            State::Open => {
                // A request of which a byte is still here cannot have been run, for the peer waits for all of it.
                let sent = stream.ends_at <= self.written;
                let certainty = match sent {
                    // It has begun to answer.
                    _ if stream.answered => Certainty::Executed,
                    true => Certainty::Unknown,
                    false => Certainty::NotSent,
                };
                let event =
                    Event::Failed { token: stream.token, status: status.clone().with_certainty(certainty) };
                self.free(id);
                self.events.push_back(event);
            }
            // Its handler is there, and is to hear of it; the stream is found by it until it is gone.
            State::Running if !stream.ended => {
                stream.state = State::Cancelled;
                stream.deadline = None;
                stream.take_outbox();
                self.events.push_back(Event::Cancelled { stream: id, reason: CancelReason::ConnectionLost });
            }
            State::Running | State::Receiving => {
                self.free(id);
            }
            State::Cancelled => {}
        }
    }

    /// When a byte last came.
    pub fn last_read(&self) -> Instant {
        self.keepalive.last_read()
    }

    /// Whether a ping is out.
    pub fn is_pinging(&self) -> bool {
        self.keepalive.is_waiting()
    }
}

impl ResponseHead {
    /// The head of an error.
    pub fn error(status: Status) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}
