//! A client is an implementation of its trait: code that is generic over the trait takes either, and tests need no
//! network.
//!
//! ```text
//! cargo run --bin local
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use rpc_core::{Code, Server, Status, service};

/// Exchange rates.
#[service]
pub trait Rates {
    /// How many of a currency one euro buys, in thousandths.
    async fn rate(&self, currency: String) -> Result<u64, Status>;
}

/// The code under test: it needs something that knows rates, whatever that is. A trait with `async fn` can't be a
/// `dyn Rates`; generics are the way.
async fn convert(rates: &impl Rates, cents: u64, currency: &str) -> Result<u64, Status> {
    Ok(cents * rates.rate(currency.into()).await? / 1000)
}

/// The real one.
struct Bank;

impl Rates for Bank {
    async fn rate(&self, currency: String) -> Result<u64, Status> {
        match currency.as_str() {
            "USD" => Ok(1_080),
            "JPY" => Ok(168_000),
            other => Err(Status::not_found(format!("no rate for {other}"))),
        }
    }
}

/// A test double: it answers from a table and counts.
#[derive(Default)]
struct Double {
    table: HashMap<&'static str, u64>,
    asked: AtomicU32,
}

impl Rates for Double {
    async fn rate(&self, currency: String) -> Result<u64, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.table.get(currency.as_str()).copied().ok_or_else(|| Status::unavailable("the table ends here"))
    }
}

/// A decorator: an implementation over an implementation, be that local, remote, or decorated itself.
struct Rounded<R>(R);

impl<R: Rates + Send + Sync + 'static> Rates for Rounded<R> {
    async fn rate(&self, currency: String) -> Result<u64, Status> {
        Ok(self.0.rate(currency).await? / 1000 * 1000)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 1. The implementation itself: a method call.
    println!("implementation  {} JPY", convert(&Bank, 100, "JPY").await?);
    assert_eq!(convert(&Bank, 100, "USD").await?, 108);

    // 2. The same through the whole stack (codec, layers, protocol), without a socket.
    let local = RatesClient::local(Bank);
    println!("local client    {} JPY", convert(&local, 100, "JPY").await?);
    assert_eq!(convert(&local, 100, "USD").await?, 108);
    assert_eq!(convert(&local, 100, "XXX").await.unwrap_err().code(), Code::NotFound);

    // 3. Over a network.
    let server = Server::builder().service(RatesServer::new(Bank)).bind("127.0.0.1:0").await?;
    let remote = RatesClient::connect(server.local_addr()).await?;
    println!("remote client   {} JPY", convert(&remote, 100, "JPY").await?);
    assert_eq!(convert(&remote, 100, "USD").await?, 108);

    // 4. A double.
    let double = Double { table: HashMap::from([("USD", 2_000)]), ..Double::default() };
    println!("double          {} USD", convert(&double, 100, "USD").await?);
    assert_eq!(convert(&double, 100, "JPY").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(double.asked.load(Ordering::Relaxed), 2);

    // 5. A decorator, here over the remote one; a server can serve it in turn.
    let rounded = RatesClient::local(Rounded(remote));
    println!("decorated       {} USD", convert(&rounded, 100, "USD").await?);
    assert_eq!(convert(&rounded, 100, "USD").await?, 100);
    Ok(())
}
