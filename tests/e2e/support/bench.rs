//! A test on two runtimes, and what it may not leave behind.

use std::time::{Duration, Instant};

use rpc_core::server::{Builder, Handlers};
use rpc_core::{Channel, Request, Response, Server, Status};
use tokio::runtime::{Handle, Runtime};
use tower::{Layer, Service};

use super::lab::{Bed, LabClient, LabServer, Log};
use super::wait::{PATIENCE, ms, secs, until};

/// Where a test runs: the test itself and its clients on one runtime, servers on another.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    servers: Handle,
}

/// Runs a test. When it is over, no task may be left on either runtime.
#[track_caller]
pub(crate) fn bench(test: impl AsyncFnOnce(Bench)) {
    let clients = runtime();
    let servers = runtime();
    let bench = Bench { servers: servers.handle().clone() };
    clients.block_on(async move {
        let test = std::pin::pin!(test(bench));
        if tokio::time::timeout(secs(60), test).await.is_err() {
            panic!("the test hangs");
        }
    });
    none_alive("client", &clients);
    none_alive("server", &servers);
}

/// One thread beside the test's own: enough for races, and cheap to make.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[track_caller]
fn none_alive(whose: &str, runtime: &Runtime) {
    let began = Instant::now();
    loop {
        let alive = runtime.metrics().num_alive_tasks();
        if alive == 0 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{alive} tasks are left on the {whose} runtime");
        std::thread::sleep(ms(1));
    }
}

/// In a debug build handlers soon count as slow, and get tasks. With this variable none does, so that what a release build
/// does nearly all the time is tested as well (`tests/run` runs both).
fn in_place<L>(builder: Builder<L>) -> Builder<L> {
    match std::env::var_os("COURIER_TESTS_IN_PLACE") {
        Some(_) => builder.in_place(secs(10)),
        None => builder,
    }
}

impl Bench {
    /// Runs a future on the servers' runtime.
    pub(crate) async fn on_server<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.servers.spawn(future).await.unwrap()
    }

    /// How many tasks are alive on the servers' runtime.
    pub(crate) fn server_tasks(&self) -> usize {
        self.servers.metrics().num_alive_tasks()
    }

    /// Starts a server at a free port.
    pub(crate) async fn serve(&self, builder: Builder) -> Server {
        self.serve_at(builder, "127.0.0.1:0").await
    }

    /// Starts a server with layers at a free port.
    pub(crate) async fn serve_layered<L>(&self, builder: Builder<L>) -> Server
    where
        L: Layer<Handlers> + Send + Sync + 'static,
        L::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let builder = in_place(builder);
        self.on_server(async move { builder.bind("127.0.0.1:0").await.unwrap() }).await
    }

    /// Starts a server here.
    pub(crate) async fn serve_at(&self, builder: Builder, address: &str) -> Server {
        let (builder, address) = (in_place(builder), address.to_owned());
        self.on_server(async move { builder.bind(address).await.unwrap() }).await
    }

    /// A server of this lab, and a client that is connected to it.
    pub(crate) async fn pair(&self, lab: Bed) -> Pair {
        let log = lab.log();
        let server = self.serve(Server::builder().service(LabServer::new(lab))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        Pair { server, client, log }
    }
}

/// A server, a client, and the server's log.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) client: LabClient,
    pub(crate) log: Log,
}

impl Pair {
    /// Both sides hold nothing; then the server is drained, which finds nothing to wait for.
    pub(crate) async fn finish(self) {
        let Self { server, client, log } = self;
        quiet(&server, client.channel()).await;
        assert_eq!(log.running(), 0, "handlers that still run");
        drop(client);
        drained(server).await;
    }
}

/// Drains a server on which nothing runs.
pub(crate) async fn drained(server: Server) -> Duration {
    let report = server.drain(PATIENCE).await;
    assert!(report.is_clean() && report.took < PATIENCE, "{report}");
    report.took
}

/// Waits until neither side holds anything.
pub(crate) async fn quiet(server: &Server, channel: &Channel) {
    until_server_quiet(server).await;
    until_channel_quiet(channel).await;
}

/// Waits until a server holds nothing.
pub(crate) async fn until_server_quiet(server: &Server) {
    let holds = || {
        let snapshot = server.snapshot();
        (snapshot.calls, snapshot.places, snapshot.buffered)
    };
    until("the server holds nothing", || holds() == (0, 0, 0)).await;
}

/// Waits until a channel holds nothing.
pub(crate) async fn until_channel_quiet(channel: &Channel) {
    let holds = || {
        let snapshot = channel.snapshot();
        (snapshot.calls, snapshot.pending, snapshot.places)
    };
    until("the channel holds nothing", || holds() == (0, 0, 0)).await;
}
