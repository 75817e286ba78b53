use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, other: Self) -> Result<String, Status>;
}

fn main() {}
