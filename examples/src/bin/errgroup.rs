//! Fan-out: many calls at once, of which the first error ends the rest.
//!
//! `Group` starts tasks in a child of the current context: they inherit its deadline and its values. When one of them
//! fails the others are cancelled, here and at the servers that work for them.
//!
//! ```text
//! cargo run --bin errgroup
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rpc_core::context::Group;
use rpc_core::{Code, Context, Server, Status, service};
use tokio::time::sleep;

/// Knows prices.
#[service]
pub trait Shop {
    /// The price of an article, in cents.
    async fn price(&self, article: String) -> Result<u64, Status>;
}

#[derive(Default)]
struct Slow {
    dropped: Arc<AtomicU32>,
}

impl Shop for Slow {
    async fn price(&self, article: String) -> Result<u64, Status> {
        let mut unfinished = CountDrop(Some(self.dropped.clone()));
        match article.as_str() {
            "unicorn" => sleep(Duration::from_millis(10)).await,
            "mortgage" => sleep(Duration::from_secs(3600)).await,
            _ => sleep(Duration::from_millis(40)).await,
        }
        unfinished.0 = None;
        match article.as_str() {
            "unicorn" => Err(Status::not_found("there are no unicorns")),
            article => Ok(100 * article.len() as u64),
        }
    }
}

/// Counts handlers that were dropped before their end.
struct CountDrop(Option<Arc<AtomicU32>>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Every price, or the first error.
async fn prices(shop: &ShopClient, articles: &[&str]) -> Result<Vec<u64>, Status> {
    let mut group = Group::new();
    for article in articles {
        let (shop, article) = (shop.clone(), String::from(*article));
        group.spawn(async move { shop.price(article).await });
    }
    group.join().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slow = Slow::default();
    let dropped = slow.dropped.clone();
    let server = Server::builder().service(ShopServer::new(slow)).bind("127.0.0.1:0").await?;
    let shop = ShopClient::connect(server.local_addr()).await?;

    let began = Instant::now();
    let found = prices(&shop, &["pen", "paper", "ink", "envelope"]).await?;
    println!("all four       {found:?} in {:.0?}, each took 40 ms", began.elapsed());
    // In the order in which they were started, whichever came first.
    assert_eq!(found, [300, 500, 300, 800]);
    assert!(began.elapsed() < Duration::from_millis(120), "they ran one after the other");

    let began = Instant::now();
    let error = prices(&shop, &["mortgage", "unicorn", "mortgage"]).await.unwrap_err();
    println!("one fails      {error}, after {:.0?}", began.elapsed());
    assert_eq!(error.code(), Code::NotFound);
    assert!(began.elapsed() < Duration::from_secs(1), "the others were waited for");

    let began = Instant::now();
    let hurried = Context::current().with_timeout(Duration::from_millis(50));
    let error = hurried.scope(prices(&shop, &["pen", "mortgage"])).await.unwrap_err();
    println!("out of time    {}, after {:.0?}", error.code(), began.elapsed());
    assert_eq!(error.code(), Code::DeadlineExceeded);

    // The server heard of it: three mortgages, and nothing else, were dropped in their handlers.
    let began = Instant::now();
    while dropped.load(Ordering::Relaxed) < 3 && began.elapsed() < Duration::from_secs(2) {
        sleep(Duration::from_millis(5)).await;
    }
    println!("at the server  {} handlers were dropped", dropped.load(Ordering::Relaxed));
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    Ok(())
}
