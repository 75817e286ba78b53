//! The keeper of a name: follows the resolver, keeps the members connected, and publishes whom to choose from.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::balance::{self, Load, Standing, outlier};
use crate::client::cluster::member::{Member, Readiness, Ready, mark, tend};
use crate::client::cluster::{GRACE, Published, Shared};
use crate::client::endpoint::Endpoint;
use crate::context::{now, sleep_until};
use crate::discovery::{Instance, Snapshot, Watch};
use crate::middleware::catch_panic::caught;
use crate::status::{Code, Status};

/// After a resolver has ended or could not be made, the next one is made no sooner than this.
const REBUILD: Duration = Duration::from_secs(1);

/// That there is a keeper, for as long as there is one. Whoever waits for it hears of its end, which may be that of its
/// runtime, and makes another.
pub(super) struct Office(pub(super) Arc<Shared>);

impl Drop for Office {
    fn drop(&mut self) {
        self.0.is_kept.store(false, Relaxed);
        self.0.changed.notify_waiters();
    }
}

/// The task. Ends with the cluster.
pub(super) async fn run(office: Office) {
    loop {
        let mut keeping = Box::pin(keep(office.0.clone()));
        // What resolvers, filters and balancers do is the user's code.
        let kept = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| keeping.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        });
        if let Err(panic) = kept.await {
            let status = caught("choosing a server", &*panic);
            let before = office.0.published.load();
            let (members, all, picker) = (before.members.clone(), before.all.clone(), before.picker.clone());
            // Whoever could be chosen still can be.
            let failure = picker.is_none().then(|| office.0.nobody(status.message()));
            office.0.publish(Published { members, picker, failure, all });
        }
        drop(keeping);
        tokio::time::sleep(REBUILD).await;
    }
}

/// Keeps the cluster. Ends only by a panic.
async fn keep(shared: Arc<Shared>) {
    let mut keeper = Keeper::new(shared);
    loop {
        match keeper.shared.resolver.build(&keeper.shared.name) {
            Ok(watch) => keeper.follow(watch).await,
            Err(status) => {
                let invalid = status.code() == Code::InvalidArgument;
                keeper.failed(status);
                keeper.publish();
                if invalid {
                    // No waiting makes another name of it.
                    std::future::pending::<()>().await;
                }
            }
        }
        tokio::time::sleep(REBUILD).await;
    }
}

struct Keeper {
    shared: Arc<Shared>,
    /// By id.
    kept: HashMap<String, Kept>,
    /// Told by the members' tenders.
    news: Arc<Notify>,
    /// Whether a list has come yet, and why not.
    listed: bool,
    failure: Option<Status>,
    outliers: outlier::Detector,
}

struct Kept {
    member: Arc<Member>,
    tender: AbortHandle,
    /// When it left the list, if it has.
    left: Option<Instant>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.tender.abort();
    }
}

impl Keeper {
    fn new(shared: Arc<Shared>) -> Self {
        let outliers = outlier::Detector::new(shared.settings.outlier, now());
        let (kept, news) = (HashMap::new(), Arc::new(Notify::new()));
        Self { shared, kept, news, listed: false, failure: None, outliers }
    }

    /// Follows a resolver until it ends.
    async fn follow(&mut self, mut watch: Watch) {
        loop {
            let due = self.due();
            tokio::select! {
                list = watch.changed() => match list {
                    Ok(list) => self.list(&list),
                    Err(status) if watch.is_closed() => {
                        self.failed(status);
                        return self.publish();
                    }
                    Err(status) => self.failed(status),
                },
                () = self.news.notified() => {}
                () = sleep_until(due) => {}
            }
            if self.tick() {
                watch.hint();
            }
            self.publish();
        }
    }

    /// When there is something to do without any news.
    fn due(&self) -> Instant {
        let parked = self.kept.values().filter_map(|kept| kept.left.map(|left| left + GRACE));
        parked.fold(self.outliers.next(), Instant::min)
    }

    /// A list has come.
    fn list(&mut self, list: &Snapshot) {
        let at = now();
        self.listed = true;
        self.failure = None;
        for kept in self.kept.values_mut() {
            kept.left.get_or_insert(at);
        }
        let list = self.shared.settings.filter.apply(list);
        let endpoints: Vec<_> = list.instances().iter().map(|instance| self.known(instance, at)).collect();
        match self.shared.balancer.narrow(&endpoints) {
            None => list.instances().iter().for_each(|instance| self.meet(instance, at)),
            // Whom the balancer will never choose is not connected to.
            Some(few) => {
                few.iter().filter_map(|&at| list.instances().get(at)).for_each(|one| self.meet(one, at));
            }
        }
    }

