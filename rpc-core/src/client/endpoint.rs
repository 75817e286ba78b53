//! One server: its connection, made when it is needed and made again after it was lost.
//!
//! ```text
//!            a call               connected
//!    idle ----------> connecting ----------> ready
//!      ^                |    ^                 |
//!      |         failed |    | a call, once    | lost before the server said a word: as failed
//!      |                v    | the wait is over|
//!      |               resting ----------------+
//!      +---------------------------------------+ lost later, or the server drains
//! ```
//!
//! Connecting is a task of its own, so that a caller that gives up does not end the attempt for the others.
//!
//! The endpoint of a handler's caller has the connection that the call came over, and never another.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::call::Peer;
use crate::client::channel::{Settings, Snapshot};
use crate::context::now;
use crate::server::connection::Serving;
use crate::server::router::Router;
use crate::status::{Certainty, Status};
use crate::transport::driver::Driver;
use crate::transport::link::{Link, connection};
use crate::transport::{Address, Connector};
use crate::wire::{Config, Role};

/// One server. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Endpoint(Arc<Inner>);

struct Inner {
    other: Other,
    state: Mutex<State>,
    /// Told at each change of the state.
    changed: Notify,
}

/// The other end.
enum Other {
    /// A server, and how connections to it are made.
    Server(Address, Arc<Making>),
    /// A handler's caller, whose connection was given.
    Caller(Peer),
    Nobody,
}

/// How a channel's connections are made.
pub(crate) struct Making {
    connector: Arc<dyn Connector>,
    config: Config,
    connect_timeout: Duration,
    backoff: Backoff,
    /// What the servers may call.
    router: Arc<Router>,
}

impl Making {
    pub(crate) fn new(connector: Arc<dyn Connector>, settings: &Settings, router: Router) -> Arc<Self> {
        // To the caller it is all one whether a server cannot be reached or does not say a word.
        let mut config = settings.config.clone();
        config.handshake_timeout = config.handshake_timeout.min(settings.connect_timeout);
        let (connect_timeout, backoff) = (settings.connect_timeout, settings.backoff);
        Arc::new(Self { connector, config, connect_timeout, backoff, router: Arc::new(router) })
    }
}

/// How long to wait between attempts to connect: `base · factorⁿ`, at most `max`, each ± 20 %.
///
/// The wait never comes near zero, so that a server that has just come back is not run over; it is forgotten once a
/// server has shown that it speaks the protocol, and not by a mere accept. (The rule is gRPC's connection back-off.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// After the first failure. Default 100 ms.
    pub base: Duration,
    /// How much longer after each further one. Default 1.6.
    pub factor: f64,
    /// At most. Default 10 s.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(100), factor: 1.6, max: Duration::from_secs(10) }
    }
}

impl Backoff {
    fn wait(&self, failures: u32, random: f64) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let wait = self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let wait = wait.min(self.max.as_secs_f64()) * (0.8 + 0.4 * random);
        Duration::try_from_secs_f64(wait).unwrap_or(self.max)
    }
}

struct State {
    connection: Connection,
    /// Failures in a row.
    failures: u32,
    /// The last of them.
    failure: Option<String>,
}

enum Connection {
    Idle,
    Connecting(AbortHandle),
    Ready(Arc<Link>),
    /// The last attempt failed; the next is not made before this.
    Resting(Instant, Status),
    /// The connection of a caller. It is the other side's to make and to end.
    Given(Arc<Link>),
    /// There is none, and will be none.
    Never(Status),
}

impl Endpoint {
    pub(crate) fn new(address: Address, making: Arc<Making>) -> Self {
        Self::in_state(Other::Server(address, making), Connection::Idle)
    }

    /// The other end of this connection, for as long as it lives.
    pub(crate) fn of_caller(link: Arc<Link>) -> Self {
        Self::in_state(Other::Caller(link.peer().clone()), Connection::Given(link))
    }

