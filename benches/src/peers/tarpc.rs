//! tarpc: over TCP in bincode, as its example does.

use std::fmt;
use std::future::ready;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::StreamExt;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::{client, context, serde_transport};

use crate::Result;
use crate::echo::{Client, Peer};

#[tarpc::service]
trait Echo {
    async fn echo(payload: Bytes) -> Bytes;
}

#[derive(Clone)]
struct Same;

impl Echo for Same {
    async fn echo(self, _: context::Context, payload: Bytes) -> Bytes {
        payload
    }
}

/// tarpc's client and server.
#[derive(Debug)]
pub struct Tarpc;

/// tarpc's client.
#[derive(Clone)]
pub struct TarpcClient(EchoClient);

impl Client for TarpcClient {
    async fn call(&self, payload: &Bytes) -> Result<usize> {
        Ok(self.0.echo(context::current(), payload.clone()).await?.len())
    }
}

impl Peer for Tarpc {
    type Client = TarpcClient;

    async fn serve() -> Result<SocketAddr> {
        let mut listener = serde_transport::tcp::listen("127.0.0.1:0", Bincode::default).await?;
        listener.config_mut().max_frame_length(usize::MAX);
        let address = listener.local_addr();
        let connections = listener.filter_map(|transport| ready(transport.ok()));
        tokio::spawn(connections.for_each(|transport| async {
            // Not its default, but everybody else does so.
            let _ = transport.get_ref().set_nodelay(true);
            let requests = BaseChannel::with_defaults(transport).execute(Same.serve());
            tokio::spawn(requests.for_each(|response| async { _ = tokio::spawn(response) }));
        }));
        Ok(address)
    }

    async fn connect(server: SocketAddr) -> Result<TarpcClient> {
        let mut connect = serde_transport::tcp::connect(server, Bincode::default);
        connect.config_mut().max_frame_length(usize::MAX);
        let transport = connect.await?;
        transport.get_ref().set_nodelay(true)?;
        // The default lets no more than a thousand calls be under way.
        let mut config = client::Config::default();
        config.max_in_flight_requests = 32 * 1024;
        Ok(TarpcClient(EchoClient::new(config, transport).spawn()))
    }
}

impl fmt::Debug for TarpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TarpcClient")
    }
}
