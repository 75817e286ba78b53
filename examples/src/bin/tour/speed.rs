//! How many calls a second, with the caveats that such a figure needs.

use std::time::{Duration, Instant};

use rpc_core::Status;

use crate::contract::*;
use crate::page::{Page, Shown};
use crate::process::Process;

/// How long each figure is measured.
const FOR: Duration = Duration::from_millis(600);

/// How many call at once.
const CALLERS: usize = 64;

pub(crate) async fn show(page: &mut Page, post: &Process) -> Shown {
    page.title("Calls a second", "small calls on one connection; both sides share this machine");
    let client = PostClient::connect(post.address()).await?;
    let began = Instant::now();
    let mut latency = Duration::MAX;
    for number in 0..200 {
        let began = Instant::now();
        client.echo(number).await?;
        latency = latency.min(began.elapsed());
    }
    let alone = began.elapsed() / 200;
    page.row("one by one", &format!("{alone:.0?} a call, {latency:.0?} at best"));

    let rate = rate(&client).await?;
    page.row(
        &format!("{CALLERS} at once"),
        &format!("{rate:.0} calls a second between two processes, over TCP"),
    );
    page.remark(if cfg!(debug_assertions) {
        "a debug build, several times slower: cargo run --release --bin tour; figures are in docs/PERFORMANCE.md"
    } else {
        "figures that were measured with care are in docs/PERFORMANCE.md"
    });
    page.check(
        rate > 1_000.0,
        format!("even a debug build makes a thousand calls a second, but made {rate:.0}"),
    )
}

async fn rate(client: &PostClient) -> Result<f64, Box<dyn std::error::Error>> {
    let began = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut calls = 0_u64;
                while began.elapsed() < FOR {
                    client.echo(calls).await?;
                    calls += 1;
                }
                Ok::<_, Status>(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await??;
    }
    Ok(calls as f64 / began.elapsed().as_secs_f64())
}
