//! Locks on etcd: a queue of keys, each under a lease of its own.
//!
//! ```text
//!    /courier/locks/nightly-report/0123…    created at revision 40    has the lock; its token is 40
//!    /courier/locks/nightly-report/9876…    created at revision 43    waits for the first one to go
//! ```
//!
//! Whoever's key was created first has the lock; the others each watch the one before them, so that one that goes wakes
//! one. It is the recipe of etcd's `concurrency.Mutex`, after Burrows, "The Chubby lock service", 2006. A key goes with its
//! lease, so a holder that is dead or cut off loses the lock, and says so before anybody else can have it: its own clock
//! began earlier than etcd's.
//!
//! Revisions only grow, so they are fencing tokens; but not across the loss of etcd's data.

use std::time::Instant;

use etcd_client::{
    Compare, CompareOp, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse,
    WatchOptions,
};
use rpc_core::call::BoxFuture;
use rpc_core::discovery::name;
use rpc_core::lock::guard::{self, Keeper};
use rpc_core::lock::{FencingToken, Guard, Lock, Options};
use rpc_core::{Certainty, Status};
use tokio::sync::oneshot;
use tokio::time::sleep_until;

use crate::client::{Client, Failure, kv, watcher};
use crate::key;
use crate::lease::{Backoff, Lease};
use crate::registry::EtcdRegistry;

/// How many of a queue are looked at. Who is behind them waits for the last of them.
const QUEUE: i64 = 1_000;

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Lock for EtcdRegistry {
    fn acquire(&self, name: &str, options: Options) -> BoxFuture<Result<Guard, Status>> {
        if let Err(status) = name::check_id(name) {
            let why = Status::invalid_argument(format!("no lock can have this name: {}", status.message()));
            return Box::pin(std::future::ready(Err(why.with_certainty(Certainty::NotExecuted))));
        }
        let (sender, receiver) = oneshot::channel();
        let candidate = Candidate {
            client: self.client().clone(),
            prefix: self.config().root.lock(name),
            name: name.to_owned(),
            options,
        };
        // It ends when nobody waits for the lock any more, and after that with the guard.
        tokio::spawn(candidate.run(sender));
        Box::pin(async move {
            receiver.await.unwrap_or_else(|_| Err(Status::unavailable("the runtime goes down")))
        })
    }
}

/// Somebody who wants a lock, and then has it.
struct Candidate {
    client: Client,
    /// Before all keys of the queue.
    prefix: String,
    name: String,
    options: Options,
}

/// Where in the queue somebody stands.
enum Place {
    /// At its head.
    First(FencingToken),
    /// Behind this key; and the one at the head says that it is this one.
    Behind { key: String, revision: i64, holder: String },
}

impl Candidate {
    async fn run(self, mut sender: oneshot::Sender<Result<Guard, Status>>) {
        let mut lease = None;
        let acquired = tokio::select! {
            biased;
            () = sender.closed() => None,
            result = self.acquire(&mut lease) => Some(result),
        };
        match (acquired, lease) {
            (Some(Ok(token)), Some(lease)) => {
                let (guard, keeper) = guard::new(&self.name, token);
                // If nobody waits any more the guard is dropped here, and so released.
                let _ = sender.send(Ok(guard));
                self.keep(keeper, lease, token).await;
            }
            (acquired, lease) => {
                if let Some(Err(status)) = acquired {
                    let _ = sender.send(Err(status));
                }
                self.give_back(lease).await;
            }
        }
    }

