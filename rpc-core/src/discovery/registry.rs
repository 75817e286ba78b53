//! [`Registry`]: where instances are registered, and found.

use std::sync::Arc;

use crate::call::BoxFuture;
use crate::discovery::instance::Instance;
use crate::discovery::snapshot::Snapshot;
use crate::discovery::watch::Watch;
use crate::status::Status;

/// Where instances are registered, and found.
///
/// An implementation keeps what it was told to register registered, through every failure, until it is withdrawn or
/// the registry is dropped. Most are cheap to clone, and their clones are one registry; of any other an `Arc` is a
/// registry too.
pub trait Registry: Send + Sync + 'static {
    /// Registers the instance for the service, and keeps it so. Registering the same id again replaces the
    /// description: weight, tags, state. `service` may be the name of an application, too: then the instance lists its
    /// [`services`](Instance::services).
    ///
    /// It begins with the call and not with the first poll, so it must be called within a tokio runtime. Resolves once
    /// the registry has this description.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a name or an instance that cannot be registered. An outage is none: it is waited out, and the
    /// caller drops the future if it does not want to wait; the registry tries on until the withdrawal.
    fn register(&self, service: &str, instance: Instance) -> BoxFuture<Result<(), Status>>;

    /// Withdraws the instance of this id from the service. It begins with the call, too. It does not come back after this has resolved, whatever was
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

impl<R: Registry + ?Sized> Registry for Arc<R> {
    fn register(&self, service: &str, instance: Instance) -> BoxFuture<Result<(), Status>> {
        (**self).register(service, instance)
    }

    fn withdraw(&self, service: &str, id: &str) -> BoxFuture<Result<(), Status>> {
        (**self).withdraw(service, id)
    }

    fn list(&self, service: &str) -> BoxFuture<Result<Snapshot, Status>> {
        (**self).list(service)
    }

    fn watch(&self, service: &str) -> Watch {
        (**self).watch(service)
    }
}
