//! The task that accepts connections, and what all connections of a server share.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use slab::Slab;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::call::{BoxFuture, Peer};
use crate::server::connection::Serving;
use crate::server::router::Router;
use crate::server::{MethodSnapshot, Snapshot};
use crate::transport::driver::Driver;
use crate::transport::link::{Link, connection};
use crate::transport::{Address, BoxIo, Connector, Listener};
use crate::wire::{Config, Role};

/// After an error that is not of one connection (no file handles left, say) accepting rests for this long, so that it
/// does not spin.
const REST: Duration = Duration::from_millis(50);

/// What a server's connections share.
pub(crate) struct Shared {
    pub(crate) router: Arc<Router>,
    config: Config,
    permits: Arc<Semaphore>,
    connections: Mutex<Connections>,
    /// Told whenever a connection has ended.
    pub(crate) ended: Notify,
}

#[derive(Default)]
struct Connections {
    open: Slab<(Arc<Link>, Option<AbortHandle>)>,
    /// No more connections are taken.
    closed: bool,
    /// Those that were taken were ended.
    aborted: bool,
}

impl Shared {
    pub(crate) fn new(router: Arc<Router>, config: Config, max_connections: usize) -> Self {
        Self {
            router,
            config,
            permits: Arc::new(Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            connections: Mutex::default(),
            ended: Notify::new(),
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a connection in a task of its own.
    pub(crate) fn serve(self: &Arc<Self>, io: BoxIo, peer: Peer, permit: Option<OwnedSemaphorePermit>) {
        let link = Link::new(connection(Role::Acceptor, &self.config), peer);
        let key = {
            let mut connections = self.connections();
            if connections.closed {
                return;
            }
            connections.open.insert((link.clone(), None))
        };
        let driver = Driver::new(io, link, Serving::new(self.router.clone()));
        let registration = Registration { shared: self.clone(), key };
        let task = tokio::spawn(Served { driver, _registration: registration, _permit: permit });
        let mut connections = self.connections();
        if connections.aborted {
            // Meanwhile, by somebody who did not see this task.
            task.abort();
        } else if let Some(entry) = connections.open.get_mut(key) {
            entry.1 = Some(task.abort_handle());
        }
    }

    /// Every open connection.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.connections().open.iter().map(|(_, (link, _))| link.clone()).collect()
    }

    /// Takes no more connections.
    pub(crate) fn close(&self) {
        self.connections().closed = true;
    }

    /// Ends every connection at once.
    pub(crate) fn abort(&self) {
        let mut connections = self.connections();
        (connections.closed, connections.aborted) = (true, true);
        for (_, (_, task)) in &connections.open {
            if let Some(task) = task {
                task.abort();
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for link in self.links() {
            let state = link.lock();
            let wire = state.wire.snapshot();
            snapshot.connections += 1;
            snapshot.calls += wire.serving;
            snapshot.places += state.places();
            snapshot.buffered += wire.buffered;
        }
        snapshot.methods = self
            .router
            .routes()
            .map(|route| {
                let (ok, failed, busy) = route.counters.read();
                MethodSnapshot { path: route.method.path, ok, failed, busy }
            })
            .filter(|method| method.ok + method.failed > 0)
            .collect();
        snapshot.methods.sort_by_key(|method| method.path);
        snapshot
    }
}

/// The task of a connection. Not an async block, which would have room for two drivers: where it waits, and where it was
/// when it was made.
struct Served {
    driver: Driver<Serving>,
    // Held until the driver is gone, however it ends.
    _registration: Registration,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Future for Served {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        Pin::new(&mut self.driver).poll(cx)
    }
}

/// A connection's place among the server's.
struct Registration {
    shared: Arc<Shared>,
    key: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.connections().open.try_remove(self.key);
        self.shared.ended.notify_waiters();
    }
}

/// Accepts until it is aborted.
pub(crate) async fn accept(shared: Arc<Shared>, mut listener: Box<dyn Listener>) {
    loop {
        // The semaphore is never closed.
        let Ok(permit) = shared.permits.clone().acquire_owned().await else { return };
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok((io, peer)) => shared.serve(io, peer, Some(permit)),
            // The connection was gone before it was accepted: that is its own affair.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting connections failed; trying again in {REST:?}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("connections", &self.connections().open.len()).finish_non_exhaustive()
    }
}

/// Connects to a server in this process, which listens nowhere.
#[derive(Debug)]
pub(crate) struct Local(pub(crate) Result<Arc<Shared>, String>);

/// How many bytes one direction of a local connection holds.
const LOCAL_BUFFER: usize = 256 * 1024;

impl Connector for Local {
    fn connect(&self, _: &Address) -> BoxFuture<io::Result<(BoxIo, Peer)>> {
        let connected = self.0.as_ref().map_err(|error| io::Error::other(error.clone())).map(|shared| {
            let (here, there) = tokio::io::duplex(LOCAL_BUFFER);
            shared.serve(Box::new(there), Peer::new("local"), None);
            (Box::new(here) as BoxIo, Peer::new("local"))
        });
        Box::pin(std::future::ready(connected))
    }
}
