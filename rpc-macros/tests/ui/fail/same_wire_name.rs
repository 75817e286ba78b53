use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<String, Status>;
    
    #[rpc(name = "Hello")]
    async fn hi(&self, name: String) -> Result<String, Status>;
}

fn main() {}