    /// Nobody: calls fail with this status.
    pub(crate) fn nowhere(status: Status) -> Self {
        Self::in_state(Other::Nobody, Connection::Never(status))
    }

    fn in_state(other: Other, connection: Connection) -> Self {
        Self(Arc::new(Inner {
            other,
            state: Mutex::new(State { connection, failures: 0, failure: None }),
            changed: Notify::new(),
        }))
    }

    /// The connection, if there is one that takes calls.
    #[inline]
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        match &self.0.lock().connection {
            Connection::Ready(link) | Connection::Given(link) => Some(link.clone()),
            _ => None,
        }
    }

    /// The error of a connection, with the name of the server: a program with several channels must know which.
    #[cold]
    pub(crate) fn named(&self, status: Status) -> Status {
        let message = format!("{}: {}", self.0.other, status.message());
        status.with_message(message)
    }

    /// Whether the connection that there is takes calls.
    pub(crate) fn takes_calls(&self) -> bool {
        match &self.0.lock().connection {
            Connection::Ready(link) => link.is_usable(),
            Connection::Given(link) => link.lock().wire.accepts_calls(),
            _ => false,
        }
    }

    /// The connection, when there is one that takes calls.
    ///
    /// # Errors
    /// Why there is none, unless `wait` is set: then it waits for ever, and its caller keeps the deadline.
    pub(crate) async fn connected(&self, wait: bool) -> Result<Arc<Link>, Status> {
        // An error that is older than this call is only reported while the next attempt must wait.
        loop {
            let changed = self.0.changed.notified();
            let rest = match self.0.step() {
                // A call that is in no hurry goes only where a server has shown itself: a proxy before a server that
                // is away accepts, and closes, and nobody can tell who has read the call.
                Step::Ready(link) if wait && link.established().await.is_err() => continue,
                Step::Ready(link) => return Ok(link),
                Step::Wait => None,
                Step::Rest(until, status) if wait => {
                    drop(status);
                    Some(until)
                }
                Step::Rest(_, status) | Step::Never(status) => return Err(status),
            };
            match rest {
                None => changed.await,
                // Whatever ends the rest early is looked at in the next round.
                Some(until) => drop(tokio::time::timeout_at(until.into(), changed).await),
            }
        }
    }

    /// Waits until the server has shown that it speaks the protocol.
    pub(crate) async fn established(&self) -> Result<Arc<Link>, Status> {
        let link = self.connected(false).await?;
        link.established().await.map_err(|error| self.0.unreachable(&error))?;
        Ok(link)
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
        let Some(link) = self.link() else { return Snapshot { servers: 1, ..Snapshot::default() } };
        let state = link.lock();
        let wire = state.wire.snapshot();
        Snapshot {
            servers: 1,
            connections: 1,
            connected: state.wire.accepts_calls(),
            calls: wire.calls,
            pending: wire.pending,
            places: state.places(),
            round_trip: wire.round_trip,
        }
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

    /// Looks at the connection, and begins to connect if there is none.
    fn step(self: &Arc<Self>) -> Step {
        let mut state = self.lock();
        if let Connection::Given(link) = &state.connection {
            return match gone(link) {
                None => Step::Ready(link.clone()),
                Some(status) => Step::Never(status),
            };
        }
        if let Connection::Ready(link) = &state.connection {
            if link.is_usable() {
                return Step::Ready(link.clone());
            }
            // Calls that are under way on it may finish; it ends after the last.
            link.close();
            let failed = {
                let link = link.lock();
                let silent = !link.wire.is_established();
                link.wire.error().filter(|_| silent).map(ToString::to_string)
            };
            match failed {
                Some(error) => self.rest(&mut state, &error),
                None => {
                    state.failures = 0;
                    state.failure = None;
                    state.connection = Connection::Idle;
                }
            }
        }
        match &state.connection {
            Connection::Ready(link) | Connection::Given(link) => return Step::Ready(link.clone()),
            Connection::Never(status) => return Step::Never(status.clone()),
            Connection::Connecting(task) if !task.is_finished() => return Step::Wait,
            Connection::Resting(until, status) if now() < *until => {
                return Step::Rest(*until, status.clone());
            }
            // A task that ended without a word was ended with its runtime.
            Connection::Connecting(_) | Connection::Resting(..) | Connection::Idle => {}
        }
        let task = tokio::spawn(connect(Arc::downgrade(self)));
        state.connection = Connection::Connecting(task.abort_handle());
        Step::Wait
    }

    fn rest(&self, state: &mut State, error: &str) {
        state.failures = state.failures.saturating_add(1);
        state.failure = Some(error.to_owned());
        let backoff = self.making().map_or_else(Backoff::default, |making| making.backoff);
        let wait = backoff.wait(state.failures, fastrand::f64());
        state.connection = Connection::Resting(now() + wait, self.unreachable(error));
    }

    fn unreachable(&self, error: &str) -> Status {
        Status::unavailable(format!("cannot connect to {}: {error}", self.other))
            .with_certainty(Certainty::NotSent)
    }

    fn making(&self) -> Option<&Making> {
        match &self.other {
            Other::Server(_, making) => Some(making),
            Other::Caller(_) | Other::Nobody => None,
        }
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(address, _) => address.fmt(f),
            Self::Caller(peer) => write!(f, "the caller {peer}"),
            Self::Nobody => f.write_str("nobody"),
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
        match &self.lock().connection {
            Connection::Ready(link) => match self.making() {
                Some(making) if !making.router.is_empty() => link.leave(),
                _ => link.close(),
            },
            Connection::Connecting(task) => task.abort(),
            // What was given is not ours to close.
            Connection::Idle | Connection::Resting(..) | Connection::Given(_) | Connection::Never(_) => {}
        }
    }
}

