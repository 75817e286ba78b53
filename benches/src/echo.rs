//! What everybody who is measured does: a server that sends back what it gets, and a client of it.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::Result;

/// A client with one connection.
pub trait Client: Clone + Send + Sync + 'static {
    /// Sends the payload, and gives the length of what came back.
    fn call(&self, payload: &Bytes) -> impl Future<Output = Result<usize>> + Send;

    /// Hands over a message that nobody answers; returns when the connection has taken it. A [`call`](Self::call) behind
    /// it on the same connection is answered after the server has seen it.
    fn send(&self, _payload: &Bytes) -> impl Future<Output = Result<()>> + Send {
        async { Err("it has no messages without an answer".into()) }
    }

    /// Sends the payload so many times in one stream; gives how many the server has counted.
    fn upload(&self, _payload: &Bytes, _items: u64) -> impl Future<Output = Result<u64>> + Send {
        async { Err("it has no streams".into()) }
    }

    /// Lets the server send the payload so many times in one stream, and waits a while after each; gives how many came.
    fn download(
        &self,
        _payload: &Bytes,
        _items: u64,
        _pause: Duration,
    ) -> impl Future<Output = Result<u64>> + Send {
        async { Err("it has no streams".into()) }
    }
}

/// One who is measured.
pub trait Peer: Send + Sync + 'static {
    /// Its client.
    type Client: Client;

    /// Serves at a free port of this host; gives the address. The server runs in tasks of the current runtime, for as
    /// long as that runs.
    fn serve() -> impl Future<Output = Result<SocketAddr>> + Send;

    /// Makes one connection.
    fn connect(server: SocketAddr) -> impl Future<Output = Result<Self::Client>> + Send;
}

/// Connects, and makes sure by a call that somebody answers.
pub async fn connect<P: Peer>(server: SocketAddr) -> Result<P::Client> {
    let client = P::connect(server).await?;
    let proof = Bytes::from_static(b"proof");
    let length = tokio::time::timeout(Duration::from_secs(10), client.call(&proof)).await??;
    if length == proof.len() { Ok(client) } else { Err("the echo is wrong".into()) }
}

/// Connects so many times.
pub async fn connect_all<P: Peer>(server: SocketAddr, connections: usize) -> Result<Vec<P::Client>> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(connect::<P>(server).await?);
    }
    Ok(clients)
}
