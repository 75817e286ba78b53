//! How a server tells registries where it is.
//!
//! It registers once it listens, for each of its services or once as an application, in every registry that it was given.
//! To keep it registered is the registry's affair; here is what concerns the server: what it says of itself, and when.
//! At its end it first withdraws, then waits until clients have heard of it, and only then turns calls away: see
//! [`drain`](crate::server::Server::drain).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::call::BoxFuture;
use crate::call::race::{Either, race};
use crate::context::{now, sleep_until};
use crate::discovery::{Instance, Registry, State};
use crate::server::builder::BindError;
use crate::status::Status;
use crate::transport::{Address, InvalidAddress};

/// Weight and state are told no more often than this: each time wakes every client.
const REST: Duration = Duration::from_secs(1);

/// How long a registry may take to hear that the server goes away.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long telling it that the server drains may take, before it is just withdrawn.
const MARK: Duration = Duration::from_millis(500);

/// What a builder knows of where and how to register.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) registries: Vec<Arc<dyn Registry>>,
    pub(crate) application: Option<String>,
    pub(crate) advertised: Option<Result<Address, InvalidAddress>>,
    pub(crate) describe: Option<Arc<dyn Fn(Instance) -> Instance + Send + Sync>>,
    pub(crate) required: Option<Duration>,
    pub(crate) propagation: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            registries: Vec::new(),
            application: None,
            advertised: None,
            describe: None,
            required: None,
            propagation: Duration::from_secs(1),
        }
    }
}

impl Plan {
    /// What is to be registered, if anything is.
    pub(crate) fn instance(
        &self,
        bound: &Address,
        services: &[&'static str],
    ) -> Result<Option<Instance>, BindError> {
        if self.registries.is_empty() {
            return Ok(None);
        }
        let address = match &self.advertised {
            Some(Ok(address)) => with_port(address, bound),
            Some(Err(error)) => return Err(BindError::Address(error.clone())),
            None if is_everywhere(bound) => {
                return Err(BindError::Advertise(format!(
                    "the server listens at {bound}, which is no place that others could call: say where they reach it \
                     with .advertise(\"host:port\"); port 0 there stands for the port that it got"
                )));
            }
            None => bound.clone(),
        };
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut instance = Instance::new(address).with_started(u64::try_from(started).unwrap_or(0));
        if self.application.is_some() {
            instance = instance.with_services(services.iter().copied());
        }
        Ok(Some(match &self.describe {
            Some(describe) => describe(instance),
            None => instance,
        }))
    }
}

/// Whether it is an address like `0.0.0.0:7000`: every one that the host has, and none that another host could use.
fn is_everywhere(address: &Address) -> bool {
    match address {
        Address::Tcp(text) => {
            text.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_unspecified())
        }
        _ => false,
    }
}

/// The advertised address, with the port that the server got where it says 0.
fn with_port(advertised: &Address, bound: &Address) -> Address {
    if let (Address::Tcp(advertised), Address::Tcp(bound)) = (advertised, bound)
        && let (Some((host, "0")), Some((_, port))) = (advertised.rsplit_once(':'), bound.rsplit_once(':'))
    {
        return Address::Tcp(format!("{host}:{port}"));
    }
    advertised.clone()
}

/// A server's registrations.
pub(crate) struct Announcer {
    plan: Plan,
    names: Vec<String>,
    wanted: watch::Sender<Instance>,
    registered: watch::Receiver<Progress>,
    task: Option<JoinHandle<()>>,
}

/// How far the registration is.
#[derive(Clone, Debug)]
enum Progress {
    Registering,
    Registered,
    /// A registry does not want this instance, ever.
    Refused(Status),
}

impl Announcer {
    /// Registers, from now until it is withdrawn.
    pub(crate) fn start(plan: Plan, instance: Instance, services: &[&'static str]) -> Self {
        let names = match &plan.application {
            Some(application) => vec![application.clone()],
            None => services.iter().map(|service| (*service).to_owned()).collect(),
        };
        let (wanted, wishes) = watch::channel(instance);
        let (progress, registered) = watch::channel(Progress::Registering);
        let task = tokio::spawn(announce(plan.registries.clone(), names.clone(), wishes, progress));
        Self { plan, names, wanted, registered, task: Some(task) }
    }

    pub(crate) fn instance(&self) -> Instance {
        self.wanted.borrow().clone()
    }

    /// Says something else of the server from now on.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Instance)) {
        self.wanted.send_if_modified(|instance| {
            let before = instance.clone();
            change(instance);
            *instance != before
        });
    }

