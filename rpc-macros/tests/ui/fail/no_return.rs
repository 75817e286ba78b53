use rpc_core::{service};

#[service]
pub trait Greeter {
    async fn hello(&self, name: String);
}

fn main() {}
