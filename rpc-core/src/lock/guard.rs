//! [`Guard`]: a lock that is held, and may be lost.
//!
//! ```text
//!                  Guard dropped, or release()
//!        held ------------------------------------> Keeper::released()
//!          |                                              |
//!          | Keeper::lost(why)                            | Keeper::done(result)
//!          v                                              v
//!        lost: Guard::lost() resolves               release() resolves
//! ```
//!
//! An implementation makes both ends with [`new`], gives the guard away, and keeps the [`Keeper`] in the task that renews
//! the lock:
//!
//! ```
//! use rpc_core::lock::{FencingToken, guard};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), rpc_core::Status> {
//! let (held, mut keeper) = guard::new("report", FencingToken(7));
//! tokio::spawn(async move {
//!     keeper.released().await; // …or the renewal fails: keeper.lost(status)
//!     keeper.done(Ok(()));
//! });
//! assert!(held.is_held());
//! held.release().await?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use crate::call::race::{Either, race};
use crate::status::{Certainty, Status};

/// A number that grows with each time that a lock is acquired.
///
/// It goes along with everything that the holder writes, so that whoever stores can refuse what comes from a holder that
/// has been replaced: see [`Fence`](crate::lock::Fence).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lock that is held. Dropping it releases the lock, in the background; [`release`](Self::release) says how that went.
#[must_use = "dropping the guard releases the lock"]
pub struct Guard {
    name: Arc<str>,
    token: FencingToken,
    state: watch::Receiver<State>,
    /// Dropped when the lock is to be released.
    wanted: oneshot::Sender<()>,
}

/// The other end of a [`Guard`]: the implementation's.
#[derive(Debug)]
pub struct Keeper {
    state: watch::Sender<State>,
    wanted: oneshot::Receiver<()>,
}

#[derive(Clone, Debug)]
enum State {
    Held,
    Lost(Status),
    Released(Result<(), Status>),
}

/// Both ends of a lock that was just acquired. For implementations of [`Lock`](crate::lock::Lock).
pub fn new(name: &str, token: FencingToken) -> (Guard, Keeper) {
    let (state, seen) = watch::channel(State::Held);
    let (wanted, released) = oneshot::channel();
    (Guard { name: name.into(), token, state: seen, wanted }, Keeper { state, wanted: released })
}

impl Guard {
    /// What is locked.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of this holder: greater than that of all holders before it.
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// Whether the lock is held, as far as this process knows.
    pub fn is_held(&self) -> bool {
        matches!(*self.state.borrow(), State::Held) && self.state.has_changed().is_ok()
    }

    /// Waits until the lock is lost, and says why. As long as it is held this does not resolve.
    ///
    /// # Cancel safety
    /// It can be dropped and called again at any time.
    pub async fn lost(&self) -> Status {
        match ended(&mut self.state.clone()).await {
            State::Lost(why) => lost(&self.name, &why),
            _ => lost(&self.name, &abandoned()),
        }
    }

    /// Runs the future, and drops it if the lock is lost before it is done.
    ///
    /// # Errors
    /// `ABORTED` if the lock is lost; whether the work was done is then not known.
    pub async fn while_held<F: Future>(&self, work: F) -> Result<F::Output, Status> {
        // A lock that is lost already does not even begin.
        match race(self.lost(), work).await {
            Either::First(why) => Err(why),
            Either::Second(output) => Ok(output),
        }
    }

    /// Releases the lock, and waits until others can have it.
    ///
    /// # Errors
    /// `ABORTED` if it was lost before; `UNAVAILABLE` if nobody could be told: it then ends with its lease.
    ///
    /// # Cancel safety
    /// It is released even if the future is dropped.
    pub async fn release(self) -> Result<(), Status> {
        let Self { name, mut state, wanted, .. } = self;
        drop(wanted);
        match ended(&mut state).await {
            State::Released(result) => result,
            State::Lost(why) => Err(lost(&name, &why)),
            State::Held => Err(lost(&name, &abandoned())),
        }
    }
}

/// Waits for the end. `Held` stands for a keeper that is gone without a word.
async fn ended(state: &mut watch::Receiver<State>) -> State {
    match state.wait_for(|state| !matches!(state, State::Held)).await {
        Ok(state) => state.clone(),
        Err(_) => State::Held,
    }
}

fn lost(name: &str, why: &Status) -> Status {
    Status::aborted(format!("the lock {name:?} was lost: {}", why.message()))
        .with_certainty(Certainty::Unknown)
}

fn abandoned() -> Status {
    Status::unavailable("whoever renewed it is gone")
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("name", &self.name)
            .field("token", &self.token)
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

impl Keeper {
    /// Waits until the lock is to be released: the guard was dropped or [released](Guard::release).
    ///
    /// # Cancel safety
    /// It can be dropped and called again at any time.
    pub async fn released(&mut self) {
        if !self.wanted.is_terminated() {
            let _ = (&mut self.wanted).await;
        }
    }

    /// Tells the holder that the lock is lost. To be called before somebody else can have it: when the lease has run out
    /// by this process's own clock, reckoned from when the last renewal that succeeded was *sent*.
    pub fn lost(self, why: Status) {
        self.state.send_replace(State::Lost(why));
    }

    /// Tells the holder how the release went.
    pub fn done(self, result: Result<(), Status>) {
        self.state.send_replace(State::Released(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    #[tokio::test]
    async fn a_loss_is_told_and_ends_the_work() {
        let (guard, keeper) = new("a", FencingToken(1));
        assert!(guard.is_held());
        let never = guard.while_held(std::future::pending::<()>());
        let (result, ()) =
            tokio::join!(never, async { keeper.lost(Status::unavailable("the lease ran out")) });
        let error = result.unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (Code::Aborted, "the lock \"a\" was lost: the lease ran out")
        );
        assert!(!guard.is_held());
        assert!(guard.while_held(async { panic!("this must not run") }).await.is_err());
        assert_eq!(guard.release().await.unwrap_err().code(), Code::Aborted);
    }

    #[tokio::test]
    async fn a_keeper_that_goes_without_a_word_is_a_loss() {
        let (guard, keeper) = new("a", FencingToken(1));
        drop(keeper);
        assert!(!guard.is_held());
        assert!(guard.lost().await.message().contains("gone"));
        assert!(guard.release().await.is_err());
    }

    #[tokio::test]
    async fn dropping_the_guard_asks_for_the_release_once_and_for_all() {
        let (guard, mut keeper) = new("a", FencingToken(1));
        drop(guard);
        keeper.released().await;
        keeper.released().await;
        keeper.done(Ok(()));
    }
}
