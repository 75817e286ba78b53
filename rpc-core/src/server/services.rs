//! [`Services`]: what one side of a connection serves, by a server or by a client that is called back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::call::ServiceDescriptor;
use crate::server::Serve;
use crate::server::builder::IN_PLACE;
use crate::server::stack::{Handle, Handlers};

/// Services, each within its layers.
#[derive(Default)]
pub struct Services(pub(crate) Vec<Entry>);

/// One service.
pub(crate) struct Entry {
    pub(crate) descriptor: &'static ServiceDescriptor,
    pub(crate) service: Arc<dyn Handle>,
    /// How long its handlers may run in place in one go.
    pub(crate) in_place: Duration,
}

/// What a client can serve to the servers that it calls: a service, or several with layers round them, as a server's
/// [`Builder`](crate::server::Builder) holds them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served",
    label = "neither a service nor a server's builder",
    note = "wrap the implementation in the server type that `#[service]` made: `ListenerServer::new(implementation)`"
)]
pub trait IntoServices {
    /// The services.
    fn into_services(self) -> Services;
}

impl<S: Serve> IntoServices for S {
    fn into_services(self) -> Services {
        let descriptor = self.descriptor();
        let service = Handlers::new(self).into_inner();
        Services(vec![Entry { descriptor, service, in_place: IN_PLACE }])
    }
}

impl Services {
    /// Adds one of the framework's own, outside of all layers, unless there is one of its name.
    #[cfg(feature = "macros")]
    pub(crate) fn or_own(mut self, service: impl Serve) -> Self {
        let name = service.descriptor().name;
        if self.0.iter().all(|entry| entry.descriptor.name != name) {
            self.0.extend(service.into_services().0);
        }
        self
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| entry.descriptor.name)).finish()
    }
}
