//! The connections to one server: how many there are, which one a call gets, and when they go.
//!
//! A connection carries any number of calls at once, so one is enough for most channels, and is the default. More
//! help where one core cannot drive one connection fast enough, or where large messages are many
//! ([`Config::max_connections`]). Each is opened when those that there are have [`Config::high_water`] calls under way.
//!
//! An *exclusive* pool is the classic one: a call has its connection for itself, and waits in line when all are taken.
//! It is for servers, or things before them, that work through a connection one request at a time.
//!
//! | | multiplexed | exclusive |
//! |---|---|---|
//! | which connection | the oldest that is below the mark, or else the least busy | the one used last |
//! | all are busy | goes on one of them | waits, first come first served, up to [`Config::acquire_timeout`] |
//! | one more is opened | when all are at the mark | when all are taken |
//!
//! Whatever ends a connection (its age, idleness, the server, the network) ends no call by itself: a connection that is
//! closed takes no new calls, and goes after its last. One that has grown too old serves until another has taken its
//! place. Connecting happens outside of every lock, goes on if the caller that began it gives up, and is limited in
//! number.
//!
//! In reading order: here, what can be set and what is counted; `shelf`, the decisions, without clock, lock or task;
//! `client/endpoint`, which has all three.
//!
//! ```
//! use std::time::Duration;
//! use rpc_core::Channel;
//! use rpc_core::client::pool;
//!
//! let config = pool::Config { max_connections: 4, high_water: 64, ..Default::default() };
//! let channel = Channel::builder("localhost:7000").pool(config).build()?;
//! # Ok::<(), rpc_core::client::BuildError>(())
//! ```

mod shelf;

use std::time::Duration;

pub(super) use shelf::{Choice, Connection, Shelf};

/// What can be set of the connections to one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// At most so many connections to each server; 0 counts as 1. Default 1.
    pub max_connections: usize,
    /// So many calls under way on each connection make one more be opened, as long as there may be. Default 128. An
    /// exclusive pool has no use for it.
    pub high_water: usize,
    /// Whether a call has its connection for itself. Default no. A call with streams has it until they have ended. A
    /// [health check](crate::client::Builder::health_check) takes none of them: it has one more connection to each server.
    pub exclusive: bool,
    /// How long a call of an exclusive pool waits for a connection, at most; its deadline may be nearer. Default 3 s;
    /// `None` for up to the deadline.
    pub acquire_timeout: Option<Duration>,
    /// So many connections without a call are kept open, ready for the next. Default 0.
    pub min_idle: usize,
    /// More connections without a call than this are closed at once. Default 8.
    pub max_idle: usize,
    /// A connection that has had no call for so long is closed. Default `None`: it is kept, and looked after by
    /// keepalive. One connection to each server of a name is kept whatever this says, for they are kept connected.
    pub idle_timeout: Option<Duration>,
    /// A connection that is older is replaced; each lives up to 10 % shorter or longer, so that not all go at once. The
    /// last one serves on until the server has spoken on its successor, however long that takes: where none can be made,
    /// calls go on as before. Not so in an exclusive pool: there an old one is given to no call, and is closed once it is
    /// free, for it and a successor would be one connection too many. Default `None`.
    pub max_lifetime: Option<Duration>,
    /// So many connections are being made to one server at once, at most; 0 counts as 1. Default 2.
    pub max_dials: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 1,
            high_water: 128,
            exclusive: false,
            acquire_timeout: Some(Duration::from_secs(3)),
            min_idle: 0,
            max_idle: 8,
            idle_timeout: None,
            max_lifetime: None,
            max_dials: 2,
        }
    }
}

impl Config {
    pub(super) fn most(&self) -> usize {
        self.max_connections.max(1)
    }

    /// Whether there is anything to see to while no call asks for a connection.
    pub(super) fn needs_grooming(&self) -> bool {
        self.most() > 1 || self.min_idle > 0 || self.idle_timeout.is_some() || self.max_lifetime.is_some()
    }
}

/// What the pool of a server has and had; of a channel to several servers, the sum of theirs.
///
/// `opened` is always the sum of `open` and of what was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections that there are.
    pub open: usize,
    /// Those of them without a call.
    pub idle: usize,
    /// Connections that are being made.
    pub dialing: usize,
    /// Calls of exclusive pools that wait for a connection.
    pub waiting: usize,
    /// Connections that were made.
    pub opened: u64,
    /// Attempts to make one that failed.
    pub dials_failed: u64,
    /// Calls of exclusive pools that had to wait for a connection.
    pub waits: u64,
    /// How long they waited, all together.
    pub waited: Duration,
    /// Calls of exclusive pools that got no connection in time.
    pub timeouts: u64,
    /// Connections closed because nobody used them.
    pub closed_idle: u64,
    /// Connections closed because they were old.
    pub closed_lifetime: u64,
    /// Connections that the server was done with.
    pub closed_drained: u64,
    /// Connections that broke.
    pub closed_broken: u64,
}

impl Statistics {
    /// Both together.
    pub(super) fn add(&mut self, other: Self) {
        self.open += other.open;
        self.idle += other.idle;
        self.dialing += other.dialing;
        self.waiting += other.waiting;
        self.opened += other.opened;
        self.dials_failed += other.dials_failed;
        self.waits += other.waits;
        self.waited += other.waited;
        self.timeouts += other.timeouts;
        self.closed_idle += other.closed_idle;
        self.closed_lifetime += other.closed_lifetime;
        self.closed_drained += other.closed_drained;
        self.closed_broken += other.closed_broken;
    }
}