    /// Waits until every registry has heard of the server.
    pub(crate) async fn registered(&self) -> Result<(), Status> {
        let mut registered = self.registered.clone();
        match registered.wait_for(|progress| !matches!(progress, Progress::Registering)).await.as_deref() {
            Ok(Progress::Refused(status)) => Err(status.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Status::unavailable("the server goes away")),
        }
    }

    /// Takes the server back from all registries, and waits until clients have heard of it. What could not be told is in
    /// the result, with the name.
    pub(crate) async fn withdraw(mut self, limit: Duration) -> Vec<Status> {
        let began = now();
        // First of all nothing is registered any more.
        if let Some(task) = &mut self.task {
            task.abort();
            let _ = task.await;
        }
        let mut leaving = self.instance();
        leaving.state = State::Draining;
        let withdrawals: Vec<_> = self
            .entries()
            .map(|(registry, name)| {
                tokio::spawn(withdraw(registry.clone(), name.to_owned(), leaving.clone(), limit))
            })
            .collect();
        // From here on the withdrawals go on by themselves, whatever becomes of this future.
        self.task = None;
        let told = withdrawals.len();
        let mut failures = Vec::new();
        for withdrawal in withdrawals {
            if let Ok(Err(status)) = withdrawal.await {
                failures.push(status);
            }
        }
        if failures.len() < told {
            let spent = now().saturating_duration_since(began);
            // Half of what is left is for the calls that are under way.
            let rest = self.plan.propagation.min(limit.saturating_sub(spent) / 2);
            tokio::time::sleep(rest).await;
        }
        failures
    }

    fn entries(&self) -> impl Iterator<Item = (&Arc<dyn Registry>, &str)> {
        let names = || self.names.iter().map(String::as_str);
        self.plan.registries.iter().flat_map(move |registry| names().map(move |name| (registry, name)))
    }
}

/// A server that is dropped without a drain still takes itself back, in the background and within a limit.
impl Drop for Announcer {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        task.abort();
        let mut leaving = self.instance();
        leaving.state = State::Draining;
        let withdrawals: Vec<_> = self
            .entries()
            .map(|(registry, name)| withdraw(registry.clone(), name.to_owned(), leaving.clone(), PATIENCE))
            .collect();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // It may be registering at this very moment: what it does last is undone, and not the other way round.
                if !task.is_finished() {
                    let _ = task.await;
                }
                for withdrawal in withdrawals {
                    drop(tokio::spawn(withdrawal));
                }
            });
        }
    }
}

/// Keeps the registries up to date.
async fn announce(
    registries: Vec<Arc<dyn Registry>>,
    names: Vec<String>,
    mut wishes: watch::Receiver<Instance>,
    progress: watch::Sender<Progress>,
) {
    loop {
        let instance = wishes.borrow_and_update().clone();
        let pending: Vec<_> = registries
            .iter()
            .flat_map(|registry| names.iter().map(|name| registry.register(name, instance.clone())))
            .collect();
        // One that waits out an outage does not hold up a change, which replaces what it waits with.
        if let Either::First(result) = race(all(pending), wishes.changed()).await {
            progress.send_replace(match result {
                Ok(()) => Progress::Registered,
                Err(status) => {
                    tracing::error!(%status, id = instance.id, "a registry does not take this server");
                    Progress::Refused(status)
                }
            });
            if wishes.changed().await.is_err() {
                return;
            }
        }
        // What changes meanwhile goes along.
        sleep_until(now() + REST).await;
    }
}

async fn all(pending: Vec<BoxFuture<Result<(), Status>>>) -> Result<(), Status> {
    let mut result = Ok(());
    for registration in pending {
        result = result.and(registration.await);
    }
    result
}

