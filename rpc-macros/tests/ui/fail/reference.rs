use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, name: &str) -> Result<String, Status>;
}

fn main() {}
