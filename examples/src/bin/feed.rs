//! A live feed: one call, and prices for as long as somebody looks.
//!
//! Each subscriber has a stream of its own; a slow one misses ticks here, by choice of this feed, and never costs the
//! others anything. Either end may leave: the other one knows at once.
//!
//! ```text
//! cargo run --bin feed
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rpc_core::{Code, Server, Status, Streaming, message, service};
use tokio::sync::broadcast;

/// A price.
#[message]
#[derive(Clone, Debug)]
pub struct Tick {
    symbol: String,
    number: u64,
    price: f64,
}

/// Prices as they come.
#[service]
pub trait Prices {
    /// Every price of the symbol from now on.
    async fn ticks(&self, symbol: String) -> Result<Streaming<Tick>, Status>;
}

/// Where prices come from.
#[derive(Clone)]
struct Exchange(Arc<broadcast::Sender<Tick>>);

impl Prices for Exchange {
    async fn ticks(&self, symbol: String) -> Result<Streaming<Tick>, Status> {
        if symbol.is_empty() {
            return Err(Status::invalid_argument("which symbol?"));
        }
        let (sender, ticks) = Streaming::channel(16);
        let mut prices = self.0.subscribe();
        // A task that keeps the call's context: it ends when the call does.
        rpc_core::spawn(async move {
            loop {
                match prices.recv().await {
                    Ok(tick) if tick.symbol != symbol => {}
                    // Nobody reads any more.
                    Ok(tick) => {
                        if sender.send(tick).await.is_err() {
                            return;
                        }
                    }
                    // This subscriber was too slow. Old prices are of no use to it: it goes on with the new ones.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
        Ok(ticks)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let exchange = Exchange(Arc::new(broadcast::channel(64).0));
    let server = Server::builder().service(PricesServer::new(exchange.clone())).bind("127.0.0.1:0").await?;
    let prices = PricesClient::connect(server.local_addr()).await?;

    // A market that never sleeps.
    let market = exchange.clone();
    let market = tokio::spawn(async move {
        for number in 0.. {
            for symbol in ["IRON", "COAL"] {
                let tick = Tick { symbol: symbol.into(), number, price: 100.0 + (number % 7) as f64 };
                let _ = market.0.send(tick);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });

    // A stream is a stream: whatever works on streams works on this one.
    let ticks = prices.ticks("IRON".into()).await?;
    let highs: Vec<Tick> = ticks
        .filter_map(|tick| std::future::ready(tick.ok().filter(|tick| tick.price > 104.0)))
        .take(5)
        .collect()
        .await;
    println!("five highs of IRON:");
    for tick in &highs {
        println!("  {:>6} {:.2}", tick.number, tick.price);
    }
    assert!(highs.len() == 5 && highs.iter().all(|tick| tick.symbol == "IRON"));
    assert!(highs.windows(2).all(|pair| pair[0].number < pair[1].number), "in order");

    // That stream was dropped with its fifth item, and its subscription with it.
    while exchange.0.receiver_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("nobody subscribes any more");

    // Two at once, one of which looks only now and then.
    let (fast, slow) = tokio::join!(prices.ticks("IRON".into()), prices.ticks("COAL".into()));
    let (mut fast, mut slow) = (fast?, slow?);
    let seen = fast.by_ref().take(200).count().await;
    let first = slow.next().await.transpose()?.ok_or("a tick")?;
    println!("while the one saw {seen} ticks, the other began with number {}", first.number);

    let error = prices.ticks(String::new()).await.map(drop).unwrap_err();
    println!("no symbol: {error}");
    assert_eq!(error.code(), Code::InvalidArgument);

    // A time limit on the call is one on the whole stream.
    let mut brief = prices.ticks("IRON".into()).timeout(Duration::from_millis(50)).await?;
    let end = loop {
        match brief.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => return Err("the stream ended without a word".into()),
        }
    };
    println!("after its time: {end}");
    assert_eq!(end.code(), Code::DeadlineExceeded);

    drop((fast, slow));
    market.abort();
    assert!(server.drain(Duration::from_secs(5)).await.is_clean());
    Ok(())
}