/// First it says that it goes, so that clients do not take its leaving for a failure; then it goes.
async fn withdraw(
    registry: Arc<dyn Registry>,
    name: String,
    leaving: Instance,
    limit: Duration,
) -> Result<(), Status> {
    let id = leaving.id.clone();
    let patience = PATIENCE.min(limit);
    let _ = tokio::time::timeout(MARK.min(limit / 4), registry.register(&name, leaving)).await;
    match tokio::time::timeout(patience, registry.withdraw(&name, &id)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(status)) => {
            let message = format!("{name} may stay registered until its lease ends: {}", status.message());
            Err(status.with_message(message))
        }
        Err(_) => Err(Status::unavailable(format!(
            "{name} may stay registered until its lease ends: the registry has not answered within {patience:?}"
        ))),
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("registries", &self.registries.len())
            .field("application", &self.application)
            .field("advertised", &self.advertised)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer")
            .field("names", &self.names)
            .field("instance", &*self.wanted.borrow())
            .field("progress", &*self.registered.borrow())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::MemoryRegistry;

    fn plan(advertised: Option<&str>) -> Plan {
        Plan {
            registries: vec![Arc::new(MemoryRegistry::new())],
            advertised: advertised.map(str::parse),
            ..Plan::default()
        }
    }

    fn advertised(bound: &str, advertised: Option<&str>) -> Result<String, String> {
        plan(advertised)
            .instance(&bound.parse().unwrap(), &["a.A"])
            .map(|instance| instance.unwrap().address.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_that_nobody_can_call_is_not_registered() {
        assert_eq!(advertised("10.0.0.1:7000", None).unwrap(), "10.0.0.1:7000");
        for everywhere in ["0.0.0.0:7000", "[::]:7000"] {
            assert!(advertised(everywhere, None).unwrap_err().contains(".advertise("));
        }
        assert_eq!(advertised("0.0.0.0:7000", Some("api.internal:80")).unwrap(), "api.internal:80");
        assert_eq!(advertised("0.0.0.0:7000", Some("api.internal:0")).unwrap(), "api.internal:7000");
        assert!(advertised("0.0.0.0:7000", Some("api.internal")).unwrap_err().contains("port is missing"));
    }

    #[test]
    fn an_application_lists_its_services_and_a_service_is_one() {
        let bound = "h:1".parse().unwrap();
        assert!(plan(None).instance(&bound, &["a.A"]).unwrap().unwrap().services.is_empty());
        let plan = Plan { application: Some("shop".to_owned()), ..plan(None) };
        assert_eq!(plan.instance(&bound, &["a.A", "b.B"]).unwrap().unwrap().services, ["a.A", "b.B"]);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_told_once_a_second_and_the_last_one_counts() {
        let registry = MemoryRegistry::new();
        let plan = Plan { registries: vec![Arc::new(registry.clone())], ..Plan::default() };
        let instance = Instance::new("h:1".parse().unwrap());
        let announcer = Announcer::start(plan, instance, &["a.A", "b.B"]);
        announcer.registered().await.unwrap();
        let weight = async || registry.list("b.B").await.unwrap().get("h:1").unwrap().weight;
        for weight in 1..=50 {
            announcer.update(|instance| instance.weight = weight);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(weight().await, 100, "not yet");
        tokio::time::sleep(REST).await;
        assert_eq!(weight().await, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_registered_after_the_withdrawal_even_in_an_outage() {
        let registry = MemoryRegistry::new();
        let plan = Plan { registries: vec![Arc::new(registry.clone())], ..Plan::default() };
        let announcer = Announcer::start(plan, Instance::new("h:1".parse().unwrap()), &["a.A"]);
        announcer.registered().await.unwrap();
        registry.set_down(true);
        announcer.update(|instance| instance.weight = 7);
        let failures = announcer.withdraw(Duration::from_secs(10)).await;
        assert_eq!(failures.len(), 1);
        assert!(failures[0].message().contains("a.A may stay registered"), "{:?}", failures[0]);
        registry.set_down(false);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(registry.list("a.A").await.unwrap().is_empty());
    }
}
