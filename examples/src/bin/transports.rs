//! TCP, Unix sockets, memory: the address says which. And a transport of your own.
//!
//! ```text
//! cargo run --bin transports
//! ```

use std::io;
use std::sync::Mutex;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use rpc_core::call::BoxFuture;
use rpc_core::transport::{Address, BoxIo, Connector, Listener};
use rpc_core::{Channel, Context, Peer, Server, Status, service};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// Says who called.
#[service]
pub trait Mirror {
    /// The caller, as the server sees it.
    async fn who_am_i(&self) -> Result<String, Status>;
}

struct Glass;

impl Mirror for Glass {
    async fn who_am_i(&self) -> Result<String, Status> {
        let ctx = Context::current();
        let peer = ctx.peer().ok_or_else(|| Status::internal("a call without a peer"))?;
        Ok(peer.to_string())
    }
}

/// A transport of one's own connects, ...
#[derive(Debug)]
struct Wire(mpsc::Sender<DuplexStream>);

impl Connector for Wire {
    fn connect(&self, _: &Address) -> BoxFuture<io::Result<(BoxIo, Peer)>> {
        let plug = self.0.clone();
        Box::pin(async move {
            // Anything that can be read and written: here a pipe within the process, elsewhere a TLS stream.
            let (here, there) = duplex(64 * 1024);
            plug.send(there).await.map_err(io::Error::other)?;
            Ok((Box::new(here) as BoxIo, Peer::new("the socket")))
        })
    }
}

/// ... and accepts.
#[derive(Debug)]
struct Socket(Mutex<mpsc::Receiver<DuplexStream>>);

impl Listener for Socket {
    fn poll_accept(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<(BoxIo, Peer)>> {
        let plugs = self.0.get_mut().map_err(|_| io::Error::other("poisoned"))?;
        match ready!(plugs.poll_recv(cx)) {
            Some(io) => Poll::Ready(Ok((Box::new(io), Peer::new("the wire")))),
            None => Poll::Pending,
        }
    }

    fn local_addr(&self) -> Address {
        Address::Memory("a wire of one's own".into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("courier-transports-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let socket = folder.join("mirror.sock");

    for address in ["127.0.0.1:0", &format!("unix://{}", socket.display()), "memory://mirror"] {
        let server = Server::builder().service(MirrorServer::new(Glass)).bind(address).await?;
        // What a server gives as its address is what a client takes: with the port that it got.
        let mirror = MirrorClient::connect(server.local_addr()).await?;
        report(&server.local_addr().to_string(), &mirror).await?;
        server.drain(Duration::from_secs(1)).await;
    }
    assert!(!socket.exists(), "the socket's file was left behind");
    std::fs::remove_dir_all(&folder)?;

    let (plug, plugs) = mpsc::channel(1);
    let listener: Box<dyn Listener> = Box::new(Socket(Mutex::new(plugs)));
    let server = Server::builder().service(MirrorServer::new(Glass)).listen(listener)?;
    let mirror = MirrorClient::new(Channel::builder("memory://unused").connector(Wire(plug)).build()?);
    report("a transport of one's own", &mirror).await?;
    assert_eq!(mirror.who_am_i().await?, "the wire");
    drop(server);

    // An address that is none, and one where nobody listens.
    for wrong in ["localhost", "http://localhost:80", "unix:///nobody/here", "memory://nobody"] {
        let error = MirrorClient::connect(wrong).await.unwrap_err();
        println!("{wrong:<20} {error}");
    }
    Ok(())
}

async fn report(address: &str, mirror: &MirrorClient) -> Result<(), Status> {
    const CALLS: u32 = 200;
    let peer = mirror.who_am_i().await?;
    let began = Instant::now();
    for _ in 0..CALLS {
        mirror.who_am_i().await?;
    }
    let each = began.elapsed() / CALLS;
    println!("{each:>6.0?} a call at {address}, where the caller is {peer:?}");
    Ok(())
}
