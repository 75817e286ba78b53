use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, name: Box<dyn ToString + Send>) -> Result<String, Status>;
}

fn main() {}
