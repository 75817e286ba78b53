//! [`MemoryRegistry`]: a registry within one process, for tests.
//!
//! ```
//! use rpc_core::discovery::{Instance, MemoryRegistry, Registry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = MemoryRegistry::new();
//! let mut watch = registry.watch("demo.v1.Greeter");
//! assert!(watch.changed().await?.is_empty());
//! registry.register("demo.v1.Greeter", Instance::new("a:1".parse()?)).await?;
//! assert_eq!(watch.changed().await?.instances().len(), 1);
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::ready;
use std::sync::Arc;

use tokio::sync::watch::{Receiver, Sender};

use crate::call::BoxFuture;
use crate::call::race::{Either, race};
use crate::discovery::feed::{Feed, Feeds, Turn};
use crate::discovery::instance::Instance;
use crate::discovery::name;
use crate::discovery::record::Record;
use crate::discovery::registry::Registry;
use crate::discovery::resolver::{Builder, Name};
use crate::discovery::snapshot::Snapshot;
use crate::discovery::view;
use crate::discovery::watch::Watch;
use crate::status::Status;

/// How many withdrawals are remembered for those who have not yet looked.
const REMEMBERED: usize = 1024;

/// A registry within one process, for tests: of programs that register and resolve, and of what they do when the registry
/// [fails](Self::set_down). A clone is the same registry.
///
/// As a resolver it answers to `memory://service`. A channel that is not given it takes `memory://name` for the address of
/// a server in this process.
#[derive(Clone)]
pub struct MemoryRegistry {
    state: Arc<Sender<State>>,
    feeds: Feeds,
}

#[derive(Debug, Default)]
struct State {
    services: BTreeMap<String, Service>,
    down: bool,
}

#[derive(Debug, Default)]
struct Service {
    instances: BTreeMap<String, Instance>,
    /// Who left on purpose lately.
    withdrawn: VecDeque<String>,
}

impl Default for MemoryRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryRegistry {
    /// An empty registry, which is up.
    pub fn new() -> Self {
        Self::with_view(view::Config::default())
    }

    /// One whose clients trust it this much.
    pub fn with_view(config: view::Config) -> Self {
        Self { state: Arc::new(Sender::new(State::default())), feeds: Feeds::new(config) }
    }

    /// Fails, until it is set up again: nothing can be asked, and what is registered meanwhile is there when it is back.
    pub fn set_down(&self, down: bool) {
        self.state.send_modify(|state| state.down = down);
    }

    /// Loses an instance, as if its lease had run out. Says whether there was one.
    pub fn lose(&self, service: &str, id: &str) -> bool {
        self.state.send_if_modified(|state| {
            state.services.get_mut(service).is_some_and(|service| service.instances.remove(id).is_some())
        })
    }

    fn snapshot(&self, service: &str) -> Result<Snapshot, Status> {
        let state = self.state.borrow();
        if state.down {
            return Err(down());
        }
        let instances = state.services.get(service).map(|service| service.instances.values().cloned());
        Ok(Snapshot::new(instances.into_iter().flatten()))
    }
}

fn down() -> Status {
    Status::unavailable("the registry in memory was set down")
}

fn check(service: &str, instance: &Instance) -> Result<(), Status> {
    name::check_service(service)?;
    Record { instance: instance.clone(), epoch: 0 }.check()
}

impl Registry for MemoryRegistry {
    fn register(&self, service: &str, instance: Instance) -> BoxFuture<Result<(), Status>> {
        if let Err(status) = check(service, &instance) {
            return Box::pin(ready(Err(status)));
        }
        self.state.send_modify(|state| {
            let service = state.services.entry(service.to_owned()).or_default();
            service.withdrawn.retain(|id| *id != instance.id);
            service.instances.insert(instance.id.clone(), instance);
        });
        let mut state = self.state.subscribe();
        Box::pin(async move {
            state
                .wait_for(|state| !state.down)
                .await
                .map(drop)
                .map_err(|_| Status::unavailable("the registry in memory is gone"))
        })
    }

    fn withdraw(&self, service: &str, id: &str) -> BoxFuture<Result<(), Status>> {
        let mut was_down = false;
        self.state.send_modify(|state| {
            was_down = state.down;
            let Some(service) = state.services.get_mut(service) else { return };
            if service.instances.remove(id).is_some() {
                service.withdrawn.push_back(id.to_owned());
                if service.withdrawn.len() > REMEMBERED {
                    service.withdrawn.pop_front();
                }
            }
        });
        Box::pin(ready(if was_down { Err(down()) } else { Ok(()) }))
    }

