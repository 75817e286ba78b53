//! Locks between processes: at most one holder of a name, as far as that can be had.
//!
//! In reading order: this file ([`Lock`], and how to ask for one), [`guard`] (a lock that is held, and may be lost),
//! [`fence`] (what makes a holder harmless that has not noticed), [`memory`] (locks within one process).
//!
//! A lock between processes is a lease: a holder that is silent for too long loses it, for it may be dead. One that was
//! only stopped, or cut off, still believes that it holds it when it wakes up, and no clock of its own can prevent that.
//! So whoever uses a lock does two things: it ends its work when the lock is [lost](Guard::lost), and it sends the lock's
//! [token](Guard::token) along with every write, so that whoever stores refuses an older token than it has seen
//! ([`Fence`]). See Kleppmann, "How to do distributed locking", 2016.
//!
//! ```
//! use std::time::Duration;
//! use rpc_core::lock::{Lock, MemoryLock, Options};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), rpc_core::Status> {
//! let locks = MemoryLock::new();
//! let guard = locks.acquire("nightly-report", Options::new().owner("host-1")).await?;
//!
//! // Somebody else does not get it in the meantime.
//! let error = locks.acquire("nightly-report", Options::new().wait(Duration::ZERO)).await.unwrap_err();
//! assert!(error.message().contains("host-1"));
//!
//! // The work ends by itself if the lock is lost.
//! let sum = guard.while_held(async { 1 + 1 }).await?;
//! assert_eq!(sum, 2);
//! guard.release().await?;
//! # Ok(())
//! # }
//! ```

pub mod fence;
pub mod guard;
pub mod memory;

use std::sync::Arc;
use std::time::Duration;

use crate::call::BoxFuture;
use crate::status::Status;

pub use fence::Fence;
pub use guard::{FencingToken, Guard};
pub use memory::MemoryLock;

/// Where locks are to be had.
pub trait Lock: Send + Sync + 'static {
    /// Acquires the lock of this name, and renews it until the guard is dropped or released. It begins with the call,
    /// so it must be called within a tokio runtime. Who waits longer is served first, as far as the implementation can.
    ///
    /// The same owner does not get a lock twice: it waits for itself.
    ///
    /// # Errors
    /// `ABORTED` if somebody else holds it until the [wait](Options::wait) is over, with that owner's name;
    /// `INVALID_ARGUMENT` for a name that no lock can have; `UNAVAILABLE` if it cannot be asked for, and the wait is over.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in the queue back, and the lock if it came in the meantime.
    fn acquire(&self, name: &str, options: Options) -> BoxFuture<Result<Guard, Status>>;
}

impl<L: Lock + ?Sized> Lock for Arc<L> {
    fn acquire(&self, name: &str, options: Options) -> BoxFuture<Result<Guard, Status>> {
        (**self).acquire(name, options)
    }
}

/// How a lock is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Who asks, for the others to read. Default: the id of this process.
    pub owner: String,
    /// How long the lock outlives a holder that is silent. Default 15 s. An implementation may have a least one.
    pub ttl: Duration,
    /// How long to wait while somebody else holds it. Default `None`: until the future is dropped. Zero tries once.
    pub wait: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self { owner: format!("process {}", std::process::id()), ttl: Duration::from_secs(15), wait: None }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says who asks.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// Sets how long the lock outlives a holder that is silent.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Waits no longer than this; [`Duration::ZERO`] tries once.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }
}
