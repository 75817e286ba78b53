//! [`Registry`]: where instances are registered, and found.

use crate::call::BoxFuture;
use crate::discovery::instance::Instance;
use crate::discovery::snapshot::Snapshot;
use crate::discovery::watch::Watch;
use crate::status::Status;

/// Where instances are registered, and found.
///
/// An implementation keeps what it was told to register registered, through every failure, until it is withdrawn or
/// the registry is dropped.
pub trait Registry: Send + Sync + 'static {
    /// Registers the instance for the service, and keeps it so. Registering the same id again replaces the
    /// description: weight, tags, state.
    ///
    /// Resolves once it is registered for the first time.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a name or an instance that cannot be registered. An outage is none: it is waited out, and the
    /// caller drops the future if it does not want to wait; the registry tries on until the withdrawal.
    fn register(&self, service: &str, instance: Instance) -> BoxFuture<Result<(), Status>>;

    /// Withdraws the instance of this id from the service. It does not come back after this has resolved, whatever was
    /// under way. Withdrawing what is not registered is no error.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the registry could not be told: the entry then ends with its lease.
    fn withdraw(&self, service: &str, id: &str) -> BoxFuture<Result<(), Status>>;

    /// The instances of the service, as the registry has them now.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the registry cannot be asked.
    fn list(&self, service: &str) -> BoxFuture<Result<Snapshot, Status>>;

    /// Watches the instances of the service. The watch does not end with an outage: it keeps the last list, and says
    /// that it is old.
    fn watch(&self, service: &str) -> Watch;
}
