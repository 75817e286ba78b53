//! The one task that moves a connection's bytes: reads what has come, lets the state machine have it, hands on what
//! came of that, writes what there is to write, and sleeps.
//!
//! One task and not two, because whatever comes in makes something go out: a batch of requests is read with one system
//! call, their handlers run, and their answers leave with one more. How it reads is in `read`, what it does of what came in
//! `act`.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;

use crate::buffer;
use crate::context::{Reason, now, sleep_until};
use crate::transport::answers::Answers;
use crate::transport::io::BoxIo;
use crate::transport::link::Link;
use crate::wire::connection::LEAST_PORTION;
use crate::wire::{Event, Incoming, Part, Transmit};

mod act;
mod read;

use read::{FIRST_READS, LEAST_READ};

/// What is done with the calls that a connection's peer makes.
pub(crate) trait Dispatch: Send + 'static {
    /// A call came; what is needed of it is taken out. It is answered through `answers`, or later through
    /// [`Link::served`].
    fn request(&mut self, link: &Arc<Link>, request: &mut Incoming, answers: &mut Answers);

    /// All calls that came together were handed over; their answers have not left yet.
    fn dispatched(&mut self) {}

    /// The connection has been idle for a while: what is kept for the next call may go.
    fn rest(&mut self) {}
}

/// The largest read buffer that is made ahead of what a frame is known to need.
const MOST_READ: usize = 256 * 1024;

/// A connection keeps its buffers for this long after something was last read or written.
const IDLE: Duration = Duration::from_secs(1);

/// While this many bytes that the peer has caused wait to be written (answers, refusals, grants), nothing more is read: a peer
/// that does not read must not make us keep answers for it without end.
const UNWRITTEN: usize = 4 * 1024 * 1024;

/// The same while calls of ours are under way, whose answers must be read: if each side waited for the other to read first,
/// neither would ever. A peer that lets so much pile up is not read from either, and is found dead by its silence.
const MOST_UNWRITTEN: usize = 8 * UNWRITTEN;

/// How long a peer may take to read what was written last and to close, when this side has said all.
const LINGER: Duration = Duration::from_secs(5);

/// How many rounds of reading and writing are made before other tasks get their turn…
const ROUNDS: usize = 8;

/// …which they get sooner when so many of them were woken: what they wait for is still in the core's cache then, and what
/// they send is written before all have run. With 10,000 calls in flight this and the few frames of a round together take a
/// quarter off the client's time.
const MOST_WOKEN: usize = 256;

/// Or when so many bytes were read and written: what a reply of 64 KiB was read to is used again by the next one, if
/// whoever waits for it gets its turn before more is read, and all of it stays in the cache (16 in flight: 43 us a call
/// became 20).
const MOST_MOVED: usize = 256 * 1024;

/// The driver of one connection; completes when the connection has ended.
#[must_use = "a connection that is not driven does nothing"]
pub(crate) struct Driver<D> {
    io: BoxIo,
    link: Arc<Link>,
    dispatch: D,
    input: BytesMut,
    /// The part of a large message that is read to its own place.
    part: Option<Part>,
    /// Whether parts of large messages come one after the other.
    in_parts: bool,
    /// How many more reads keep only what came.
    first_reads: u8,
    read_size: usize,
    /// How many more bytes the frame at the start of the input is known to need.
    missing: usize,
    /// Whether the input has whole frames that are still to be looked at.
    has_frames: bool,
    /// What was read at the end of the last round.
    ahead: Option<usize>,
    /// When the last round began.
    at: Instant,
    /// When something was last read or written.
    active: Instant,
    /// Whether nothing is kept for the next call.
    rested: bool,
    out: Transmit,
    /// Bytes that were written and not yet told to the state machine.
    written: usize,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    inbound: VecDeque<Event>,
    answers: Answers,
    /// What came for the peer's calls with streams.
    items: Vec<Event>,
    wakers: Vec<Waker>,
    /// How many were woken since other tasks had their turn.
    woken: usize,
    /// How many bytes were read and written since then.
    moved: usize,
    phase: Phase,
    /// When the socket is closed, whatever the peer does: set when this side has said all.
    ends_at: Option<Instant>,
    /// Bytes that the peer had caused and that waited to be written when last looked at.
    owed: usize,
    /// Whether no call of ours was under way then.
    is_idle: bool,
    /// What those who wait for it were told: whether the connection is established or over, and whether it takes calls.
    told: (bool, bool),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// All has been said: what is left is written, then writing is shut down.
    Flushing,
    /// Writing is shut down; the socket is read to its end, so that no reset eats what the peer has not read yet.
    Lingering,
    Closed,
}

