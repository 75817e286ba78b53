use rpc_core::{Status, service};

#[service]
pub unsafe trait Greeter {
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
