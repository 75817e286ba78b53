//! Closed loops: each has one call in flight and makes the next when that is answered.

use std::time::Instant;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::latency::Latencies;
use super::window::{Phase, PhaseRef};
use crate::Result;
use crate::echo::Client;

/// Loops that have been started.
#[derive(Debug)]
pub struct Loops(Vec<JoinHandle<Result<Latencies>>>);

/// Starts so many loops, on the clients in turn.
pub fn start<C: Client>(clients: &[C], payload: &Bytes, in_flight: usize, phase: &PhaseRef) -> Loops {
    let clients = clients.iter().cycle().take(in_flight);
    Loops(clients.map(|client| tokio::spawn(calls(client.clone(), payload.clone(), phase.clone()))).collect())
}

impl Loops {
    /// The latencies of the calls that ended in the window.
    ///
    /// # Errors
    /// Whatever a call gives.
    pub async fn end(self) -> Result<Latencies> {
        let mut all = Latencies::new();
        for calls in self.0 {
            all.append(calls.await??);
        }
        Ok(all)
    }
}

async fn calls<C: Client>(client: C, payload: Bytes, phase: PhaseRef) -> Result<Latencies> {
    let mut latencies = Latencies::new();
    let mut began = Instant::now();
    loop {
        if client.call(&payload).await? != payload.len() {
            return Err("the echo is wrong".into());
        }
        let ended = Instant::now();
        match phase.get() {
            Phase::Warm => {}
            Phase::Measure => latencies.push(ended - began),
            Phase::Stop => return Ok(latencies),
        }
        began = ended;
    }
}
