//! From a method's name to its handler.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::call::MethodDescriptor;
use crate::call::service::DynService;
use crate::server::Counters;

/// Every method that a server has, by its full name. Looked up once for each method and connection.
#[derive(Default)]
pub(crate) struct Router {
    routes: HashMap<&'static str, Arc<Route>>,
    services: Vec<&'static str>,
}

/// What is known of one method of a server.
pub(crate) struct Route {
    pub(crate) method: &'static MethodDescriptor,
    pub(crate) service: Arc<dyn DynService>,
    /// The handler has once computed for long without awaiting: it gets a task of its own, so that it does not hold up
    /// its connection again.
    slow: AtomicBool,
    pub(crate) counters: Counters,
}

impl Router {
    /// Adds a service's methods.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        methods: &'static [MethodDescriptor],
        service: &Arc<dyn DynService>,
    ) -> Result<(), String> {
        if self.services.contains(&name) {
            return Err(format!(
                "two services are called {name}; give one another name: #[service(name = \"…\")]"
            ));
        }
        self.services.push(name);
        for method in methods {
            let route = Route {
                method,
                service: service.clone(),
                slow: AtomicBool::new(method.spawn),
                counters: Counters::default(),
            };
            self.routes.insert(method.path, Arc::new(route));
        }
        Ok(())
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
        } else {
            format!("no service {service:?} here; this server has {}", self.services.join(", "))
        }
    }
}

impl Route {
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slow(&self) {
        self.slow.store(true, Ordering::Relaxed);
    }
}
