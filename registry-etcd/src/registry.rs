//! [`EtcdRegistry`]: registry, resolver and locks of one etcd cluster; and the task that keeps what it registered
//! registered.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use etcd_client::{Compare, CompareOp, ConnectOptions, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse};
use rpc_core::call::BoxFuture;
use rpc_core::discovery::record::Record;
use rpc_core::discovery::{Feeds, Instance, Registry, Snapshot, Watch, name, resolver};
use rpc_core::{Certainty, Status};
use tokio::sync::{Notify, oneshot, watch};

use crate::client::{Client, Failure, kv};
use crate::config::{Builder, Config};
use crate::key;
use crate::stats::{Counters, Stats};
use crate::supervisor::{Action, Found, Outcome, Supervisor};
use crate::table::Table;
use crate::watch::Follower;

/// How long a registry that is closed, or dropped, tries to take its entries away. After that they end with their lease.
const CLOSING: Duration = Duration::from_secs(5);

/// Registry, resolver and locks of one etcd cluster. A clone is the same registry.
///
/// All that it registers stands under one lease, which it renews until the entries are withdrawn, the registry is
/// [closed](Self::close), or its last clone is dropped (which takes them away in the background).
#[derive(Clone)]
pub struct EtcdRegistry(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    feeds: Feeds,
    /// Says when the supervisor's task has ended.
    ended: watch::Receiver<bool>,
}

