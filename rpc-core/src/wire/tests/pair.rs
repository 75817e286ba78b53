//! Two connections, the links between them, and a clock that jumps. Only what is public is used: the fuzzers
//! compile this file too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::wire::connection::Open;
use super::wire::head::RequestHead;
use super::wire::out::Body;
use super::wire::{
    CancelReason, Config, Connection, Event, Incoming, Opened, Part, ResponseHead, Role, StreamId, Token,
    Transmit,
};

pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

/// One end, and its link to the other.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) wire: Connection,
    input: BytesMut,
    part: Option<Part>,
    /// How many bytes were read straight to their message.
    pub(crate) straight: u64,
    out: Transmit,
    /// What is under way to the other end, and when it arrives.
    link: VecDeque<(Instant, Bytes)>,
    latency: Duration,
    /// How many bytes the link carries in a millisecond; what is beyond that the socket swallows.
    pub(crate) rate: usize,
    /// When the last of what the socket has swallowed leaves it.
    busy: Instant,
    /// How many bytes the socket takes before it is full.
    pub(crate) room: usize,
    pub(crate) events: VecDeque<Event>,
    pub(crate) sent: u64,
    /// How often there was something to write.
    pub(crate) writes: u64,
}

#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) sides: [Side; 2],
    /// Bytes arrive in pieces of at most this many.
    pub(crate) piece: usize,
    /// Whether what must hold is looked at after each step: costs time where there are many streams.
    pub(crate) checks: bool,
}

impl Side {
    fn new(role: Role, config: Config, now: Instant) -> Self {
        Self {
            wire: Connection::new(role, config, now),
            input: BytesMut::new(),
            part: None,
            straight: 0,
            out: Transmit::default(),
            link: VecDeque::new(),
            latency: Duration::ZERO,
            rate: usize::MAX,
            busy: now,
            room: usize::MAX,
            events: VecDeque::new(),
            sent: 0,
            writes: 0,
        }
    }

    /// Reads bytes as a driver does: to where the last ones said that these belong.
    fn read(&mut self, now: Instant, mut bytes: Bytes) {
        while !bytes.is_empty() {
            match &mut self.part {
                Some(part) => {
                    let mut room = part.room();
                    let count = bytes.len().min(room.remaining_mut());
                    room.put_slice(&bytes.split_to(count));
                    self.straight += count as u64;
                }
                None => self.input.extend_from_slice(&std::mem::take(&mut bytes)),
            }
            loop {
                // An error shows in `error`.
                let _ = self.wire.handle_input(now, &mut self.input, &mut self.part);
                if !self.wire.has_frame(&self.input) {
                    break;
                }
            }
        }
    }

    /// Whether a part is on its way to its place.
    pub(crate) fn is_lent(&self) -> bool {
        self.part.is_some()
    }

    /// Takes out what there is to write, as far as the socket takes it, and all events.
    fn pump(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.wire.poll_event() {
                self.events.push_back(event);
            }
            if self.out.is_empty() {
                if !self.wire.poll_transmit(now, &mut self.out) {
                    break;
                }
                self.writes += 1;
            }
            let count = self.out.len().min(self.room);
            if count == 0 {
                break;
            }
            // As a socket would, in what `slices` gives first.
            let mut slices = [std::io::IoSlice::new(&[]); 4];
            let filled = self.out.slices(&mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
            let count = count.min(bytes.len());
            if self.out.slices(&mut slices) == 1 {
                assert!(self.out.len() >= count);
            }
            self.out.advance(count);
            self.wire.written(count);
            self.sent += count as u64;
            self.room -= if self.room == usize::MAX { 0 } else { count };
            let mut bytes = Bytes::from(bytes).slice(..count);
            while !bytes.is_empty() {
                let carried =
                    bytes.split_to(bytes.len().min(if self.rate == usize::MAX { count } else { 16_000 }));
                let time =
                    Duration::from_nanos((carried.len() as u64).saturating_mul(1_000_000) / self.rate as u64);
                self.busy = self.busy.max(now) + time;
                self.link.push_back((self.busy + self.latency, carried));
            }
        }
        while let Some(event) = self.wire.poll_event() {
            self.events.push_back(event);
        }
    }
}

