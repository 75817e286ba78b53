//! Dropping a call stops the work that it began, over three hops.
//!
//! When a client drops a call, or its process dies, the server drops the handler at its next await. The calls that the
//! handler had under way are dropped with it, and so on to the last hop.
//!
//! ```text
//! cargo run --bin cancel
//! ```

use std::time::{Duration, Instant};

use rpc_core::{Context, Server, Status, service};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// One hop of three.
#[service]
pub trait Worker {
    /// Works, or lets others work.
    async fn work(&self) -> Result<(), Status>;
}

/// Passes the work on, or does it for ever if there is nobody.
struct Hop {
    name: &'static str,
    next: Option<WorkerClient>,
    tell: mpsc::UnboundedSender<String>,
}

impl Worker for Hop {
    async fn work(&self) -> Result<(), Status> {
        // What a handler holds is dropped with it: files, locks, transactions. This one tells.
        let _told = TellDrop { name: self.name, tell: self.tell.clone() };
        let _ = self.tell.send(format!("{} began", self.name));
        match &self.next {
            Some(next) => next.work().await,
            None => std::future::pending().await,
        }
    }
}

struct TellDrop {
    name: &'static str,
    tell: mpsc::UnboundedSender<String>,
}

impl Drop for TellDrop {
    fn drop(&mut self) {
        // The context is the call's while its handler is dropped, too, and says why.
        let why =
            Context::current().status().map_or_else(|| "for no reason".into(), |status| status.to_string());
        let _ = self.tell.send(format!("{} was dropped: {why}", self.name));
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut servers = Vec::new();
    let mut next = None;
    for name in ["C", "B", "A"] {
        let hop = Hop { name, next: next.take(), tell: tell.clone() };
        let server = Server::builder().service(WorkerServer::new(hop)).bind("127.0.0.1:0").await?;
        next = Some(WorkerClient::connect(server.local_addr()).await?);
        servers.push(server);
    }
    let client = next.ok_or("three hops were made")?;
    let mut expect = async |part: &'static str| -> Result<(), String> {
        for _ in 0..3 {
            let line = timeout(Duration::from_secs(2), told.recv()).await.ok().flatten();
            let line = line.ok_or_else(|| format!("somebody was not {part} within two seconds"))?;
            println!("  {line}");
            assert!(line.contains(part), "{line:?} is not about being {part}");
        }
        Ok(())
    };

    println!("a call that is dropped:");
    let call = client.work().start();
    expect("began").await?;
    drop(call);
    expect("dropped: CANCELLED").await?;

    println!("the loser of a race:");
    tokio::select! {
        _ = client.work() => unreachable!("the work never ends"),
        () = sleep(Duration::from_millis(50)) => {}
    }
    expect("began").await?;
    expect("dropped: CANCELLED").await?;

    println!("a context that is cancelled, with a reason:");
    let (ctx, handle) = Context::current().with_cancel();
    let call = ctx.sync_scope(|| client.work().start());
    expect("began").await?;
    handle.cancel("the user closed the page");
    println!("  the caller got {}", call.await.unwrap_err());
    expect("dropped: CANCELLED").await?;

    // Nothing is left behind, once the last of what the handlers held is gone.
    let began = Instant::now();
    while servers.iter().any(|server| server.snapshot().calls > 0) {
        assert!(began.elapsed() < Duration::from_secs(2), "a call was left at a server");
        sleep(Duration::from_millis(1)).await;
    }
    println!("no call is left at any of the servers");
    Ok(())
}
