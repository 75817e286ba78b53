use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    #[rpc(timeout = "200")]
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
