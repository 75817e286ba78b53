//! One server: the connections to it, made when they are needed and made again after they were lost.
//!
//! ```text
//!             a call               connected
//!   nothing ----------> dialing ----------> open
//!      ^                |    ^                | lost before the server said a word: as failed
//!      |         failed |    | a call, once   |
//!      |                v    | the wait is over
//!      |               resting ---------------+
//!      +--------------------------------------+ lost later, or the server drains
//! ```
//!
//! Which connection a call gets, and how many there are, the pool's `shelf` decides. Here are its lock and its
//! clock; in `tasks` is who connects, and who looks after idle and old connections where there is such a thing; in `line` how
//! a call waits.
//!
//! The endpoint of a handler's caller has the connection that the call came over, and never another.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

use crate::client::backoff::Backoff;
use crate::client::channel::{Settings, Snapshot};
use crate::client::pool::{self, Choice, Connection, Shelf};
use crate::context::now;
use crate::server::router::Router;
use crate::status::{Certainty, Status};
use crate::transport::link::Link;
use crate::transport::{Address, Connector};
use crate::wire::Config;

mod line;
mod tasks;

pub(crate) use line::{Lease, Line};
use tasks::LONG;

/// One server. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Endpoint(Arc<Inner>);

struct Inner {
    other: Other,
    state: Mutex<State>,
    /// Told at each change of the state.
    changed: Arc<Notify>,
    /// The line in which the calls of an exclusive pool wait: a place for each connection.
    line: Option<Arc<Semaphore>>,
    waiting: AtomicUsize,
}

/// The other end.
enum Other {
    /// A server, and how connections to it are made.
    Server(Address, Arc<Making>),
    /// A handler's caller: the connection that it made, which is its to make and to end.
    Caller(Arc<Link>),
    /// Nobody: calls fail with this.
    Nobody(Status),
}

/// What is known of the connections to a server.
struct State {
    shelf: Shelf<Arc<Link>>,
    /// What was taken off it, to be closed once the lock is free.
    gone: Vec<Arc<Link>>,
    /// The tasks that make connections.
    dials: Vec<AbortHandle>,
    /// The task that looks after the connections while no call does.
    groom: Option<AbortHandle>,
    /// Failures in a row.
    failures: u32,
    /// The last of them.
    failure: Option<String>,
    /// The last attempt failed; the next is not made before this.
    resting: Option<(Instant, Status)>,
}

impl State {
    /// A server has answered: what failed before it did is of no account.
    fn forget_failures(&mut self) {
        self.failures = 0;
        self.failure = None;
    }
}

impl Connection for Arc<Link> {
    fn is_usable(&self) -> bool {
        Link::is_usable(self)
    }

    fn calls(&self) -> usize {
        self.lock().wire.calls()
    }

    fn begun(&self) -> u64 {
        self.lock().wire.begun()
    }

    fn is_established(&self) -> bool {
        Link::is_established(self)
    }

    fn has_answered(&self) -> bool {
        self.lock().wire.has_answered()
    }

    fn is_broken(&self) -> bool {
        self.lock().wire.error().is_some()
    }

    fn is(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
    }
}

/// How a channel's connections are made.
#[derive(Clone)]
pub(crate) struct Making {
    connector: Arc<dyn Connector>,
    config: Config,
    connect_timeout: Duration,
    backoff: Backoff,
    pool: pool::Config,
    /// What the servers may call.
    router: Arc<Router>,
}

impl Making {
    /// Whether a call has its connection for itself.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.pool.exclusive
    }

    pub(crate) fn new(connector: Arc<dyn Connector>, settings: &Settings, router: Router) -> Arc<Self> {
        // To the caller it is all one whether a server cannot be reached or does not say a word.
        let mut config = settings.config.clone();
        config.handshake_timeout = config.handshake_timeout.min(settings.connect_timeout);
        let (connect_timeout, backoff) = (settings.connect_timeout, settings.backoff);
        let (pool, router) = (settings.pool.clone(), Arc::new(router));
        Arc::new(Self { connector, config, connect_timeout, backoff, pool, router })
    }
}

impl Endpoint {
    pub(crate) fn new(address: Address, making: Arc<Making>) -> Self {
        let pool = &making.pool;
        let line = pool.exclusive.then(|| Arc::new(Semaphore::new(pool.most().min(Semaphore::MAX_PERMITS))));
        Self::of(Other::Server(address, making), line)
    }

