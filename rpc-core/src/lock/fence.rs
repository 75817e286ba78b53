//! [`Fence`]: what makes a holder harmless that has not noticed that it is none any more.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock::guard::FencingToken;
use crate::status::{Certainty, Status};

/// Admits the newest holder of a lock, and nobody who held it before. It stands where the writes arrive.
///
/// ```
/// use rpc_core::lock::{Fence, FencingToken};
///
/// let fence = Fence::new();
/// assert!(fence.admit(FencingToken(33)).is_ok());
/// assert!(fence.admit(FencingToken(34)).is_ok());
/// // A holder that slept through its lease comes late.
/// assert!(fence.admit(FencingToken(33)).is_err());
/// ```
#[derive(Debug, Default)]
pub struct Fence(AtomicU64);

impl Fence {
    /// A fence that has seen nobody.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Admits the write of this holder, unless a later one was here.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` for an older token than the newest that was seen.
    pub fn admit(&self, token: FencingToken) -> Result<(), Status> {
        let newest = self.0.fetch_max(token.0, Ordering::AcqRel);
        if token.0 < newest {
            return Err(Status::failed_precondition(format!(
                "the lock was lost: token {token} comes after token {newest}"
            ))
            .with_certainty(Certainty::NotExecuted));
        }
        Ok(())
    }
}
