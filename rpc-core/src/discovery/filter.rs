//! [`Filter`]: which of the instances behind a name are meant.
//!
//! ```
//! use rpc_core::discovery::{Filter, Instance, Snapshot};
//!
//! let at = |address: &str| Instance::new(address.parse().unwrap());
//! let all = Snapshot::new([
//!     at("a:1").with_tag("group", "blue"),
//!     at("b:1").with_tag("group", "blue").with_tag("canary", "true"),
//!     at("c:1").with_tag("group", "green"),
//! ]);
//! let filter = Filter::tag("group", "blue").and(Filter::tag("canary", "true").not());
//! let meant = filter.apply(&all);
//! assert_eq!(meant.instances().len(), 1);
//! assert_eq!(meant.instances()[0].id, "a:1");
//! ```

use std::fmt;
use std::sync::Arc;

use crate::discovery::instance::Instance;
use crate::discovery::snapshot::Snapshot;

/// Which of the instances behind a name are meant. The default means them all. Cheap to clone.
///
/// It is a condition and not a preference: where no instance fulfils it, there is none.
#[derive(Clone, Default)]
pub struct Filter(Option<Arc<Predicate>>);

type Predicate = dyn Fn(&Instance) -> bool + Send + Sync;

impl Filter {
    /// Those of which this is true.
    pub fn new(predicate: impl Fn(&Instance) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(predicate)))
    }

    /// Those that have this tag with this value: `Filter::tag("group", "blue")`.
    pub fn tag(key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        Self::new(move |instance| instance.tags.get(&key) == Some(&value))
    }

    /// Those that run this version of the program.
    pub fn version(version: impl Into<String>) -> Self {
        let version = version.into();
        Self::new(move |instance| instance.version == version)
    }

    /// Those in this zone, and no other whatever happens. To prefer a zone is the balancer's affair.
    pub fn zone(zone: impl Into<String>) -> Self {
        let zone = zone.into();
        Self::new(move |instance| instance.zone == zone)
    }

    /// Those that have this service, where the name is that of an application whose instances list their
    /// [services](Instance::services). One that lists none has whatever it is registered for.
    pub fn service(service: impl Into<String>) -> Self {
        let service = service.into();
        Self::new(move |instance| instance.services.is_empty() || instance.services.contains(&service))
    }

    /// Those that both mean.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (&self.0, &other.0) {
            (None, _) => other,
            (_, None) => self,
            _ => Self::new(move |instance| self.keeps(instance) && other.keeps(instance)),
        }
    }

    /// Those that one of the two means.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(move |instance| self.keeps(instance) || other.keeps(instance))
    }

    /// Those that this one does not mean.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub fn not(self) -> Self {
        Self::new(move |instance| !self.keeps(instance))
    }

    /// Whether this instance is meant.
    pub fn keeps(&self, instance: &Instance) -> bool {
        self.0.as_ref().is_none_or(|predicate| predicate(instance))
    }

    /// The instances of this list that are meant.
    pub fn apply(&self, snapshot: &Snapshot) -> Snapshot {
        if self.0.is_none() {
            return snapshot.clone();
        }
        Snapshot::new(snapshot.instances().iter().filter(|instance| self.keeps(instance)).cloned())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Filter(..)" } else { "Filter(all)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_combine() {
        let one = Instance::new("a:1".parse().unwrap())
            .with_zone("z")
            .with_version("2")
            .with_services(["a.A"])
            .with_tag("canary", "true");
        let yes = [
            Filter::default(),
            Filter::zone("z").and(Filter::version("2")),
            Filter::zone("y").or(Filter::tag("canary", "true")),
            Filter::tag("canary", "false").not(),
            Filter::default().and(Filter::service("a.A")),
            Filter::service("a.A").and(Filter::default()),
        ];
        assert!(yes.iter().all(|filter| filter.keeps(&one)));
        let no = [
            Filter::default().not(),
            Filter::zone("z").and(Filter::version("1")),
            Filter::service("b.B"),
            Filter::tag("group", "blue"),
        ];
        assert!(!no.iter().any(|filter| filter.keeps(&one)));
    }

    #[test]
    fn an_instance_that_lists_no_services_has_what_it_is_registered_for() {
        assert!(Filter::service("a.A").keeps(&Instance::new("a:1".parse().unwrap())));
    }
}
