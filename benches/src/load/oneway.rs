//! Messages that nobody answers, from one sender.

use std::time::Instant;

use bytes::Bytes;

use super::window::{Phase, PhaseRef};
use crate::Result;
use crate::echo::Client;

/// So many messages in a row before others get a turn.
const BATCH: u64 = 64;

/// Sends one message after the other, and gives how many a second reached the server: the time runs until a call behind
/// the last one is answered, for a sender that only fills buffers is no faster for it.
///
/// # Errors
/// Whatever a message gives.
pub async fn messages<C: Client>(client: &C, payload: &Bytes, phase: &PhaseRef) -> Result<f64> {
    while phase.get() == Phase::Warm {
        for _ in 0..BATCH {
            client.send(payload).await?;
        }
        // A server that takes more than it has handled must not bring that along into the window.
        client.call(payload).await?;
    }
    let (began, mut sent) = (Instant::now(), 0_u64);
    while phase.get() == Phase::Measure {
        client.send(payload).await?;
        sent += 1;
        // A sender that is never refused would not let anybody else run.
        if sent.is_multiple_of(BATCH) {
            tokio::task::yield_now().await;
        }
    }
    client.call(payload).await?;
    Ok(sent as f64 / began.elapsed().as_secs_f64())
}
