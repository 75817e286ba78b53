//! The state machine of one connection.
//!
//! Its methods are of four kinds: getters; `handle_…` for what comes from the network and the clock; bare verbs for
//! what this side wants ([`open`](Connection::open), [`respond`](Connection::respond),
//! [`cancel`](Connection::cancel)…); and `poll_…` for what comes out. After any of the others, poll until there is
//! nothing more: [`poll_event`](Connection::poll_event), then [`poll_transmit`](Connection::poll_transmit), then
//! [`poll_timeout`](Connection::poll_timeout).
//!
//! In reading order: this file (what there is), `receive` (a frame of a call came), `control` (any other came), `room`
//! (messages that come in parts, and what may be kept of them), `part` (parts that are read straight to them), `portion`
//! (how much of what has come is taken at a time), `open` (our calls), `send` (answers, items, and whose turn it is), `share` (what of them may be in front of a call), `time`
//! (deadlines, pings, drain, the end).

mod check;
mod control;
mod open;
mod part;
mod portion;
mod receive;
mod room;
mod send;
mod share;
mod stop;
mod time;
mod unread;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::credit::{ReceiveWindow, SendWindow};
use super::error::{CancelReason, ConnectionError, ErrorCode};
use super::frame::{Kind, MAGIC, MAX_FRAME_BODY, MAX_PART, PREFIX, Prefix};
use super::head::{IncomingHead, ResponseHead};
use super::keepalive::Keepalive;
use super::method::{Bound, Names};
use super::out::{Body, Transmit};
use super::settings::{Config, Settings};
use super::stream::{Grants, Stream, StreamId, Token};
use super::table::Table;
use crate::status::Status;

use portion::{Left, Take};

pub use check::Credit;
pub use open::{Open, OpenError, Opened, PendingId};
pub use part::Part;
pub(crate) use portion::LEAST as LEAST_PORTION;
pub use send::SendError;
pub use time::Snapshot;

/// Which side of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The side that connected: it sends the magic, and opens streams of odd numbers.
    Connector,
    /// The side that accepted: it opens streams of even numbers.
    Acceptor,
}

/// What happened, for the driver to act on.
#[derive(Debug)]
pub enum Event {
    /// The peer calls: its request is here, whole.
    Request(Incoming),
    /// An answer to a call of ours. If it is the end, the stream is closed.
    Response {
        /// The stream.
        stream: StreamId,
        /// Whose.
        token: Token,
        /// Status, timings, metadata.
        head: ResponseHead,
        /// The reply message.
        body: Bytes,
        /// Whether this ends the stream.
        end: bool,
    },
    /// An item of a stream. Its bytes count until they are [released](Connection::release).
    Item {
        /// The stream.
        stream: StreamId,
        /// Whose.
        token: Token,
        /// The message.
        body: Bytes,
    },
    /// There is room again for items of a stream whose [`send_item`](Connection::send_item) said that there was none; or
    /// the peer wants no more of them: then [`item_room`](Connection::item_room) is `None`.
    Sendable {
        /// The stream.
        stream: StreamId,
        /// Whose.
        token: Token,
    },
    /// The peer's half of a stream has ended. If it was a response, the stream is closed.
    Ended {
        /// The stream.
        stream: StreamId,
        /// Whose.
        token: Token,
        /// How, if the half was a response.
        head: Option<Box<ResponseHead>>,
    },
    /// A call of ours that waited for a free stream has one now.
    Opened {
        /// Whose.
        token: Token,
        /// Its stream.
        stream: StreamId,
    },
    /// A oneway call of ours is in the out-buffer, whole; its stream is closed.
    Handed {
        /// Whose.
        token: Token,
    },
    /// A call of ours failed without an answer; its stream is closed.
    Failed {
        /// Whose.
        token: Token,
        /// Why, and whether the peer can have run it.
        status: Status,
    },
    /// The time of a call of ours is up; its stream is closed.
    Expired {
        /// Whose.
        token: Token,
    },
    /// The peer gave up a call that we are running, or is gone. The stream stays open until [`Connection::close`].
    Cancelled {
        /// The stream; [`Connection::token`] tells whose.
        stream: StreamId,
        /// Why.
        reason: CancelReason,
    },
    /// The time of a call that we are running is up. The stream stays open until [`Connection::respond`].
    Overdue {
        /// The stream; [`Connection::token`] tells whose.
        stream: StreamId,
    },
    /// The peer takes no more calls on this connection.
    Draining,
}

