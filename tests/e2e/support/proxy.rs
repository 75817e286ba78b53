//! A TCP proxy that makes trouble: it delays, stops, cuts, and closes one direction.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rpc_core::transport::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, watch};

use super::wait::ms;

/// What a proxy does to one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Nothing is read, as if the network had swallowed it.
    pub(crate) stopped: bool,
    /// Each piece waits for this long.
    pub(crate) delay: Duration,
    /// The longest piece, in bytes.
    pub(crate) piece: usize,
    /// After this many more bytes the connection is reset.
    pub(crate) cut_after: usize,
}

impl Default for Faults {
    fn default() -> Self {
        Self { stopped: false, delay: Duration::ZERO, piece: 64 * 1024, cut_after: usize::MAX }
    }
}

/// How connections that are open end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With a reset to both sides.
    Reset,
    /// The direction to the server is closed, the other one stays.
    CloseUp,
    /// The direction to the client is closed, the other one stays.
    CloseDown,
}

/// Stands between clients and a server, on a runtime of its own.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    server: watch::Sender<Option<String>>,
    up: watch::Sender<Faults>,
    down: watch::Sender<Faults>,
    end: broadcast::Sender<End>,
    accepted: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// A proxy before this server, which does nothing bad yet.
    pub(crate) fn to(server: &Address) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (server, servers) = watch::channel(Some(server.to_string()));
        let (up, ups) = watch::channel(Faults::default());
        let (down, downs) = watch::channel(Faults::default());
        let (end, _) = broadcast::channel(16);
        let accepted = Arc::new(AtomicUsize::new(0));
        runtime.spawn({
            let (end, accepted) = (end.clone(), accepted.clone());
            async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let Ok((client, _)) = listener.accept().await else { continue };
                    accepted.fetch_add(1, Ordering::Relaxed);
                    let server = servers.borrow().clone();
                    // Without a server the client is accepted and closed.
                    let Some(server) = server else { continue };
                    tokio::spawn(relay(client, server, ups.clone(), downs.clone(), end.subscribe()));
                }
            }
        });
        Self { address, server, up, down, end, accepted, runtime: Some(runtime) }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections came.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Sends later connections to this server; `None` accepts and closes them.
    pub(crate) fn set_server(&self, server: Option<&Address>) {
        self.server.send_replace(server.map(ToString::to_string));
    }

    /// What happens to what clients send.
    pub(crate) fn up(&self, faults: Faults) {
        self.up.send_replace(faults);
    }

    /// What happens to what the server sends.
    pub(crate) fn down(&self, faults: Faults) {
        self.down.send_replace(faults);
    }

    /// Both directions swallow everything, or flow again.
    pub(crate) fn stop(&self, stopped: bool) {
        self.up(Faults { stopped, ..Faults::default() });
        self.down(Faults { stopped, ..Faults::default() });
    }

    /// Each piece takes this long in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.up(Faults { delay, ..Faults::default() });
        self.down(Faults { delay, ..Faults::default() });
    }

    /// Resets all connections.
    pub(crate) fn cut(&self) {
        // None is open: nothing to cut.
        let _ = self.end.send(End::Reset);
    }

    /// Closes the direction to the server.
    pub(crate) fn close_up(&self) {
        let _ = self.end.send(End::CloseUp);
    }

    /// Closes the direction to the client.
    pub(crate) fn close_down(&self) {
        let _ = self.end.send(End::CloseDown);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A runtime may not be dropped where another one runs, but it may be left.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What became of one direction.
enum Pumped {
    Ended,
    Cut,
}

async fn relay(
    client: TcpStream,
    server: String,
    up: watch::Receiver<Faults>,
    down: watch::Receiver<Faults>,
    mut end: broadcast::Receiver<End>,
) {
    let Ok(server) = TcpStream::connect(server).await else {
        // The server is gone: so is the client.
        return client.set_zero_linger().unwrap();
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let mut ups = tokio::spawn(pump(client_read, server_write, up));
    let mut downs = tokio::spawn(pump(server_read, client_write, down));
    let (mut up_over, mut down_over) = (false, false);
    while !(up_over && down_over) {
        tokio::select! {
            pumped = &mut ups, if !up_over => match pumped {
                Ok(Pumped::Cut) => return reset(ups, downs),
                _ => up_over = true,
            },
            pumped = &mut downs, if !down_over => match pumped {
                Ok(Pumped::Cut) => return reset(ups, downs),
                _ => down_over = true,
            },
            ended = end.recv() => match ended {
                Ok(End::CloseUp) => ups.abort(),
                Ok(End::CloseDown) => downs.abort(),
                Ok(End::Reset) | Err(_) => return reset(ups, downs),
            },
        }
    }
}

/// Ends both directions; sockets that linger for no time say so with a reset.
fn reset(ups: tokio::task::JoinHandle<Pumped>, downs: tokio::task::JoinHandle<Pumped>) {
    ups.abort();
    downs.abort();
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut faults: watch::Receiver<Faults>,
) -> Pumped {
    let mut buffer = vec![0; 64 * 1024];
    let mut sent = 0;
    loop {
        let now = *faults.borrow_and_update();
        if now.stopped {
            if faults.changed().await.is_err() {
                return Pumped::Ended;
            }
            sent = 0;
            continue;
        }
        let piece = now.piece.min(buffer.len());
        let read = tokio::select! {
            changed = faults.changed() => {
                if changed.is_err() {
                    return Pumped::Ended;
                }
                sent = 0;
                continue;
            }
            read = from.read(&mut buffer[..piece]) => read,
        };
        let Ok(count @ 1..) = read else {
            let _ = to.shutdown().await;
            return Pumped::Ended;
        };
        if !now.delay.is_zero() {
            tokio::time::sleep(now.delay).await;
        }
        let passed = count.min(now.cut_after - sent);
        if to.write_all(&buffer[..passed]).await.is_err() {
            return Pumped::Ended;
        }
        sent += passed;
        if sent >= now.cut_after {
            // What was passed should arrive before the reset does.
            tokio::time::sleep(ms(5)).await;
            let _ = from.as_ref().set_zero_linger();
            let _ = to.as_ref().set_zero_linger();
            return Pumped::Cut;
        }
    }
}