impl Pair {
    /// Two ends of a connection on which nothing has been said yet.
    pub(crate) fn strangers(client: Config, server: Config) -> Self {
        let now = Instant::now() + Duration::from_secs(1_000_000);
        let sides = [Side::new(Role::Connector, client, now), Side::new(Role::Acceptor, server, now)];
        Self { now, sides, piece: usize::MAX, checks: true }
    }

    /// Two ends that know each other.
    pub(crate) fn with(client: Config, server: Config) -> Self {
        let mut pair = Self::strangers(client, server);
        pair.run();
        assert!(pair.sides.iter().all(|side| side.wire.is_established()));
        pair
    }

    pub(crate) fn new() -> Self {
        Self::with(Config::default(), Config::default())
    }

    pub(crate) fn latency(&mut self, there: Duration, back: Duration) {
        self.sides[CLIENT].latency = there;
        self.sides[SERVER].latency = back;
    }

    pub(crate) fn client(&mut self) -> &mut Connection {
        &mut self.sides[CLIENT].wire
    }

    pub(crate) fn server(&mut self) -> &mut Connection {
        &mut self.sides[SERVER].wire
    }

    /// When the next thing happens by itself.
    fn next(&self, timers: bool) -> Option<Instant> {
        let arrivals = self.sides.iter().filter_map(|side| side.link.front().map(|(at, _)| *at));
        let timeouts = self.sides.iter().filter(|_| timers).filter_map(|side| side.wire.poll_timeout());
        arrivals.chain(timeouts).min()
    }