/// Who waits for the answers to our calls. To hand a whole answer over where it is read is most of what a client's
/// connection does; as an event it would be moved twice more (130 instructions a call).
pub(crate) trait Answers {
    /// Takes the whole answer to this call, whose stream is closed, out of where it is, if somebody waits for it; whether it
    /// did. If not it becomes an [`Event::Response`].
    fn answer(&mut self, token: Token, head: &mut ResponseHead, body: &mut Bytes) -> bool;
}

/// Nobody: all answers become events.
impl Answers for () {
    fn answer(&mut self, _: Token, _: &mut ResponseHead, _: &mut Bytes) -> bool {
        false
    }
}

/// A request that came.
#[derive(Debug)]
pub struct Incoming {
    /// Its stream.
    pub stream: StreamId,
    /// Method, codec, metadata.
    pub head: IncomingHead,
    /// The request message; empty if the request is a stream.
    pub body: Bytes,
    /// Whether it is not to be answered.
    pub oneway: bool,
    /// Whether this is all of it.
    pub end: bool,
    /// When its first byte came.
    pub received: Instant,
    /// When it must be complete.
    pub deadline: Option<Instant>,
}

/// One connection, without its socket.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    peer: Settings,
    /// The magic has come, or is not expected.
    magic: bool,
    /// The peer's SETTINGS have come.
    established: bool,
    /// A call of ours was answered.
    answered: bool,
    opened_at: Instant,
    /// The time of day at `opened_at`, in microseconds since 1970, if it is known.
    opened_unix: Option<u64>,

    streams: Table<Stream>,
    /// The next stream that we open.
    next_local: u64,
    /// The highest stream that the peer has opened.
    highest_remote: u64,
    /// Our open streams that are answered; the peer limits these.
    local_open: u32,
    /// The peer's open streams that are answered; we limit these.
    remote_open: u32,
    bound: Bound,
    names: Names,

    send_window: SendWindow,
    send_oneway: SendWindow,
    receive_window: ReceiveWindow,
    /// What has come of bodies, and of their frames' prefixes, since the window was last granted again.
    ungranted: u32,
    /// What of the bytes that are not written yet the peer has caused.
    caused: usize,
    receive_oneway: ReceiveWindow,
    /// What is kept of messages on the peer's streams, and on ours. Two, because a handler that holds room on the one
    /// side may wait for an answer on the other.
    rooms: [room::Room; 2],
    /// Bytes of items that wait for their readers.
    unread: usize,

    out: Transmit,
    /// All bytes that ever entered the out-buffer.
    queued: u64,
    /// All bytes that ever left it.
    written: u64,
    /// Streams with parts to send, in order of their turns.
    turns: VecDeque<StreamId>,
    /// What is on its way of large messages, and of items.
    parts: share::Unacknowledged,
    items: share::Unacknowledged,
    /// Calls that wait for a free stream.
    pending: open::Queue,
    /// Oneway calls that wait for credit.
    pending_oneway: open::Queue,
    next_pending: u64,
    /// When a small message was last sent.
    last_small: Option<Instant>,
    /// When a request, or all of an answer, was last sent in one frame.
    last_call: Option<Instant>,
    /// Whether that was lately, when last looked at.
    beside_calls: bool,

    events: VecDeque<Event>,
    keepalive: Keepalive,
    /// How many more CANCEL frames for streams that are closed the peer may send.
    late_cancels: u32,
    /// No stream has a deadline before this.
    next_deadline: Option<Instant>,
    /// When the first byte of a frame came that is not whole yet.
    frame_began: Option<Instant>,
    /// The whole frames that the last look at the input has left there.
    left: Option<Left>,
    drain: time::Drain,
    peer_drains: bool,
    error: Option<ConnectionError>,
}

