//! A time budget over three hops: A calls B, B calls C, and nothing is passed along by hand.
//!
//! A call made inside a handler inherits what is left of the caller's deadline. When the time is up, every hop ends at
//! once, and the error says which hop spent how much of it.
//!
//! ```text
//! cargo run --bin deadlines
//! ```

use std::time::{Duration, Instant};

use rpc_core::{Code, Context, Server, Status, service};
use tokio::time::sleep;

/// A: cooks a meal, with ingredients from B.
#[service]
pub trait Kitchen {
    /// Cooks a dish.
    async fn cook(&self, dish: String) -> Result<String, Status>;
}

/// B: has ingredients, which it orders from C.
#[service]
pub trait Pantry {
    /// Gets an ingredient.
    async fn fetch(&self, ingredient: String) -> Result<String, Status>;
}

/// C: is the slow one.
#[service]
pub trait Market {
    /// Buys something.
    async fn buy(&self, thing: String) -> Result<String, Status>;
}

struct A(PantryClient);

impl Kitchen for A {
    async fn cook(&self, dish: String) -> Result<String, Status> {
        println!("  A has {:>3} ms", left());
        sleep(Duration::from_millis(20)).await;
        let ingredient = self.0.fetch("flour".into()).await?;
        Ok(format!("{dish} of {ingredient}"))
    }
}

struct B(MarketClient);

impl Pantry for B {
    async fn fetch(&self, ingredient: String) -> Result<String, Status> {
        println!("  B has {:>3} ms", left());
        sleep(Duration::from_millis(40)).await;
        // More time than the caller gives is not to be had: the nearer deadline stays.
        self.0.buy(ingredient).timeout(Duration::from_secs(60)).await
    }
}

/// How long C takes, in milliseconds.
struct C(u64);

impl Market for C {
    async fn buy(&self, thing: String) -> Result<String, Status> {
        println!("  C has {:>3} ms, and takes {}", left(), self.0);
        sleep(Duration::from_millis(self.0)).await;
        Ok(format!("fresh {thing}"))
    }
}

fn left() -> u128 {
    Context::current().remaining().map_or(0, |left| left.as_millis())
}

async fn kitchen(market_takes: u64) -> Result<(KitchenClient, [Server; 3]), Box<dyn std::error::Error>> {
    let c = Server::builder().service(MarketServer::new(C(market_takes))).bind("127.0.0.1:0").await?;
    let market = MarketClient::connect(c.local_addr()).await?;
    let b = Server::builder().service(PantryServer::new(B(market))).bind("127.0.0.1:0").await?;
    let pantry = PantryClient::connect(b.local_addr()).await?;
    let a = Server::builder().service(KitchenServer::new(A(pantry))).bind("127.0.0.1:0").await?;
    Ok((KitchenClient::connect(a.local_addr()).await?, [a, b, c]))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("a market in time, 200 ms for everything:");
    let (kitchen_in_time, _servers) = kitchen(30).await?;
    let dish = kitchen_in_time.cook("bread".into()).timeout(Duration::from_millis(200)).await?;
    println!("  {dish}");

    println!("a market that is late:");
    let (late_kitchen, _servers) = kitchen(5_000).await?;
    let began = Instant::now();
    let error = late_kitchen.cook("bread".into()).timeout(Duration::from_millis(200)).await.unwrap_err();
    println!("  failed after {:.0?}: {}", began.elapsed(), error.message());
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert!(began.elapsed() < Duration::from_millis(400), "the deadline was not kept");

    // The hops are in the order in which the call travelled. What one had, less what the next one had, it spent.
    println!("where the time went:");
    let hops = error.hops();
    for (index, hop) in hops.iter().enumerate() {
        let next = hops.get(index + 1).map_or(Duration::ZERO, |next| next.budget);
        println!(
            "  {:<14} got {:>5.1?}, spent {:>5.1?}",
            hop.method,
            hop.budget,
            hop.budget.saturating_sub(next)
        );
    }
    let methods: Vec<_> = hops.iter().map(|hop| hop.method.as_str()).collect();
    assert_eq!(methods, ["Kitchen/Cook", "Pantry/Fetch", "Market/Buy"]);
    assert!(hops.is_sorted_by(|one, next| one.budget > next.budget), "a hop had more than the one before it");
    Ok(())
}
