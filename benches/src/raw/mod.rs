//! The limit: what a multiplexed protocol on tokio can do at best, if it promises nothing.
//!
//! A frame is a length (4 bytes), a number (8 bytes) and a payload. There is no method, no deadline, no cancellation and
//! no status; what it has is everything that is known to make such a protocol fast: one reader and one writer task for
//! each connection, writes that gather whatever is there, waiters in a list found by index, payloads that are slices of
//! the receive buffer, large payloads as slices of their own in a vectored write.
//!
//! * [`Raw`]: the server answers where it reads.
//! * [`RawSpawn`]: the server starts a task for each request and answers through a writer that gathers: what a framework
//!   with concurrent handlers does if it does nothing clever.
//! * [`RawYield`]: as [`Raw`], but the client's writer lets other tasks run once before it writes while calls are in
//!   flight. With two workers it gathers far more that way.
//! * [`RawLarge`]: as [`Raw`], but both sides read into larger buffers once there is much to read, which doubles what it
//!   does with large payloads. (The goals for those were set beside `raw` as it is.)
//! * [`RawTimer`]: as [`Raw`], with a timer at each side, as whoever keeps a deadline has one. While there is one, the
//!   runtime looks at the clock twice each time that it waits, and so does the system.
//!
//! In reading order: `frame` (in), `out` (out), `client`, `server`.

mod client;
mod frame;
mod out;
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use crate::Result;
use crate::echo::Peer;

pub use client::RawClient;

/// When a timer goes off that never does.
const FAR: Duration = Duration::from_secs(3_600);

/// Answers in place.
#[derive(Debug)]
pub struct Raw;

/// Answers from a task for each request.
#[derive(Debug)]
pub struct RawSpawn;

/// Answers in place; reads into larger buffers once there is much to read.
#[derive(Debug)]
pub struct RawLarge;

/// Answers in place, to a client that yields before it writes.
#[derive(Debug)]
pub struct RawYield;

/// Answers in place; client and server have a timer.
#[derive(Debug)]
pub struct RawTimer;

impl Peer for Raw {
    type Client = RawClient;

    async fn serve() -> Result<SocketAddr> {
        server::in_place(false).await
    }

    async fn connect(server: SocketAddr) -> Result<RawClient> {
        RawClient::connect(server, false, false).await
    }
}

impl Peer for RawSpawn {
    type Client = RawClient;

    async fn serve() -> Result<SocketAddr> {
        server::spawning().await
    }

    async fn connect(server: SocketAddr) -> Result<RawClient> {
        RawClient::connect(server, false, false).await
    }
}

impl Peer for RawYield {
    type Client = RawClient;

    async fn serve() -> Result<SocketAddr> {
        server::in_place(false).await
    }

    async fn connect(server: SocketAddr) -> Result<RawClient> {
        RawClient::connect(server, true, false).await
    }
}

impl Peer for RawTimer {
    type Client = RawClient;

    async fn serve() -> Result<SocketAddr> {
        tokio::spawn(tokio::time::sleep(FAR));
        server::in_place(false).await
    }

    async fn connect(server: SocketAddr) -> Result<RawClient> {
        tokio::spawn(tokio::time::sleep(FAR));
        RawClient::connect(server, false, false).await
    }
}

impl Peer for RawLarge {
    type Client = RawClient;

    async fn serve() -> Result<SocketAddr> {
        server::in_place(true).await
    }

    async fn connect(server: SocketAddr) -> Result<RawClient> {
        RawClient::connect(server, false, true).await
    }
}