    fn list(&self, service: &str) -> BoxFuture<Result<Snapshot, Status>> {
        Box::pin(ready(self.snapshot(service)))
    }

    fn watch(&self, service: &str) -> Watch {
        self.feeds.watch(service, |feed| {
            tokio::spawn(follow(feed, self.state.subscribe()));
        })
    }
}

async fn follow(mut feed: Feed, mut state: Receiver<State>) {
    loop {
        let (is_down, list) = {
            let state = state.borrow_and_update();
            let service = state.services.get(feed.name());
            let gone = service.map(|service| service.withdrawn.iter().cloned().collect::<Vec<_>>());
            for id in gone.unwrap_or_default() {
                feed.withdrawn(&id);
            }
            (state.down, service.map(|service| service.instances.values().cloned().collect::<Vec<_>>()))
        };
        if is_down {
            feed.failed(down()).await;
        } else {
            feed.listed(list.unwrap_or_default());
        }
        loop {
            match race(state.changed(), feed.turn()).await {
                Either::First(Ok(())) => break,
                Either::Second(Turn::Hinted) => {}
                // The registry is gone, or nobody watches.
                Either::First(Err(_)) | Either::Second(Turn::Abandoned) => return,
            }
        }
    }
}

impl Builder for MemoryRegistry {
    fn scheme(&self) -> &str {
        "memory"
    }

    fn build(&self, name: &Name) -> Result<Watch, Status> {
        if !name.path.is_empty() {
            return Err(Status::invalid_argument(format!("{name} has a path; write memory://service")));
        }
        name::check_service(&name.authority)?;
        Ok(self.watch(&name.authority))
    }
}

impl fmt::Debug for MemoryRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRegistry").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::status::Code;

    fn instance(id: &str) -> Instance {
        Instance::new("h:1".parse().unwrap()).with_id(id)
    }

    async fn ids(watch: &mut Watch) -> String {
        let list = watch.changed().await.unwrap();
        let ids: Vec<_> = list
            .instances()
            .iter()
            .map(|one| format!("{}{}", one.id, if one.suspect { "?" } else { "" }))
            .collect();
        ids.join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_withdrawn_is_gone_and_what_is_lost_is_suspected() {
        let registry = MemoryRegistry::new();
        for id in ["a", "b", "c"] {
            registry.register("s", instance(id)).await.unwrap();
        }
        registry.register("s2", instance("other")).await.unwrap();
        let mut watch = registry.watch("s");
        assert_eq!(ids(&mut watch).await, "a b c");
        registry.withdraw("s", "a").await.unwrap();
        registry.withdraw("s", "nobody").await.unwrap();
        assert_eq!(ids(&mut watch).await, "b c");
        assert!(registry.lose("s", "b") && registry.lose("s", "c") && !registry.lose("s", "c"));
        assert_eq!(ids(&mut watch).await, "b? c?");
        registry.register("s", instance("b").with_weight(7)).await.unwrap();
        assert_eq!(ids(&mut watch).await, "b c?");
        assert_eq!(registry.list("s").await.unwrap().get("b").unwrap().weight, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_out() {
        let registry = MemoryRegistry::new();
        registry.register("s", instance("a")).await.unwrap();
        let mut watch = registry.watch("s");
        ids(&mut watch).await;
        registry.set_down(true);
        let mut registering = registry.register("s", instance("b"));
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut registering).await.is_err());
        assert_eq!(registry.list("s").await.unwrap_err().code(), Code::Unavailable);
        assert_eq!((watch.current().unwrap().instances().len(), watch.error().is_some()), (1, true));
        registry.set_down(false);
        registering.await.unwrap();
        assert_eq!(ids(&mut watch).await, "a b");
        assert!(watch.error().is_none());
    }

    #[tokio::test]
    async fn no_watch_outlives_its_readers() {
        let registry = MemoryRegistry::new();
        let (one, two) = (registry.watch("s"), registry.build(&"memory://s".parse().unwrap()).unwrap());
        assert_eq!(registry.feeds.len(), 1);
        drop((one, two));
        tokio::time::timeout(Duration::from_secs(10), async {
            while !registry.feeds.is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_registered_says_so() {
        let registry = MemoryRegistry::new();
        let refused = registry.register("a/b", instance("a")).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(registry.register("s", instance("")).await.is_err());
        assert!(registry.build(&"memory://a/b".parse().unwrap()).is_err());
    }
}