    /// The other end of this connection, for as long as it lives.
    pub(crate) fn of_caller(link: Arc<Link>) -> Self {
        Self::of(Other::Caller(link), None)
    }

    /// The same server, for a call that lasts and is no user's. Where calls have their connections for themselves it would
    /// take one away from them for good, so it has one of its own, beside the pool.
    #[cfg(feature = "macros")]
    pub(crate) fn aside(&self) -> Self {
        match &self.0.other {
            Other::Server(address, making) if making.is_exclusive() => {
                let making = Making { pool: pool::Config::default(), ..Making::clone(making) };
                Self::new(address.clone(), Arc::new(making))
            }
            _ => self.clone(),
        }
    }

    /// Nobody: calls fail with this status.
    pub(crate) fn nowhere(status: Status) -> Self {
        Self::of(Other::Nobody(status), None)
    }

    fn of(other: Other, line: Option<Arc<Semaphore>>) -> Self {
        let state = State {
            shelf: Shelf::new(),
            gone: Vec::new(),
            dials: Vec::new(),
            groom: None,
            failures: 0,
            failure: None,
            resting: None,
        };
        let (state, waiting) = (Mutex::new(state), AtomicUsize::new(0));
        Self(Arc::new(Inner { other, state, changed: Arc::default(), line, waiting }))
    }

    /// A connection that a call can go to at once, unless it turns out that it takes none.
    #[inline]
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        match &self.0.other {
            Other::Server(_, making) if making.pool.most() == 1 && !making.pool.exclusive => {
                self.0.lock().shelf.only().cloned()
            }
            Other::Server(..) if self.0.line.is_none() => match self.0.step(now()) {
                Step::Ready(link) => Some(link),
                _ => None,
            },
            Other::Caller(link) => Some(link.clone()),
            _ => None,
        }
    }

    /// The error of a connection, with the name of the server: a program with several channels must know which.
    #[cold]
    pub(crate) fn named(&self, status: Status) -> Status {
        let message = format!("{}: {}", self.0.other, status.message());
        status.with_message(message)
    }

    /// Whether a connection that there is takes calls.
    pub(crate) fn takes_calls(&self) -> bool {
        match &self.0.other {
            Other::Server(..) => self.0.lock().shelf.connections().any(Connection::is_usable),
            Other::Caller(link) => link.lock().wire.accepts_calls(),
            Other::Nobody(_) => false,
        }
    }

    /// Why a call that waited has no connection.
    #[cold]
    pub(crate) fn reason(&self) -> String {
        match &self.0.lock().failure {
            Some(error) => format!("it waited for a connection to {}: {error}", self.0.other),
            None => format!("it waited for a connection to {}", self.0.other),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let (links, mut pool) = match &self.0.other {
            Other::Server(..) => {
                let state = self.0.lock();
                let links: Vec<_> = state.shelf.connections().cloned().collect();
                (links, state.shelf.statistics(state.dials.len()))
            }
            Other::Caller(link) => (vec![link.clone()], pool::Statistics::default()),
            Other::Nobody(_) => (Vec::new(), pool::Statistics::default()),
        };
        pool.waiting = self.0.waiting.load(Ordering::Relaxed);
        let mut sum = Snapshot { servers: 1, pool, ..Snapshot::default() };
        for link in links {
            let state = link.lock();
            let wire = state.wire.snapshot();
            sum.connected |= state.wire.accepts_calls();
            sum.calls += wire.calls;
            sum.pending += wire.pending;
            sum.places += state.places();
            sum.round_trip = sum.round_trip.max(wire.round_trip);
        }
        sum
    }
}

