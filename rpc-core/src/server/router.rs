//! From a method's name to its handler.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::call::{MethodDescriptor, ServiceDescriptor};
use crate::server::Counters;
use crate::server::services::{Entry, Services};
use crate::server::stack::Handle;

/// Every method that one side of a connection serves, by its full name. Looked up once for each method and connection.
#[derive(Default)]
pub(crate) struct Router {
    routes: HashMap<&'static str, Arc<Route>>,
    services: Vec<&'static str>,
}

/// What is known of one method of a server.
pub(crate) struct Route {
    pub(crate) method: &'static MethodDescriptor,
    pub(crate) service: Arc<dyn Handle>,
    /// How long handlers may run in place in one go.
    pub(crate) in_place: Duration,
    /// A first poll up to here is quick.
    quick: Duration,
    /// How often the handler has lately computed for long without awaiting: see [`SLOW`].
    slowness: AtomicU32,
    pub(crate) counters: Counters,
}

impl Router {
    /// A table of these services' methods, or why they do not go together.
    pub(crate) fn new(services: Services) -> Result<Self, String> {
        let mut router = Self::default();
        for Entry { descriptor, service, in_place } in services.0 {
            router.add(descriptor, &service, in_place)?;
        }
        Ok(router)
    }

    fn add(
        &mut self,
        descriptor: &'static ServiceDescriptor,
        service: &Arc<dyn Handle>,
        in_place: Duration,
    ) -> Result<(), String> {
        let name = descriptor.name;
        if self.services.contains(&name) {
            return Err(format!(
                "two services are called {name}; give one another name: #[service(name = \"…\")]"
            ));
        }
        self.services.push(name);
        for method in descriptor.methods {
            let route = Route {
                method,
                service: service.clone(),
                in_place,
                quick: in_place / 2,
                slowness: AtomicU32::new(0),
                counters: Counters::default(),
            };
            self.routes.insert(method.path, Arc::new(route));
        }
        Ok(())
    }

    /// Whether nothing is served.
    pub(crate) fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Arc<Route>> {
        self.routes.get(path)
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// Why there is no such method, and what there is in its place.
    pub(crate) fn missing(&self, path: &str) -> String {
        let (service, method) = path.rsplit_once('/').unwrap_or((path, ""));
        if self.services.contains(&service) {
            let mut methods: Vec<_> = self
                .routes
                .values()
                .filter(|route| route.method.service == service)
                .map(|route| route.method.name)
                .collect();
            methods.sort_unstable();
            format!("the service {service} has no method {method:?}; it has {}", methods.join(", "))
        } else if self.services.is_empty() {
            format!(
                "no service {service:?} here: this side of the connection serves nothing; a client serves what it gives \
                 to Channel::builder(…).serve(…)"
            )
        } else {
            // The framework's own are not what anybody looks for.
            let own = |name: &&&str| !name.starts_with("rpc.v1.");
            let services: Vec<_> = self.services.iter().filter(own).copied().collect();
            format!("no service {service:?} here, only {}", services.join(", "))
        }
    }
}

/// A handler that computes for long without awaiting gets a task of its own, so that it does not hold up its connection.
/// One slow run says little, for the system may have given the core to somebody else meanwhile: each adds this much to
/// the method's slowness, and each quick run takes one off.
const SLOW: u32 = 64;

/// From here on the method's handlers get tasks, until enough of these were quick.
const TASKS_FROM: u32 = 2 * SLOW;

impl Route {
    /// Whether the handler gets a task from the start.
    #[inline]
    pub(crate) fn is_slow(&self) -> bool {
        self.method.spawn || self.slowness.load(Ordering::Relaxed) >= TASKS_FROM
    }

    /// Notes how long the handler's first poll took.
    #[inline]
    pub(crate) fn polled(&self, took: Duration) {
        let slowness = self.slowness.load(Ordering::Relaxed);
        // Nothing is stored for a method that is always quick. Two that race lose a step: it is a rough measure.
        if took > self.quick {
            self.slowness.store((slowness + SLOW).min(2 * TASKS_FROM), Ordering::Relaxed);
        } else if slowness > 0 {
            self.slowness.store(slowness - 1, Ordering::Relaxed);
        }
    }
}
