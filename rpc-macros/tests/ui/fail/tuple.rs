use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, person: (String, u32)) -> Result<String, Status>;
}

fn main() {}
