//! Streams: many messages of one call, in one direction.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::window::{Phase, PhaseRef};
use crate::Result;
use crate::echo::Client;

/// Which way the items go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// So many items are in a stream: enough that opening it does not show.
const ITEMS: u64 = 10_000;

/// Sends one stream after the other, and gives how many items a second arrived.
///
/// # Errors
/// Whatever a stream gives.
pub async fn items<C: Client>(
    client: &C,
    payload: &Bytes,
    direction: Direction,
    phase: &PhaseRef,
) -> Result<f64> {
    while phase.get() == Phase::Warm {
        stream(client, payload, direction, ITEMS / 10).await?;
    }
    let (began, mut arrived) = (Instant::now(), 0);
    while phase.get() == Phase::Measure {
        stream(client, payload, direction, ITEMS).await?;
        arrived += ITEMS;
    }
    Ok(arrived as f64 / began.elapsed().as_secs_f64())
}

/// One stream; all of its items must arrive.
///
/// # Errors
/// Whatever the stream gives.
pub async fn stream<C: Client>(client: &C, payload: &Bytes, direction: Direction, items: u64) -> Result<()> {
    let arrived = match direction {
        Direction::Up => client.upload(payload, items).await?,
        Direction::Down => client.download(payload, items, Duration::ZERO).await?,
    };
    if arrived == items { Ok(()) } else { Err(format!("{arrived} items arrived of {items}").into()) }
}

/// Reads so many streams at once, each after an item for so long; they end with the value.
pub fn read<C: Client>(client: &C, payload: &Bytes, streams: usize, pause: Duration) -> Readers {
    let read = |_| {
        let (client, payload) = (client.clone(), payload.clone());
        tokio::spawn(async move { client.download(&payload, u64::MAX, pause).await.map(drop) })
    };
    Readers((0..streams).map(read).collect())
}

/// Tasks that read streams.
#[derive(Debug)]
pub struct Readers(Vec<JoinHandle<Result<()>>>);

impl Readers {
    /// Ends them.
    ///
    /// # Errors
    /// If a stream has ended before, for none of them has an end.
    pub fn end(self) -> Result<()> {
        if self.0.iter().any(JoinHandle::is_finished) {
            return Err("a stream without an end has ended".into());
        }
        self.0.iter().for_each(JoinHandle::abort);
        Ok(())
    }
}
