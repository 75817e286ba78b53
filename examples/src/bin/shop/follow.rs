//! Somebody who follows the orders as they are placed: over streams, each of them short, and the next one from where the
//! last one broke off, whatever became of the server that it came from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::sleep;

use crate::contract::{GatewayClient, ShopError};

/// What the follower has seen.
#[derive(Default)]
pub(crate) struct Followed {
    /// Orders, each once and in order.
    pub(crate) orders: AtomicU64,
    /// Streams that they came over.
    pub(crate) streams: AtomicU64,
    /// Streams that broke off.
    pub(crate) broken: AtomicU64,
    /// Orders that were not the next.
    pub(crate) wrong: AtomicU64,
}

/// Runs until it is aborted.
pub(crate) async fn follow(gateway: GatewayClient, followed: Arc<Followed>) {
    loop {
        followed.streams.fetch_add(1, Relaxed);
        if stream(&gateway, &followed).await.is_err() {
            followed.broken.fetch_add(1, Relaxed);
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn stream(gateway: &GatewayClient, followed: &Followed) -> Result<(), ShopError> {
    let mut placed = gateway.watch(followed.orders.load(Relaxed)).await?;
    while let Some(placed) = placed.next().await.transpose()? {
        if placed.number == followed.orders.load(Relaxed) {
            followed.orders.fetch_add(1, Relaxed);
        } else {
            followed.wrong.fetch_add(1, Relaxed);
        }
    }
    Ok(())
}
