//! Servers that announce themselves, clients that find them, and what happens when either or the registry goes away.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rpc_core::discovery::{FileRegistry, Filter, MemoryRegistry, Registry, State, resolver};
use rpc_core::server::health::{HealthCheckRequest, HealthClient, ServingStatus};
use rpc_core::{Channel, Code, Server};

use crate::support::{Bed, LabClient, LabServer, ms, secs, until, within};

const LAB: &str = "test.Lab";

fn builder() -> rpc_core::server::Builder {
    Server::builder().service(LabServer::new(Bed::echoing()))
}

/// A server that is registered when this is done.
async fn announced(registry: impl Registry) -> Server {
    let server = builder().announce(registry).propagation(ms(300)).bind("127.0.0.1:0").await.unwrap();
    within(secs(10), server.announced()).await.unwrap();
    server
}

fn client(target: &str, registry: impl resolver::Builder) -> LabClient {
    LabClient::new(Channel::builder(target).resolver(registry).build().unwrap())
}

/// Restarts each of three servers, one after the other, while calls go on that may not be repeated.
async fn rolling_restart<R: Registry + Clone>(registry: R, client: LabClient) {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(announced(registry.clone()).await);
    }
    client.echo("first".into()).wait_for_ready().await.unwrap();
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop, calls) = (client.clone(), stop.clone(), calls.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.run("x".into()).await?;
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(ms(1)).await;
                }
                Ok::<(), rpc_core::Status>(())
            })
        })
        .collect();
    for _ in 0..3 {
        let before = calls.load(Ordering::Relaxed);
        until("calls go through", || calls.load(Ordering::Relaxed) > before + 50).await;
        servers.push(announced(registry.clone()).await);
        let report = servers.remove(0).drain(secs(10)).await;
        assert!(report.is_clean() && report.still_registered.is_empty(), "{report}");
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap().unwrap();
    }
    assert_eq!(registry.list(LAB).await.unwrap().instances().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_through_a_registry_fails_no_call() {
    let registry = MemoryRegistry::new();
    let client = client("memory://test.Lab", registry.clone());
    rolling_restart(registry, client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_through_files_fails_no_call() {
    let folder = tempfile::tempdir().unwrap();
    // The resolver that every channel has.
    let target = format!("file://{}/test.Lab", folder.path().display());
    let client = LabClient::new(Channel::builder(target).build().unwrap());
    rolling_restart(FileRegistry::new(folder.path()), client).await;
}

#[tokio::test]
async fn clients_hear_that_a_server_goes_before_it_turns_calls_away() {
    let registry = MemoryRegistry::new();
    let server = announced(registry.clone()).await;
    let address = server.local_addr().clone();
    let health = HealthClient::connect(&address).await.unwrap();
    let mut status = health.watch(HealthCheckRequest { service: LAB.into() }).await.unwrap();
    assert_eq!(status.next().await.unwrap().unwrap().status, ServingStatus::Serving);
    let mut watch = registry.watch(LAB);
    assert_eq!(watch.changed().await.unwrap().instances().len(), 1);

    let draining = tokio::spawn(server.drain(secs(10)));
    // It says so by its health, and in the registry…
    assert_eq!(status.next().await.unwrap().unwrap().status, ServingStatus::NotServing);
    while !watch.changed().await.unwrap().is_empty() {}
    // …while even somebody who comes now is served.
    let late = LabClient::connect(&address).await.unwrap();
    assert_eq!(late.echo("late".into()).await.unwrap(), "late");
    let report = within(secs(10), draining).await.unwrap();
    assert!(report.is_clean() && report.took >= ms(300), "{report}");
    assert!(status.next().await.is_none(), "a watch of its health does not hold it up");
}

#[tokio::test]
async fn a_server_starts_without_its_registry_and_is_there_once_that_is() {
    let registry = MemoryRegistry::new();
    registry.set_down(true);
    let server = builder().announce(registry.clone()).bind("127.0.0.1:0").await.unwrap();
    assert!(tokio::time::timeout(ms(50), server.announced()).await.is_err());
    let client = client("memory://test.Lab", registry.clone());
    let refused = client.echo("early".into()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let waiting = client.echo("patient".into()).wait_for_ready().start();
    registry.set_down(false);
    within(secs(10), server.announced()).await.unwrap();
    assert_eq!(waiting.await.unwrap(), "patient");
    // An outage later changes nothing for those who know each other.
    registry.set_down(true);
    client.echo("still".into()).await.unwrap();
    let report = server.drain(secs(5)).await;
    assert_eq!(report.still_registered.len(), 1);
    assert!(report.to_string().contains("until its lease ends"), "{report}");
}

#[tokio::test]
async fn a_server_that_must_be_registered_does_not_start_without() {
    let registry = MemoryRegistry::new();
    registry.set_down(true);
    let bound = builder().announce(registry.clone()).announce_required(ms(50)).bind("127.0.0.1:0").await;
    let error = bound.unwrap_err().to_string();
    assert!(error.contains("could not be registered"), "{error}");
    registry.set_down(false);
    until("it is taken back", || {
        let mut list = registry.list(LAB);
        matches!(futures_util::FutureExt::now_or_never(&mut list), Some(Ok(list)) if list.is_empty())
    })
    .await;
    let everywhere = builder().announce(registry).bind("0.0.0.0:0").await.unwrap_err().to_string();
    assert!(everywhere.contains(".advertise("), "{everywhere}");
}

#[tokio::test]
async fn what_a_server_says_of_itself_reaches_those_who_choose() {
    let registry = MemoryRegistry::new();
    let server = |group: &'static str| {
        builder()
            .announce(registry.clone())
            .announce_as("shop")
            .advertise("127.0.0.1:0")
            .describe(move |instance| instance.with_tag("group", group))
            .bind("0.0.0.0:0")
    };
    let (blue, green) = (server("blue").await.unwrap(), server("green").await.unwrap());
    within(secs(10), blue.announced()).await.unwrap();
    within(secs(10), green.announced()).await.unwrap();
    let list = registry.list("shop").await.unwrap();
    assert_eq!(list.instances()[0].services, [LAB]);
    let filter = Filter::service(LAB).and(Filter::tag("group", "blue"));
    assert_eq!(filter.apply(&list).instances(), [blue.instance().unwrap()]);
    let client = |filter| {
        let channel = Channel::builder("memory://shop").resolver(registry.clone()).filter(filter).build();
        LabClient::new(channel.unwrap())
    };
    client(filter).echo("to blue".into()).await.unwrap();
    assert_eq!((blue.snapshot().connections, green.snapshot().connections), (1, 0));

    blue.set_weight(7);
    blue.set_state(State::Draining);
    let mut watch = registry.watch("shop");
    let id = blue.instance().unwrap().id;
    loop {
        let list = within(secs(10), watch.changed()).await.unwrap();
        let one = list.get(&id).unwrap();
        if (one.weight, one.state) == (7, State::Draining) {
            break;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_takes_itself_back() {
    let registry = MemoryRegistry::new();
    let server = announced(registry.clone()).await;
    let mut watch = registry.watch(LAB);
    assert_eq!(watch.changed().await.unwrap().instances().len(), 1);
    drop(server);
    while !within(secs(5), watch.changed()).await.unwrap().is_empty() {}
}

#[tokio::test]
async fn layers_do_not_stand_round_the_health_service() {
    let refuse = |_: rpc_core::Status| rpc_core::Status::unauthenticated("no");
    let server = Server::builder()
        .layer(tower::util::MapErrLayer::new(refuse))
        .service(LabServer::new(Bed::new(async |_| Err(rpc_core::Status::internal("x")))))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let health = HealthClient::connect(server.local_addr()).await.unwrap();
    let unknown = health.check(HealthCheckRequest { service: "no.Such".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let lab = LabClient::new(health.channel().clone());
    assert_eq!(lab.run("x".into()).await.unwrap_err().code(), Code::Unauthenticated);
}

/// A server in a process of its own: this program again, told to run the test that started it.
struct Process(Child);

impl Process {
    fn start(test: &str, folder: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([&format!("discovery::{test}"), "--exact"])
            .env("COURIER_TEST_FOLDER", folder)
            .stdout(std::process::Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves, if this is such a process, until it is killed.
async fn serve_if_told() {
    let Some(folder) = std::env::var_os("COURIER_TEST_FOLDER").map(PathBuf::from) else { return };
    let _server = announced(FileRegistry::new(folder).ttl(secs(1))).await;
    // Nobody is left behind by a test that was killed itself.
    tokio::time::sleep(secs(120)).await;
    std::process::exit(1);
}

async fn registered(registry: &FileRegistry, count: usize) {
    within(secs(30), async {
        while registry.list(LAB).await.map_or(0, |list| list.instances().len()) != count {
            tokio::time::sleep(ms(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_that_is_killed_is_found_out() {
    serve_if_told().await;
    let folder = tempfile::tempdir().unwrap();
    let registry = FileRegistry::new(folder.path());
    let _stays = announced(registry.clone()).await;
    let processes: Vec<_> =
        (0..2).map(|_| Process::start("a_process_that_is_killed_is_found_out", folder.path())).collect();
    registered(&registry, 3).await;
    let target = format!("file://{}/test.Lab", folder.path().display());
    let client = LabClient::new(Channel::builder(target).build().unwrap());
    client.channel().ready().await.unwrap();
    processes[0].signal("-KILL");
    let killed = tokio::time::Instant::now();
    // Calls go elsewhere as soon as the connection is gone: only those may fail that were on it.
    let mut failed = 0;
    for _ in 0..50 {
        failed += usize::from(client.echo("after the death".into()).wait_for_ready().await.is_err());
    }
    assert!(failed <= 1, "{failed} of 50 calls failed");
    registered(&registry, 2).await;
    assert!(killed.elapsed() >= ms(500), "a lease is a lease: {:?}", killed.elapsed());
    client.echo("to those who live".into()).await.unwrap();
}

#[tokio::test]
async fn a_process_that_was_stopped_comes_back_as_the_one_it_was() {
    serve_if_told().await;
    let folder = tempfile::tempdir().unwrap();
    let registry = FileRegistry::new(folder.path());
    let test = "a_process_that_was_stopped_comes_back_as_the_one_it_was";
    let process = Process::start(test, folder.path());
    registered(&registry, 1).await;
    let before = registry.list(LAB).await.unwrap();
    process.signal("-STOP");
    registered(&registry, 0).await;
    process.signal("-CONT");
    registered(&registry, 1).await;
    assert_eq!(registry.list(LAB).await.unwrap(), before);
}