/// How it stands at the end of a round, but for the writing.
struct Next {
    /// When the state machine wants to be called at the latest.
    timeout: Option<Instant>,
    /// Whether there is more to write: what is left where parts of large messages went out, or where the last write was
    /// not done.
    turns: bool,
    /// What those who wait for it are to be told.
    standing: (bool, bool),
    /// Whether something came of it that is still to be acted on.
    happened: bool,
}

impl<D: Dispatch> Driver<D> {
    pub(crate) fn new(io: BoxIo, link: Arc<Link>, dispatch: D) -> Self {
        Self {
            io,
            link,
            dispatch,
            input: BytesMut::new(),
            part: None,
            in_parts: false,
            first_reads: FIRST_READS,
            read_size: LEAST_READ,
            missing: 0,
            has_frames: false,
            ahead: None,
            at: now(),
            active: now(),
            rested: true,
            out: Transmit::default(),
            written: 0,
            timer: Box::pin(sleep_until(now())),
            armed: None,
            inbound: VecDeque::new(),
            answers: Answers::default(),
            items: Vec::new(),
            wakers: Vec::new(),
            woken: 0,
            moved: 0,
            phase: Phase::Open,
            ends_at: None,
            owed: 0,
            is_idle: false,
            told: (false, true),
        }
    }

