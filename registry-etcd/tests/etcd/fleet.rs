//! Courier servers and clients that find each other through etcd, while both are restarted under load.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use registry_etcd::EtcdRegistry;
use rpc_core::discovery::Registry;
use rpc_core::middleware::{RetryLayer, retry};
use rpc_core::{Certainty, Channel, Server, Status, service};
use tokio::runtime::Runtime;

use crate::support::*;

const LEDGER: &str = "demo.v1.Ledger";

#[service(name = "demo.v1.Ledger")]
pub(crate) trait Ledger {
    /// May be done twice.
    #[rpc(idempotent)]
    async fn read(&self, id: u64) -> Result<u64, Status>;
    /// May not.
    async fn write(&self, id: u64) -> Result<u64, Status>;
}

/// What was run, by request.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<HashMap<u64, u32>>>);

impl Ledger for Book {
    async fn read(&self, id: u64) -> Result<u64, Status> {
        tokio::time::sleep(ms(2)).await;
        Ok(id)
    }

    async fn write(&self, id: u64) -> Result<u64, Status> {
        *self.0.lock().unwrap().entry(id).or_default() += 1;
        tokio::time::sleep(ms(2)).await;
        Ok(id)
    }
}

/// A server with a runtime and a registry of its own, as a process has them.
struct Ship {
    server: Option<Server>,
    registry: Option<EtcdRegistry>,
    runtime: Option<Runtime>,
}

impl Ship {
    async fn start(endpoints: &[String], book: &Book) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (endpoints, book) = (endpoints.to_vec(), book.clone());
        let started = runtime.spawn(async move {
            let registry = quick(endpoints).ttl(secs(3)).connect().await.unwrap();
            let server = Server::builder()
                .service(LedgerServer::new(book))
                .announce(registry.clone())
                .announce_required(secs(20))
                .propagation(ms(300))
                .bind("127.0.0.1:0")
                .await
                .unwrap();
            (server, registry)
        });
        let (server, registry) = started.await.unwrap();
        Self { server: Some(server), registry: Some(registry), runtime: Some(runtime) }
    }

    /// Ends it in order.
    async fn drain(mut self) {
        let (server, registry) = (self.server.take().unwrap(), self.registry.take().unwrap());
        let drained = self.runtime.as_ref().unwrap().spawn(async move {
            let report = server.drain(secs(10)).await;
            let _ = registry.close().await;
            report
        });
        let report = soon("draining", drained).await.unwrap();
        assert!(report.is_clean() && report.still_registered.is_empty(), "{report:?}");
    }

    /// Ends it as a crash does: nobody says anything.
    fn crash(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Ship {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Calls all the time, and what came of it.
struct Load {
    over: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    workers: tokio::task::JoinSet<Vec<(u64, Result<u64, Status>)>>,
}

impl Load {
    fn start(client: &LedgerClient) -> Self {
        let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (client, over, calls) = (client.clone(), over.clone(), calls.clone());
            workers.spawn(async move {
                let mut results = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    // Odd ones are writes.
                    let id = calls.fetch_add(1, Ordering::Relaxed);
                    let result = if id % 2 == 0 { client.read(id).await } else { client.write(id).await };
                    results.push((id, result));
                    tokio::time::sleep(ms(3)).await;
                }
                results
            });
        }
        Self { over, calls, workers }
    }

    /// Lets this many more calls happen.
    async fn go_on(&self, calls: u64) {
        let enough = self.calls.load(Ordering::Relaxed) + calls;
        until("calls go on", async || self.calls.load(Ordering::Relaxed) >= enough).await;
    }

    /// What came of all calls.
    async fn end(self) -> Vec<(u64, Result<u64, Status>)> {
        self.over.store(true, Ordering::Relaxed);
        soon("the load ends", self.workers.join_all()).await.concat()
    }
}

fn client(registry: &EtcdRegistry) -> LedgerClient {
    // The authority is for people: the registry knows its members.
    let channel = Channel::builder(format!("etcd://anywhere/{LEDGER}"))
        .resolver(registry.clone())
        .layer(RetryLayer::new(retry::Policy { attempts: 5, ..retry::Policy::default() }))
        .wait_for_ready()
        .build()
        .unwrap();
    LedgerClient::new(channel)
}

