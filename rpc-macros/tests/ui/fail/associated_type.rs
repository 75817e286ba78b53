use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    type Name;
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
