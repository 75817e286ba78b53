//! Closed loops: each has one call in flight and makes the next when that is answered.

use std::time::Instant;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::latency::{Book, Latencies, Notes};
use super::window::{Phase, PhaseRef};
use crate::Result;
use crate::echo::Client;

/// Loops that have been started.
#[derive(Debug)]
pub struct Loops {
    tasks: Vec<JoinHandle<Result<()>>>,
    book: Book,
}

/// Starts so many loops, on the clients in turn.
pub fn start<C: Client>(clients: &[C], payload: &Bytes, in_flight: usize, phase: &PhaseRef) -> Loops {
    let book = Book::default();
    let clients = clients.iter().cycle().take(in_flight);
    let calls = |client: &C| calls(client.clone(), payload.clone(), phase.clone(), book.notes());
    Loops { tasks: clients.map(|client| tokio::spawn(calls(client))).collect(), book }
}

impl Loops {
    /// The latencies of the calls that ended in the window.
    ///
    /// # Errors
    /// Whatever a call gives.
    pub async fn end(self) -> Result<Latencies> {
        for task in self.tasks {
            task.await??;
        }
        Ok(self.book.take())
    }
}

async fn calls<C: Client>(client: C, payload: Bytes, phase: PhaseRef, mut notes: Notes) -> Result<()> {
    let mut began = Instant::now();
    loop {
        if client.call(&payload).await? != payload.len() {
            return Err("the echo is wrong".into());
        }
        let ended = Instant::now();
        match phase.get() {
            Phase::Warm => {}
            Phase::Measure => notes.push(ended - began),
            Phase::Stop => return Ok(()),
        }
        began = ended;
    }
}