impl Connection {
    /// A new connection. Its SETTINGS (and magic) are ready to be transmitted.
    pub fn new(role: Role, config: Config, now: Instant) -> Self {
        let config = config.normalized();
        let peer = Settings::default();
        let mut connection = Self {
            role,
            magic: role == Role::Connector,
            established: false,
            answered: false,
            opened_at: now,
            opened_unix: None,
            streams: Table::default(),
            next_local: if role == Role::Connector { 1 } else { 2 },
            highest_remote: 0,
            local_open: 0,
            remote_open: 0,
            bound: Bound::default(),
            names: Names::default(),
            send_window: SendWindow::new(peer.connection_credit),
            send_oneway: SendWindow::new(peer.oneway_credit),
            receive_window: ReceiveWindow::new(config.connection_credit),
            ungranted: 0,
            caused: 0,
            receive_oneway: ReceiveWindow::new(config.oneway_credit),
            rooms: Default::default(),
            unread: 0,
            out: Transmit::default(),
            queued: 0,
            written: 0,
            turns: VecDeque::new(),
            parts: share::Unacknowledged::in_steps_of(MAX_PART as u32),
            items: share::Unacknowledged::in_steps_of(4 * 1024),
            pending: open::Queue::default(),
            pending_oneway: open::Queue::default(),
            next_pending: 0,
            last_small: None,
            last_call: None,
            beside_calls: false,
            events: VecDeque::new(),
            keepalive: Keepalive::new(config.keepalive_interval, config.keepalive_timeout, now),
            late_cancels: control::LATE_CANCELS,
            next_deadline: None,
            frame_began: None,
            left: None,
            drain: time::Drain::No,
            peer_drains: false,
            error: None,
            peer,
            config,
        };
        if role == Role::Connector {
            connection.out.put(&MAGIC);
        }
        let (mark, header) = connection.out.begin(96);
        connection.config.encode(header);
        connection.finish_frame(mark, Kind::SETTINGS, 0, 0, Body::default());
        connection.queued = connection.out.len() as u64;
        connection
    }

