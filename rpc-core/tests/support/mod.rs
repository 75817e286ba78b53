//! What the tests of pools and of names share: a service that counts its calls, a connector that does what the test
//! says, and waiting for conditions.
//!
//! Most of these tests run on a stopped clock, over `memory://`: there a second passes only when nothing is left to do,
//! so a slow machine is in time for everything, and what waits for ever is found out at once. Some need the real clock:
//! those of sockets or of several runtimes, and those that look for what never rests, for which a stopped clock would
//! stand still.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rpc_core::call::{BoxFuture, Peer};
use rpc_core::server::BindError;
use rpc_core::transport::{Address, BoxIo, Connector, DefaultConnector};
use rpc_core::wire::frame::MAGIC;
use rpc_core::wire::{Kind, Prefix};
use rpc_core::{Channel, Server, Status, service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits until the condition holds; `what` is what the failure says.
#[track_caller]
pub(crate) fn until(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        while !condition() {
            assert!(began.elapsed() < limit, "{caller}: {what}: not within {limit:?}");
            sleep(ms(1)).await;
        }
    }
}

/// What the future gives, which must be soon.
#[track_caller]
pub(crate) fn within<F: Future>(limit: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: not within {limit:?}"),
        }
    }
}

/// How often something happened. A clone counts the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// One more; how many there were before.
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

#[service]
pub(crate) trait Lab {
    /// Takes so many milliseconds.
    async fn work(&self, millis: u64) -> Result<(), Status>;
}

/// Counts the calls that have begun.
struct Bench(Count);

impl Lab for Bench {
    async fn work(&self, millis: u64) -> Result<(), Status> {
        self.0.add();
        if millis > 0 {
            sleep(ms(millis)).await;
        }
        Ok(())
    }
}

/// An address at which nobody else is.
pub(crate) fn fresh_address() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("memory://lab-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A server, and how many calls it has had.
pub(crate) async fn serve() -> (Server, Count) {
    serve_at(&fresh_address()).await.unwrap()
}

/// The same at this address.
///
/// # Errors
/// If it cannot be had.
pub(crate) async fn serve_at(address: &str) -> Result<(Server, Count), BindError> {
    let calls = Count::default();
    let server = Server::builder().service(LabServer::new(Bench(calls.clone()))).bind(address).await?;
    Ok((server, calls))
}

/// What a connector does when it is asked for a connection.
pub(crate) type Attempt = BoxFuture<io::Result<(BoxIo, Peer)>>;

type Script = dyn Fn(usize, &Address) -> Attempt + Send + Sync;

/// A connector that does what the test says, for each attempt by its number and the address. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Scripted {
    script: Arc<Script>,
    attempts: Count,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(usize, &Address) -> Attempt + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), attempts: Count::default() }
    }

    pub(crate) fn attempts(&self) -> usize {
        self.attempts.get()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").field("attempts", &self.attempts()).finish_non_exhaustive()
    }
}

impl Connector for Scripted {
    fn connect(&self, address: &Address) -> Attempt {
        (self.script)(self.attempts.add(), address)
    }
}

/// Connects.
pub(crate) fn connects(address: &Address) -> Attempt {
    DefaultConnector.connect(address)
}

/// Is never done.
pub(crate) fn hangs() -> Attempt {
    Box::pin(std::future::pending())
}

/// Gets through to somebody who says hello and closes.
pub(crate) fn meets_one_that_greets_and_closes() -> Attempt {
    Box::pin(async {
        let (near, mut far) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let hello = Prefix { kind: Kind::SETTINGS.0, flags: 0, header: 0, body: 0, stream: 0 };
            far.read_exact(&mut [0; MAGIC.len()]).await?;
            far.write_all(&hello.to_bytes()).await
        });
        Ok((Box::new(near) as BoxIo, Peer::new("one that greets and closes")))
    })
}

/// A runtime begins to connect to this target and is shut down: a call on another one, which has waited for that
/// connection, makes its own.
pub(crate) fn a_call_outlives_the_runtime_that_connects(target: fn(&Address) -> String) {
    let (lasting, passing) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (server, _) = lasting.block_on(serve());
    let connector = Scripted::new(|attempt, address| if attempt == 0 { hangs() } else { connects(address) });
    let channel = Channel::builder(target(server.local_addr())).connector(connector.clone()).build().unwrap();
    let first = channel.clone();
    passing.spawn(async move { first.ready().await });
    lasting.block_on(until(secs(10), "the first attempt has begun", || connector.attempts() == 1));
    let client = LabClient::new(channel);
    let call = lasting.spawn(async move { client.work(0).timeout(secs(4)).await });
    // Nothing shows that the call waits.
    std::thread::sleep(ms(100));
    assert_eq!(connector.attempts(), 1);
    passing.shutdown_timeout(secs(1));
    lasting.block_on(call).unwrap().unwrap();
}