    /// Writes what is in `out` until it is empty (true) or the socket takes no more (false).
    fn write(&mut self, cx: &mut TaskContext<'_>) -> io::Result<bool> {
        while !self.out.is_empty() {
            let io = Pin::new(&mut self.io);
            let polled = match self.out.single() {
                Some(bytes) => io.poll_write(cx, bytes),
                None => {
                    let mut slices = [IoSlice::new(&[]); 64];
                    let filled = self.out.slices(&mut slices);
                    io.poll_write_vectored(cx, &slices[..filled])
                }
            };
            match polled {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.out.advance(count);
                    self.written += count;
                    self.moved += count;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    fn wake(&mut self) {
        // To begin a drain of nothing costs more than to look.
        if !self.wakers.is_empty() {
            self.woken += self.wakers.len();
            for waker in self.wakers.drain(..) {
                waker.wake();
            }
        }
    }

    fn lost(&mut self, reason: &str) {
        self.link.with(|state| {
            state.wire.written(std::mem::take(&mut self.written));
            state.wire.handle_lost(reason);
        });
        self.phase = Phase::Closed;
    }

    fn arm(&mut self, at: Option<Instant>, cx: &mut TaskContext<'_>) {
        let Some(at) = at else { return };
        // A timer that goes off early only looks at the clock; one is moved only when it would go off late.
        if self.armed.is_none_or(|armed| at < armed) {
            self.timer.as_mut().reset(at.into());
            self.armed = Some(at);
            if self.timer.as_mut().poll(cx).is_ready() {
                // It is due already: the next round sees to it.
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Whether the peer has read enough of our answers.
    fn may_read(&self) -> bool {
        let most = if self.is_idle { UNWRITTEN } else { MOST_UNWRITTEN };
        self.owed.saturating_sub(self.written) <= most
    }

    /// One round: read, act, write. Whether there may be more to do at once.
    fn round(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let at = now();
        self.at = at;
        if self.ends_at.is_some_and(|end| end <= at) {
            self.phase = Phase::Closed;
            return false;
        }
        let reads = self.may_read() || self.phase != Phase::Open;
        let mut came = false;
        if reads {
            let Some(any) = self.come(cx) else { return false };
            came = any;
        }
        if self.phase == Phase::Lingering {
            return self.linger(came, cx);
        }
        if came && self.in_parts {
            self.take_in_parts(cx, at);
        }
        self.take_in(came, at);
        self.wake();
        if self.phase == Phase::Flushing && self.ends_at.is_none() {
            // The peer broke the protocol. Its handlers need not wait for it to hear so.
            self.link.end_all(Reason::ConnectionLost);
        }
        self.act();
        let Next { timeout, turns, standing, happened } = self.give_out(at, cx);
        self.wake();
        if std::mem::replace(&mut self.told, standing) != standing {
            self.link.tell_settled();
        }
        if self.phase != Phase::Open && self.ends_at.is_none() {
            self.ends_at = Some(at + LINGER);
        }
        self.arm(self.ends_at.or(timeout), cx);
        let whole = match self.write(cx) {
            Ok(whole) => whole,
            Err(error) => {
                self.lost(&format!("the socket failed: {error}"));
                return false;
            }
        };
        if self.phase == Phase::Flushing && self.written > 0 {
            // A peer that is slow to read, but reads, gets what is left.
            self.ends_at = Some(at + LINGER);
        }
        if came || self.written > 0 {
            (self.active, self.rested) = (at, false);
        }
        // What has come in the meantime nobody would wake us for.
        let reads_again = !reads && self.may_read();
        let more = (whole && turns) || happened || reads_again;
        if !came || more || self.has_frames || self.phase != Phase::Open || !self.may_read() {
            return came || more;
        }
        // Most often nothing more has come, and to ask is cheaper than a round with nothing to do.
        match self.read(cx) {
            Ok(count) => {
                self.ahead = count;
                count.is_some()
            }
            // The next round meets it again.
            Err(_) => true,
        }
    }

    /// Whether there is input to look at, left from before or read now; `None` at the socket's end.
    #[inline(always)]
    fn come(&mut self, cx: &mut TaskContext<'_>) -> Option<bool> {
        let read = if self.has_frames {
            return Some(true);
        } else if let Some(count) = self.ahead.take() {
            Ok(Some(count))
        } else {
            self.read(cx)
        };
        match read {
            Ok(Some(0)) if self.phase == Phase::Lingering => self.phase = Phase::Closed,
            Ok(Some(0)) => self.lost("the peer closed the connection"),
            Ok(count) => return Some(count.is_some()),
            Err(error) => self.lost(&format!("the socket failed: {error}")),
        }
        None
    }

    /// All has been said: what still comes is read, and thrown away.
    #[cold]
    fn linger(&mut self, came: bool, cx: &mut TaskContext<'_>) -> bool {
        self.input.clear();
        self.has_frames = false;
        (self.part, self.in_parts) = (None, false);
        // The timer may have gone off for something that was due before.
        self.armed = self.armed.filter(|armed| self.at < *armed);
        self.arm(self.ends_at, cx);
        came
    }

    /// Lets the state machine have what came, and takes from it what came of that.
    #[inline(always)]
    fn take_in(&mut self, came: bool, at: Instant) {
        let mut state = self.link.lock();
        state.awake();
        // Before anything that can end the connection: what was written tells which calls the peer can have.
        state.wire.written(std::mem::take(&mut self.written));
        if came && state.handle_input(at, &mut self.input, &mut self.part).is_err() {
            self.phase = Phase::Flushing;
        }
        self.in_parts |= self.part.is_some();
        if self.armed.is_some_and(|armed| armed <= at) {
            self.armed = None;
            if state.wire.handle_timeout(at).is_err() {
                self.phase = Phase::Flushing;
            }
        }
        state.settle(Some(at));
        if self.inbound.is_empty() {
            std::mem::swap(&mut self.inbound, &mut state.inbound);
        } else {
            self.inbound.append(&mut state.inbound);
        }
        state.take_wakers(&mut self.wakers);
        self.missing = if self.input.is_empty() { 0 } else { state.wire.missing(&self.input).min(MOST_READ) };
        self.read_size = self.read_size.max(self.missing);
        self.has_frames = !self.input.is_empty() && self.missing == 0;
    }

    /// Hands over the answers, takes what there is to write, and looks how it stands. From here on the driver is asleep.
    #[inline(always)]
    fn give_out(&mut self, at: Instant, cx: &TaskContext<'_>) -> Next {
        let mut state = self.link.lock();
        if !self.answers.is_empty() {
            self.answers.send(&mut state.wire, at);
        }
        state.wire.written(std::mem::take(&mut self.written));
        if self.out.is_empty() {
            state.wire.poll_transmit(at, &mut self.out);
        }
        state.uncrowd(at);
        if self.phase == Phase::Open && state.is_over() {
            self.phase = Phase::Flushing;
            // Whoever kept the connection to call back later is told at once that it is too late.
            state.wire.handle_lost("it was closed");
        }
        state.settle(Some(at));
        state.take_wakers(&mut self.wakers);
        let timeout = state.wire.poll_timeout();
        let settled = state.wire.is_established() || state.wire.error().is_some();
        let standing = (settled, state.wire.accepts_calls() && !state.closing);
        let turns = state.wire.unwritten() > 0 || (state.wire.has_turns() && !self.out.is_empty());
        self.owed = state.wire.caused();
        self.is_idle = state.wire.calls() == 0;
        let happened = !state.inbound.is_empty();
        // Nobody looks any more: from here on whoever has something for the driver wakes it.
        state.sleep(earlier(self.armed, self.ends_at.or(timeout)), cx.waker());
        Next { timeout, turns, standing, happened }
    }

    /// An idle connection keeps no buffers: ten thousand of them must not cost ten thousand buffers. But one call after
    /// the other must not allocate them anew each time (2,000 instructions a call, one at a time): they go after a
    /// moment.
    fn rest(&mut self, cx: &mut TaskContext<'_>) {
        if self.rested {
            return;
        }
        // The clock was looked at as this round began; a look and a difference more cost 200 instructions.
        let rests_at = self.active + IDLE;
        if self.at < rests_at {
            self.arm(Some(rests_at), cx);
            return;
        }
        self.input = BytesMut::new();
        (self.first_reads, self.read_size) = (FIRST_READS, LEAST_READ);
        self.in_parts = self.part.is_some();
        self.out.shrink();
        self.inbound = VecDeque::new();
        self.answers = Answers::default();
        self.items = Vec::new();
        self.wakers = Vec::new();
        self.rested = true;
        self.dispatch.rest();
        self.link.lock().shrink();
        buffer::trim();
    }
}

/// The earlier of two points in time, of which either may not be.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl<D: Dispatch> Future for Driver<D>
where
    Self: Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        (this.woken, this.moved) = (0, 0);
        for _ in 0..ROUNDS {
            let more = this.round(cx);
            match this.phase {
                Phase::Closed => return Poll::Ready(()),
                Phase::Flushing if this.out.is_empty() && this.link.lock().wire.unwritten() == 0 => {
                    match Pin::new(&mut this.io).poll_shutdown(cx) {
                        Poll::Ready(_) => this.phase = Phase::Lingering,
                        Poll::Pending => return Poll::Pending,
                    }
                    continue;
                }
                _ => {}
            }
            if !more {
                if this.is_idle && this.input.is_empty() && this.out.is_empty() {
                    this.rest(cx);
                }
                return Poll::Pending;
            }
            // After a portion of the answers that have come: whoever waited for one may send, and the peer goes on, before
            // the next is taken.
            let portion_woken = this.has_frames && this.woken >= LEAST_PORTION;
            if portion_woken || this.woken >= MOST_WOKEN || this.moved >= MOST_MOVED {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<D> Drop for Driver<D> {
    fn drop(&mut self) {
        // Whatever ended the driver (the server was dropped, a panic): nobody may wait for an answer for ever, and no
        // handler may run on for nobody.
        self.link.with(|state| {
            state.wire.written(std::mem::take(&mut self.written));
            state.wire.handle_lost("the connection was dropped");
        });
        self.link.tell_settled();
        self.link.end_all(Reason::ConnectionLost);
        buffer::trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Peer;
    use crate::server::Server;
    use crate::transport::io::{Connector, DefaultConnector};
    use crate::transport::link::connection;
    use crate::transport::slot::Exchange;
    use crate::wire::out::Body;
    use crate::wire::{Config, RequestHead, Role};

    struct Nobody;

    impl Dispatch for Nobody {
        fn request(&mut self, _: &Arc<Link>, _: &mut Incoming, _: &mut Answers) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_closed_ends_with_its_last_call() {
        let server = Server::builder().bind("memory://closing").await.unwrap();
        let (io, _) = DefaultConnector.connect(server.local_addr()).await.unwrap();
        let link = Link::new(connection(Role::Connector, &Config::default()), Peer::new("there".to_owned()));
        let driver = tokio::spawn(Driver::new(io, link.clone(), Nobody));
        link.established().await.unwrap();
        for last in [false, false, true] {
            let head = RequestHead { method: 1, path: "a.B/c", ..Default::default() };
            let mut exchange = None;
            let outcome = std::future::poll_fn(|cx| match &exchange {
                None => {
                    let opened =
                        Exchange::open(link.clone(), &head, Body::default(), false, now(), cx.waker());
                    exchange = opened.unwrap();
                    if last {
                        link.close();
                    }
                    Poll::Pending
                }
                Some(exchange) => exchange.poll(cx),
            });
            let _ = outcome.await;
        }
        let answered = now();
        driver.await.unwrap();
        assert!(now() - answered < Duration::from_millis(100), "{:?}", now() - answered);
    }
}
