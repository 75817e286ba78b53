use rpc_core::{Status, service};

#[service(name = "demo/Greeter")]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
