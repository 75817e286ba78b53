//! We, with everything on that a default client and server have: deadline, cancellation, metadata, certainty, limits,
//! per-method counters.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rpc_core::codec::Json;
use rpc_core::{Channel, Server, Status, Streaming, service};

use crate::Result;
use crate::echo::{Client, Peer};

/// The service that is measured.
#[service(name = "bench.Echo", codecs(Protobuf, Json))]
pub trait Echo {
    /// Sends the payload back.
    async fn echo(&self, payload: Bytes) -> Result<Bytes, Status>;

    /// Takes the payload and says nothing.
    #[rpc(oneway)]
    async fn note(&self, payload: Bytes) -> Result<(), Status>;

    /// Counts what is sent.
    async fn upload(&self, payloads: Streaming<Bytes>) -> Result<u64, Status>;

    /// Sends the payload so many times.
    async fn download(&self, payload: Bytes, items: u64) -> Result<Streaming<Bytes>, Status>;
}

/// Its implementation.
#[derive(Debug)]
pub struct Same;

impl Echo for Same {
    async fn echo(&self, payload: Bytes) -> Result<Bytes, Status> {
        Ok(payload)
    }

    async fn note(&self, _: Bytes) -> Result<(), Status> {
        Ok(())
    }

    async fn upload(&self, mut payloads: Streaming<Bytes>) -> Result<u64, Status> {
        let mut count = 0;
        while let Some(payload) = payloads.next().await {
            payload?;
            count += 1;
        }
        Ok(count)
    }

    async fn download(&self, payload: Bytes, items: u64) -> Result<Streaming<Bytes>, Status> {
        Ok(Streaming::iter((0..items).map(move |_| payload.clone())))
    }
}

/// How the messages of a run are sent.
pub trait Mode: Clone + Send + Sync + 'static {
    /// Starts the server.
    fn serve() -> impl Future<Output = Result<Server>> + Send {
        async { Ok(server().bind("127.0.0.1:0").await?) }
    }

    /// Makes the channel.
    fn channel(server: SocketAddr) -> Result<Channel> {
        Ok(channel(server).build()?)
    }

    /// Makes one call; gives the length of what came back.
    fn call(client: &EchoClient, payload: &Bytes) -> impl Future<Output = Result<usize>> + Send {
        async { Ok(client.echo(payload.clone()).await?.len()) }
    }
}

/// Longer than any stream is measured.
const LONG: Duration = Duration::from_secs(600);

/// The largest message that is measured, 64 MiB, and a little more.
const MAX_MESSAGE: u32 = 65 * 1024 * 1024;

/// A server with the defaults, but for the largest message.
pub fn server() -> rpc_core::server::Builder {
    let server = Server::builder().service(EchoServer::new(Same)).max_message(MAX_MESSAGE);
    // A callgrind run takes fifty times as long, and a handler that takes long gets a task.
    if crate::fixed::is_slowed() { server.in_place(Duration::from_secs(3_600)) } else { server }
}

/// A channel with the defaults, but for the largest message.
pub fn channel(server: SocketAddr) -> rpc_core::client::Builder {
    Channel::builder(server).max_message(MAX_MESSAGE)
}

/// Calls in protobuf.
#[derive(Clone, Debug)]
pub struct Unary;

/// Calls in JSON.
#[derive(Clone, Debug)]
pub struct UnaryJson;

impl Mode for Unary {}

impl Mode for UnaryJson {
    fn channel(server: SocketAddr) -> Result<Channel> {
        Ok(channel(server).codec::<Json>().build()?)
    }
}

/// Our client and server.
#[derive(Debug)]
pub struct Courier<M>(PhantomData<M>);

/// Our client.
#[derive(Debug)]
pub struct CourierClient<M>(EchoClient, PhantomData<M>);

// Not derived: a derive would ask the mode for it.
impl<M> Clone for CourierClient<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<M: Mode> Client for CourierClient<M> {
    async fn call(&self, payload: &Bytes) -> Result<usize> {
        M::call(&self.0, payload).await
    }

    async fn send(&self, payload: &Bytes) -> Result<()> {
        Ok(self.0.note(payload.clone()).await?)
    }

    async fn upload(&self, payload: &Bytes, items: u64) -> Result<u64> {
        let payload = payload.clone();
        let payloads = Streaming::iter((0..items).map(move |_| payload.clone()));
        Ok(self.0.upload(payloads).timeout(LONG).await?)
    }

    async fn download(&self, payload: &Bytes, items: u64, pause: Duration) -> Result<u64> {
        let mut payloads = self.0.download(payload.clone(), items).timeout(LONG).await?;
        let mut count = 0;
        while let Some(payload) = payloads.next().await {
            payload?;
            count += 1;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(count)
    }
}

impl<M: Mode> Peer for Courier<M> {
    type Client = CourierClient<M>;

    async fn serve() -> Result<SocketAddr> {
        let server = M::serve().await?;
        let address = server.local_addr().to_string();
        let address = address.trim_start_matches("tcp://").parse()?;
        // It serves until the process ends.
        std::mem::forget(server);
        Ok(address)
    }

    async fn connect(server: SocketAddr) -> Result<Self::Client> {
        let channel = M::channel(server)?;
        channel.ready().await?;
        Ok(CourierClient(EchoClient::new(channel), PhantomData))
    }
}
