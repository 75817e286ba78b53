use rpc_core::{Status, service};

#[service]
pub trait Greeter<T: Send> {
    async fn hello(&self, name: T) -> Result<String, Status>;
}

fn main() {}