    /// Waits for the lock. The lease that it needs is left in `lease`, whatever happens.
    async fn acquire(&self, lease: &mut Option<Lease>) -> Result<FencingToken, Status> {
        let end = self.options.wait.and_then(|wait| now().checked_add(wait));
        let over = |now: Instant| end.is_some_and(|end| now >= end);
        let mut backoff = Backoff::new();
        loop {
            let wake = match self.step(lease).await {
                Ok(Place::First(token)) => return Ok(token),
                Ok(Place::Behind { holder, .. }) if over(now()) => {
                    let why = format!("the lock {:?} is held by {holder}", self.name);
                    return Err(Status::aborted(why).with_certainty(Certainty::NotExecuted));
                }
                Ok(Place::Behind { key, revision, .. }) => {
                    backoff.succeeded();
                    let renew_at = lease.as_ref().map_or_else(now, Lease::renew_at);
                    let wake = end.map_or(renew_at, |end| end.min(renew_at));
                    tokio::select! {
                        gone = self.gone(&key, revision) => match gone {
                            true => continue,
                            // It cannot be watched at the moment.
                            false => backoff.failed(now()),
                        },
                        () = sleep_until(wake.into()) => continue,
                    }
                    wake
                }
                Err(Failure::LeaseGone) => {
                    *lease = None;
                    backoff.failed(now());
                    now() + Backoff::MAX
                }
                Err(failure @ Failure::Refused(..)) => return Err(failure.status("asking for a lock")),
                Err(failure) if over(now()) => return Err(failure.status("asking for a lock")),
                Err(_) => {
                    backoff.failed(now());
                    if lease.as_ref().is_some_and(|lease| lease.expires_at() <= now()) {
                        *lease = None;
                    }
                    now() + Backoff::MAX
                }
            };
            let until = backoff.until(now()).unwrap_or(wake).min(wake);
            sleep_until(end.map_or(until, |end| end.min(until)).into()).await;
        }
    }

    /// Takes a place in the queue, or looks how it stands.
    async fn step(&self, lease: &mut Option<Lease>) -> Result<Place, Failure> {
        let (sent, limit) = (now(), self.client.timeout());
        match lease {
            None => {
                let ttl = i64::try_from(self.options.ttl.as_secs()).unwrap_or(i64::MAX).max(1);
                let grant =
                    |client: etcd_client::Client| async move { client.lease_client().grant(ttl, None).await };
                let granted = self.client.once(limit, grant).await?;
                let ttl = u64::try_from(granted.ttl()).unwrap_or(1).max(1);
                *lease = Some(Lease::new(granted.id(), std::time::Duration::from_secs(ttl), sent));
            }
            Some(lease) if sent >= lease.renew_at() => self.renew(lease).await?,
            Some(_) => {}
        }
        let Some(lease) = lease.as_ref().map(|lease| lease.id) else { return Err(Failure::LeaseGone) };
        let mine = self.key(lease);
        let options = GetOptions::new()
            .with_range(key::end(&self.prefix))
            .with_sort(SortTarget::Create, SortOrder::Ascend)
            .with_limit(QUEUE);
        let queue = TxnOp::get(self.prefix.as_str(), Some(options));
        let put =
            TxnOp::put(mine.as_str(), self.options.owner.as_str(), Some(PutOptions::new().with_lease(lease)));
        let enter = Txn::new()
            .when([Compare::create_revision(mine.as_str(), CompareOp::Equal, 0)])
            .and_then([put, queue.clone()])
            .or_else([queue]);
        let answer = self.client.once(limit, |client| async move { kv(&client).txn(enter).await }).await?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        let queue = answer.op_responses().into_iter().find_map(|answer| match answer {
            TxnOpResponse::Get(queue) => Some(queue),
            _ => None,
        });
        let queue = queue.as_ref().map(|queue| queue.kvs()).unwrap_or_default();
        let ahead = queue.iter().take_while(|entry| entry.key() != mine.as_bytes());
        match (queue.first(), ahead.last()) {
            (Some(head), Some(before)) => Ok(Place::Behind {
                key: String::from_utf8_lossy(before.key()).into_owned(),
                revision,
                holder: String::from_utf8_lossy(head.value()).into_owned(),
            }),
            (Some(head), None) => {
                Ok(Place::First(FencingToken(u64::try_from(head.create_revision()).unwrap_or(0))))
            }
            (None, _) => Err(Failure::Unreachable("it did not say who has the lock".to_owned())),
        }
    }

    fn key(&self, lease: i64) -> String {
        format!("{}{lease:016x}", self.prefix)
    }