    /// Whether bytes are under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.sides
            .iter()
            .all(|side| side.link.is_empty() && side.out.is_empty() && side.wire.unwritten() == 0)
    }

    /// Delivers what is under way and what comes of it, without a timer that is not due.
    pub(crate) fn run(&mut self) {
        self.run_until(None);
    }

    /// Lets this much time pass, with all that happens in it.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.run_until(Some(self.now + time));
    }

    /// Delivers what is under way, piece by piece, until this is so.
    pub(crate) fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..10_000_000_u64 {
            if is_so(self) {
                return;
            }
            let now = self.now;
            self.sides.iter_mut().for_each(|side| side.pump(now));
            self.check();
            assert!(self.next(false).is_some(), "it came to rest before");
            self.now = self.next(false).map_or(now, |next| next.max(now));
            self.deliver();
        }
        panic!("it does not come to that");
    }

    fn run_until(&mut self, end: Option<Instant>) {
        for _ in 0..10_000_000_u64 {
            let now = self.now;
            self.sides.iter_mut().for_each(|side| side.pump(now));
            self.check();
            let next = self.next(end.is_some());
            match (next, end) {
                (None, None) => return,
                (next, Some(end)) if next.is_none_or(|next| next > end) => {
                    self.now = end.max(now);
                    return;
                }
                (next, _) => self.now = next.map_or(now, |next| next.max(now)),
            }
            self.deliver();
        }
        panic!("it does not come to rest");
    }

    /// Delivers the next piece of what is due, from each side, and calls timers that are due.
    pub(crate) fn deliver(&mut self) {
        let now = self.now;
        for from in [CLIENT, SERVER] {
            if let Some((at, bytes)) = self.sides[from].link.front_mut()
                && *at <= now
            {
                let piece = bytes.split_to(bytes.len().min(self.piece));
                if bytes.is_empty() {
                    self.sides[from].link.pop_front();
                }
                let to = &mut self.sides[1 - from];
                to.read(now, piece);
            }
            let side = &mut self.sides[from];
            if side.wire.poll_timeout().is_some_and(|at| at <= now) {
                let _ = side.wire.handle_timeout(now);
            }
        }
    }

    /// The link breaks: what is under way is lost.
    pub(crate) fn cut(&mut self) {
        for side in &mut self.sides {
            side.link.clear();
            side.input.clear();
            side.wire.handle_lost("the link was cut");
        }
        let now = self.now;
        self.sides.iter_mut().for_each(|side| side.pump(now));
        self.sides.iter_mut().for_each(|side| side.link.clear());
    }

    /// Looks at what must hold at any time.
    pub(crate) fn check(&self) {
        if !self.checks {
            return;
        }
        for (index, side) in self.sides.iter().enumerate() {
            if let Err(what) = side.wire.check() {
                panic!("side {index}: {what}");
            }
        }
        let [client, server] = &self.sides;
        let alive = |side: &Side| side.wire.error().is_none() && side.wire.is_established();
        if !alive(client) || !alive(server) {
            return;
        }
        let quiet = self.is_quiet();
        for (one, other) in [(client, server), (server, client)] {
            let (Some(mine), Some(yours)) = (one.wire.credit(None), other.wire.credit(None)) else {
                continue;
            };
            assert!(mine.send <= yours.receive, "credit of the connection: {mine:?} {yours:?}");
            assert!(!quiet || mine.send == yours.receive, "credit of the connection: {mine:?} {yours:?}");
            let (mine, yours) = (one.wire.credit_oneway(), other.wire.credit_oneway());
            assert!(mine.send <= yours.receive, "credit for oneways: {mine:?} {yours:?}");
            assert!(!quiet || mine.send == yours.receive, "credit for oneways: {mine:?} {yours:?}");
            for id in one.wire.stream_ids() {
                let (Some(mine), Some(yours)) = (one.wire.credit(Some(id)), other.wire.credit(Some(id)))
                else {
                    continue;
                };
                assert!(mine.send <= yours.receive, "credit of stream {id}: {mine:?} {yours:?}");
                assert!(!quiet || mine.send == yours.receive, "credit of stream {id}: {mine:?} {yours:?}");
            }
        }
    }

    /// Whether nothing is open, kept or owed on either side.
    pub(crate) fn assert_clean(&self) {
        for side in &self.sides {
            let snapshot = side.wire.snapshot();
            let held = [
                snapshot.calls,
                snapshot.pending,
                snapshot.serving,
                snapshot.buffered,
                snapshot.unwritten,
                side.wire.stream_ids().len(),
            ];
            assert_eq!(held, [0; 6], "{snapshot:?}");
            assert!(side.wire.is_idle());
        }
        self.check();
    }

    pub(crate) fn open(&mut self, side: usize, token: u32, body: impl Into<Bytes>) -> Opened {
        self.open_with(side, head(0), body, Open { token: Token(token), oneway: false, end: true })
    }

    pub(crate) fn open_with(
        &mut self,
        side: usize,
        head: RequestHead<'_>,
        body: impl Into<Bytes>,
        open: Open,
    ) -> Opened {
        let (now, body) = (self.now, body.into());
        self.sides[side].wire.open(now, &head, Body::from(&body), open).expect("a call that can be opened")
    }

    /// Opens a call that gets its stream at once.
    pub(crate) fn call(&mut self, side: usize, token: u32, body: impl Into<Bytes>) -> StreamId {
        match self.open(side, token, body) {
            Opened::Stream(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Opens a stream of items.
    pub(crate) fn stream(&mut self, side: usize, token: u32) -> StreamId {
        let open = Open { token: Token(token), oneway: false, end: false };
        match self.open_with(side, head(0), Bytes::new(), open) {
            Opened::Stream(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn respond(&mut self, side: usize, id: StreamId, body: impl Into<Bytes>) {
        let now = self.now;
        self.sides[side].wire.respond(now, id, &ResponseHead::default(), Body::from(&body.into()), true);
    }

    pub(crate) fn cancel(&mut self, side: usize, id: StreamId) {
        let now = self.now;
        self.sides[side].wire.cancel(now, id, CancelReason::Dropped);
    }

    pub(crate) fn event(&mut self, side: usize) -> Option<Event> {
        let now = self.now;
        self.sides[side].pump(now);
        self.sides[side].events.pop_front()
    }

    /// The next event, which must be a request.
    pub(crate) fn request(&mut self, side: usize) -> Incoming {
        match self.event(side) {
            Some(Event::Request(incoming)) => incoming,
            other => panic!("not a request: {other:?}"),
        }
    }

    /// The next event, which must be a response.
    pub(crate) fn response(&mut self, side: usize) -> (Token, Box<ResponseHead>, Bytes) {
        match self.event(side) {
            Some(Event::Response { token, head, body, .. }) => (token, Box::new(head), body),
            other => panic!("not a response: {other:?}"),
        }
    }
}

/// The head of a call of the method with this number.
pub(crate) fn head(method: u32) -> RequestHead<'static> {
    const PATHS: [&str; 4] = ["test.Echo/echo", "test.Echo/other", "test.Sum/add", "test.Sum/all"];
    RequestHead { method, path: PATHS[method as usize % 4], ..RequestHead::default() }
}
