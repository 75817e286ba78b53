use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&mut self, name: String) -> Result<String, Status>;
}

fn main() {}
