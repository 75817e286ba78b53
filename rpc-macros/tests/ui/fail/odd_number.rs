use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, age: u8) -> Result<Vec<usize>, Status>;
}

fn main() {}