/// Makes a connection and hands it to the endpoint. It does not keep the endpoint alive.
async fn connect(endpoint: Weak<Inner>) {
    let attempt = endpoint.upgrade().and_then(|inner| {
        let Other::Server(address, making) = &inner.other else { return None };
        let limit = making.connect_timeout;
        Some((tokio::time::timeout(limit, making.connector.connect(address)), limit))
    });
    let Some((attempt, limit)) = attempt else { return };
    let connected = match attempt.await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {limit:.1?}")),
    };
    let Some(inner) = endpoint.upgrade() else { return };
    let Some(making) = inner.making() else { return };
    let mut state = inner.lock();
    match connected {
        Ok((io, peer)) => {
            let link = Link::new(connection(Role::Connector, &making.config), peer);
            // The driver owns the socket and ends when the link is closed and idle, which it is when the endpoint goes.
            drop(tokio::spawn(Driver::new(io, link.clone(), Serving::new(making.router.clone()))));
            state.connection = Connection::Ready(link);
        }
        Err(error) => inner.rest(&mut state, &error),
    }
    drop(state);
    inner.changed.notify_waiters();
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0.lock().connection {
            Connection::Idle => "idle",
            Connection::Connecting(_) => "connecting",
            Connection::Ready(_) => "ready",
            Connection::Resting(..) => "resting",
            Connection::Given(_) => "given",
            Connection::Never(_) => "none",
        };
        f.debug_struct("Endpoint").field("to", &self.0.other.to_string()).field("state", &state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_grows_to_its_maximum_and_never_nears_zero() {
        let backoff = Backoff::default();
        let millis = |failures, random| backoff.wait(failures, random).as_millis();
        assert_eq!((millis(1, 0.0), millis(1, 0.5), millis(1, 1.0)), (80, 100, 120));
        assert_eq!(millis(2, 0.5), 160);
        assert_eq!(millis(1_000, 0.5), 10_000);
        assert_eq!(millis(u32::MAX, 0.5), 10_000);
    }
}