    /// Tells the time of day at the moment of [`new`](Self::new), in microseconds since 1970. Without it deadlines
    /// that are points in time can be neither sent nor read, and count as none.
    pub fn set_unix_time(&mut self, micros: u64) {
        self.opened_unix = Some(micros);
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the peer's SETTINGS have come.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// What the peer takes; the protocol's least before its SETTINGS have come.
    pub fn peer_settings(&self) -> &Settings {
        &self.peer
    }

    /// The name that the peer has bound to this number.
    pub fn method_name(&self, number: u32) -> Option<&str> {
        self.names.get(number)
    }

    /// Why the connection has ended, if it has.
    pub fn error(&self) -> Option<&ConnectionError> {
        self.error.as_ref()
    }

    /// Whether a call could be opened now: the connection lives and the peer does not drain.
    pub fn accepts_calls(&self) -> bool {
        self.error.is_none() && !self.peer_drains
    }

    /// How many calls of ours are under way or wait for a stream.
    #[inline]
    pub fn calls(&self) -> usize {
        self.local_open as usize + self.pending.len() + self.pending_oneway.len()
    }

    /// Whether streams have parts to send, once there is credit for them.
    #[inline]
    pub fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// How many bytes wait to be written.
    #[inline]
    pub fn unwritten(&self) -> usize {
        self.out.len()
    }

    /// Bytes came from the peer: takes every whole frame out of `input`, and leaves the rest there.
    ///
    /// # Errors
    /// What ended the connection. The out-buffer then holds the frame that tells the peer; transmit it and close.
    pub fn handle_bytes(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), ConnectionError> {
        self.handle_bytes_with(now, input, Take::All, &mut ())
    }

    /// The same with so much of the input, and with those who wait for answers.
    ///
    /// # Errors
    /// What ended the connection.
    #[inline]
    pub(crate) fn handle_bytes_with(
        &mut self,
        now: Instant,
        input: &mut BytesMut,
        take: Take,
        answers: &mut impl Answers,
    ) -> Result<(), ConnectionError> {
        if let Some(error) = &self.error {
            input.clear();
            return Err(error.clone());
        }
        self.keepalive.heard(now);
        let result = self.read_frames(now, input, take, answers);
        if let Err(error) = &result {
            self.fail(error.clone());
            input.clear();
        }
        result
    }

    fn read_frames(
        &mut self,
        now: Instant,
        input: &mut BytesMut,
        take: Take,
        answers: &mut impl Answers,
    ) -> Result<(), ConnectionError> {
        if !self.magic {
            let seen = input.len().min(MAGIC.len());
            if input[..seen] != MAGIC[..seen] {
                return Err(ConnectionError::ours(
                    ErrorCode::BadMagic,
                    format!("the peer does not speak this protocol: it began with {:02x?}", &input[..seen]),
                ));
            }
            if seen < MAGIC.len() {
                return Ok(());
            }
            let _ = input.split_to(MAGIC.len());
            self.magic = true;
        }
        if !self.established && input.first().is_some_and(|kind| *kind != Kind::SETTINGS.0) {
            return Err(ConnectionError::ours(
                ErrorCode::BadMagic,
                format!(
                    "the peer does not speak this protocol: its first frame is {:#04x}, not SETTINGS",
                    input[0]
                ),
            ));
        }
        // What was left the last time has come then, and nothing since. The first frame of the input may have begun in an
        // earlier one.
        let Left { since: came, portion } = self.left.take().unwrap_or_else(|| Left::new(now, input));
        let mut began = self.frame_began.take().unwrap_or(came);
        let whole = take.of(input, portion);
        if whole > 0 {
            // Cut off in one piece, of which the bodies are slices: cheaper than to cut off each (100 instructions a
            // frame).
            let frames = input.split_to(whole).freeze();
            let mut at = 0;
            while let Some(bytes) = frames[at..].first_chunk::<PREFIX>() {
                let prefix = Prefix::parse(bytes);
                self.check_prefix(&prefix)?;
                let head = at + PREFIX + usize::from(prefix.header);
                let end = head + prefix.body as usize;
                let body = if head < end { frames.slice(head..end) } else { Bytes::new() };
                self.handle_frame(now, began, &prefix, &frames[at + PREFIX..head], body, answers)?;
                began = came;
                at = end;
            }
        }
        if let Some(bytes) = input.first_chunk::<PREFIX>() {
            // Limits come before memory: nothing is waited for that would be refused.
            self.check_prefix(&Prefix::parse(bytes))?;
        }
        if self.has_frame(input) {
            self.left = Some(Left { since: came, portion });
        } else if !input.is_empty() {
            self.frame_began = Some(began);
        }
        Ok(())
    }

    /// Whether `input` begins with a whole frame.
    #[inline]
    pub fn has_frame(&self, input: &[u8]) -> bool {
        !input.is_empty() && self.missing(input) == 0
    }

    /// How many more bytes the frame at the start of `input` needs to be whole, as far as its prefix tells; never
    /// more than one frame may have.
    pub fn missing(&self, input: &[u8]) -> usize {
        match input.first_chunk::<PREFIX>() {
            Some(bytes) => {
                let prefix = Prefix::parse(bytes);
                let whole = PREFIX + usize::from(prefix.header) + (prefix.body as usize).min(MAX_FRAME_BODY);
                whole.saturating_sub(input.len())
            }
            None => PREFIX - input.len(),
        }
    }

    /// Gives memory back that a burst of calls has left, if nothing is open: ten thousand idle connections must not keep
    /// ten thousand lists.
    pub(crate) fn shrink(&mut self) {
        if self.streams.len() == 0 {
            self.streams = Table::default();
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        self.out.shrink();
    }

    /// Whether something happened that was not polled yet.
    #[inline]
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Exchanges the things that happened for an empty list.
    #[inline]
    pub(crate) fn swap_events(&mut self, empty: &mut VecDeque<Event>) {
        std::mem::swap(&mut self.events, empty);
    }

    /// The next thing that happened.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Moves what may be written now into `out`, which must be empty; whether there is anything. Tell what was really
    /// written with [`written`](Self::written).
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        if !self.turns.is_empty() {
            self.take_turns(now);
        }
        if self.out.is_empty() {
            return false;
        }
        if self.ungranted >= control::EARLY_GRANT && self.error.is_none() {
            // It goes out with what does anyway, and never needs a write of its own.
            self.grant_connection();
        }
        std::mem::swap(&mut self.out, out);
        true
    }

    /// Notes that bytes reached the socket.
    #[inline]
    pub fn written(&mut self, bytes: usize) {
        self.written += bytes as u64;
        // Where other frames wait as well, these count as the first to go: who takes nothing at all is found out all the
        // same.
        self.caused = self.caused.saturating_sub(bytes);
    }

    /// How many bytes that are not written yet the peer has caused: answers, refusals, grants. Items do not count, for the
    /// peer has granted them room.
    #[inline]
    pub fn caused(&self) -> usize {
        self.caused
    }

    /// What a stream may send and receive before more is granted.
    #[inline]
    fn grants(&self) -> Grants {
        Grants { send: self.peer.stream_credit, receive: self.config.stream_credit }
    }

    /// A number that grows with each call of ours.
    pub fn begun(&self) -> u64 {
        self.next_local
    }

    /// Whether the peer has answered a call or a ping of ours: it is there, and works.
    pub fn has_answered(&self) -> bool {
        self.answered || self.keepalive.srtt().is_some()
    }

    /// Whether this side opened the stream, or would.
    #[inline]
    pub(crate) fn is_local(&self, id: StreamId) -> bool {
        (id.0 & 1 == 1) == (self.role == Role::Connector)
    }

    /// Whether this stream has been opened at some time.
    #[inline]
    fn was_opened(&self, id: StreamId) -> bool {
        if self.is_local(id) { id.0 < self.next_local } else { id.0 <= self.highest_remote }
    }
}
