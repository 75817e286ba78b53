//! [`Member`]: one server of a name, and the task that keeps it connected.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::balance::Load;
#[cfg(feature = "macros")]
use crate::client::channel::Channel;
use crate::client::endpoint::Endpoint;
#[cfg(feature = "macros")]
use crate::client::health::HealthWatch;
use crate::context::now;
use crate::discovery::Instance;
#[cfg(feature = "macros")]
use crate::discovery::State;
#[cfg(feature = "macros")]
use crate::status::Certainty;
use crate::status::Status;

/// One server of a name.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) instance: Arc<Instance>,
    /// Stands for the id, where a call notes whom it has tried.
    pub(super) mark: u64,
    pub(super) endpoint: Endpoint,
    pub(super) load: Arc<Load>,
    pub(super) readiness: Arc<Readiness>,
    /// So many failures in a row are news.
    pub(super) patience: u32,
}

impl Member {
    /// The same server, by another description.
    pub(super) fn described(&self, instance: Instance) -> Self {
        let Self { mark, patience, .. } = *self;
        if instance.started != self.instance.started {
            // The same place, and another process: it is cold again.
            self.load.set_ready(now());
        }
        let (endpoint, load) = (self.endpoint.clone(), self.load.clone());
        Self {
            instance: Arc::new(instance),
            mark,
            endpoint,
            load,
            readiness: self.readiness.clone(),
            patience,
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn mark(&self) -> u64 {
        self.mark
    }

    /// A call has failed here: the keeper is told when it is one too many.
    pub(crate) fn failed(&self) {
        let failures = self.load.consecutive_failures();
        if self.patience > 0
            && failures.is_multiple_of(self.patience)
            && (failures / self.patience).is_power_of_two()
            && self.load.ejected_until().is_none()
        {
            // Now and then only: whoever may not be ejected, for too many are, goes on failing.
            self.readiness.news.notify_one();
        }
    }
}

/// Whether a server can be called, as its tender last saw it.
#[derive(Debug)]
pub(crate) struct Readiness {
    now: Mutex<Ready>,
    /// The keeper's ear.
    news: Arc<Notify>,
}

#[derive(Clone, Debug)]
pub(crate) enum Ready {
    /// Nobody knows yet.
    Connecting,
    Yes,
    /// The last attempt to connect failed.
    No(Status),
}

impl Readiness {
    pub(super) fn new(news: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(Ready::Connecting), news })
    }

    pub(super) fn now(&self) -> Ready {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, ready: Ready) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = ready;
        self.news.notify_one();
    }
}

/// Stands for an instance's id.
pub(super) fn mark(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Keeps a server connected, and tells how it stands. Never ends; the keeper ends it.
pub(super) async fn tend(
    endpoint: Endpoint,
    load: Arc<Load>,
    readiness: Arc<Readiness>,
    health: Option<Arc<str>>,
) {
    #[cfg(feature = "macros")]
    let aside = endpoint.aside();
    loop {
        let link = match endpoint.established().await {
            Ok(link) => link,
            Err(status) => {
                load.failed(now());
                readiness.set(Ready::No(status));
                // This one goes through as many attempts as it takes, with the waits between them.
                match endpoint.connected(true).await {
                    Ok(line) => line.link,
                    Err(_) => continue,
                }
            }
        };
        // Whoever is there now may be well, or another process: what is known is out of date, and what was held against it.
        match load.ejected_until() {
            Some(_) => load.uneject(now()),
            None => load.forget(),
        }
        match &health {
            #[cfg(feature = "macros")]
            Some(service) => {
                let mut watch = HealthWatch::new(Channel::over(aside.clone()), &**service);
                loop {
                    tokio::select! {
                        () = link.unusable() => break,
                        state = watch.changed() => readiness.set(said(service, state)),
                    }
                }
            }
            _ => {
                readiness.set(Ready::Yes);
                link.unusable().await;
            }
        }
        readiness.set(Ready::Connecting);
    }
}

/// What a server says of its health.
#[cfg(feature = "macros")]
fn said(service: &str, state: State) -> Ready {
    match state {
        State::Up => Ready::Yes,
        _ => {
            let status = Status::unavailable(format!("the server says that {service:?} is not well"));
            Ready::No(status.with_certainty(Certainty::NotSent))
        }
    }
}
