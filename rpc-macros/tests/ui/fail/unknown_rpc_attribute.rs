use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    #[rpc(one_way)]
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
