//! A server restarts under load, once killed and once drained, and no call fails.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use rpc_core::client::Backoff;
use rpc_core::middleware::retry::Policy;
use rpc_core::middleware::{RetryLayer, Service, layer_fn};
use rpc_core::{Channel, Request, Response, Status};
use tokio::time::sleep;

use crate::contract::*;
use crate::page::Page;
use crate::process::Process;

/// How many call at once.
const CALLERS: usize = 16;

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    retries: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
    longest_ms: AtomicU64,
    stop: AtomicBool,
}

/// Gives back the process that runs in the end.
pub(crate) async fn show(page: &mut Page, post: Process) -> Result<Process, Box<dyn Error>> {
    page.title(
        "A restart under load",
        "an idempotent method, a retry layer, and a server that goes away twice",
    );
    let counts = Arc::new(Counts::default());
    let counted = counts.clone();
    let ms = Duration::from_millis;
    let channel = Channel::builder(post.address())
        .timeout(Duration::from_secs(10))
        .backoff(Backoff { base: ms(20), max: ms(100), ..Backoff::default() })
        .layer(RetryLayer::new(Policy { attempts: 40, base: ms(10), max: ms(100) }))
        .layer(layer_fn(move |inner| Count { inner, counts: counted.clone() }))
        .build()?;
    let client = PostClient::new(channel);
    let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(load(client.clone(), counts.clone()))).collect();
    let calls = || counts.calls.load(Relaxed);
    page.row("load", &format!("{CALLERS} callers, one connection"));

    sleep(ms(300)).await;
    let (before, at, old) = (calls(), post.address().to_owned(), post.id());
    post.kill().await?;
    let began = Instant::now();
    // Long enough for every caller to meet a closed door.
    sleep(ms(200)).await;
    let mut post = Process::start(&["post", &at]).await?;
    page.row(
        "killed",
        &format!(
            "process {old} after {before} calls; {} takes over {:.0?} later",
            post.id(),
            began.elapsed()
        ),
    );
    sleep(ms(500)).await;
    let between = calls();
    page.check(between > before, "the callers go on with the new server")?;

    let old = post.id();
    post.tell_to_drain(Duration::from_secs(2)).await?;
    let report = post.report().await?;
    let began = Instant::now();
    let post = Process::start(&["post", &at]).await?;
    page.row(
        "drained",
        &format!(
            "process {old} after {between} calls; {} takes over {:.0?} later",
            post.id(),
            began.elapsed()
        ),
    );
    page.remark(&format!("the old one: {report}"));
    sleep(ms(500)).await;
    page.check(calls() > between, "the callers go on with the third server")?;

    counts.stop.store(true, Relaxed);
    for caller in callers {
        caller.await?;
    }
    let read = |count: &AtomicU64| count.load(Relaxed);
    let (retries, wrong, failed) = (read(&counts.retries), read(&counts.wrong), read(&counts.failed));
    page.row("calls", &format!("{}, of them tried again {retries}, wrong {wrong}, failed {failed}", calls()));
    page.row("longest", &format!("{} ms, over a restart", read(&counts.longest_ms)));
    page.check(failed == 0, format!("no call fails, but {failed} did"))?;
    page.check(wrong == 0, format!("no call gets another one's reply, but {wrong} did"))?;
    page.check(retries > 0, "a kill under load is felt by the retry layer")?;
    Ok(post)
}

/// Calls, one call after the other, until it is told to stop.
async fn load(client: PostClient, counts: Arc<Counts>) {
    while !counts.stop.load(Relaxed) {
        let number = counts.calls.fetch_add(1, Relaxed);
        let began = Instant::now();
        match client.echo(number).await {
            Ok(echoed) if echoed == number => {}
            Ok(_) => drop(counts.wrong.fetch_add(1, Relaxed)),
            Err(error) => {
                eprintln!("echo({number}) failed: {error} ({:?})", error.certainty());
                counts.failed.fetch_add(1, Relaxed);
            }
        }
        counts.longest_ms.fetch_max(began.elapsed().as_millis() as u64, Relaxed);
    }
}

/// A layer beneath the one that retries: sees every attempt.
#[derive(Clone)]
struct Count<S> {
    inner: S,
    counts: Arc<Counts>,
}

impl<S: Service<Request, Response = Response, Error = Status>> Service<Request> for Count<S> {
    type Response = Response;
    type Error = Status;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        if request.attempt() > 0 {
            self.counts.retries.fetch_add(1, Relaxed);
        }
        self.inner.call(request)
    }
}
