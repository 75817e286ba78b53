//! Servers that are dropped, or whose drain is given up: they leave nothing behind, neither with registries nor with
//! those who have just connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use rpc_core::call::BoxFuture;
use rpc_core::discovery::{Instance, MemoryRegistry, Registry, Snapshot, Watch};
use rpc_core::transport::{Connector, DefaultConnector, bind};
use rpc_core::{Server, Status};
use tokio::io::AsyncReadExt;

use crate::support::{Bed, LabServer, ms, secs, until, within};

async fn announced(registry: impl Registry) -> Server {
    let builder = Server::builder().service(LabServer::new(Bed::echoing())).announce(registry);
    let server = builder.bind("127.0.0.1:0").await.unwrap();
    server.announced().await.unwrap();
    server
}

/// Whether nobody is registered.
fn is_empty(registry: &MemoryRegistry) -> bool {
    registry.list("test.Lab").now_or_never().unwrap().unwrap().is_empty()
}

#[tokio::test]
async fn a_drain_that_is_given_up_at_once_leaves_nothing_registered() {
    let registry = MemoryRegistry::new();
    let server = announced(registry.clone()).await;
    assert!(!is_empty(&registry));
    assert!(server.drain(secs(10)).now_or_never().is_none());
    until("it is withdrawn", || is_empty(&registry)).await;
}

/// A registry whose second registration takes a while, and a thread.
#[derive(Clone, Debug)]
struct Slow {
    inner: MemoryRegistry,
    registrations: Arc<AtomicUsize>,
}

impl Registry for Slow {
    fn register(&self, service: &str, instance: Instance) -> BoxFuture<Result<(), Status>> {
        if self.registrations.fetch_add(1, Ordering::SeqCst) == 1 {
            std::thread::sleep(ms(100));
        }
        self.inner.register(service, instance)
    }

    fn withdraw(&self, service: &str, id: &str) -> BoxFuture<Result<(), Status>> {
        self.inner.withdraw(service, id)
    }

    fn list(&self, service: &str) -> BoxFuture<Result<Snapshot, Status>> {
        self.inner.list(service)
    }

    fn watch(&self, service: &str) -> Watch {
        self.inner.watch(service)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_dropped_as_it_registers_leaves_nothing_registered() {
    let registry = Slow { inner: MemoryRegistry::new(), registrations: Arc::default() };
    let server = announced(registry.clone()).await;
    // Changes are gathered for a second.
    tokio::time::sleep(ms(1_200)).await;
    server.set_weight(7);
    while registry.registrations.load(Ordering::SeqCst) < 2 {
        // Not tokio's: its timers may rest while the registration keeps a worker busy.
        std::thread::sleep(ms(1));
    }
    drop(server);
    until("it is withdrawn", || is_empty(&registry.inner)).await;
    // And stays so.
    tokio::time::sleep(ms(300)).await;
    assert!(is_empty(&registry.inner));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_just_accepted_ends_with_its_server() {
    for round in 0..3_000_usize {
        let server =
            Server::builder().service(LabServer::new(Bed::echoing())).bind("memory://dropped").await.unwrap();
        let address = server.local_addr().clone();
        let (mut io, _) = DefaultConnector.connect(&address).await.unwrap();
        // At another point of its beginning each time.
        for _ in 0..(round * 7_919) % 400 {
            std::hint::spin_loop();
        }
        drop(server);
        let mut rest = Vec::new();
        within(secs(5), io.read_to_end(&mut rest)).await.unwrap();
        // The name is free again once the listener is dropped.
        while bind(&address).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
