use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<String, Status> {
        Ok(name)
    }
}

fn main() {}
