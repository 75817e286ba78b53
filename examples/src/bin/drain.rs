//! The orderly end of a server: Ctrl-C, then a drain that lets finish what runs, within a limit.
//!
//! It ends by itself after a second, or earlier by Ctrl-C.
//!
//! ```text
//! cargo run --bin drain
//! cargo run --bin drain -- --for 60s
//! ```

use std::time::{Duration, Instant};

use rpc_core::{Certainty, Code, Server, Status, service};
use tokio::time::sleep;

/// Takes its time.
#[service]
pub trait Oven {
    /// Bakes for so many milliseconds.
    async fn bake(&self, millis: u64) -> Result<String, Status>;
}

struct Stone;

impl Oven for Stone {
    async fn bake(&self, millis: u64) -> Result<String, Status> {
        sleep(Duration::from_millis(millis)).await;
        Ok(format!("baked for {millis} ms"))
    }
}

/// The seconds after `--for`.
fn patience() -> Result<Duration, String> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (None, _) => Ok(Duration::from_secs(1)),
        (Some("--for"), Some(time)) => match time.trim_end_matches('s').parse() {
            Ok(seconds) => Ok(Duration::from_secs(seconds)),
            Err(_) => Err(format!("{time:?} is no number of seconds, such as 60s")),
        },
        _ => Err("usage: drain [--for SECONDS]".into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let patience = patience()?;
    let server = Server::builder().service(OvenServer::new(Stone)).bind("127.0.0.1:0").await?;
    let oven = OvenClient::connect(server.local_addr()).await?;
    println!("baking at {}; Ctrl-C ends it, or {patience:?}", server.local_addr());

    // What a server's main waits for.
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            println!("interrupted");
        }
        () = sleep(patience) => println!("time is up"),
    }

    // Two calls are under way: one that will be done in time, one that won't.
    let quick = oven.bake(100).start();
    let endless = oven.bake(60_000).timeout(Duration::from_secs(100)).start();
    while server.snapshot().calls < 2 {
        sleep(Duration::from_millis(1)).await;
    }

    let began = Instant::now();
    let draining = tokio::spawn(server.drain(Duration::from_millis(300)));
    // A call that comes during the drain was not executed, and so can be made elsewhere.
    while oven.channel().snapshot().connected {
        sleep(Duration::from_millis(1)).await;
    }
    let refused = oven.bake(1).await.unwrap_err();
    println!("a new call         {refused}");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.certainty().is_safe_to_retry());

    println!("the quick call     {}", quick.await?);
    let report = draining.await?;
    println!("the report         {report}");
    assert!(!report.is_clean());
    assert_eq!(report.late[0].calls, ["Oven/Bake"]);
    assert!(began.elapsed() < Duration::from_secs(1), "the limit was not kept");

    let cut = endless.await.unwrap_err();
    println!("the endless call   {cut} ({:?})", cut.certainty());
    assert_eq!(cut.code(), Code::Unavailable);
    // The server tells its callers before it ends: this one knows that its call was begun.
    assert_eq!(cut.certainty(), Certainty::Executed);
    Ok(())
}
