//! Every way to make a call, and what can be set for one.
//!
//! A client's method gives a `Call`: a future that has options. Nothing is sent before it is awaited or started.
//!
//! ```text
//! cargo run --bin options
//! ```

use std::time::{Duration, Instant};

use rpc_core::codec::Json;
use rpc_core::{Channel, Code, Context, Server, Status, service};
use tokio::sync::oneshot;

/// A slow multiplier.
#[service]
pub trait Multiplier {
    /// Multiplies, after so many milliseconds.
    async fn multiply(&self, a: i64, b: i64, after: u64) -> Result<i64, Status>;

    /// What came with the call: its tenant, and its time.
    async fn surroundings(&self) -> Result<String, Status>;
}

struct Slow;

impl Multiplier for Slow {
    async fn multiply(&self, a: i64, b: i64, after: u64) -> Result<i64, Status> {
        tokio::time::sleep(Duration::from_millis(after)).await;
        a.checked_mul(b).ok_or_else(|| Status::out_of_range(format!("{a} times {b} takes more than 64 bits")))
    }

    async fn surroundings(&self) -> Result<String, Status> {
        let ctx = Context::current();
        let tenant = ctx.metadata().get("tenant").unwrap_or("nobody");
        Ok(match ctx.remaining() {
            Some(left) => format!("{tenant}, within {} s", left.as_secs_f64().ceil()),
            None => format!("{tenant}, whenever"),
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().service(MultiplierServer::new(Slow)).bind("127.0.0.1:0").await?;
    // What is set for the channel goes for each of its calls, unless the call says otherwise.
    let channel = Channel::builder(server.local_addr()).timeout(Duration::from_secs(5)).build()?;
    let client = MultiplierClient::new(channel);

    // The plain call.
    let product = client.multiply(6, 7, 0).await?;
    println!("await         6 x 7 = {product}");
    assert_eq!(product, 42);

    // Options, for this call only.
    let seen = client.surroundings().await?;
    println!("channel       the server saw: {seen}");
    assert_eq!(seen, "nobody, within 5 s");
    let seen = client.surroundings().timeout(Duration::from_secs(2)).metadata("tenant", "acme").await?;
    println!("options       the server saw: {seen}");
    assert_eq!(seen, "acme, within 2 s");

    // Another codec, for this call only.
    assert_eq!(client.multiply(6, 7, 0).codec::<Json>().await?, 42);
    println!("codec         the same result in JSON");

    // The reply with what came beside it.
    let reply = client.multiply(6, 7, 20).reply().await?;
    let timings = reply.timings;
    println!(
        "reply()       {} after {:.1?} in the queue, {:.1?} in the handler, {:.1?} on the network",
        reply.value, timings.queue, timings.handler, timings.network
    );
    assert!(timings.handler >= Duration::from_millis(20));

    // Two calls that are under way at once: start() sends, awaiting collects.
    let began = Instant::now();
    let (one, two) = (client.multiply(2, 3, 50).start(), client.multiply(4, 5, 50).start());
    println!("start()       {} and {} together in {:.0?}", one.await?, two.await?, began.elapsed());
    assert!(began.elapsed() < Duration::from_millis(100), "they ran one after the other");

    // A callback, which gets the result whichever way it went.
    let (tell, told) = oneshot::channel();
    client.multiply(8, 8, 5).on_complete(move |result| drop(tell.send(result)));
    println!("on_complete   {}", told.await??);

    // Too little time: the call ends here and at the server.
    let late = client.multiply(1, 1, 500).timeout(Duration::from_millis(30)).await.unwrap_err();
    println!("timeout       {late}");
    assert_eq!(late.code(), Code::DeadlineExceeded);

    // An error of the server's.
    let wrong = client.multiply(i64::MAX, 2, 0).await.unwrap_err();
    println!("error         {wrong}");
    assert_eq!(wrong.code(), Code::OutOfRange);

    // While nobody listens a call fails at once, unless it is told to wait.
    let address = server.local_addr().clone();
    server.drain(Duration::from_secs(1)).await;
    let refused = client.multiply(1, 1, 0).await.unwrap_err();
    println!("server gone   {refused}");
    assert_eq!(refused.code(), Code::Unavailable);
    let waiting = client.multiply(9, 9, 0).wait_for_ready().start();
    let _server = Server::builder().service(MultiplierServer::new(Slow)).bind(address).await?;
    println!("wait          {} from the next server at the same place", waiting.await?);
    Ok(())
}
