//! The first program: a trait, a server that serves an implementation of it, a client that calls it.
//!
//! ```text
//! cargo run --bin hello
//! ```

// The documentation shows this program first, as it stands below.
#![allow(missing_docs)]

use rpc_core::{Server, Status, service};
use std::time::Duration;

#[service]
pub trait Greeter {
    /// Says hello.
    async fn hello(&self, name: String) -> Result<String, Status>;
}

struct English;

impl Greeter for English {
    async fn hello(&self, name: String) -> Result<String, Status> {
        Ok(format!("hello, {name}"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().service(GreeterServer::new(English)).bind("127.0.0.1:0").await?;
    let greeter = GreeterClient::connect(server.local_addr()).await?;

    println!("{}", greeter.hello("world".into()).await?);

    server.drain(Duration::from_secs(5)).await;
    Ok(())
}