    /// An instance as the balancer sees it, whether it was met before or not.
    fn known(&self, instance: &Instance, at: Instant) -> balance::Endpoint {
        let load = match self.kept.get(&instance.id) {
            Some(kept) => kept.member.load.clone(),
            None => Arc::new(Load::of(instance, at)),
        };
        balance::Endpoint::new(Arc::new(instance.clone()), load)
    }

    /// An instance is on the list.
    fn meet(&mut self, instance: &Instance, at: Instant) {
        if let Some(kept) = self.kept.get_mut(&instance.id) {
            kept.left = None;
            if *kept.member.instance == *instance {
                return;
            }
            if kept.member.instance.address == instance.address {
                kept.member = Arc::new(kept.member.described(instance.clone()));
                return;
            }
        }
        // A copy that has moved is another: nothing that is known of the old place holds at the new one.
        let endpoint = Endpoint::new(instance.address.clone(), self.shared.making.clone());
        let load = Arc::new(Load::of(instance, at));
        let readiness = Readiness::new(self.news.clone());
        let health = self.shared.settings.health.clone();
        let tender =
            tokio::spawn(tend(endpoint.clone(), load.clone(), readiness.clone(), health)).abort_handle();
        let member = Member {
            instance: Arc::new(instance.clone()),
            mark: mark(&instance.id),
            endpoint,
            load,
            readiness,
            patience: self.shared.settings.outlier.consecutive_failures,
        };
        self.kept.insert(instance.id.clone(), Kept { member: Arc::new(member), tender, left: None });
    }

    /// No list could be had.
    fn failed(&mut self, status: Status) {
        self.failure = Some(status);
    }

    /// What the time brings. Whether the resolver should look again: somebody on its list cannot be reached.
    fn tick(&mut self) -> bool {
        let at = now();
        self.kept.retain(|_, kept| kept.left.is_none_or(|left| at < left + GRACE));
        if self.outliers.next() <= at || self.present().any(|kept| self.outliers.is_due(&kept.member.load)) {
            let endpoints: Vec<_> = self.present().map(|kept| as_endpoint(&kept.member)).collect();
            self.outliers.sweep(&endpoints, at);
        }
        self.present().any(|kept| matches!(kept.member.readiness.now(), Ready::No(_)))
    }

    fn present(&self) -> impl Iterator<Item = &Kept> {
        self.kept.values().filter(|kept| kept.left.is_none())
    }

    /// Publishes whom to choose from.
    fn publish(&self) {
        let at = now();
        let mut all: Vec<Arc<Member>> = self.present().map(|kept| kept.member.clone()).collect();
        // The picker is to find the same order each time, whatever the map's is.
        all.sort_by(|a, b| a.instance.id.cmp(&b.instance.id));
        let (mut ready, mut connecting, mut failure) = (false, false, None);
        for member in &all {
            match member.readiness.now() {
                Ready::Yes => ready = true,
                Ready::Connecting => connecting = true,
                Ready::No(status) => failure = Some(status),
            }
        }
        // Those that cannot be reached, or not yet, count among those that are not well.
        let here = |endpoint: balance::Endpoint| match endpoint.standing() {
            Standing::Unknown => endpoint.with_standing(Standing::Unreachable),
            _ => endpoint,
        };
        let endpoints: Vec<balance::Endpoint> = all.iter().map(|member| here(as_endpoint(member))).collect();
        let eligible = balance::eligible(&endpoints, at, self.shared.settings.panic_threshold);
        let (members, endpoints): (Vec<Arc<Member>>, Vec<balance::Endpoint>) = eligible
            .iter()
            .filter_map(|&at| Some((all.get(at)?.clone(), endpoints.get(at)?.clone())))
            .unzip();
        let before = self.shared.published.load();
        let picker = (!endpoints.is_empty())
            .then(|| self.shared.balancer.build(&endpoints, before.picker.as_deref(), at));
        let failure = match (picker.is_some(), connecting, failure) {
            (true, ..) | (_, true, _) => None,
            (_, _, Some(status)) if !ready => Some(status),
            _ if !all.is_empty() => Some(self.shared.nobody("none of its servers wants calls")),
            _ if self.listed => Some(self.shared.nobody("it has no servers at the moment")),
            _ => self.failure.as_ref().map(|status| {
                self.shared.nobody(&format!("its servers are not known: {}", status.message()))
            }),
        };
        self.shared.publish(Published { members, picker, failure, all });
    }
}

/// A server as the balancer sees it.
fn as_endpoint(member: &Member) -> balance::Endpoint {
    let standing = match member.readiness.now() {
        Ready::Yes if member.instance.suspect => Standing::Suspect,
        Ready::Yes => Standing::Ready,
        Ready::Connecting => Standing::Unknown,
        Ready::No(_) => Standing::Unreachable,
    };
    balance::Endpoint::new(member.instance.clone(), member.load.clone()).with_standing(standing)
}