/// What a caller that needs a connection is told.
enum Step {
    Ready(Arc<Link>),
    /// Something is under way.
    Wait,
    /// The last attempt failed, and the next is not made before this.
    Rest(Instant, Status),
    /// There is no connection, and will be none.
    Never(Status),
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` under the lock, then closes what it has taken off the shelf: that wakes, and a waker may run anybody's code.
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = f(&mut state);
        let gone = std::mem::take(&mut state.gone);
        drop(state);
        gone.iter().for_each(|link| link.close());
        result
    }

    /// Looks at the connections, and begins to make one if none will do.
    fn step(self: &Arc<Self>, at: Instant) -> Step {
        let making = match &self.other {
            Other::Server(_, making) => making,
            Other::Caller(link) => {
                return match gone(link) {
                    None => Step::Ready(link.clone()),
                    Some(status) => Step::Never(status),
                };
            }
            Other::Nobody(status) => return Step::Never(status.clone()),
        };
        self.with(|state| {
            self.sweep(state, at);
            let choice = state.shelf.choose(&making.pool, at);
            if let Choice::Use(link) = choice {
                return Step::Ready(link);
            }
            let resting = state.resting.clone().filter(|(until, _)| at < *until);
            // The first one is enough for all who wait for it.
            let awaited =
                !making.pool.exclusive && matches!(choice, Choice::Nothing) && !state.dials.is_empty();
            if resting.is_none() && !awaited && state.shelf.may_dial(&making.pool, state.dials.len(), at) {
                self.dial(state);
            }
            match (choice, resting) {
                (Choice::Use(link) | Choice::Busy(link), _) => Step::Ready(link),
                (Choice::Nothing, Some((until, status))) if state.dials.is_empty() => {
                    Step::Rest(until, status)
                }
                (Choice::Nothing, _) => Step::Wait,
            }
        })
    }

    /// Takes out the connections that take no more calls. Calls that are under way on them may finish.
    fn sweep(&self, state: &mut State, at: Instant) {
        for link in state.shelf.sweep() {
            let (said_nothing, answered, error) = {
                let wire = &link.lock().wire;
                let error = wire.error().map_or("it takes no calls".to_owned(), ToString::to_string);
                (!wire.is_established() && wire.error().is_some(), wire.has_answered(), error)
            };
            if said_nothing || (!answered && state.failures > 0) {
                self.rest(state, &error, at);
            } else if answered {
                state.forget_failures();
            } else {
                // It said hello and went. Once that may be chance; one that does it again and again must not be run over.
                (state.failures, state.failure) = (1, Some(error));
            }
            state.gone.push(link);
        }
        // A task that ended without a word was ended with its runtime.
        state.dials.retain(|dial| !dial.is_finished());
    }

    fn rest(&self, state: &mut State, error: &str, at: Instant) {
        if state.shelf.connections().any(Connection::has_answered) {
            state.forget_failures();
        }
        state.failures = state.failures.saturating_add(1);
        state.failure = Some(error.to_owned());
        let backoff = self.making().map_or_else(Backoff::default, |making| making.backoff);
        let wait = backoff.wait(state.failures, fastrand::f64());
        // A wait beyond the end of time is a long one.
        let until = at.checked_add(wait).unwrap_or(at + LONG);
        state.resting = Some((until, self.unreachable(error)));
    }

    fn unreachable(&self, error: &str) -> Status {
        Status::unavailable(format!("cannot connect to {}: {error}", self.other))
            .with_certainty(Certainty::NotSent)
    }

    fn making(&self) -> Option<&Making> {
        match &self.other {
            Other::Server(_, making) => Some(making),
            Other::Caller(_) | Other::Nobody(_) => None,
        }
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(address, _) => address.fmt(f),
            Self::Caller(link) => write!(f, "the caller {}", link.peer()),
            Self::Nobody(_) => f.write_str("nobody"),
        }
    }
}

/// Why a caller cannot be called, if it cannot.
fn gone(link: &Link) -> Option<Status> {
    let state = link.lock();
    let why = match state.wire.error() {
        Some(error) => format!("the caller {} is gone: {error}", link.peer()),
        None if state.wire.accepts_calls() => return None,
        None => format!("the caller {} is leaving and takes no more calls", link.peer()),
    };
    Some(Status::unavailable(why).with_certainty(Certainty::NotSent))
}

impl Drop for Inner {
    fn drop(&mut self) {
        let serves = self.making().is_some_and(|making| !making.router.is_empty());
        // Nobody else has it any more, so nothing is locked.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for link in state.shelf.connections() {
            if serves { link.leave() } else { link.close() }
        }
        for task in state.dials.iter().chain(&state.groom) {
            task.abort();
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("Endpoint")
            .field("to", &self.0.other.to_string())
            .field("pool", &snapshot.pool)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
