//! Spans that go on over two hops: the trace's id is the same in every process that a call comes through.
//!
//! `TraceLayer` makes a `tracing` span for each call, on both sides, and sends the W3C trace context along. What a
//! handler logs is within the span of its call. Any subscriber will do; this one prints.
//!
//! ```text
//! cargo run --bin trace
//! ```

use rpc_core::context::TraceContext;
use rpc_core::middleware::TraceLayer;
use rpc_core::{Channel, Context, Server, Status, service};

/// A: takes orders.
#[service]
pub trait Waiter {
    /// Orders a dish; gives the ids of the trace, for this program to look at.
    async fn order(&self, dish: String) -> Result<Vec<String>, Status>;
}

/// B: cooks them.
#[service]
pub trait Cook {
    /// Cooks a dish; gives the id of the trace.
    async fn prepare(&self, dish: String) -> Result<String, Status>;
}

struct A(CookClient);

impl Waiter for A {
    async fn order(&self, dish: String) -> Result<Vec<String>, Status> {
        let theirs = self.0.prepare(dish).await?;
        Ok(vec![trace_id(), theirs])
    }
}

struct B;

impl Cook for B {
    async fn prepare(&self, _dish: String) -> Result<String, Status> {
        Ok(trace_id())
    }
}

/// The trace that the handler at hand works for.
fn trace_id() -> String {
    let trace = Context::current().trace();
    trace.map_or_else(|| "none".into(), |trace| trace.traceparent()[3..35].to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A line when a span ends, with its fields and those of the spans round it.
    tracing_subscriber::fmt()
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_target(false)
        .without_time()
        .with_ansi(false)
        .init();

    let cook =
        Server::builder().layer(TraceLayer::server()).service(CookServer::new(B)).bind("127.0.0.1:0").await?;
    let channel = Channel::builder(cook.local_addr()).layer(TraceLayer::client()).build()?;
    let waiter = A(CookClient::new(channel));
    let waiter = Server::builder()
        .layer(TraceLayer::server())
        .service(WaiterServer::new(waiter))
        .bind("127.0.0.1:0")
        .await?;
    let channel = Channel::builder(waiter.local_addr()).layer(TraceLayer::client()).build()?;
    let client = WaiterClient::new(channel);

    // The trace begins here; it might as well have come in with an HTTP request.
    let trace =
        TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").ok_or("no trace")?;
    let seen =
        Context::current().with_trace(trace).scope(async { client.order("soup".into()).await }).await?;
    println!("the handlers saw {seen:?}");
    assert_eq!(seen, ["4bf92f3577b34da6a3ce929d0e0e4736"; 2]);
    Ok(())
}
