//! A number of calls, for tools that count what a call costs.

use bytes::Bytes;

use crate::Result;
use crate::echo::Client;

/// Makes this many calls, `in_flight` at a time.
///
/// # Errors
/// Whatever a call gives.
pub async fn calls<C: Client>(client: &C, payload: &Bytes, in_flight: usize, calls: usize) -> Result<()> {
    if in_flight == 1 {
        return in_a_row(client.clone(), payload.clone(), calls).await;
    }
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(in_a_row(client.clone(), payload.clone(), calls / in_flight)))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn in_a_row<C: Client>(client: C, payload: Bytes, calls: usize) -> Result<()> {
    for _ in 0..calls {
        if client.call(&payload).await? != payload.len() {
            return Err("the echo is wrong".into());
        }
    }
    Ok(())
}

/// Sends this many messages that nobody answers, and waits until the server has seen them.
///
/// # Errors
/// Whatever a message gives.
pub async fn messages<C: Client>(client: &C, payload: &Bytes, messages: usize) -> Result<()> {
    for _ in 0..messages {
        client.send(payload).await?;
    }
    // It is answered in order: without it the run would end with work undone, and the figure would be too good.
    client.call(payload).await.map(drop)
}
