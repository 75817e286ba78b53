//! [`Instance`]: one running copy of a server.

use std::collections::BTreeMap;

use crate::transport::Address;

/// One running copy of a server, as it registers and as a client finds it.
///
/// Two descriptions with the same [`id`](Self::id) are the same copy: what a client has learnt of it (connections,
/// statistics) survives a change of the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// What tells it from all others; the same from its start to its end. By default its address.
    pub id: String,
    /// Where it listens.
    pub address: Address,
    /// How much of the load it takes, beside the weights of the others. Default 100; 0 takes nothing new.
    pub weight: u32,
    /// Where it stands: a data centre's zone, a rack. Empty if that is not known.
    pub zone: String,
    /// The version of the program. Empty if that is not known.
    pub version: String,
    /// Whatever else is to be known of it: `group`, `canary`.
    pub tags: BTreeMap<String, String>,
    /// Whether it wants calls.
    pub state: State,
    /// When it started, in milliseconds since 1970; 0 if that is not known. Slow start goes by it.
    pub started: u64,
    /// The services that it has, where it registers as an application; empty where it registers for each service.
    pub services: Vec<String>,
    /// Whether the registry has lost it together with most of the others, so that the registry may be what failed. It is
    /// used while nothing better is there. Set by whoever watches a registry; never registered.
    pub suspect: bool,
}

/// Whether an instance wants calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It does.
    #[default]
    Up,
    /// It goes away: it ends what it has, and gets nothing new.
    Draining,
    /// It is there but does not want calls: its health check says no.
    Down,
}

impl Instance {
    /// An instance at this address, with the defaults for everything else.
    pub fn new(address: Address) -> Self {
        Self {
            id: address.to_string(),
            address,
            weight: 100,
            zone: String::new(),
            version: String::new(),
            tags: BTreeMap::new(),
            state: State::Up,
            started: 0,
            services: Vec::new(),
            suspect: false,
        }
    }

    /// The same instance, under this id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// The same instance, with this weight.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The same instance, in this zone.
    #[must_use]
    pub fn with_zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = zone.into();
        self
    }

    /// The same instance, in this version.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// The same instance, with one more tag.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The same instance, in this state.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// The same instance, started at this moment, in milliseconds since 1970.
    #[must_use]
    pub fn with_started(mut self, started: u64) -> Self {
        self.started = started;
        self
    }

    /// The same instance, with these services.
    #[must_use]
    pub fn with_services(mut self, services: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.services = services.into_iter().map(Into::into).collect();
        self
    }
}
