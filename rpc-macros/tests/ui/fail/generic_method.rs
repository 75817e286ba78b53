use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello<T: Send>(&self, name: T) -> Result<String, Status>;
}

fn main() {}
