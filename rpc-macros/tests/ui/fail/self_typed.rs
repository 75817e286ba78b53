use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(self: std::sync::Arc<Self>, name: String) -> Result<String, Status>;
}

fn main() {}
