//! What a transport is: a byte stream, something that makes one, something that accepts them. And the three that are
//! built in.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::call::{BoxFuture, Peer};
use crate::transport::address::Address;

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Any byte stream.
pub type BoxIo = Box<dyn Io>;

/// Makes connections.
#[diagnostic::on_unimplemented(
    message = "`{Self}` makes no connections",
    note = "implement `rpc_core::transport::Connector` for it"
)]
pub trait Connector: Send + Sync + fmt::Debug + 'static {
    /// Connects to an address; gives the stream, and the other end's name for people. The caller limits the time that
    /// it may take.
    fn connect(&self, address: &Address) -> BoxFuture<io::Result<(BoxIo, Peer)>>;
}

/// Accepts connections.
#[diagnostic::on_unimplemented(
    message = "`{Self}` accepts no connections",
    note = "implement `rpc_core::transport::Listener` for it, or give `bind` an address like \"127.0.0.1:7000\""
)]
pub trait Listener: Send + fmt::Debug + 'static {
    /// The next connection, or `Pending` and a wake-up when there is one.
    fn poll_accept(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<(BoxIo, Peer)>>;

    /// Where it listens, so that clients can be told.
    fn local_addr(&self) -> Address;
}

/// TCP, Unix sockets and memory, by the address.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultConnector;

impl Connector for DefaultConnector {
    fn connect(&self, address: &Address) -> BoxFuture<io::Result<(BoxIo, Peer)>> {
        let address = address.clone();
        Box::pin(async move {
            let peer = Peer::new(address.to_string());
            let io: BoxIo = match address {
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(&address).await?;
                    // Writes are batched here: the kernel need not wait for more.
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Address::Memory(name) => Box::new(connect_memory(&name).await?),
            };
            Ok((io, peer))
        })
    }
}

/// Listens at an address. Port 0 takes a free one: [`Listener::local_addr`] tells which.
///
/// # Errors
/// What the operating system says, with the address; for memory, that the name is taken.
pub async fn bind(address: &Address) -> io::Result<Box<dyn Listener>> {
    let bound: io::Result<Box<dyn Listener>> = match address {
        Address::Tcp(address) => TcpListener::bind(address).await.map(|listener| Box::new(listener) as _),
        Address::Unix(path) => bind_unix(path.clone()).await.map(|listener| Box::new(listener) as _),
        Address::Memory(name) => MemoryListener::bind(name).map(|listener| Box::new(listener) as _),
    };
    bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen at {address}: {error}")))
}

impl Listener for TcpListener {
    fn poll_accept(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<(BoxIo, Peer)>> {
        let (stream, from) = ready!(Self::poll_accept(self, cx))?;
        stream.set_nodelay(true)?;
        Poll::Ready(Ok((Box::new(stream), Peer::new(from.to_string()))))
    }

    fn local_addr(&self) -> Address {
        // Asked of a socket that is bound, this does not fail; if it did, there would be no address to tell.
        Self::local_addr(self).map_or_else(|_| Address::Tcp("0.0.0.0:0".into()), Address::from)
    }
}

/// A Unix socket whose file goes away with it.
#[derive(Debug)]
struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

async fn bind_unix(path: PathBuf) -> io::Result<UnixSocket> {
    let listener = match UnixListener::bind(&path) {
        // A server that was killed leaves its file behind. If nobody answers there, it is ours to take.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match UnixStream::connect(&path).await {
                Err(dead) if dead.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(&path)?,
                _ => return Err(error),
            }
            UnixListener::bind(&path)?
        }
        other => other?,
    };
    Ok(UnixSocket { listener, path })
}

impl Listener for UnixSocket {
    fn poll_accept(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<(BoxIo, Peer)>> {
        let (stream, _) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok((Box::new(stream), Peer::new(format!("unix://{}", self.path.display())))))
    }

    fn local_addr(&self) -> Address {
        Address::Unix(self.path.clone())
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How many bytes one direction of a connection in memory holds.
const MEMORY_BUFFER: usize = 256 * 1024;

/// How many connections wait to be accepted in memory: as many as a TCP listener keeps by default.
const MEMORY_BACKLOG: usize = 1024;

/// Who listens in memory, by name.
static MEMORY: LazyLock<Mutex<HashMap<String, mpsc::Sender<DuplexStream>>>> = LazyLock::new(Mutex::default);

async fn connect_memory(name: &str) -> io::Result<DuplexStream> {
    let refused =
        || io::Error::new(io::ErrorKind::ConnectionRefused, format!("nobody listens at memory://{name}"));
    let listener =
        MEMORY.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().ok_or_else(refused)?;
    let (here, there) = tokio::io::duplex(MEMORY_BUFFER);
    listener.send(there).await.map_err(|_| refused())?;
    Ok(here)
}

#[derive(Debug)]
struct MemoryListener {
    name: String,
    incoming: mpsc::Receiver<DuplexStream>,
}

impl MemoryListener {
    fn bind(name: &str) -> io::Result<Self> {
        let mut listeners = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.get(name).is_some_and(|listener| !listener.is_closed()) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "the name is taken"));
        }
        let (sender, incoming) = mpsc::channel(MEMORY_BACKLOG);
        listeners.insert(name.to_owned(), sender);
        Ok(Self { name: name.to_owned(), incoming })
    }
}

impl Listener for MemoryListener {
    fn poll_accept(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<(BoxIo, Peer)>> {
        match ready!(self.incoming.poll_recv(cx)) {
            Some(stream) => Poll::Ready(Ok((Box::new(stream), Peer::new(format!("memory://{}", self.name))))),
            // The sender stands in the list of names for as long as this listener lives.
            None => Poll::Pending,
        }
    }

    fn local_addr(&self) -> Address {
        Address::Memory(self.name.clone())
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        MEMORY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