/// Each write was run once if it succeeded, and as often as its error says otherwise: never twice.
fn audit(results: &[(u64, Result<u64, Status>)], book: &Book) -> Vec<Status> {
    let runs = book.0.lock().unwrap();
    let mut failures = Vec::new();
    for (id, result) in results {
        let runs = runs.get(id).copied().unwrap_or(0);
        match result {
            Ok(reply) => assert_eq!((reply, runs), (id, u32::from(id % 2 == 1))),
            Err(status) => {
                match status.certainty() {
                    Certainty::NotSent | Certainty::NotExecuted => assert_eq!(runs, 0, "{id}: {status}"),
                    _ => assert!(runs <= 1, "{id} was run {runs} times: {status}"),
                }
                failures.push(status.clone());
            }
        }
    }
    failures
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_and_etcd_are_restarted_one_by_one_and_no_call_fails() {
    let mut cluster = Cluster::start().await;
    let (endpoints, book) = (cluster.endpoints(), Book::default());
    let mut ships = Vec::new();
    for _ in 0..5 {
        ships.push(Ship::start(&endpoints, &book).await);
    }
    let registry = quick(&endpoints).ttl(secs(3)).connect().await.unwrap();
    let watch = registry.watch(LEDGER);
    until("five", async || trusted(&watch).len() == 5).await;
    let never_empty = NeverEmpty::watch(&watch);
    let client = client(&registry);
    let load = Load::start(&client);
    load.go_on(100).await;

    for _ in 0..5 {
        ships.remove(0).drain().await;
        load.go_on(50).await;
        ships.push(Ship::start(&endpoints, &book).await);
        load.go_on(50).await;
    }
    until("five", async || trusted(&watch).len() == 5).await;
    for member in 0..3 {
        cluster.members[member].kill();
        load.go_on(100).await;
        cluster.members[member].run().await;
        load.go_on(50).await;
    }
    // A server can come and go while a member is away.
    cluster.members[0].kill();
    // It may have been the leader.
    until("the others have a leader", async || registry.ping().await.is_ok()).await;
    ships.remove(0).drain().await;
    ships.push(Ship::start(&endpoints, &book).await);
    cluster.members[0].run().await;
    until_within("five", BACK, async || trusted(&watch).len() == 5).await;

    let results = load.end().await;
    never_empty.check().await;
    let failures = audit(&results, &book);
    assert!(failures.is_empty(), "{} of {} failed: {}", failures.len(), results.len(), failures[0]);
    assert!(results.len() > 1_000, "{}", results.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_etcd_is_away_and_servers_crash() {
    let mut etcd = Etcd::start().await;
    let (endpoints, book) = ([etcd.endpoint()], Book::default());
    let mut ships = Vec::new();
    for _ in 0..5 {
        ships.push(Ship::start(&endpoints, &book).await);
    }
    let registry = quick(&endpoints).connect().await.unwrap();
    let watch = registry.watch(LEDGER);
    until("five", async || trusted(&watch).len() == 5).await;
    let never_empty = NeverEmpty::watch(&watch);
    let client = client(&registry);
    let load = Load::start(&client);
    load.go_on(100).await;

    // Longer than the lease. One crashes meanwhile: nobody can say so, but its connections.
    etcd.kill();
    load.go_on(100).await;
    ships.remove(0).crash();
    let since = Instant::now();
    while since.elapsed() < secs(6) {
        load.go_on(50).await;
    }
    assert_eq!(seen(&watch).len(), 5, "what was known stays");
    // It comes back with nothing: everybody registers again, but for the one that is dead.
    etcd.wipe();
    etcd.run().await;
    let back =
        until("four are back", async || etcd.keys(LEDGER).await.len() == 4 && trusted(&watch).len() == 4)
            .await;
    assert!(back < BACK, "{back:?}");
    load.go_on(100).await;
    let results = load.end().await;
    never_empty.check().await;
    let failures = audit(&results, &book);
    // Only writes that were under way at the crashed server, of which nobody can know.
    assert!(failures.iter().all(|status| status.certainty() == Certainty::Unknown), "{failures:?}");
    assert!(failures.len() <= 6, "{failures:?}");
}
