use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    #[rpc(name = "demo.Hello")]
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
