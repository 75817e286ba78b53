//! Who calls: closed loops, each with one call in flight, through exactly the same code for everybody who is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::Result;
use crate::echo::Client;

/// Makes this many calls, `in_flight` at a time.
pub async fn fixed<C: Client>(client: &C, payload: &Bytes, in_flight: usize, calls: usize) -> Result<()> {
    if in_flight == 1 {
        return calls_in_a_row(client.clone(), payload.clone(), calls).await;
    }
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(calls_in_a_row(client.clone(), payload.clone(), calls / in_flight)))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn calls_in_a_row<C: Client>(client: C, payload: Bytes, calls: usize) -> Result<()> {
    for _ in 0..calls {
        if client.call(&payload).await? != payload.len() {
            return Err("the echo is wrong".into());
        }
    }
    Ok(())
}

/// What a run gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Calls a second.
    pub rate: f64,
    /// The median, in microseconds.
    pub p50: f64,
    /// In microseconds.
    pub p99: f64,
    /// In microseconds.
    pub p999: f64,
}

const WARM: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// Calls for some time, task by task on the clients in turn, and measures the latter part of it.
pub async fn timed<C: Client>(
    clients: &[C],
    payload: &Bytes,
    in_flight: usize,
    warm: Duration,
    measure: Duration,
) -> Result<Measured> {
    let phase = Arc::new(AtomicU8::new(WARM));
    let tasks: Vec<_> = (0..in_flight)
        .map(|index| {
            let (client, payload, phase) =
                (clients[index % clients.len()].clone(), payload.clone(), phase.clone());
            tokio::spawn(async move {
                // Units of ten nanoseconds.
                let mut latencies: Vec<u32> = Vec::with_capacity(1024);
                let mut began = Instant::now();
                loop {
                    if client.call(&payload).await? != payload.len() {
                        return Err("the echo is wrong".into());
                    }
                    let ended = Instant::now();
                    match phase.load(Ordering::Relaxed) {
                        WARM => {}
                        MEASURE => {
                            let took = (ended - began).as_nanos() / 10;
                            latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
                        }
                        _ => return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies),
                    }
                    began = ended;
                }
            })
        })
        .collect();
    // A thread of its own keeps the phases, so that a busy runtime cannot be late with them.
    let keeper = std::thread::spawn(move || {
        std::thread::sleep(warm);
        let began = Instant::now();
        phase.store(MEASURE, Ordering::Relaxed);
        std::thread::sleep(measure);
        phase.store(STOP, Ordering::Relaxed);
        began.elapsed()
    });
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let elapsed = keeper.join().map_err(|_| "the thread that keeps the phases panicked")?;
    latencies.sort_unstable();
    let at = |share: f64| {
        let place = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        f64::from(latencies.get(place).copied().unwrap_or(0)) / 100.0
    };
    Ok(Measured {
        rate: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
    })
}
