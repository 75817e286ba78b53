use rpc_core::{Status, service};

pub type Name = String;

#[service]
pub trait Greeter {
    async fn hello(&self, name: Name) -> Result<String, Status>;
}

fn main() {}
