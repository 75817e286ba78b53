use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    const LIMIT: u32;
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
