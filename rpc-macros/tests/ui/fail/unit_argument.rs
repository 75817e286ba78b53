use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, nothing: ()) -> Result<String, Status>;
}

fn main() {}
