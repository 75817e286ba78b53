use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, names: &[String]) -> Result<String, Status>;
}

fn main() {}