    /// Waits until the key is gone. `false` if that cannot be watched any more.
    async fn gone(&self, key: &str, since: i64) -> bool {
        let connection = self.client.connection();
        let open = |client: etcd_client::Client| async move {
            let options = WatchOptions::new().with_start_revision(since + 1);
            watcher(&client).watch(key, Some(options)).await
        };
        let Ok(mut stream) = self.client.once(self.client.timeout(), open).await else { return false };
        loop {
            match stream.message().await {
                Ok(Some(message)) if message.canceled() => return false,
                Ok(Some(message)) => {
                    if message
                        .events()
                        .iter()
                        .filter_map(|event| event.kv())
                        .any(|entry| entry.version() == 0)
                    {
                        return true;
                    }
                }
                Ok(None) | Err(_) => {
                    self.client.leave(connection);
                    return false;
                }
            }
        }
    }

    async fn renew(&self, lease: &mut Lease) -> Result<(), Failure> {
        let (sent, id) = (now(), lease.id);
        let renew = |client: etcd_client::Client| async move {
            client.lease_client().keep_alive(id).await.map(|_| ())
        };
        self.client.anywhere(lease.patience(), renew).await?;
        lease.renewed(sent);
        Ok(())
    }

    /// Keeps the lock until it is to be released, or is lost.
    async fn keep(&self, mut keeper: Keeper, mut lease: Lease, token: FencingToken) {
        loop {
            let expires_at = lease.expires_at();
            let why = tokio::select! {
                biased;
                () = keeper.released() => {
                    let released = self.revoke(&lease).await;
                    keeper.done(released);
                    return;
                }
                () = sleep_until(expires_at.into()) => Status::unavailable("its lease could not be renewed"),
                renewed = self.renewed(&mut lease, token) => match renewed {
                    Ok(()) => continue,
                    Err(why) => why,
                },
            };
            keeper.lost(why);
            return self.give_back(Some(lease)).await;
        }
    }

    /// Renews the lease when it is time to, and looks whether the key still stands there.
    async fn renewed(&self, lease: &mut Lease, token: FencingToken) -> Result<(), Status> {
        sleep_until(lease.renew_at().into()).await;
        let mut backoff = Backoff::new();
        loop {
            let renewed = match self.renew(lease).await {
                Ok(()) => self.stands(lease.id, token).await,
                Err(failure) => Err(failure),
            };
            match renewed {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Status::aborted("somebody took its key away")),
                Err(Failure::LeaseGone) => return Err(Status::aborted("its lease was revoked, or ran out")),
                Err(_) => backoff.failed(now()),
            }
            sleep_until(backoff.until(now()).unwrap_or_else(now).into()).await;
        }
    }

    async fn stands(&self, lease: i64, token: FencingToken) -> Result<bool, Failure> {
        let key = self.key(lease);
        let get = |client: etcd_client::Client| async move { kv(&client).get(key, None).await };
        let answer = self.client.once(self.client.timeout(), get).await?;
        let created = answer.kvs().first().map(|entry| entry.create_revision());
        Ok(created.and_then(|created| u64::try_from(created).ok()) == Some(token.0))
    }

    /// Revokes the lease, and the key with it. It is tried until the lease has ended by itself.
    async fn revoke(&self, lease: &Lease) -> Result<(), Status> {
        let mut backoff = Backoff::new();
        loop {
            let id = lease.id;
            let revoke = |client: etcd_client::Client| async move { client.lease_client().revoke(id).await };
            match self.client.once(self.client.timeout(), revoke).await {
                Ok(_) | Err(Failure::LeaseGone) => return Ok(()),
                Err(failure) => {
                    backoff.failed(now());
                    let until = backoff.until(now()).unwrap_or_else(now);
                    if until >= lease.expires_at() {
                        return Err(failure.status("releasing a lock, which ends with its lease now"));
                    }
                    sleep_until(until.into()).await;
                }
            }
        }
    }

    async fn give_back(&self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            // If it fails it ends by itself.
            let _ = self.revoke(&lease).await;
        }
    }
}