/// What the registry and its task have in common.
struct Shared {
    client: Client,
    config: Config,
    counters: Arc<Counters>,
    supervisor: Mutex<Supervisor>,
    /// There is something new to do.
    woken: Notify,
    closing: Notify,
    /// When this process began, for instances that do not say so: in milliseconds since 1970.
    started: u64,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl EtcdRegistry {
    /// A registry on these members of a cluster, `host:port` each, with the defaults. It does not wait for etcd: see
    /// [`Builder::connect`].
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for an endpoint that is none.
    pub async fn connect<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Result<Self, Status> {
        Self::builder(endpoints).connect().await
    }

    /// A registry on these members of a cluster, to be set up.
    pub fn builder<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Builder {
        Builder::new(endpoints.into_iter().map(Into::into).collect())
    }

    pub(crate) fn new(
        endpoints: Vec<String>,
        options: ConnectOptions,
        timeout: Duration,
        config: Config,
        feeds: Feeds,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Arc::new(Shared {
            client: Client::new(endpoints, options, timeout, counters.clone()),
            supervisor: Mutex::new(Supervisor::new(
                Record::new_epoch(),
                config.verify_every,
                counters.clone(),
            )),
            config,
            counters,
            woken: Notify::new(),
            closing: Notify::new(),
            started: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
        });
        let (ends, ended) = watch::channel(false);
        // It ends with the last clone, and a little later at the most.
        tokio::spawn({
            let shared = shared.clone();
            async move {
                shared.supervise().await;
                ends.send_replace(true);
            }
        });
        Self(Arc::new(Inner { shared, feeds, ended }))
    }

    /// Asks etcd whether it is there, and takes these credentials: for a process that would rather not start without.
    ///
    /// # Errors
    /// `UNAVAILABLE` if no member answers; what etcd said otherwise.
    pub async fn ping(&self) -> Result<(), Status> {
        let prefix = self.0.shared.config.root.service("");
        let client = &self.0.shared.client;
        let asked = client.anywhere(client.timeout(), |client| {
            let prefix = prefix.clone();
            async move {
                let options = GetOptions::new().with_range(key::end(&prefix)).with_count_only();
                kv(&client).get(prefix, Some(options)).await
            }
        });
        asked.await.map(|_| ()).map_err(|failure| failure.status("asking whether it is there"))
    }

    /// Withdraws everything and gives the lease back. What is called afterwards on any clone fails; watches go on.
    ///
    /// # Errors
    /// `UNAVAILABLE` if etcd could not be told within 5 s: the entries then end with their lease.
    ///
    /// # Cancel safety
    /// It goes on in the background if the future is dropped.
    pub async fn close(&self) -> Result<(), Status> {
        self.0.shared.close();
        let mut ended = self.0.ended.clone();
        // The sender is gone with a task that ended.
        let _ = ended.wait_for(|ended| *ended).await;
        let left = self.0.shared.supervisor().left();
        if left == 0 {
            return Ok(());
        }
        Err(Status::unavailable(format!(
            "etcd could not be told of {left} that leave: their entries end with their lease"
        )))
    }

    /// What it has gone through, and how it stands.
    pub fn stats(&self) -> Stats {
        let stats = self.0.shared.supervisor().stats(now());
        Stats { watches: self.0.feeds.len(), ..stats }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.shared.client
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.shared.config
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Registry for EtcdRegistry {
    fn register(&self, service: &str, mut instance: Instance) -> BoxFuture<Result<(), Status>> {
        let shared = &self.0.shared;
        if instance.started == 0 {
            instance.started = shared.started;
        }
        let id = instance.id.clone();
        let record = Record { instance, epoch: shared.supervisor().epoch() };
        if let Err(status) = name::check_service(service).and_then(|()| record.check()) {
            let status = status.with_certainty(Certainty::NotExecuted);
            return Box::pin(std::future::ready(Err(status)));
        }
        let (waiter, registered) = oneshot::channel();
        shared.supervisor().register(shared.config.root.instance(service, &id), record, waiter);
        shared.woken.notify_one();
        Box::pin(async move { registered.await.unwrap_or_else(|_| Err(closed())) })
    }

    fn withdraw(&self, service: &str, id: &str) -> BoxFuture<Result<(), Status>> {
        let shared = &self.0.shared;
        let (waiter, withdrawn) = oneshot::channel();
        shared.supervisor().withdraw(&shared.config.root.instance(service, id), waiter);
        shared.woken.notify_one();
        let (id, limit) = (id.to_owned(), shared.config.ttl.max(CLOSING));
        Box::pin(async move {
            match tokio::time::timeout(limit, withdrawn).await {
                Ok(result) => result.unwrap_or_else(|_| Err(closed())),
                Err(_) => Err(Status::unavailable(format!(
                    "etcd could not be told yet that {id:?} leaves: its entry ends when etcd is back, or with its lease"
                ))),
            }
        })
    }

    fn list(&self, service: &str) -> BoxFuture<Result<Snapshot, Status>> {
        if let Err(status) = name::check_service(service) {
            return Box::pin(std::future::ready(Err(status)));
        }
        let follower = self.0.shared.follower(service);
        Box::pin(async move {
            let mut table = Table::new(follower.prefix.clone());
            match follower.list(&mut table).await {
                Ok(_) => Ok(Snapshot::new(table.instances())),
                Err(failure) => Err(failure.status("reading the list of instances")),
            }
        })
    }

    fn watch(&self, service: &str) -> Watch {
        if let Err(status) = name::check_service(service) {
            let (publisher, watch) = rpc_core::discovery::watch::channel();
            publisher.fail(status);
            return watch;
        }
        self.0.feeds.watch(service, |feed| {
            // It ends when nobody watches any more.
            tokio::spawn(self.0.shared.follower(service).run(feed));
        })
    }
}

impl resolver::Builder for EtcdRegistry {
    fn scheme(&self) -> &str {
        "etcd"
    }

    /// Watches the service that is the path of the name. The authority is for people: the registry knows its members.
    fn build(&self, name: &resolver::Name) -> Result<Watch, Status> {
        name::check_service(&name.path)?;
        Ok(Registry::watch(self, &name.path))
    }
}

fn closed() -> Status {
    Status::unavailable("the registry was closed")
}

impl Shared {
    fn supervisor(&self) -> MutexGuard<'_, Supervisor> {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.supervisor().close();
        self.woken.notify_one();
        self.closing.notify_one();
    }

    fn follower(&self, service: &str) -> Follower {
        Follower {
            client: self.client.clone(),
            config: self.config.clone(),
            counters: self.counters.clone(),
            prefix: self.config.root.service(service),
        }
    }

    /// Does what the supervisor says, to the end, or until closing has taken too long.
    async fn supervise(&self) {
        let closed_too_long = async {
            self.closing.notified().await;
            tokio::time::sleep(CLOSING).await;
        };
        tokio::select! {
            () = self.work() => {}
            () = closed_too_long => tracing::warn!("etcd could not be told who leaves: entries end with their lease"),
        }
    }

    async fn work(&self) {
        loop {
            let action = self.supervisor().next(now());
            match action {
                Action::End => return,
                Action::Wait(until) => {
                    let time = async {
                        match until {
                            Some(until) => tokio::time::sleep_until(until.into()).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = self.woken.notified() => {}
                        () = time => {}
                    }
                }
                action => self.act(action).await,
            }
        }
    }

    /// Does one thing, and reports.
    async fn act(&self, action: Action) {
        let (client, sent) = (&self.client, now());
        let limit = client.timeout();
        match action {
            Action::Wait(_) | Action::End => {}
            Action::Grant => {
                let ttl = i64::try_from(self.config.ttl.as_secs()).unwrap_or(i64::MAX).max(1);
                let granted =
                    client.once(limit, |client| async move { client.lease_client().grant(ttl, None).await });
                match granted.await {
                    Ok(lease) => {
                        let ttl = Duration::from_secs(u64::try_from(lease.ttl()).unwrap_or(1).max(1));
                        tracing::info!(lease = lease.id(), ?ttl, "etcd granted a lease");
                        self.supervisor().granted(sent, lease.id(), ttl);
                    }
                    Err(failure) => self.failed("granting a lease", None, None, &failure),
                }
            }
            Action::Renew { lease, patience } => {
                // A member that does not answer is no reason to lose a lease: the next one is asked at once.
                let renewed = client.anywhere(patience, |client| async move {
                    // Its first answer is all that is wanted of the stream.
                    client.lease_client().keep_alive(lease).await.map(|_| ())
                });
                match renewed.await {
                    Ok(()) => self.supervisor().renewed(sent, lease),
                    Err(Failure::LeaseGone) => self.lease_gone(lease),
                    Err(failure) => self.failed("renewing the lease", None, None, &failure),
                }
            }
            Action::Put { key, value, version, lease, expected } => {
                let put = TxnOp::put(key.as_str(), value, Some(PutOptions::new().with_lease(lease)));
                match self.change(&key, expected, vec![put]).await {
                    Ok(outcome) => self.supervisor().put(&key, version, lease, outcome),
                    Err(Failure::LeaseGone) => self.lease_gone(lease),
                    Err(failure) => self.failed("registering", Some(&key), Some(lease), &failure),
                }
            }
            Action::Remove { key, expected, lease } => {
                let mut changes = vec![TxnOp::delete(key.as_str(), None)];
                if let (Some(lease), Some(id)) = (lease, key::id(&key)) {
                    let options = PutOptions::new().with_lease(lease);
                    changes.push(TxnOp::put(key::goodbye(&key), id, Some(options)));
                }
                match (self.change(&key, expected, changes).await, lease) {
                    (Ok(outcome), _) => self.supervisor().removed(&key, outcome),
                    (Err(Failure::LeaseGone), Some(lease)) => self.lease_gone(lease),
                    (Err(failure), _) => self.failed("withdrawing", Some(&key), None, &failure),
                }
            }
            Action::Verify(keys) => match self.look(&keys).await {
                Ok(found) => self.supervisor().verified(keys.into_iter().zip(found).collect()),
                Err(failure) => self.failed("looking at what is registered", None, None, &failure),
            },
            Action::Revoke(lease) => {
                let revoked =
                    client.once(limit, |client| async move { client.lease_client().revoke(lease).await });
                match revoked.await {
                    Err(Failure::Unreachable(why)) => {
                        let failure = Failure::Unreachable(why);
                        self.failed("revoking a lease", None, None, &failure);
                    }
                    // Whatever else it says, it will not say anything better: the lease ends by itself.
                    Ok(_) | Err(_) => self.supervisor().revoked(lease),
                }
            }
        }
    }

    fn lease_gone(&self, lease: i64) {
        tracing::warn!(lease, "the etcd lease is gone: everything is registered again under another one");
        self.supervisor().lease_gone(lease);
    }

    fn failed(&self, doing: &str, key: Option<&str>, doubt: Option<i64>, failure: &Failure) {
        tracing::warn!(?failure, key, "{doing} failed, and is tried again");
        self.supervisor().failed(now(), key, doubt, failure);
    }

    /// Carries the changes out if the key's revision is the expected one, and says what stands there otherwise.
    async fn change(&self, key: &str, expected: i64, changes: Vec<TxnOp>) -> Result<Outcome, Failure> {
        let unchanged = Compare::mod_revision(key, CompareOp::Equal, expected);
        let transaction = Txn::new().when([unchanged]).and_then(changes).or_else([TxnOp::get(key, None)]);
        let send = |client: etcd_client::Client| async move { kv(&client).txn(transaction).await };
        let answer = self.client.once(self.client.timeout(), send).await?;
        if answer.succeeded() {
            let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
            return Ok(Outcome::Done(revision));
        }
        let found = answer.op_responses().into_iter().find_map(found).flatten();
        Ok(Outcome::Found(found))
    }

    /// What stands at each of these keys.
    async fn look(&self, keys: &[String]) -> Result<Vec<Option<Found>>, Failure> {
        let gets: Vec<TxnOp> = keys.iter().map(|key| TxnOp::get(key.as_str(), None)).collect();
        let transaction = Txn::new().and_then(gets);
        let send = |client: etcd_client::Client| async move { kv(&client).txn(transaction).await };
        let answer = self.client.once(self.client.timeout(), send).await?;
        let found: Vec<_> = answer.op_responses().into_iter().filter_map(found).collect();
        if found.len() == keys.len() {
            return Ok(found);
        }
        Err(Failure::Unreachable(format!("it answered {} of {} questions", found.len(), keys.len())))
    }
}

/// What a `Get` in a transaction found, if this is the answer to one.
fn found(answer: TxnOpResponse) -> Option<Option<Found>> {
    let TxnOpResponse::Get(get) = answer else { return None };
    Some(get.kvs().first().map(|entry| Found {
        revision: entry.mod_revision(),
        lease: entry.lease(),
        value: entry.value().to_vec(),
    }))
}

impl fmt::Debug for EtcdRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdRegistry").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
