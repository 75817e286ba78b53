//! Small calls while somebody else uses the connection, or the server, for something large.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::window::{Phase, PhaseRef};
use crate::Result;
use crate::echo::Client;

/// Sends large bodies one after the other; gives the bytes a second that came back.
pub fn bulk<C: Client>(client: &C, payload: Bytes, phase: &PhaseRef) -> JoinHandle<Result<f64>> {
    let (client, phase) = (client.clone(), phase.clone());
    tokio::spawn(async move {
        let (mut began, mut bytes) = (None, 0_usize);
        loop {
            if client.call(&payload).await? != payload.len() {
                return Err("the echo is wrong".into());
            }
            let ended = Instant::now();
            // From the end of a body to the end of a body: one that began before the window is none of its business.
            match (phase.get(), began) {
                (Phase::Warm, _) => {}
                (_, None) => began = Some(ended),
                (_, Some(_)) => bytes += payload.len(),
            }
            if let (Phase::Stop, Some(began), 1..) = (phase.get(), began, bytes) {
                return Ok(bytes as f64 / (ended - began).as_secs_f64());
            }
        }
    })
}

/// A way to the server on which answers crawl: so many bytes a second, in portions of a tenth of that. Gives its address.
///
/// # Errors
/// If it cannot listen.
pub async fn slow_way(server: SocketAddr, bytes_per_second: usize) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(crawl(client, server, bytes_per_second));
        }
    });
    Ok(address)
}

async fn crawl(client: TcpStream, server: SocketAddr, bytes_per_second: usize) -> Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut portion = vec![0; bytes_per_second / 10];
    loop {
        let count = from_server.read(&mut portion).await?;
        if count == 0 {
            return Ok(());
        }
        to_client.write_all(&portion[..count]).await?;
        tokio::time::sleep(Duration::from_secs_f64(count as f64 / bytes_per_second as f64)).await;
    }
}
