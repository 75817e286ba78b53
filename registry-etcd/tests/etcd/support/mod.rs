//! What the tests talk in: etcd, a proxy that makes trouble, and waiting for what must come.

pub(crate) mod etcd;
pub(crate) mod process;
pub(crate) mod proxy;

use std::fmt::Debug;
use std::time::{Duration, Instant};

use registry_etcd::{Builder, EtcdRegistry};
use rpc_core::discovery::{Instance, Registry, Watch};

pub(crate) use etcd::{Cluster, Etcd};
pub(crate) use process::Process;
pub(crate) use proxy::Proxy;

/// The service of most tests.
pub(crate) const SERVICE: &str = "demo.v1.Greeter";

/// The lease of the tests: what etcd grants at least, with the election timeout that it is started with here, is less.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// Everybody must be back this long after etcd.
pub(crate) const BACK: Duration = secs(8);

/// How long to wait for what must come, on a machine however busy. Where a time is promised, it is asserted.
const PATIENCE: Duration = secs(60);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Polls until it holds, for no longer than this.
pub(crate) async fn until_within(
    what: &str,
    limit: Duration,
    mut holds: impl AsyncFnMut() -> bool,
) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(ms(20)).await;
    }
    began.elapsed()
}

/// Polls until it holds, which must come some time. How long it took.
pub(crate) async fn until(what: &str, holds: impl AsyncFnMut() -> bool) -> Duration {
    until_within(what, PATIENCE, holds).await
}

/// Waits for what must come some time.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

/// An instance of this id.
pub(crate) fn instance(id: &str) -> Instance {
    Instance::new("127.0.0.1:7000".parse().unwrap()).with_id(id)
}

/// A registry as the tests want it: quick to notice.
pub(crate) fn quick<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Builder {
    EtcdRegistry::builder(endpoints).ttl(TTL).timeout(ms(800)).silence(secs(2))
}

pub(crate) async fn registry(etcd: &Etcd) -> EtcdRegistry {
    quick([etcd.endpoint()]).connect().await.unwrap()
}

/// The ids that the registry has now, and `None` while it cannot be asked.
pub(crate) async fn listed(registry: &EtcdRegistry) -> Option<Vec<String>> {
    let snapshot = registry.list(SERVICE).await.ok()?;
    Some(snapshot.instances().iter().map(|instance| instance.id.clone()).collect())
}

/// The ids that those who watch use, suspects included.
pub(crate) fn seen(watch: &Watch) -> Vec<String> {
    let snapshot = watch.current().unwrap_or_default();
    snapshot.instances().iter().map(|instance| instance.id.clone()).collect()
}

/// The ids that those who watch trust.
pub(crate) fn trusted(watch: &Watch) -> Vec<String> {
    let snapshot = watch.current().unwrap_or_default();
    snapshot.instances().iter().filter(|one| !one.suspect).map(|one| one.id.clone()).collect()
}

/// Waits until those who watch trust exactly these.
pub(crate) async fn until_trusted(watch: &Watch, ids: &[impl AsRef<str> + Debug]) -> Duration {
    let mut wanted: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    wanted.sort_unstable();
    let what = format!("{wanted:?} are seen");
    until(&what, async || trusted(watch) == wanted).await
}

/// Looks at a watch all the time, and says whether it was ever empty.
pub(crate) struct NeverEmpty {
    task: tokio::task::JoinHandle<()>,
}

impl NeverEmpty {
    /// Begins when there is something.
    pub(crate) fn watch(watch: &Watch) -> Self {
        assert!(!seen(watch).is_empty());
        let watch = watch.clone();
        let task = tokio::spawn(async move {
            loop {
                assert!(!seen(&watch).is_empty(), "the list was empty");
                tokio::time::sleep(ms(5)).await;
            }
        });
        Self { task }
    }

    pub(crate) async fn check(self) {
        self.task.abort();
        if let Err(error) = self.task.await {
            assert!(error.is_cancelled(), "the list was empty for a moment");
        }
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(process: u32, signal: &str) {
    let sent = std::process::Command::new("kill").args(["-s", signal, &process.to_string()]).status();
    assert!(sent.unwrap().success());
}
