use rpc_core::{Status, service};

#[service]
pub trait greeter {
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
