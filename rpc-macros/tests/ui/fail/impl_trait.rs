use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, name: impl Into<String>) -> Result<String, Status>;
}

fn main() {}
